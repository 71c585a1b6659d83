/** What the page asks of whatever draws its pictures: the service, or this browser. */

import type { Settings, SizeBy } from "../settings";
import type { Key } from "../texts";

export interface Model {
  name: string;
  scale: number;
  parameters: number;
  licence: string;
  /** Whether `detail` may be other than 1. */
  has_detail: boolean;
  /** That it takes by itself. */
  detail: number;
}

export interface Models {
  default: string;
  names: string[];
  models: Model[];
}

/** A picture of a result, and what is said of it. */
export interface Picture {
  data: Blob;
  model: string;
  backend: string;
  version: string;
  seed: number;
  samples: number;
  detail: string;
  evidence: string;
  scale: string;
  /** Mean squared difference, x 1e-5. */
  consistency: number;
  /** Of the file given; empty where the browser gives pages no checksums. */
  sha256: string;
  /** Options that make the same picture again. */
  settings: Record<string, unknown>;
  /** What the file itself says of how it was made; null where it says nothing. */
  provenance: Record<string, unknown> | null;
  notes: string[];
}

/** How sure a result is of each of its pixels, in colours. */
export interface HeatMap {
  data: Blob;
  /** Whether it is half of the calibrated 90 % interval; else it is the deviation of the samples. */
  isCalibrated: boolean;
  /** What the brightest colour stands for, in levels of 255. */
  most: number;
}

export interface Drawn {
  pictures: Picture[];
  /** Null for a single sample. */
  uncertainty: HeatMap | null;
}

/** How far a picture is. */
export interface Progress {
  state: "sending" | "waiting" | "loading" | "running" | "fetching";
  /** From 0 to 1. */
  share: number;
  secondsLeft: number | null;
  /** The result in the making, or a smaller one of its shape; null where none of it is there. */
  emerging: HTMLCanvasElement | null;
}

/** Of each setting, what can be chosen; the first is what the page begins with. */
export interface Takes {
  readonly evidence: readonly string[];
  readonly sizes: readonly SizeBy[];
  readonly formats: readonly string[];
  /** Kinds of files, as `accept` of an input has them. */
  readonly files: string;
}

export interface Backend {
  /** Texts whose keys end in `_` and this take the place of those without. */
  readonly kind: "service" | "browser";
  readonly takes: Takes;
  /** What it cannot do, in a line; null where there is nothing to say. */
  readonly limits: Key | null;
  /** How many pictures it is given at a time. */
  readonly atOnce: number;
  /** @throws Offline where it cannot be reached, Refused with status 401 where it wants a key */
  models(): Promise<Models>;
  /** Whether it takes pictures at once; throws as `models`. */
  isReady(): Promise<boolean>;
  /** The key that it asks for; in this tab's memory only. */
  useKey(key: string): void;
  /** Draw a picture; whoever aborts the signal lets it rest. */
  draw(file: File, settings: Settings, tell: (progress: Progress) => void, signal: AbortSignal): Promise<Drawn>;
  /** A picture in one of the formats that it takes. */
  saved(file: File, picture: Picture, format: string): Promise<Blob>;
}

/** What the service refuses or fails at, in its own line. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    detail: string,
    readonly retryAfter: number,
  ) {
    super(detail);
  }
}

/** There is no answer at all. */
export class Offline extends Error {}

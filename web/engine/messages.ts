/** What page and worker say to each other. */

import type { Pixels } from "./pixels";

/** A file of the site; its path changes with what it holds. */
export interface SiteFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** A model of the site, its files by their names in the model's folder. */
export interface SiteModel {
  readonly name: string;
  readonly scale: number;
  readonly parameters: number;
  readonly description: string;
  readonly licence: string;
  /** Whether `detail` may be other than 1. */
  readonly has_detail: boolean;
  /** That it takes by itself. */
  readonly detail: number;
  readonly files: Readonly<Record<"config.json" | "model.onnx" | "model.safetensors", SiteFile>>;
}

/** `site.json`, which `sr4 export --format web` writes. */
export interface Site {
  readonly format: 1;
  readonly version: string; // of sr4
  readonly runtime: { readonly script: SiteFile; readonly wasm: SiteFile };
  readonly models: readonly SiteModel[];
  /** Which of two models a picture calls for, where the site has both. */
  readonly choice: { readonly face: string; readonly other: string; readonly recogniser: SiteFile } | null;
}

/** The options of `sr4 upscale` that there are in the browser. */
export interface Options {
  /** By name; the first of the site by default. */
  readonly model?: string;
  /** A whole number of at least 0; sample k uses seed + k. */
  readonly seed?: number | bigint;
  readonly samples?: number;
  /** From 0, the mean of all pictures that fit, to 1, a sample. */
  readonly detail?: number;
  readonly steps?: number;
  /** Edge of the tiles that a large result is made of; 0 for none. */
  readonly tile?: number;
}

/** How far a picture is: its files are fetched, or it is drawn. */
export interface Progress {
  readonly stage: "loading" | "drawing";
  /** From 0 to 1. */
  readonly share: number;
}

/** Rows of a sample that are done, from top to bottom, of a result that is drawn in tiles. */
export interface Band<Picture = ImageData> {
  /** From 0. */
  readonly sample: number;
  readonly top: number;
  /** Of the whole result. */
  readonly height: number;
  readonly pixels: Picture;
}

export interface Drawn {
  readonly samples: readonly Pixels[];
  /** Of each sample: mean squared difference of D(sample) to the picture given, x 1e-5. */
  readonly consistency: readonly number[];
  /** Whether the model holds results to the picture given. */
  readonly isHeld: boolean;
  /** Where samples differ, in the colours of `sr4 upscale --uncertainty`; null for a single one. */
  readonly uncertainty: Pixels | null;
}

export type Request =
  | {
      readonly kind: "upscale";
      readonly id: number;
      readonly base: string; // address of the site
      readonly runtime: Site["runtime"];
      readonly model: SiteModel;
      readonly pixels: Pixels;
      readonly options: Options;
    }
  | { readonly kind: "cancel"; readonly id: number };

export type Reply =
  | { readonly kind: "progress"; readonly id: number; readonly progress: Progress }
  | { readonly kind: "band"; readonly id: number; readonly band: Band<Pixels> }
  | { readonly kind: "done"; readonly id: number; readonly drawn: Drawn }
  | { readonly kind: "failed"; readonly id: number; readonly message: string; readonly isRefused: boolean };

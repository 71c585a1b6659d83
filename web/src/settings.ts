/** What a person asks for, and the fields that the API takes for it. */

import type { Takes } from "./backends/backend";

export type SizeBy = "model" | "scale" | "width";

export interface Settings {
  model: string;
  /** From 0 to 1; null for the model's own. */
  detail: number | null;
  sizeBy: SizeBy;
  size: number;
  samples: number;
  seed: number;
  evidence: string;
  /** In which results are saved. */
  format: string;
}

export const MOST_SAMPLES = 8;
export const EVIDENCE = ["auto", "exact", "jpeg", "noise", "none"] as const;
export const SIZES: readonly SizeBy[] = ["model", "scale", "width"];
export const FORMATS = ["png", "jpg", "webp", "avif", "tiff", "jp2", "gif", "bmp", "npy"] as const;
/** The format that results are shown in: it loses nothing, and every browser knows it. */
export const SHOWN = "png";

/** What the page begins with. */
export function defaults({ evidence, formats }: Takes): Settings {
  return {
    model: "auto",
    detail: null,
    sizeBy: "model",
    size: 4,
    samples: 1,
    seed: 0,
    evidence: evidence[0]!,
    format: formats[0]!,
  };
}

export type Fields = Record<string, string>;

/** The form fields of `POST /v1/upscale`. */
export function fields(settings: Settings): Fields {
  const found: Fields = {
    model: settings.model,
    seed: String(settings.seed),
    evidence: settings.evidence,
    format: SHOWN,
  };
  if (settings.detail !== null) found.detail = String(settings.detail);
  if (settings.sizeBy !== "model") found[settings.sizeBy] = String(settings.size);
  if (settings.samples > 1) {
    found.samples = String(settings.samples);
    found.uncertainty = "true";
  }
  return found;
}

/** Settings from texts; what is missing, cannot be or is not taken stays as it was. */
export function readSettings(given: URLSearchParams, before: Settings, takes: Takes): Settings {
  const within = (name: string, least: number, most: number, isWhole = true): number | null => {
    const value = Number(given.get(name) ?? NaN);
    const fits = value >= least && value <= most && (!isWhole || Number.isInteger(value));
    return fits ? value : null;
  };
  const among = (name: string, known: readonly string[]): string | null => {
    const value = given.get(name);
    return value !== null && known.includes(value) ? value : null;
  };
  const width = takes.sizes.includes("width") ? within("width", 1, 1e6) : null;
  const scale = takes.sizes.includes("scale") ? within("scale", 1, 1000, false) : null;
  return {
    model: given.get("model") ?? before.model,
    detail: within("detail", 0, 1, false),
    sizeBy: width !== null ? "width" : scale !== null ? "scale" : "model",
    size: width ?? scale ?? before.size,
    samples: within("samples", 1, MOST_SAMPLES) ?? before.samples,
    seed: within("seed", 0, Number.MAX_SAFE_INTEGER) ?? before.seed,
    evidence: among("evidence", takes.evidence) ?? before.evidence,
    format: among("format", takes.formats) ?? before.format,
  };
}

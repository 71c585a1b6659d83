/** A model's `config.json`, read and held against what runs here; mirrors `sr4.config.model`. */

import type { PredictionKind, TargetKind } from "./target";

/** What a user reads: what was got, what was expected, what to do. */
export class Refused extends Error {}

/** What of a model's description decides a result. */
export interface ModelConfig {
  readonly channels: number;
  readonly scale: number;
  readonly imageSize: number;
  readonly sizeMultiple: number;
  readonly bytesPerPixel: number; // what the network takes for a pixel of its result
  readonly isLocal: boolean; // a place follows from its surroundings alone
  readonly isDegradationAware: boolean;
  readonly second: "variance" | "mean" | null; // what another `channels` of the output hold
  readonly target: TargetKind;
  readonly targetScale: number;
  readonly prediction: PredictionKind;
  readonly meanShare: number;
  readonly sampling: Sampling & { readonly mostSteps: number };
}

/** How a result is drawn. */
export interface Sampling {
  readonly steps: number;
  readonly temperature: number;
  readonly detail: number;
  readonly isConsistent: boolean;
}

const TARGETS: readonly TargetKind[] = ["picture", "residual", "fitted-residual", "null-space"];
const PREDICTIONS: readonly PredictionKind[] = ["eps", "x0", "v"];
const MAPS = 12; // float32 maps of a network's finest level that it holds at once

/**
 * @param text of config.json
 * @param name of the model, for messages
 */
export function readConfig(text: string, name: string): ModelConfig {
  const settings = new Settings(parsed(text, name), name);
  settings.expect("format", [1], 1);
  settings.expect("channels", [3], 3);
  settings.expect("degradation.kind", ["bicubic"], "bicubic");
  settings.expect("schedule.kind", ["cosine"], "cosine");
  settings.expect("sampling.sampler", ["ddim"], "ddpm");
  settings.expect("network.kind", ["fast"], "");
  settings.expect("data_range", [null], null);
  const widths = settings.numbers("network.widths");
  const patch = settings.number("network.patch", 4);
  const channels = 3;
  const hasMean = settings.flag("network.mean_output", false);
  const isLearned = settings.expect("objective.variance", ["small", "large", "learned"], "small") === "learned";
  const sizeMultiple = settings.number("size_multiple");
  settings.expect("size_multiple", [patch * 2 ** (widths.length - 1)], null);
  return {
    channels,
    scale: settings.expect("scale", [settings.number("degradation.scale", 8)], null),
    imageSize: settings.number("image_size", 128),
    sizeMultiple,
    bytesPerPixel: 4 * MAPS * (Math.ceil((widths[0] ?? 1) / patch ** 2) + channels),
    isLocal: !settings.flag("network.attention", true),
    isDegradationAware: settings.flag("network.degradation_aware", false),
    second: isLearned ? "variance" : hasMean ? "mean" : null,
    target: settings.expect("objective.target", TARGETS, "picture"),
    targetScale: settings.number("objective.target_scale", 1),
    prediction: settings.expect("objective.prediction", PREDICTIONS, "eps"),
    meanShare: settings.number("objective.mean_share", 0),
    sampling: {
      steps: settings.number("sampling.steps", 50),
      mostSteps: settings.number("sampling.most_steps", 100_000),
      temperature: settings.number("sampling.temperature", 1),
      detail: settings.number("sampling.detail", 1),
      isConsistent: settings.flag("sampling.consistency", true),
    },
  };
}

function parsed(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Refused(`${name}: config.json is no JSON; expected a model's: export the model again`);
  }
}

/** Values of a JSON object by their path. */
class Settings {
  constructor(
    private readonly all: unknown,
    private readonly name: string,
  ) {}

  /** One of a few values. */
  expect<T>(path: string, allowed: readonly T[], otherwise: unknown): T {
    const value = this.value(path, otherwise);
    const found = allowed.find((one) => one === value);
    if (found === undefined) throw this.refusal(path, value, allowed.map(String).join(" or "));
    return found;
  }

  number(path: string, otherwise: unknown = null): number {
    const value = this.value(path, otherwise);
    if (typeof value !== "number") throw this.refusal(path, value, "a number");
    return value;
  }

  flag(path: string, otherwise: boolean): boolean {
    const value = this.value(path, otherwise);
    if (typeof value !== "boolean") throw this.refusal(path, value, "true or false");
    return value;
  }

  numbers(path: string): number[] {
    const value = this.value(path, null);
    const isRight = Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === "number");
    if (!isRight) throw this.refusal(path, value, "numbers");
    return value;
  }

  private value(path: string, otherwise: unknown): unknown {
    let found = this.all;
    for (const key of path.split(".")) {
      if (typeof found !== "object" || found === null) return otherwise;
      found = (found as Record<string, unknown>)[key] ?? undefined;
    }
    return found ?? otherwise;
  }

  private refusal(path: string, got: unknown, expected: string): Refused {
    return new Refused(
      `${this.name}: got ${path} ${JSON.stringify(got)}; in the browser expected ${expected}: use sr4 upscale`,
    );
  }
}

/**
 * A model's own sampling with what was asked for in its place; mirrors `DiffusionModel.sampling`.
 */
export function samplingOf(config: ModelConfig, steps?: number, detail?: number): Sampling {
  const own = config.sampling;
  const wanted = { steps: steps ?? own.steps, detail: detail ?? own.detail };
  if (!Number.isSafeInteger(wanted.steps) || wanted.steps < 1)
    throw new Refused(`got ${wanted.steps} steps; expected a whole number of at least 1`);
  if (!(wanted.detail >= 0 && wanted.detail <= 1))
    throw new Refused(`got a detail of ${wanted.detail}; expected a number from 0 to 1`);
  const plain = { ...own, ...wanted, steps: Math.min(wanted.steps, own.mostSteps) };
  if (wanted.detail === 1) return plain;
  if (wanted.detail === 0 && config.meanShare > 0) return { ...plain, steps: 1, temperature: 0 };
  if (config.second !== "mean")
    throw new Refused(`got a detail of ${wanted.detail} for a model that makes samples only; expected 1: leave it out`);
  return plain;
}

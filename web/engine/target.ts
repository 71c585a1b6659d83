/**
 * What is diffused, and what a network's output says of it; mirrors `sr4.diffusion.targets`,
 * `sr4.diffusion.predictions` and `sr4.diffusion.denoiser`.
 */

import { Constraint } from "./constraint";
import type { Degradation } from "./degradation";
import { Planes } from "./planes";
import { alphaSigma } from "./schedule";

export type TargetKind = "picture" | "residual" | "fitted-residual" | "null-space";
export type PredictionKind = "eps" | "x0" | "v";

/** A diffused variable of some lowRes: `picture = base + scale * x_0`. */
export class Frame {
  readonly base: Planes;
  private readonly scale: number;

  constructor(
    kind: TargetKind,
    scale: number,
    readonly degradation: Degradation,
    readonly lowRes: Planes,
  ) {
    this.scale = Math.fround(scale);
    this.base = baseOf(kind, degradation, lowRes);
  }

  /** The picture of an x_0. */
  decode(x0: Planes): Planes {
    return x0.map((at) => this.base.data[at]! + Math.fround(this.scale * x0.data[at]!));
  }

  /** x_0 of a possible picture: clipped to [-1, 1] and, where asked for, made to fit lowRes. */
  constrain(x0: Planes, isConsistent: boolean): Planes {
    const decoded = this.decode(x0);
    const clipped = decoded.map((at) => Math.min(1, Math.max(-1, decoded.data[at]!)));
    const picture = isConsistent ? new Constraint(this.degradation, this.lowRes).correct(clipped) : clipped;
    return picture.map((at) => Math.fround(picture.data[at]! - this.base.data[at]!) / this.scale);
  }
}

function baseOf(kind: TargetKind, degradation: Degradation, lowRes: Planes): Planes {
  const { channels, height, width } = lowRes;
  if (kind === "picture") return Planes.zeros(channels, height * degradation.scale, width * degradation.scale);
  const upsampled = degradation.upsample(lowRes);
  return kind === "residual" ? upsampled : degradation.project(upsampled, lowRes);
}

/** The clean variable that an output of a network implies, x_0 of the same shape. */
export function impliedX0(kind: PredictionKind, output: Planes, xT: Planes, logSnr: number): Planes {
  if (kind === "x0") return output;
  const levels = alphaSigma(logSnr);
  const [alpha, sigma] = [Math.fround(levels.alpha), Math.fround(levels.sigma)];
  if (kind === "eps")
    return xT.map((at) => Math.fround(xT.data[at]! - Math.fround(sigma * output.data[at]!)) / alpha);
  return xT.map((at) => Math.fround(alpha * xT.data[at]!) - Math.fround(sigma * output.data[at]!));
}

/** Between the two outputs of a network, `mean + detail (sample - mean)`: (2 C, H, W) to (C, H, W). */
export function blended(output: Planes, channels: number, detail: number): Planes {
  const [sample, mean] = [output.only(0, channels), output.only(channels, 2 * channels)];
  const share = Math.fround(detail);
  return sample.map((at) => {
    const difference = Math.fround(sample.data[at]! - mean.data[at]!);
    return mean.data[at]! + Math.fround(share * difference);
  });
}

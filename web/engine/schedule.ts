/**
 * Noise levels and the steps between them; mirrors `sr4.diffusion.schedules` (the cosine schedule)
 * and `sr4.diffusion.samplers` (DDIM at eta 0).
 */

import { Planes } from "./planes";

const LOG_SNR_LIMIT = 20;
const OFFSET = 0.008;

/** log(alpha² / sigma²) of the cosine schedule at a time, 0 = clean and 1 = noise. */
export function cosineLogSnr(time: number): number {
  const level = (at: number): number => Math.cos((((at + OFFSET) / (1 + OFFSET)) * Math.PI) / 2) ** 2;
  const tiny = 1 / (1 + Math.exp(LOG_SNR_LIMIT));
  const gamma = Math.min(1 - tiny, Math.max(tiny, level(time) / level(0)));
  const found = Math.log(gamma) - Math.log1p(-gamma);
  return Math.min(LOG_SNR_LIMIT, Math.max(-LOG_SNR_LIMIT, found));
}

/** alpha and sigma of a noise level: `alpha² = sigmoid(logSnr)`, `alpha² + sigma² = 1`. */
export function alphaSigma(logSnr: number): { alpha: number; sigma: number } {
  const small = Math.exp(-0.5 * Math.abs(logSnr)); // of a number that is never positive
  const root = Math.sqrt(1 + small * small);
  return logSnr >= 0 ? { alpha: 1 / root, sigma: small / root } : { alpha: small / root, sigma: 1 / root };
}

/** One step of a sampling: from the level where the network is asked to a cleaner one. */
export interface ReverseStep {
  readonly number: number; // from 1
  readonly logSnr: number;
  readonly logSnrAfter: number;
  readonly isLast: boolean;
}

/** So many steps over evenly spaced times from 1 to 0. */
export function reverseSteps(steps: number): ReverseStep[] {
  const level = (index: number): number => cosineLogSnr(index === steps ? 0 : 1 - index / steps);
  return Array.from({ length: steps }, (_, index) => ({
    number: index + 1,
    logSnr: level(index),
    logSnrAfter: level(index + 1),
    isLast: index + 1 === steps,
  }));
}

/** x at the end of a step by DDIM (Song et al. 2021, equation 12); of the last step x_0 itself. */
export function ddimStep(step: ReverseStep, xT: Planes, x0: Planes): Planes {
  if (step.isLast) return x0;
  const [before, after] = [alphaSigma(step.logSnr), alphaSigma(step.logSnrAfter)];
  const [alphaT, sigmaT] = [Math.fround(before.alpha), Math.fround(before.sigma)];
  const [alphaS, sigmaS] = [Math.fround(after.alpha), Math.fround(after.sigma)];
  return xT.map((at) => {
    const eps = Math.fround(Math.fround(xT.data[at]! - Math.fround(alphaT * x0.data[at]!)) / sigmaT);
    return Math.fround(alphaS * x0.data[at]!) + Math.fround(sigmaS * eps);
  });
}

/** A model that draws pictures; mirrors `sr4.model.diffusion_model` and `sr4.upscaling.drawing`. */

import { type ModelConfig, Refused, type Sampling } from "./config";
import { Constraint } from "./constraint";
import { Degradation } from "./degradation";
import { PictureNoise } from "./noise";
import { Planes } from "./planes";
import { ddimStep, type ReverseStep, reverseSteps } from "./schedule";
import { blended, Frame, impliedX0 } from "./target";

/** The network on some runtime: the output (O, H, W) for x_t and the upsampled picture. */
export type Network = (xT: Planes, logSnr: number, upsampled: Planes, known: Float32Array | null) => Promise<Planes>;

/** Awaited after each evaluation of the network, with its output; throwing from it cancels. */
export type AfterEvaluation = () => Promise<void>;

/** What a network is told of clean pixels: no noise, a blur that is not known, no compression. */
const KNOWN = new Float32Array([0, 1, 0, 0, 0, 1]);

export class DiffusionModel {
  readonly degradation: Degradation;
  /** What sides of padded results, edges and overlaps of tiles are multiples of. */
  readonly multiple: number;

  constructor(
    readonly config: ModelConfig,
    private readonly network: Network,
    private readonly after: AfterEvaluation,
  ) {
    this.degradation = new Degradation(config.scale);
    this.multiple = leastCommonMultiple(config.scale, config.sizeMultiple);
  }

  /** The sample of a seed for lowRes (C, h, w), drawn whole: (C, H, W) in [-1, 1]. */
  async sample(lowRes: Planes, seed: bigint, sampling: Sampling): Promise<Planes> {
    const { scale, channels } = this.config;
    const larger = this.pad(lowRes);
    const [height, width] = [larger.height * scale, larger.width * scale];
    const noise = new PictureNoise(seed, channels, height, width).rows(0, 0, height);
    const frame = this.frame(larger);
    const upsampled = this.degradation.upsample(larger);
    let x = noise.map((at) => noise.data[at]! * Math.fround(sampling.temperature));
    for (const step of reverseSteps(sampling.steps)) {
      const answer = await this.evaluate(x, step.logSnr, upsampled, sampling.detail);
      x = ddimStep(step, x, this.denoised(answer, x, step, frame, sampling));
    }
    const picture = frame.decode(x).cut(
      { start: 0, stop: lowRes.height * scale },
      { start: 0, stop: lowRes.width * scale },
    );
    const clipped = picture.map((at) => Math.min(1, Math.max(-1, picture.data[at]!)));
    return sampling.isConsistent ? new Constraint(this.degradation, lowRes).fit(clipped) : clipped;
  }

  frame(lowRes: Planes): Frame {
    return new Frame(this.config.target, this.config.targetScale, this.degradation, lowRes);
  }

  /**
   * What the answer of `evaluate` says of x_t: the x_0 that the sampler goes on with, as a picture
   * in [-1, 1] and kept to those that fit. Not in the last step, which needs no frame: it is clipped
   * when it is decoded, and the fit that follows sees to the rest.
   */
  denoised(answer: Planes, xT: Planes, step: ReverseStep, frame: Frame | null, sampling: Sampling): Planes {
    const x0 = impliedX0(this.config.prediction, answer, xT, step.logSnr);
    return step.isLast || frame === null ? x0 : frame.constrain(x0, sampling.isConsistent);
  }

  /**
   * The network's answer (C, H, W), between the mean and a sample where it gives both. It is of the
   * shape that a model like this has, and all of it numbers.
   */
  async evaluate(xT: Planes, logSnr: number, upsampled: Planes, detail: number): Promise<Planes> {
    const { channels, second, isDegradationAware } = this.config;
    const output = await this.network(xT, Math.fround(logSnr), upsampled, isDegradationAware ? KNOWN : null);
    const expected = [channels * (second === null ? 1 : 2), xT.height, xT.width].join("x");
    const got = [output.channels, output.height, output.width].join("x");
    if (got !== expected)
      throw new Refused(`got ${got} numbers of the network; expected ${expected}: export the model again`);
    if (!output.data.every(Number.isFinite))
      throw new Refused("got numbers of the network that are not finite; expected pictures: the weights may be damaged");
    await this.after();
    return second === "mean" ? blended(output, channels, detail) : output.only(0, channels);
  }

  /** Pictures continued by reflection, below and on the right, to what the network takes. */
  pad(lowRes: Planes): Planes {
    const step = this.multiple / this.config.scale;
    const up = (side: number): number => Math.ceil(side / step) * step;
    const made = Planes.zeros(lowRes.channels, up(lowRes.height), up(lowRes.width));
    return made.map((at) => {
      const column = reflected(at % made.width, lowRes.width);
      const line = Math.floor(at / made.width);
      const channel = Math.floor(line / made.height);
      const row = reflected(line % made.height, lowRes.height);
      return lowRes.data[(channel * lowRes.height + row) * lowRes.width + column]!;
    });
  }
}

/** The place that one behind the border repeats: the outermost is repeated too. */
function reflected(place: number, size: number): number {
  const within = place % (2 * size);
  return within < size ? within : 2 * size - 1 - within;
}

function leastCommonMultiple(a: number, b: number): number {
  let [divisor, rest] = [a, b];
  while (rest > 0) [divisor, rest] = [rest, divisor % rest];
  return (a / divisor) * b;
}

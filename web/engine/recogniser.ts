/**
 * Which model a picture calls for: whether a tiny picture shows a face and nothing else; mirrors
 * `sr4.upscaling.recogniser` and `sr4.upscaling.choose`.
 */

import type { Pixels } from "./pixels";

/** Of each 3x3 convolution: channels in and out, and stride. */
const LAYERS = [
  [3, 24, 1],
  [24, 32, 2],
  [32, 48, 2],
] as const;
const SIDE = 16;
const SURE = 1; // log of the odds
const CHANNELS = 3;
const FIXED = 2 ** 22; // the fraction that Pillow counts weights in

/** Whether a picture is of a size at which it may be taken for a face. */
export function mayBeFace({ width, height }: { width: number; height: number }): boolean {
  return [width, height].every((side) => side >= 16 && side <= 32);
}

/** A convolutional network: ReLU convolutions, then one number. */
export class Recogniser {
  /** @param weights of each convolution, then its biases; then those of the last number and its own */
  constructor(private readonly weights: Float32Array) {}

  isFace(pixels: Pixels): boolean {
    return this.score(pixels) > SURE;
  }

  /** The log of the odds that a picture is a face. */
  score(pixels: Pixels): number {
    let [x, side, at] = [asSeen(pixels), SIDE, 0];
    for (const [before, after, stride] of LAYERS) {
      const count = after * before * 9;
      const [kernel, bias] = [this.weights.subarray(at, at + count), this.weights.subarray(at + count, at + count + after)];
      x = convolved(x, side, kernel, bias, stride);
      side /= stride;
      at += count + after;
    }
    return x.reduce((sum, value, place) => sum + value * this.weights[at + place]!, this.weights[at + x.length]!);
  }
}

/** (C, side, side) to (after, side / stride, side / stride), with zeros behind the borders. */
function convolved(x: Float32Array, side: number, kernel: Float32Array, bias: Float32Array, stride: number): Float32Array {
  const [size, before] = [side / stride, x.length / side ** 2];
  const made = new Float32Array(bias.length * size ** 2);
  for (let to = 0; to < made.length; to += 1) {
    const channel = Math.floor(to / size ** 2);
    const [top, left] = [(Math.floor(to / size) % size) * stride - 1, (to % size) * stride - 1];
    let sum = bias[channel]!;
    for (let from = 0; from < before; from += 1)
      for (let tap = 0; tap < 9; tap += 1) {
        const [row, column] = [top + Math.floor(tap / 3), left + (tap % 3)];
        if (row < 0 || column < 0 || row >= side || column >= side) continue;
        sum += kernel[(channel * before + from) * 9 + tap]! * x[(from * side + row) * side + column]!;
      }
    made[to] = Math.max(0, sum);
  }
  return made;
}

/** (3, 16, 16) in [-1, 1], of pixels made as small as Pillow makes them: in 8 bits, axis by axis. */
function asSeen({ data, width, height }: Pixels): Float32Array {
  const [across, down] = [taps(width), taps(height)];
  const seen = new Float32Array(CHANNELS * SIDE * SIDE);
  const row = new Uint8Array(SIDE * height);
  for (let channel = 0; channel < CHANNELS; channel += 1) {
    for (let at = 0; at < row.length; at += 1) {
      const line = Math.floor(at / SIDE) * width;
      row[at] = weighed(across[at % SIDE]!, (column) => data[4 * (line + column) + channel]!);
    }
    for (let at = 0; at < SIDE * SIDE; at += 1) {
      const level = weighed(down[Math.floor(at / SIDE)]!, (line) => row[line * SIDE + (at % SIDE)]!);
      seen[channel * SIDE * SIDE + at] = Math.fround(level / 127.5) - 1;
    }
  }
  return seen;
}

interface Taps {
  readonly first: number;
  readonly weights: readonly number[];
}

/** The weights of bicubic resizing to 16 pixels; none is needed where there are as many. */
function taps(size: number): Taps[] {
  const scale = size / SIDE;
  const cubic = (distance: number): number => {
    const x = Math.abs(distance);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
  };
  return Array.from({ length: SIDE }, (_, place) => {
    if (size === SIDE) return { first: place, weights: [FIXED] };
    const centre = (place + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - 2 * scale + 0.5));
    const last = Math.min(size, Math.floor(centre + 2 * scale + 0.5));
    const plain = Array.from({ length: last - first }, (_, at) => cubic((first + at - centre + 0.5) / scale));
    const sum = plain.reduce((a, b) => a + b, 0);
    return { first, weights: plain.map((one) => Math.sign(one) * Math.floor(Math.abs(one / sum) * FIXED + 0.5)) };
  });
}

function weighed({ first, weights }: Taps, level: (place: number) => number): number {
  const sum = weights.reduce((all, weight, at) => all + weight * level(first + at), FIXED / 2);
  return Math.min(255, Math.max(0, Math.floor(sum / FIXED)));
}

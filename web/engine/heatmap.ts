/** Where samples differ, as a picture; mirrors `sr4.batch.heatmap`. */

import type { Pixels } from "./pixels";

/** The standard deviation, in levels of 255, from which on a map shows its brightest colour. */
export const FULL_SCALE = 32;

const CHANNELS = 3;
/** Every tenth of the perceptually uniform map "inferno" (van der Walt and Smith 2015, CC0). */
const ANCHORS = [
  [0, 0, 4],
  [22, 11, 57],
  [66, 10, 104],
  [106, 23, 110],
  [147, 38, 103],
  [188, 55, 84],
  [221, 81, 58],
  [243, 120, 25],
  [252, 165, 10],
  [246, 215, 70],
  [252, 255, 164],
] as const;

/** The map's 256 colours, three levels each; an assignment rounds as NumPy does. */
function colours(): Uint8ClampedArray {
  const found = new Uint8ClampedArray(256 * CHANNELS);
  for (let level = 0; level < 256; level += 1) {
    const place = (level / 255) * (ANCHORS.length - 1);
    const below = Math.min(Math.floor(place), ANCHORS.length - 2);
    for (let channel = 0; channel < CHANNELS; channel += 1) {
      const [from, to] = [ANCHORS[below]![channel]!, ANCHORS[below + 1]![channel]!];
      found[level * CHANNELS + channel] = from + (to - from) * (place - below);
    }
  }
  return found;
}

/** The standard deviation of at least two samples at each pixel, the mean of its channels, in colours. */
export function heatmap(samples: readonly Pixels[]): Pixels {
  const { width, height } = samples[0]!;
  const map = colours();
  const data = new Uint8ClampedArray(4 * width * height).fill(255);
  const level = new Uint8ClampedArray(1);
  for (let at = 0; at < data.length; at += 4) {
    let deviation = 0;
    for (let channel = 0; channel < CHANNELS; channel += 1) deviation += deviationAt(samples, at + channel);
    level[0] = (deviation / CHANNELS / FULL_SCALE) * 255;
    data.set(map.subarray(level[0]! * CHANNELS, (level[0]! + 1) * CHANNELS), at);
  }
  return { data, width, height };
}

/** Sample standard deviation (ddof 1) of one value, in levels. */
function deviationAt(samples: readonly Pixels[], at: number): number {
  let [sum, squares] = [0, 0];
  for (const { data } of samples) {
    const level = data[at]!;
    sum += level;
    squares += level * level;
  }
  // Whole numbers up to here, so that nothing is lost.
  return Math.sqrt((squares - (sum * sum) / samples.length) / (samples.length - 1));
}

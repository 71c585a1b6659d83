/**
 * Between 8-bit pixels and the values of models; mirrors `sr4.pictures.pixels`, and
 * `sr4.upscaling.canvas` for how well a result fits.
 */

import { Refused } from "./config";
import type { Degradation } from "./degradation";
import { Planes } from "./planes";

/** 8-bit pixels as a canvas has them: red, green, blue and opacity of each, row by row. */
export interface Pixels {
  readonly data: Uint8ClampedArray<ArrayBuffer>;
  readonly width: number;
  readonly height: number;
}

const CHANNELS = 3;

/** (3, h, w) in [-1, 1] of opaque pixels. */
export function toPlanes(pixels: Pixels): Planes {
  const { data, width, height } = pixels;
  if (width < 1 || height < 1 || data.length !== 4 * width * height)
    throw new Refused(`got ${data.length} bytes for ${width}x${height} pixels; expected four for each`);
  const size = width * height;
  for (let at = 0; at < size; at += 1)
    if (data[4 * at + 3] !== 255)
      throw new Refused("got a picture with transparent pixels; expected opaque ones: lay it on a colour first");
  return Planes.zeros(CHANNELS, height, width).map((at) => {
    const channel = Math.floor(at / size);
    return data[4 * (at - channel * size) + channel]! / 127.5 - 1;
  });
}

/** The nearest opaque pixels to (3, H, W) in [-1, 1]. */
export function toPixels(picture: Planes): Pixels {
  const size = picture.width * picture.height;
  const data = new Uint8ClampedArray(4 * size).fill(255);
  picture.data.forEach((value, at) => {
    const channel = Math.floor(at / size);
    const level = Math.fround(Math.fround(Math.min(1, Math.max(-1, value)) + 1) * 127.5);
    data[4 * (at - channel * size) + channel] = level; // rounds as NumPy does, halves to even
  });
  return { data, width: picture.width, height: picture.height };
}

/** Mean squared difference of D(result) to the picture given, on the [0, 1] scale, x 1e-5. */
export function consistencyOf(degradation: Degradation, result: Pixels, given: Planes): number {
  const seen = degradation.apply(toPlanes(result));
  const sum = seen.data.reduce((all, value, at) => all + ((value - given.data[at]!) / 2) ** 2, 0);
  return sum / seen.data.length / 1e-5;
}

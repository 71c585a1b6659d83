/**
 * Pictures in [-1, 1] that D maps onto lowRes as closely as that range lets it; mirrors
 * `sr4.degradation.fit`.
 */

import type { Degradation } from "./degradation";
import { Planes, type Range } from "./planes";

const ROUNDS = 20;
const CLOSE_ENOUGH = Math.fround(2e-5);
const TILE = 84; // low-res pixels along the edge of what is done until it is close enough
const MARGIN = 6; // low-res pixels around a tile that are done with it
const FELT = 3; // of these, those whose own need still moves what is inside

const clipped = (value: number): number => Math.min(1, Math.max(-1, value));

/**
 * Projection and clipping in turn, with momentum (FISTA: Beck and Teboulle 2009, section 4). After
 * a first round for all, tiles that are still off go on, each alone with what surrounds it.
 *
 * @param pictures (C, H, W)
 * @param lowRes (C, h, w) in [-1, 1]
 */
export function fit(degradation: Degradation, pictures: Planes, lowRes: Planes): Planes {
  const fitted = round(degradation, pictures, lowRes);
  const { height, width } = lowRes;
  if (Math.max(height, width) <= TILE + 2 * MARGIN)
    return moreRounds(degradation, fitted, lowRes, { start: 0, stop: height }, { start: 0, stop: width });
  const seen = degradation.apply(fitted);
  const off = lowRes.map((at) => Math.abs(lowRes.data[at]! - seen.data[at]!));
  const { scale } = degradation;
  const found: { made: Planes; channel: number; top: number; left: number }[] = [];
  for (let channel = 0; channel < lowRes.channels; channel += 1)
    for (let top = 0; top < height; top += TILE)
      for (let left = 0; left < width; left += TILE) {
        const around = (by: number): [Range, Range] => [near(top, height, by), near(left, width, by)];
        const feltPart = off.only(channel, channel + 1).cut(...around(FELT));
        if (!feltPart.data.some((value) => value >= CLOSE_ENOUGH)) continue;
        const [rows, columns] = around(MARGIN);
        const part = fitted.only(channel, channel + 1).cut(scaled(rows, scale), scaled(columns, scale));
        const low = lowRes.only(channel, channel + 1).cut(rows, columns);
        const [feltRows, feltColumns] = around(FELT);
        const more = moreRounds(degradation, part, low, within(feltRows, rows), within(feltColumns, columns));
        const [innerRows, innerColumns] = around(0);
        const inside: [Range, Range] = [within(innerRows, rows), within(innerColumns, columns)];
        const made = more.cut(scaled(inside[0], scale), scaled(inside[1], scale));
        found.push({ made, channel, top: top * scale, left: left * scale });
      }
  if (found.length === 0) return fitted;
  // At the end, so that each has seen what is around it as it was.
  for (const { made, channel, top, left } of found) fitted.only(channel, channel + 1).paste(made, top, left);
  return round(degradation, fitted, lowRes); // neighbours end after different numbers of rounds
}

function near(start: number, size: number, by: number): Range {
  return { start: Math.max(0, start - by), stop: Math.min(size, start + TILE + by) };
}

const within = (inner: Range, outer: Range): Range => ({
  start: inner.start - outer.start,
  stop: inner.stop - outer.start,
});

const scaled = (low: Range, scale: number): Range => ({ start: low.start * scale, stop: low.stop * scale });

/** One projection, clipped. */
function round(degradation: Degradation, pictures: Planes, lowRes: Planes): Planes {
  const projected = degradation.project(pictures, lowRes);
  return projected.map((at) => clipped(projected.data[at]!));
}

/** The rounds after the first, until some rows and columns of lowRes are close enough. */
function moreRounds(degradation: Degradation, first: Planes, lowRes: Planes, rows: Range, columns: Range): Planes {
  let fitted = first;
  let seen = degradation.apply(fitted);
  let ahead = fitted;
  let seenAhead = seen;
  for (let number = 1; number < ROUNDS; number += 1) {
    const now = seen;
    const rest = lowRes.map((at) => lowRes.data[at]! - now.data[at]!).cut(rows, columns);
    if (!rest.data.some((value) => Math.abs(value) >= CLOSE_ENOUGH)) break;
    const [start, startSeen, before] = [ahead, seenAhead, fitted];
    const step = degradation.pseudoInverse(lowRes.map((at) => lowRes.data[at]! - startSeen.data[at]!));
    const moved = step.map((at) => clipped(Math.fround(step.data[at]! + start.data[at]!)));
    const seenMoved = degradation.apply(moved);
    const momentum = Math.fround(number / (number + 3));
    const further = (here: Planes, there: Planes) => (at: number) =>
      here.data[at]! + Math.fround(momentum * Math.fround(here.data[at]! - there.data[at]!));
    ahead = moved.map(further(moved, before));
    seenAhead = seenMoved.map(further(seenMoved, now)); // D is linear
    [fitted, seen] = [moved, seenMoved];
  }
  return fitted;
}

/**
 * Pictures in [-1, 1] that D maps onto lowRes as closely as that range lets it; mirrors
 * `sr4.degradation.fit`.
 */

import type { Degradation } from "./degradation";
import { Planes, type Range } from "./planes";

const ROUNDS = 20;
const CLOSE_ENOUGH = Math.fround(2e-4);
const TILE = 112; // low-res pixels along the edge of what is done until it is close enough
const MARGIN = 6; // low-res pixels around a part that are done with it
const FELT = 3; // of these, those whose own need still moves what is inside
// Every so many rounds, what is close enough is left as it is, if that leaves at most a share to do.
const ROUNDS_TOGETHER = 2;
const WORTH_IT = 0.75;

/** Low-res or high-res pixels. */
export interface Place {
  readonly rows: Range;
  readonly columns: Range;
}

/** What a round begins with: a picture, what momentum makes of it, and D of both. */
interface State {
  readonly fitted: Planes;
  readonly seen: Planes;
  readonly ahead: Planes;
  readonly seenAhead: Planes;
}

const clipped = (value: number): number => Math.min(1, Math.max(-1, value));

/**
 * Projection and clipping in turn, with momentum (FISTA: Beck and Teboulle 2009, section 4). After
 * a first round for all, tiles that are still off go on, each alone with what surrounds it, and
 * shrink to what is off.
 *
 * @param pictures (C, H, W)
 * @param lowRes (C, h, w) in [-1, 1]
 */
export function fit(degradation: Degradation, pictures: Planes, lowRes: Planes): Planes {
  const fitted = round(degradation, pictures, lowRes);
  const { height, width } = lowRes;
  const everywhere = { rows: { start: 0, stop: height }, columns: { start: 0, stop: width } };
  if (Math.max(height, width) <= TILE + 2 * MARGIN) {
    const made = moreRounds(degradation, begun(degradation, fitted), lowRes, everywhere);
    return made === fitted ? fitted : round(degradation, made, lowRes);
  }
  const off = away(lowRes, degradation.apply(fitted));
  const { scale } = degradation;
  const found: { made: Planes; channel: number; place: Place }[] = [];
  for (let channel = 0; channel < lowRes.channels; channel += 1)
    for (let top = 0; top < height; top += TILE)
      for (let left = 0; left < width; left += TILE) {
        const place = {
          rows: { start: top, stop: Math.min(height, top + TILE) },
          columns: { start: left, stop: Math.min(width, left + TILE) },
        };
        const felt = grown(place, FELT, lowRes);
        if (!cut(off.only(channel, channel + 1), felt).data.some(isFar)) continue;
        const outer = grown(place, MARGIN, lowRes);
        const part = cut(fitted.only(channel, channel + 1), scaled(outer, scale));
        const low = cut(lowRes.only(channel, channel + 1), outer);
        const more = moreRounds(degradation, begun(degradation, part), low, within(felt, outer));
        found.push({ made: cut(more, scaled(within(place, outer), scale)), channel, place });
      }
  if (found.length === 0) return fitted;
  // At the end, so that each has seen what is around it as it was.
  for (const { made, channel, place } of found)
    fitted.only(channel, channel + 1).paste(made, place.rows.start * scale, place.columns.start * scale);
  return round(degradation, fitted, lowRes); // neighbours end after different numbers of rounds
}

/** One projection, clipped. */
function round(degradation: Degradation, pictures: Planes, lowRes: Planes): Planes {
  const projected = degradation.project(pictures, lowRes);
  return projected.map((at) => clipped(projected.data[at]!));
}

/** What the first round leaves. */
function begun(degradation: Degradation, fitted: Planes): State {
  const seen = degradation.apply(fitted);
  return { fitted, seen, ahead: fitted, seenAhead: seen };
}

/** The rounds after the first `number`, until some rows and columns of lowRes are close enough. */
function moreRounds(degradation: Degradation, first: State, lowRes: Planes, felt: Place, number = 1): Planes {
  let state = first;
  for (let done = number; done < ROUNDS; done += 1) {
    const off = cut(away(lowRes, state.seen), felt);
    if (!off.data.some(isFar)) break;
    if (done > number && done % ROUNDS_TOGETHER === 0) {
      const inner = grown(around(off, felt), FELT, lowRes);
      const outer = grown(inner, MARGIN - FELT, lowRes);
      if (area(outer) <= WORTH_IT * lowRes.height * lowRes.width) {
        const { scale } = degradation;
        const inside = within(inner, outer);
        const part = cutState(state, outer, scale);
        const made = moreRounds(degradation, part, cut(lowRes, outer), inside, done);
        const fitted = state.fitted.clone();
        fitted.paste(cut(made, scaled(inside, scale)), inner.rows.start * scale, inner.columns.start * scale);
        return fitted;
      }
    }
    state = nextRound(degradation, state, lowRes, done);
  }
  return state.fitted;
}

/** One projection, clipped, and the momentum after so many rounds. */
function nextRound(degradation: Degradation, state: State, lowRes: Planes, number: number): State {
  const { fitted, seen, ahead, seenAhead } = state;
  const step = degradation.pseudoInverse(lowRes.map((at) => lowRes.data[at]! - seenAhead.data[at]!));
  const moved = step.map((at) => clipped(Math.fround(step.data[at]! + ahead.data[at]!)));
  const seenMoved = degradation.apply(moved);
  const momentum = Math.fround(number / (number + 3));
  const further = (here: Planes, there: Planes) => (at: number) =>
    here.data[at]! + Math.fround(momentum * Math.fround(here.data[at]! - there.data[at]!));
  return {
    fitted: moved,
    seen: seenMoved,
    ahead: moved.map(further(moved, fitted)),
    seenAhead: seenMoved.map(further(seenMoved, seen)), // D is linear
  };
}

/** How far each pixel is from where it should be. */
const away = (lowRes: Planes, seen: Planes): Planes => lowRes.map((at) => Math.abs(lowRes.data[at]! - seen.data[at]!));

const isFar = (value: number): boolean => value >= CLOSE_ENOUGH;

/** From the first to the last row and column of lowRes, of those in `felt`, with a pixel that is off. */
function around(off: Planes, felt: Place): Place {
  let [top, bottom, left, right] = [Infinity, 0, Infinity, 0];
  off.data.forEach((value, at) => {
    if (!isFar(value)) return;
    const [row, column] = [Math.floor(at / off.width) % off.height, at % off.width];
    [top, bottom] = [Math.min(top, row), Math.max(bottom, row + 1)];
    [left, right] = [Math.min(left, column), Math.max(right, column + 1)];
  });
  const { rows, columns } = felt;
  return {
    rows: { start: rows.start + top, stop: rows.start + bottom },
    columns: { start: columns.start + left, stop: columns.start + right },
  };
}

export const cut = (planes: Planes, place: Place): Planes => planes.cut(place.rows, place.columns);

const cutState = (state: State, low: Place, scale: number): State => ({
  fitted: cut(state.fitted, scaled(low, scale)),
  seen: cut(state.seen, low),
  ahead: cut(state.ahead, scaled(low, scale)),
  seenAhead: cut(state.seenAhead, low),
});

const both = (place: Place, change: (part: Range, name: "rows" | "columns") => Range): Place => ({
  rows: change(place.rows, "rows"),
  columns: change(place.columns, "columns"),
});

/** A place with so many pixels around it, as far as lowRes has any. */
export const grown = (place: Place, by: number, lowRes: Planes): Place =>
  both(place, ({ start, stop }, name) => ({
    start: Math.max(0, start - by),
    stop: Math.min(name === "rows" ? lowRes.height : lowRes.width, stop + by),
  }));

/** Where a place lies in one around it. */
export const within = (place: Place, outer: Place): Place =>
  both(place, ({ start, stop }, name) => ({ start: start - outer[name].start, stop: stop - outer[name].start }));

export const scaled = (low: Place, scale: number): Place =>
  both(low, ({ start, stop }) => ({ start: start * scale, stop: stop * scale }));

const area = ({ rows, columns }: Place): number => (rows.stop - rows.start) * (columns.stop - columns.start);

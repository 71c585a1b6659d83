/**
 * The pictures that do not contradict their input; mirrors `sr4.evidence.constraint` for evidence
 * "exact": those whose D x is lowRes.
 */

import type { Degradation } from "./degradation";
import { cut, fit, grown, scaled, within, type Place } from "./fit";
import { Planes, type Range } from "./planes";

const LEVEL = Math.fround(1 / 127.5);
const ROUNDS = 20;
const CLOSE_ENOUGH = Math.fround(2e-4);
const FAR = Math.fround(4 / 127.5); // by which a pixel is off, after all rounds, where nothing fits
const REACH = 8; // low-res pixels around one that is not met where multipliers are bounded
const MARGIN = 8; // low-res pixels around such places that are done with them
const BOUND = Math.fround(32 / 127.5); // of the multipliers
const ALONE = Math.fround(16 / 127.5); // by which a pixel may exceed all its neighbours where nothing fits

const clip = (value: number, least: number, most: number): number => Math.min(most, Math.max(least, value));

export class Constraint {
  constructor(
    readonly degradation: Degradation,
    readonly lowRes: Planes,
  ) {}

  /** The nearest picture that fits, which may leave [-1, 1]: (C, H, W), same shape. */
  correct(x: Planes): Planes {
    return this.degradation.project(x, this.lowRes);
  }

  /**
   * Pictures near the given one, in [-1, 1], that fit wherever any such picture does. Where none
   * does (hard black and white), what lies around is done anew, nearer to the picture given, and
   * pixels that exceed all their neighbours are brought back to them.
   */
  fit(picture: Planes): Planes {
    const fitted = fit(this.degradation, picture, this.lowRes);
    const unmet = this.unmet(fitted, FAR);
    if (!unmet.isAny()) return fitted;
    const bounded = unmet.spread(REACH);
    const made = fitted.clone();
    const { scale } = this.degradation;
    for (const place of bounded.places(2 * MARGIN)) {
      const outer = grown(place, MARGIN, this.lowRes);
      const part = new Constraint(this.degradation, cut(this.lowRes, outer));
      const high = scaled(outer, scale);
      const found = part.anew(cut(picture, high), cut(fitted, high), bounded.cut(outer));
      const inner = cut(found, scaled(within(place, outer), scale));
      made.paste(inner, place.rows.start * scale, place.columns.start * scale);
    }
    return made;
  }

  /** Pictures where multipliers are bounded, begun there as given, elsewhere as they fit. */
  private anew(picture: Planes, fitted: Planes, bounded: Mask): Planes {
    const { scale } = this.degradation;
    const nearest = this.nearest(bounded.chosen(scale, picture, fitted), bounded);
    return this.unmet(nearest, LEVEL).spread(1).chosen(scale, withoutDots(nearest), nearest);
  }

  /** The constraint of some low-res rows, as if the picture had no others. */
  rows(start: number, stop: number): Constraint {
    return new Constraint(this.degradation, this.lowRes.rows(start, stop));
  }

  /** What of D x is off, (C, h, w). */
  private rest(x: Planes): Planes {
    const seen = this.degradation.apply(x);
    return seen.map((at) => seen.data[at]! - this.lowRes.data[at]!);
  }

  private unmet(x: Planes, most: number): Mask {
    const rest = this.rest(x);
    const size = rest.height * rest.width;
    const found = new Mask(new Uint8Array(size), rest.height, rest.width);
    rest.data.forEach((value, at) => {
      if (Math.abs(value) > most) found.data[at % size] = 1;
    });
    return found;
  }

  /**
   * The nearest picture to a start that fits and is in [-1, 1], by Dykstra's algorithm (Boyle and
   * Dykstra 1986) with momentum; multipliers are bounded where the mask is.
   */
  private nearest(start: Planes, bounded: Mask): Planes {
    const { degradation, lowRes } = this;
    const size = bounded.data.length;
    let fitted = start.map((at) => clip(start.data[at]!, -1, 1));
    let seen = degradation.apply(fitted);
    let pushed = Planes.zeros(seen.channels, seen.height, seen.width);
    let ahead = pushed;
    for (let number = 0; number < ROUNDS; number += 1) {
      const [before, last, now] = [ahead, pushed, seen];
      const found = now.map((at) => {
        const point = Math.fround(now.data[at]! - before.data[at]!);
        const needed = Math.fround(lowRes.data[at]! - point);
        return bounded.data[at % size] ? clip(needed, -BOUND, BOUND) : needed;
      });
      if (!found.data.some((value, at) => Math.abs(value - before.data[at]!) >= CLOSE_ENOUGH)) break;
      const momentum = Math.fround(number / (number + 3));
      ahead = found.map((at) => found.data[at]! + momentum * Math.fround(found.data[at]! - last.data[at]!));
      pushed = found;
      const moved = degradation.pseudoInverse(ahead);
      fitted = start.map((at) => clip(Math.fround(start.data[at]! + moved.data[at]!), -1, 1));
      seen = degradation.apply(fitted);
    }
    return fitted;
  }
}

/** Low-res pixels, marked or not. */
class Mask {
  constructor(
    readonly data: Uint8Array,
    readonly height: number,
    readonly width: number,
  ) {}

  isAny(): boolean {
    return this.data.includes(1);
  }

  /** With all pixels so near to a marked one, along rows and columns. */
  spread(reach: number): Mask {
    const found = new Mask(new Uint8Array(this.data.length), this.height, this.width);
    this.data.forEach((marked, at) => {
      if (!marked) return;
      const [row, column] = [Math.floor(at / this.width), at % this.width];
      const last = Math.min(this.width, column + reach + 1);
      for (let y = Math.max(0, row - reach); y <= Math.min(this.height - 1, row + reach); y += 1)
        found.data.fill(1, y * this.width + Math.max(0, column - reach), y * this.width + last);
    });
    return found;
  }

  /** The rectangles that hold all marked ones, and whose surroundings do not overlap. */
  places(gap: number): Place[] {
    const found: Place[] = [];
    for (const rows of runs(this.height, gap, (row) => this.isMarked(row, row + 1))) {
      const marked = (column: number): boolean => this.isMarked(rows.start, rows.stop, column, column + 1);
      for (const columns of runs(this.width, gap, marked)) found.push({ rows, columns });
    }
    return found;
  }

  private isMarked(top: number, bottom: number, left = 0, right = this.width): boolean {
    for (let row = top; row < bottom; row += 1)
      if (this.data.subarray(row * this.width + left, row * this.width + right).includes(1)) return true;
    return false;
  }

  cut({ rows, columns }: Place): Mask {
    const width = columns.stop - columns.start;
    const found = new Mask(new Uint8Array((rows.stop - rows.start) * width), rows.stop - rows.start, width);
    for (let row = rows.start; row < rows.stop; row += 1) {
      const from = row * this.width;
      found.data.set(
        this.data.subarray(from + columns.start, from + columns.stop),
        (row - rows.start) * width,
      );
    }
    return found;
  }

  /** High-res pixels of one picture where they lie in marked ones, of another elsewhere. */
  chosen(scale: number, marked: Planes, others: Planes): Planes {
    const { height, width } = others;
    return others.map((at) => {
      const row = Math.floor(at / width) % height;
      const low = Math.floor(row / scale) * this.width + Math.floor((at % width) / scale);
      return (this.data[low] ? marked : others).data[at]!;
    });
  }
}

/** Those of so many places that are marked, from the first to the last without so large a gap. */
function runs(length: number, gap: number, isMarked: (place: number) => boolean): Range[] {
  const found: Range[] = [];
  for (let place = 0; place < length; place += 1) {
    if (!isMarked(place)) continue;
    const last = found.at(-1);
    if (last !== undefined && place - last.stop < gap) found[found.length - 1] = { ...last, stop: place + 1 };
    else found.push({ start: place, stop: place + 1 });
  }
  return found;
}

/** A picture in which no pixel exceeds all of its eight neighbours by much. */
function withoutDots(x: Planes): Planes {
  const { height, width, data } = x;
  return x.map((at) => {
    const column = at % width;
    const line = (at - column) / width;
    const row = line % height;
    let least = Infinity;
    let most = -Infinity;
    for (let dy = -1; dy <= 1; dy += 1)
      for (let dx = -1; dx <= 1; dx += 1) {
        if (dx === 0 && dy === 0) continue;
        const y = line - row + clip(row + dy, 0, height - 1); // behind borders, the outermost again
        const value = data[y * width + clip(column + dx, 0, width - 1)]!;
        least = Math.min(least, value);
        most = Math.max(most, value);
      }
    return clip(data[at]!, Math.fround(least - ALONE), Math.fround(most + ALONE));
  });
}

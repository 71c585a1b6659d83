/**
 * The degradation D, its pseudo-inverse and bicubic enlargement; mirrors `sr4.degradation`: the
 * modules `bicubic`, `inverse`, `banded` and `operator`.
 *
 * D is bicubic downscaling with antialiasing by a whole factor, one banded matrix per axis.
 */

import { Planes } from "./planes";

const CUBIC_A = -0.5;
const NOTHING = 1e-9; // what counts as zero in a matrix, in units of its largest entry

/** A matrix of an axis: each row holds `taps` neighbouring columns, from its first one on. */
export interface Banded {
  readonly rows: number;
  readonly taps: number;
  readonly first: Int32Array;
  readonly weights: Float32Array; // (rows, taps)
}

/** A row of such a matrix in the making. */
interface Row {
  first: number;
  weights: number[];
}

/** Keys' cubic convolution kernel (Keys 1981, equation 15). */
function keysCubic(distance: number): number {
  const x = Math.abs(distance);
  if (x < 1) return ((CUBIC_A + 2) * x - (CUBIC_A + 3)) * x ** 2 + 1;
  return x < 2 ? CUBIC_A * (((x - 5) * x + 8) * x - 4) : 0;
}

/** The rows of bicubic resizing, each of sum 1. */
function resizeRows(sizeIn: number, sizeOut: number): Row[] {
  const scale = sizeIn / sizeOut;
  const width = Math.max(scale, 1);
  return Array.from({ length: sizeOut }, (_, row) => {
    const centre = (row + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - 2 * width));
    const last = Math.min(sizeIn, Math.ceil(centre + 2 * width));
    const weights: number[] = [];
    for (let at = first; at < last; at += 1) weights.push(keysCubic((at + 0.5 - centre) / width));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((one) => one / sum) };
  });
}

/**
 * The rows of `Aᵀ (A Aᵀ)⁻¹` for the rows of A, (low, high). `A Aᵀ` is banded and its inverse falls
 * off exponentially from the diagonal, so that each row of the product is short.
 */
function pseudoInverseRows(a: readonly Row[], high: number): Row[] {
  const factor = choleskyOfGram(a);
  const sums = Array.from({ length: high }, () => new Map<number, number>());
  a.forEach((row, number) => {
    const column = solvedUnit(factor, number);
    row.weights.forEach((weight, tap) => {
      const into = sums[row.first + tap]!;
      column.weights.forEach((value, at) => {
        const place = column.first + at;
        into.set(place, (into.get(place) ?? 0) + weight * value);
      });
    });
  });
  const largest = greatest(sums, (one) => greatest([...one.values()], Math.abs));
  return sums.map((one) => {
    const held = [...one.keys()].filter((place) => Math.abs(one.get(place)!) > NOTHING * largest);
    const first = Math.min(...held);
    const count = Math.max(...held) - first + 1;
    return { first, weights: Array.from({ length: count }, (_, at) => one.get(first + at) ?? 0) };
  });
}

/** Of numbers of at least 0, however many there are. */
function greatest<T>(all: readonly T[], value: (one: T) => number): number {
  return all.reduce((most, one) => Math.max(most, value(one)), 0);
}

/** The Cholesky factor L of `A Aᵀ`: `L[i][d]` lies d columns left of the diagonal. */
function choleskyOfGram(a: readonly Row[]): number[][] {
  const factor: number[][] = [];
  a.forEach((row, i) => {
    const entries: number[] = [];
    let reach = 0;
    while (reach < i && overlaps(a[i - reach - 1]!, row)) reach += 1;
    for (let d = reach; d >= 0; d -= 1) {
      const other = d === 0 ? entries : factor[i - d]!;
      let value = product(row, a[i - d]!);
      for (let e = d + 1; e <= reach; e += 1) value -= entries[e]! * (other[e - d] ?? 0);
      entries[d] = d === 0 ? Math.sqrt(value) : value / other[0]!;
    }
    factor.push(entries);
  });
  return factor;
}

const overlaps = (left: Row, right: Row): boolean => left.first + left.weights.length > right.first;

function product(one: Row, other: Row): number {
  const start = Math.max(one.first, other.first);
  const stop = Math.min(one.first + one.weights.length, other.first + other.weights.length);
  let sum = 0;
  for (let at = start; at < stop; at += 1)
    sum += one.weights[at - one.first]! * other.weights[at - other.first]!;
  return sum;
}

/** The column of `(L Lᵀ)⁻¹` of that number, without what is nothing. */
function solvedUnit(factor: readonly number[][], number: number): Row {
  const isNothing = (value: number): boolean => Math.abs(value) < NOTHING * 1e-4;
  const forward: number[] = [];
  for (let i = number; i < factor.length; i += 1) {
    const entries = factor[i]!;
    let value = i === number ? 1 : 0;
    for (let d = 1; d < entries.length && d <= i - number; d += 1) value -= entries[d]! * forward[i - number - d]!;
    forward.push(value / entries[0]!);
    if (i > number + 4 && forward.slice(-4).every(isNothing)) break;
  }
  const found: number[] = []; // from the last one back
  const last = number + forward.length - 1;
  for (let i = last; i >= 0; i -= 1) {
    let value = forward[i - number] ?? 0;
    for (let d = 1; d <= last - i; d += 1) value -= (factor[i + d]![d] ?? 0) * found[last - i - d]!;
    found.push(value / factor[i]![0]!);
    if (i < number - 4 && found.slice(-4).every(isNothing)) break;
  }
  return { first: last - found.length + 1, weights: found.reverse() };
}

/** Rows of equal length, in the float32 that pictures are multiplied in. */
function banded(rows: readonly Row[], columns: number): Banded {
  const taps = greatest(rows, (row) => row.weights.length);
  const first = new Int32Array(rows.length);
  const weights = new Float32Array(rows.length * taps);
  rows.forEach((row, number) => {
    first[number] = Math.min(row.first, columns - taps);
    weights.set(row.weights, number * taps + row.first - first[number]!);
  });
  return { rows: rows.length, taps, first, weights };
}

/** (C, H, W) to (C, vertical.rows, horizontal.rows). */
export function resized(x: Planes, vertical: Banded, horizontal: Banded): Planes {
  // First the axis that leaves less to do for the other.
  return vertical.rows <= x.height
    ? alongColumns(alongRows(x, vertical), horizontal)
    : alongRows(alongColumns(x, horizontal), vertical);
}

function alongRows(x: Planes, matrix: Banded): Planes {
  const { channels, width } = x;
  const made = Planes.zeros(channels, matrix.rows, width);
  const sums = new Float64Array(width);
  for (let channel = 0; channel < channels; channel += 1)
    for (let row = 0; row < matrix.rows; row += 1) {
      sums.fill(0);
      for (let tap = 0; tap < matrix.taps; tap += 1) {
        const weight = matrix.weights[row * matrix.taps + tap]!;
        if (weight === 0) continue;
        const from = (channel * x.height + matrix.first[row]! + tap) * width;
        for (let column = 0; column < width; column += 1)
          sums[column] = sums[column]! + weight * x.data[from + column]!;
      }
      made.data.set(sums, (channel * matrix.rows + row) * width);
    }
  return made;
}

function alongColumns(x: Planes, matrix: Banded): Planes {
  const lines = x.channels * x.height;
  const made = Planes.zeros(x.channels, x.height, matrix.rows);
  for (let line = 0; line < lines; line += 1)
    for (let column = 0; column < matrix.rows; column += 1) {
      const from = line * x.width + matrix.first[column]!;
      const weights = column * matrix.taps;
      let sum = 0;
      for (let tap = 0; tap < matrix.taps; tap += 1) sum += matrix.weights[weights + tap]! * x.data[from + tap]!;
      made.data[line * matrix.rows + column] = sum;
    }
  return made;
}

const MOST_HELD = 64; // matrices

/** D by a whole factor. */
export class Degradation {
  private readonly held = new Map<string, Banded>();

  constructor(readonly scale: number) {}

  /** D(x): (C, H, W) to (C, H / scale, W / scale). */
  apply(x: Planes): Planes {
    const down = (size: number): Banded => this.matrix("down", size / this.scale);
    return resized(x, down(x.height), down(x.width));
  }

  /** D⁺(y), the smallest picture that D maps onto y: (C, h, w) to (C, H, W). */
  pseudoInverse(y: Planes): Planes {
    return resized(y, this.matrix("inverse", y.height), this.matrix("inverse", y.width));
  }

  /** The `upsampled` picture: bicubic, (C, h, w) to (C, H, W). */
  upsample(y: Planes): Planes {
    return resized(y, this.matrix("up", y.height), this.matrix("up", y.width));
  }

  /** `x + D⁺(lowRes - D x)`, the nearest picture to x that D maps onto lowRes. */
  project(x: Planes, lowRes: Planes): Planes {
    const seen = this.apply(x);
    const moved = this.pseudoInverse(lowRes.map((at) => lowRes.data[at]! - seen.data[at]!));
    return x.map((at) => x.data[at]! + moved.data[at]!);
  }

  /** A matrix of an axis of so many low-res pixels. */
  matrix(kind: "down" | "inverse" | "up", low: number): Banded {
    const key = `${kind} ${low}`;
    const known = this.held.get(key);
    if (known !== undefined) return known;
    const high = low * this.scale;
    const made =
      kind === "up"
        ? banded(resizeRows(low, high), low)
        : kind === "down"
          ? banded(resizeRows(high, low), high)
          : banded(pseudoInverseRows(resizeRows(high, low), high), low);
    if (this.held.size >= MOST_HELD) this.held.clear();
    this.held.set(key, made);
    return made;
  }
}

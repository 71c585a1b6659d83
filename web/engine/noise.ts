/**
 * Gaussian noise, bit for bit that of NumPy; mirrors `sr4.diffusion.samplers.PictureNoise`.
 *
 * What NumPy does for it: a seed is hashed into a key (`SeedSequence`, the hash of O'Neill 2015),
 * Philox4x64-10 makes bits of key and counter (Salmon et al. 2011, Parallel Random Numbers: As
 * Easy as 1, 2, 3), and a ziggurat of 256 layers makes normal numbers of bits (Marsaglia and Tsang
 * 2000, The Ziggurat Method for Generating Random Variables), in float32.
 */

import { Planes } from "./planes";

const WORD = 2 ** 32;

/** The key of a seed: four 32-bit words, the lowest first. */
export function keyOf(seed: bigint): Uint32Array {
  const entropy: number[] = [];
  for (let rest = seed; rest > 0n; rest >>= 32n) entropy.push(Number(rest & 0xffffffffn));
  const pool = new Uint32Array(4);
  let constant = 0x43b0d7e5;
  const hashed = (word: number): number => {
    const mixed = word ^ constant;
    constant = Math.imul(constant, 0x931e8875);
    const product = Math.imul(mixed, constant);
    return product ^ (product >>> 16);
  };
  const mixed = (x: number, y: number): number => {
    const found = Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y);
    return found ^ (found >>> 16);
  };
  for (let place = 0; place < 4; place += 1) pool[place] = hashed(entropy[place] ?? 0);
  for (let from = 0; from < 4; from += 1)
    for (let to = 0; to < 4; to += 1) if (from !== to) pool[to] = mixed(pool[to]!, hashed(pool[from]!));
  for (const word of entropy.slice(4))
    for (let to = 0; to < 4; to += 1) pool[to] = mixed(pool[to]!, hashed(word));
  constant = 0x8b51f9dd;
  return pool.map((word) => {
    const first = word ^ constant;
    constant = Math.imul(constant, 0x58f38ded);
    const product = Math.imul(first, constant);
    return product ^ (product >>> 16);
  });
}

/** The upper 32 bits of a product of two 32-bit numbers. */
function upper(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const first = aHigh * bLow + ((aLow * bLow) >>> 16);
  const second = aLow * bHigh + (first & 0xffff);
  return aHigh * bHigh + (first >>> 16) + (second >>> 16);
}

/** Random bits of a key, from any place of their stream on; 32 at a time, as NumPy gives them. */
export class Philox {
  private readonly counter: Uint32Array;
  private readonly made = new Uint32Array(8);
  private place = 8;

  /**
   * @param key four words, see `keyOf`
   * @param counter eight words, the lowest first: where the stream begins
   */
  constructor(
    private readonly key: Uint32Array,
    counter: Uint32Array,
  ) {
    this.counter = counter.slice();
  }

  /** The next 32 bits. */
  next(): number {
    if (this.place === 8) {
      this.count();
      this.make();
      this.place = 0;
    }
    return this.made[this.place++]!;
  }

  private count(): void {
    for (let word = 0; word < 8; word += 1) {
      this.counter[word] = this.counter[word]! + 1;
      if (this.counter[word] !== 0) return;
    }
  }

  /** Ten rounds over the counter; 64-bit words are pairs (low, high). */
  private make(): void {
    const made = this.made;
    made.set(this.counter);
    let [k0 = 0, k1 = 0, k2 = 0, k3 = 0] = this.key;
    for (let round = 0; round < 10; round += 1) {
      const a0 = made[0]!;
      const a1 = made[1]!;
      const c0 = made[4]!;
      const c1 = made[5]!;
      const [b0, b1, d0, d1] = [made[2]!, made[3]!, made[6]!, made[7]!];
      // The products of a and of c with the two multipliers, 128 bits each.
      const aMiddle = upper(a0, 0xe14c6c93) + low(a0, 0xd2e7470e) + low(a1, 0xe14c6c93);
      const aTop = upper(a0, 0xd2e7470e) + upper(a1, 0xe14c6c93) + low(a1, 0xd2e7470e) + carry(aMiddle);
      const cMiddle = upper(c0, 0x95121157) + low(c0, 0xca5a8263) + low(c1, 0x95121157);
      const cTop = upper(c0, 0xca5a8263) + upper(c1, 0x95121157) + low(c1, 0xca5a8263) + carry(cMiddle);
      made[0] = toWord(cTop) ^ b0 ^ k0;
      made[1] = toWord(upper(c1, 0xca5a8263) + carry(cTop)) ^ b1 ^ k1;
      made[2] = low(c0, 0x95121157);
      made[3] = toWord(cMiddle);
      made[4] = toWord(aTop) ^ d0 ^ k2;
      made[5] = toWord(upper(a1, 0xd2e7470e) + carry(aTop)) ^ d1 ^ k3;
      made[6] = low(a0, 0xe14c6c93);
      made[7] = toWord(aMiddle);
      const sum = k0 + 0x7f4a7c15;
      k1 = toWord(k1 + 0x9e3779b9 + carry(sum));
      k0 = toWord(sum);
      const other = k2 + 0x84caa73b;
      k3 = toWord(k3 + 0xbb67ae85 + carry(other));
      k2 = toWord(other);
    }
  }
}

const low = (a: number, b: number): number => Math.imul(a, b) >>> 0;
const carry = (sum: number): number => Math.floor(sum / WORD);
const toWord = (sum: number): number => sum >>> 0;

const LAYERS = 256;
const EDGE = 3.6541528853610088; // where the tail begins
const STEPS = 2 ** 23; // of a number within its layer
const EDGE_32 = Math.fround(EDGE);
const INVERSE_EDGE_32 = Math.fround(1 / EDGE);

/** The ziggurat: below `inside` a number is accepted, `width` is of a step, `height` the density. */
function ziggurat(): { inside: Uint32Array; width: Float32Array; height: Float32Array } {
  const density = (x: number): number => Math.exp(-0.5 * x * x);
  let ratio = EDGE; // of density and tail, a continued fraction (Laplace 1805)
  for (let term = 200; term > 0; term -= 1) ratio = EDGE + term / ratio;
  const area = EDGE * density(EDGE) + density(EDGE) / ratio; // of each layer
  const inside = new Uint32Array(LAYERS);
  const width = new Float32Array(LAYERS);
  const height = new Float32Array(LAYERS);
  const base = area / density(EDGE);
  inside[0] = Math.round((EDGE / base) * STEPS);
  width[0] = base / STEPS;
  height[0] = 1;
  let x = EDGE;
  for (let layer = LAYERS - 1; layer > 0; layer -= 1) {
    width[layer] = x / STEPS;
    height[layer] = density(x);
    const next = layer > 1 ? Math.sqrt(-2 * Math.log(area / x + density(x))) : 0;
    inside[layer] = Math.round((next / x) * STEPS);
    x = next;
  }
  return { inside, width, height };
}

const { inside, width: stepWidth, height: density } = ziggurat();

/** Fill with normal numbers, in the order in which NumPy fills an array. */
export function fillNormal(bits: Philox, into: Float32Array): void {
  for (let place = 0; place < into.length; place += 1) into[place] = normal(bits);
}

function normal(bits: Philox): number {
  for (;;) {
    const word = bits.next();
    const layer = word & 0xff;
    const size = word >>> 9;
    const x = Math.fround(size * stepWidth[layer]!);
    const sign = word & 0x100 ? -1 : 1;
    if (size < inside[layer]!) return sign * x;
    if (layer === 0) return (size & 0x100 ? -1 : 1) * tail(bits); // NumPy's sign, of another bit
    const above = density[layer]!;
    const share = Math.fround(Math.fround(density[layer - 1]! - above) * uniform(bits));
    if (Math.fround(share + above) < Math.exp(-0.5 * x * x)) return sign * x;
  }
}

/** A number beyond the layers (Marsaglia 1964). */
function tail(bits: Philox): number {
  for (;;) {
    const x = Math.fround(-INVERSE_EDGE_32 * Math.fround(Math.log1p(-uniform(bits))));
    const y = -Math.fround(Math.log1p(-uniform(bits)));
    if (Math.fround(y + y) > Math.fround(x * x)) return Math.fround(EDGE_32 + x);
  }
}

const uniform = (bits: Philox): number => (bits.next() >>> 8) / 2 ** 24;

const BLOCK = 128; // rows that have a stream of their own

/** The noise of one picture, with streams of its own for each draw and block of rows. */
export class PictureNoise {
  private readonly key: Uint32Array;
  private block: { draw: number; number: number; noise: Planes } | undefined; // the last one

  /** @param seed a whole number of at least 0 */
  constructor(
    seed: bigint,
    private readonly channels: number,
    private readonly height: number,
    private readonly width: number,
  ) {
    this.key = keyOf(seed);
  }

  /** Rows of a draw, counted from 0: (C, stop - start, W). */
  rows(draw: number, start: number, stop: number): Planes {
    const found = Planes.zeros(this.channels, stop - start, this.width);
    for (let number = Math.floor(start / BLOCK); number * BLOCK < stop; number += 1) {
      const top = number * BLOCK;
      const drawn = this.drawn(draw, number);
      const from = Math.max(start, top);
      const to = Math.min(stop, top + drawn.height);
      found.paste(drawn.rows(from - top, to - top), from - start, 0);
    }
    return found;
  }

  private drawn(draw: number, number: number): Planes {
    if (this.block?.draw !== draw || this.block.number !== number) {
      const rows = Math.min(BLOCK, this.height - number * BLOCK);
      const noise = Planes.zeros(this.channels, rows, this.width);
      const counter = new Uint32Array([0, 0, number, 0, draw, 0, 0, 0]);
      fillNormal(new Philox(this.key, counter), noise.data);
      this.block = { draw, number, noise };
    }
    return this.block.noise;
  }
}

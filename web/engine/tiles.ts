/**
 * Large pictures, drawn in bands of rows with the network on tiles; mirrors
 * `sr4.upscaling.tiling`, and the choice of tiles in `sr4.upscaling.drawing`.
 *
 * One field of noise covers the whole picture, and what the network says of overlapping tiles is
 * blended in every step: so no tile disagrees with its neighbour, and there is no seam.
 */

import { Refused, type Sampling } from "./config";
import { Constraint } from "./constraint";
import type { DiffusionModel } from "./model";
import { PictureNoise } from "./noise";
import { Planes, type Range } from "./planes";
import { ddimStep, type ReverseStep, reverseSteps } from "./schedule";

const WHOLE_PIXELS = 2 ** 18; // results up to this size are drawn whole
const OVERLAP = 32;
const LARGEST_TILE = 640;
const BANDS_BYTES = 2 ** 29; // what the bands may take for tiles to be larger than usual
const MOST_BANDS_BYTES = 3 * 2 ** 28; // above which tiles of very wide pictures are smaller
const NARROW_TILE = 4 * OVERLAP;
const STRIPS = 12; // bands as wide as the picture that each step holds at once
const MARGIN = 8; // low-res rows around a band that take part in its projection

/** Places along one axis; neighbours overlap and hand over in the middle of that, linearly. */
export class Tiles {
  readonly starts: readonly number[];
  /** Edge of the tiles along this axis. */
  readonly size: number;

  constructor(
    readonly length: number,
    private readonly edge: number,
    readonly overlap: number,
  ) {
    this.size = Math.min(edge, length);
    const stride = edge - overlap;
    const count = length <= edge ? 1 : Math.ceil((length - overlap) / stride);
    this.starts = Array.from({ length: count }, (_, number) => Math.max(0, Math.min(number * stride, length - edge)));
  }

  /** Rows or columns of all of them together. */
  get drawn(): number {
    return this.starts.length * this.size;
  }

  /** The row or column at which each tile but the last hands over to the next. */
  borders(): number[] {
    return this.starts.slice(1).map((next, at) => Math.floor((this.starts[at]! + this.edge + next) / 2));
  }

  /** How much each counts at its own places; they add up to 1 everywhere. */
  weights(): Float32Array[] {
    const half = this.overlap / 4;
    const borders = [-Infinity, ...this.borders(), Infinity];
    return this.starts.map((start, number) =>
      Float32Array.from({ length: this.size }, (_, at) => {
        const place = start + at + 0.5;
        const rising = place - borders[number]! + half;
        const falling = borders[number + 1]! + half - place;
        return Math.min(1, Math.max(0, Math.min(rising, falling) / (2 * half)));
      }),
    );
  }
}

/** The edge of the tiles that a result is made of; 0 where it is drawn whole. */
export function tileFor(model: DiffusionModel, lowRes: Planes, sampling: Sampling, wanted?: number): number {
  const least = model.multiple;
  const [height, width] = [lowRes.height * model.config.scale, lowRes.width * model.config.scale];
  if (wanted !== undefined) {
    if (wanted !== 0 && (!Number.isSafeInteger(wanted) || wanted < 2 * least || wanted % least !== 0))
      throw new Refused(
        `got tiles of ${wanted} pixels; expected a multiple of ${least}, at least ${2 * least}, or 0 for none`,
      );
    return wanted < Math.max(height, width) ? wanted : 0;
  }
  return height * width > WHOLE_PIXELS ? cheapest(model, height, width, sampling.steps) : 0;
}

/** From twice the size trained on upwards, the edge that leaves the network the least to do. */
function cheapest(model: DiffusionModel, height: number, width: number, steps: number): number {
  const { config, multiple: least } = model;
  const strip = STRIPS * (1 + steps) * config.channels * width * 4; // bytes for each row of a tile
  const narrow = Math.max(NARROW_TILE, Math.floor(MOST_BANDS_BYTES / strip));
  const usual = Math.min(
    Math.max(2, Math.floor((2 * config.imageSize) / least)) * least,
    Math.max(2, Math.floor(narrow / least)) * least,
  );
  const most = config.isLocal ? Math.min(LARGEST_TILE, Math.floor(BANDS_BYTES / strip)) : usual;
  let best = { edge: usual, pixels: Infinity };
  for (let edge = usual; edge <= most; edge += least) {
    const overlap = overlapOf(edge, least);
    const pixels = new Tiles(height, edge, overlap).drawn * new Tiles(width, edge, overlap).drawn;
    if (pixels < best.pixels) best = { edge, pixels };
  }
  return best.edge;
}

function overlapOf(edge: number, least: number): number {
  return Math.max(1, Math.floor(Math.min(OVERLAP, Math.floor(edge / 2)) / least)) * least;
}

/** The rows of a stream of bands that are still needed. */
class RowWindow {
  private held: Planes | undefined;
  private start = 0;

  constructor(private readonly bands: AsyncIterator<Planes>) {}

  async rows(start: number, stop: number): Promise<Planes> {
    while (this.stop < stop) {
      const { value, done } = await this.bands.next();
      if (done === true) throw new RangeError(`got no rows from ${this.stop} on`);
      this.held = this.held === undefined ? value : Planes.below([this.held, value]);
    }
    return this.held!.rows(start - this.start, stop - this.start);
  }

  /** Rows above will not be asked for again. */
  forget(before: number): void {
    if (before <= this.start || this.held === undefined) return;
    this.held = this.held.rows(before - this.start, this.held.height);
    this.start = before;
  }

  private get stop(): number {
    return this.start + (this.held?.height ?? 0);
  }
}

/** One sample of one picture, in bands from top to bottom. */
export class BandedSampling {
  /** Of the network. */
  readonly evaluations: number;
  /** How often `picture` gives rows. */
  readonly gives: number;
  private readonly padded: Planes;
  private readonly constraint: Constraint;
  private readonly rows: Tiles;
  private readonly columns: Tiles;
  private readonly noise: PictureNoise;
  private readonly steps: readonly ReverseStep[];
  private readonly bands: readonly Range[]; // of the padded result

  /**
   * @param lowRes (C, h, w) in [-1, 1]
   * @param tile edge of the tiles in result pixels, see `tileFor`
   */
  constructor(
    private readonly model: DiffusionModel,
    private readonly lowRes: Planes,
    seed: bigint,
    private readonly sampling: Sampling,
    tile: number,
  ) {
    const { scale, channels } = model.config;
    this.padded = model.pad(lowRes);
    this.constraint = new Constraint(model.degradation, lowRes);
    const [height, width] = [this.padded.height * scale, this.padded.width * scale];
    const overlap = overlapOf(tile, model.multiple);
    this.rows = new Tiles(height, tile, overlap);
    this.columns = new Tiles(width, tile, overlap);
    this.noise = new PictureNoise(seed, channels, height, width);
    this.steps = reverseSteps(sampling.steps);
    this.evaluations = this.rows.starts.length * this.columns.starts.length * this.steps.length;
    const bands: Range[] = [];
    for (let start = 0; start < height; start += tile - overlap)
      bands.push({ start, stop: Math.min(height, start + tile - overlap) });
    this.bands = bands;
    this.gives = bands.filter(({ start }) => start < lowRes.height * scale).length;
  }

  /**
   * The result (C, H, W) in [-1, 1].
   *
   * @param onRows called with rows (C, rows, W) of it that are done, from top to bottom
   */
  async picture(onRows: (top: number, rows: Planes) => void = () => {}): Promise<Planes> {
    const { scale } = this.model.config;
    const [height, width] = [this.lowRes.height * scale, this.lowRes.width * scale];
    const made = Planes.zeros(this.lowRes.channels, height, width);
    let stream = this.start();
    for (const step of this.steps) stream = this.after(step, stream);
    const x = new RowWindow(stream);
    for (const band of this.bands.filter(({ start }) => start < height)) {
      const { around, inside } = this.around(band);
      const decoded = this.model.frame(this.low(around)).decode(await x.rows(around.start, around.stop));
      const part = decoded.cut({ start: 0, stop: Math.min(decoded.height, height - around.start) }, { start: 0, stop: width });
      let picture = part.map((at) => Math.min(1, Math.max(-1, part.data[at]!)));
      if (this.sampling.isConsistent) {
        const last = Math.min(around.stop / scale, this.lowRes.height);
        picture = this.constraint.rows(around.start / scale, last).fit(picture);
      }
      const rows = picture.rows(inside.start, Math.min(inside.stop, picture.height));
      made.paste(rows, band.start, 0);
      onRows(band.start, rows);
      x.forget(around.start);
    }
    return made;
  }

  private async *start(): AsyncGenerator<Planes> {
    const temperature = Math.fround(this.sampling.temperature);
    for (const { start, stop } of this.bands) {
      const noise = this.noise.rows(0, start, stop);
      yield noise.map((at) => temperature * noise.data[at]!);
    }
  }

  /** Bands of x_t become bands of x_s. */
  private async *after(step: ReverseStep, stream: AsyncGenerator<Planes>): AsyncGenerator<Planes> {
    const x = new RowWindow(stream);
    const reached = { row: 0 };
    const outputs = new RowWindow(this.strips(step, x, reached));
    for (const band of this.bands) {
      const { around, inside } = this.around(band);
      if (step.isLast) {
        // Nothing is asked of it before it is decoded.
        const xT = await x.rows(band.start, band.stop);
        const output = await outputs.rows(band.start, band.stop);
        yield ddimStep(step, xT, this.model.denoised(output, xT, step, null, this.sampling));
      } else {
        const xT = await x.rows(around.start, around.stop);
        const output = await outputs.rows(around.start, around.stop);
        const frame = this.model.frame(this.low(around));
        const x0 = this.model.denoised(output, xT, step, frame, this.sampling);
        yield ddimStep(step, xT.rows(inside.start, inside.stop), x0.rows(inside.start, inside.stop));
      }
      outputs.forget(around.start);
      x.forget(Math.min(around.start, reached.row));
    }
  }

  /** What the network says of x, as bands of rows that no further tile has a part in. */
  private async *strips(step: ReverseStep, x: RowWindow, reached: { row: number }): AsyncGenerator<Planes> {
    const { rows } = this;
    const [borders, weights] = [[...rows.borders(), rows.length], rows.weights()];
    let open: Planes | undefined; // summed up, from `done` on
    let done = 0;
    for (const [number, start] of rows.starts.entries()) {
      const drawn = await this.strip(step, x, { start, stop: start + rows.size });
      let strip = weightedRows(drawn, weights[number]!);
      reached.row = start;
      if (open !== undefined) {
        strip = strip.rows(done - start, strip.height); // what lies above has no weight here
        add(strip, open);
      }
      const border = borders[number]!;
      const finished = border === rows.length ? rows.length : Math.trunc(border - rows.overlap / 4);
      yield strip.rows(0, finished - done);
      open = strip.rows(finished - done, strip.height);
      done = finished;
    }
  }

  /** The tiles of some rows, blended over the columns: (O, rows, W). */
  private async strip(step: ReverseStep, x: RowWindow, rows: Range): Promise<Planes> {
    const { columns } = this;
    const [xT, upsampled] = [await x.rows(rows.start, rows.stop), this.upsampled(rows)];
    const weights = columns.weights();
    const all = { start: 0, stop: xT.height };
    let strip: Planes | undefined;
    for (const [number, left] of columns.starts.entries()) {
      const place = { start: left, stop: left + columns.size };
      const [xTile, upsampledTile] = [xT.cut(all, place), upsampled.cut(all, place)];
      const output = await this.model.evaluate(xTile, step.logSnr, upsampledTile, this.sampling.detail);
      strip ??= Planes.zeros(output.channels, xT.height, xT.width);
      addWeighted(strip, output, left, weights[number]!);
    }
    return strip!;
  }

  /** The rows that a band's projection takes part in, and the band's own among them. */
  private around(band: Range): { around: Range; inside: Range } {
    const { scale } = this.model.config;
    const start = Math.max(0, Math.floor(band.start / scale) - MARGIN) * scale;
    const stop = Math.min(this.padded.height, Math.ceil(band.stop / scale) + MARGIN) * scale;
    return { around: { start, stop }, inside: { start: band.start - start, stop: band.stop - start } };
  }

  /** Rows of lowRes, padded, that lie under rows of the result. */
  private low(rows: Range): Planes {
    const { scale } = this.model.config;
    return this.padded.rows(rows.start / scale, rows.stop / scale);
  }

  /** Rows of the upsampled picture. */
  private upsampled(rows: Range): Planes {
    const { around, inside } = this.around(rows);
    return this.model.degradation.upsample(this.low(around)).rows(inside.start, inside.stop);
  }
}

function weightedRows(x: Planes, weights: Float32Array): Planes {
  return x.map((at) => x.data[at]! * weights[Math.floor(at / x.width) % x.height]!);
}

/** Add what is open to the first rows, in place. */
function add(strip: Planes, open: Planes): void {
  for (let channel = 0; channel < open.channels; channel += 1) {
    const into = strip.only(channel, channel + 1).data;
    const from = open.only(channel, channel + 1).data;
    for (let at = 0; at < from.length; at += 1) into[at] = into[at]! + from[at]!;
  }
}

/** Add a tile at a column, each of its columns as much as it counts, in place. */
function addWeighted(strip: Planes, tile: Planes, left: number, weights: Float32Array): void {
  for (let line = 0; line < tile.channels * tile.height; line += 1) {
    const [into, from] = [line * strip.width + left, line * tile.width];
    for (let column = 0; column < tile.width; column += 1) {
      const counted = Math.fround(tile.data[from + column]! * weights[column]!);
      strip.data[into + column] = strip.data[into + column]! + counted;
    }
  }
}

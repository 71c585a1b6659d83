/** Pictures as models hold them: float32 (C, H, W), in [-1, 1] where they are pictures. */

/** Rows or columns from one on up to another. */
export interface Range {
  readonly start: number;
  readonly stop: number;
}

export class Planes {
  constructor(
    readonly data: Float32Array,
    readonly channels: number,
    readonly height: number,
    readonly width: number,
  ) {}

  static zeros(channels: number, height: number, width: number): Planes {
    return new Planes(new Float32Array(channels * height * width), channels, height, width);
  }

  /** The same shape, each value made of those at its place. */
  map(value: (at: number) => number): Planes {
    const made = new Float32Array(this.data.length);
    for (let at = 0; at < made.length; at += 1) made[at] = value(at);
    return new Planes(made, this.channels, this.height, this.width);
  }

  clone(): Planes {
    return new Planes(this.data.slice(), this.channels, this.height, this.width);
  }

  rows(start: number, stop: number): Planes {
    return this.cut({ start, stop }, { start: 0, stop: this.width });
  }

  /** Channels from one on up to another: a view. */
  only(start: number, stop: number): Planes {
    const size = this.height * this.width;
    return new Planes(this.data.subarray(start * size, stop * size), stop - start, this.height, this.width);
  }

  /** A copy of some rows and columns. */
  cut(rows: Range, columns: Range): Planes {
    const made = Planes.zeros(this.channels, rows.stop - rows.start, columns.stop - columns.start);
    for (let channel = 0; channel < this.channels; channel += 1)
      for (let row = rows.start; row < rows.stop; row += 1) {
        const from = (channel * this.height + row) * this.width;
        const to = (channel * made.height + row - rows.start) * made.width;
        made.data.set(this.data.subarray(from + columns.start, from + columns.stop), to);
      }
    return made;
  }

  /** Put another one into this one, in place. */
  paste(part: Planes, top: number, left: number): void {
    for (let channel = 0; channel < this.channels; channel += 1)
      for (let row = 0; row < part.height; row += 1) {
        const from = (channel * part.height + row) * part.width;
        const to = (channel * this.height + top + row) * this.width + left;
        this.data.set(part.data.subarray(from, from + part.width), to);
      }
  }

  /** Planes below each other. */
  static below(parts: readonly Planes[]): Planes {
    const [first] = parts;
    if (first === undefined) throw new RangeError("got no planes to put below each other");
    const height = parts.reduce((sum, part) => sum + part.height, 0);
    const made = Planes.zeros(first.channels, height, first.width);
    let top = 0;
    for (const part of parts) {
      made.paste(part, top, 0);
      top += part.height;
    }
    return made;
  }
}

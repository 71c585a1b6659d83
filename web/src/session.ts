/** The pictures of this tab, each with its settings, its state and its result; in memory only. */

import type { Backend, HeatMap, Picture, Progress } from "./backends/backend";
import type { Settings } from "./settings";

export type State = "queued" | Progress["state"] | "done" | "failed" | "cancelled";

const ENDED: readonly State[] = ["done", "failed", "cancelled"];

/** A picture of a result, as the page shows it. */
export interface Shown extends Picture {
  url: string;
}

export interface Result {
  pictures: Shown[];
  /** With its address; null for a single sample. */
  uncertainty: (HeatMap & { url: string }) | null;
  width: number;
  height: number;
}

export interface Run {
  readonly id: number;
  readonly file: File;
  readonly settings: Settings;
  readonly url: string;
  /** Of the picture given; null where the browser cannot read it. */
  given: { width: number; height: number } | null;
  state: State;
  share: number;
  secondsLeft: number | null;
  /** As in `Progress`. */
  emerging: HTMLCanvasElement | null;
  result: Result | null;
  /** Which of the samples is looked at. */
  chosen: number;
  /** Why there is no result; the error itself, as its words depend on the language. */
  error: unknown;
  readonly stop: AbortController;
}

export function hasEnded(run: Run): boolean {
  return ENDED.includes(run.state);
}

/** The picture that is looked at, of a run that is done. */
export function shown(run: Run): Shown | null {
  return run.result?.pictures[run.chosen] ?? null;
}

export class Session {
  /** The latest first. */
  readonly runs: Run[] = [];
  selected: Run | null = null;
  private numbers = 0;

  /** @param changed called after every change, with the run that ended, if one has */
  constructor(
    readonly backend: Backend,
    private readonly changed: (ended?: Run) => void,
  ) {}

  /** Take pictures; the first of them is looked at. */
  add(files: readonly File[], settings: Settings): void {
    const added = files.map((file) => this.open(file, { ...settings }));
    this.runs.unshift(...added.toReversed());
    this.selected = added[0] ?? this.selected;
    this.next();
  }

  select(run: Run): void {
    this.selected = run;
    this.changed();
  }

  choose(run: Run, sample: number): void {
    run.chosen = sample;
    this.changed();
  }

  /** Stop a picture that is on its way. */
  cancel(run: Run): void {
    if (hasEnded(run)) return;
    run.state = "cancelled";
    run.emerging = null;
    run.stop.abort();
    this.next();
  }

  /** Stop all that is on its way, as nobody will look at it. */
  leave(): void {
    for (const run of this.runs) this.cancel(run);
  }

  /** Take a picture out of the session. */
  remove(run: Run): void {
    this.cancel(run);
    const place = this.runs.indexOf(run);
    this.runs.splice(place, 1);
    if (this.selected === run) this.selected = this.runs[Math.min(place, this.runs.length - 1)] ?? null;
    URL.revokeObjectURL(run.url);
    for (const one of run.result?.pictures ?? []) URL.revokeObjectURL(one.url);
    if (run.result?.uncertainty) URL.revokeObjectURL(run.result.uncertainty.url);
    this.changed();
  }

  /** The bytes of the picture that is looked at, in a format. */
  async saved(run: Run, format: string): Promise<Blob> {
    const picture = shown(run);
    if (picture === null) throw new Error("this run has no picture");
    return this.backend.saved(run.file, picture, format);
  }

  private open(file: File, settings: Settings): Run {
    const run: Run = {
      id: (this.numbers += 1),
      file,
      settings,
      url: URL.createObjectURL(file),
      given: null,
      state: "queued",
      share: 0,
      secondsLeft: null,
      emerging: null,
      result: null,
      chosen: 0,
      error: null,
      stop: new AbortController(),
    };
    void sizeOf(run.url).then((size) => {
      run.given = size;
      this.changed();
    });
    return run;
  }

  private next(): void {
    const busy = this.runs.filter((run) => !hasEnded(run) && run.state !== "queued").length;
    const waiting = this.runs.filter((run) => run.state === "queued").toReversed();
    for (const run of waiting.slice(0, Math.max(0, this.backend.atOnce - busy))) void this.draw(run);
    this.changed();
  }

  private async draw(run: Run): Promise<void> {
    const tell = (progress: Progress): void => {
      if (hasEnded(run)) return; // cancelled meanwhile
      Object.assign(run, progress);
      this.changed();
    };
    try {
      tell({ state: "sending", share: 0, secondsLeft: null, emerging: null });
      const { pictures, uncertainty } = await this.backend.draw(run.file, run.settings, tell, run.stop.signal);
      const result = await resultOf(pictures, uncertainty);
      if (hasEnded(run)) return;
      run.result = result;
      run.state = "done";
    } catch (error) {
      if (hasEnded(run)) return;
      run.error = error;
      run.state = "failed";
    }
    run.emerging = null;
    this.changed(run);
    this.next();
  }
}

async function resultOf(pictures: Picture[], map: HeatMap | null): Promise<Result> {
  const shown = pictures.map((one) => ({ ...one, url: URL.createObjectURL(one.data) }));
  const size = await sizeOf(shown[0]!.url);
  if (size === null) throw new Error("this browser cannot show the result");
  return {
    pictures: shown,
    uncertainty: map === null ? null : { ...map, url: URL.createObjectURL(map.data) },
    ...size,
  };
}

async function sizeOf(url: string): Promise<{ width: number; height: number } | null> {
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    return null; // a format that the service may read all the same
  }
  return { width: image.naturalWidth, height: image.naturalHeight };
}

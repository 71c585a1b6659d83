/** The engine as a page uses it: pictures in, pictures out, without a server. */

import { Refused } from "./config";
import { fetched, forgetOthers } from "./files";
import type { Band, Options, Progress, Reply, Request, Site, SiteFile, SiteModel } from "./messages";
import type { Pixels } from "./pixels";
import { mayBeFace, Recogniser } from "./recogniser";

export { Refused };
export type { Band, Options, Progress, SiteModel };

/** Name of the worker's script beside this one, which the build fills in. */
declare const WORKER: string;

export interface Upscaled {
  readonly samples: readonly ImageData[];
  readonly width: number;
  readonly height: number;
  /** Of each sample: mean squared difference of D(sample) to the picture given, x 1e-5. */
  readonly consistency: readonly number[];
  /** Whether the model holds results to the picture given. */
  readonly isHeld: boolean;
  /** Where samples differ, in the colours of `sr4 upscale --uncertainty`; null for a single one. */
  readonly uncertainty: ImageData | null;
}

export interface Following {
  readonly onProgress?: (progress: Progress) => void;
  /** Called with the rows of large results, as they are done. */
  readonly onBand?: (band: Band) => void;
  readonly signal?: AbortSignal;
}

interface Waiting {
  readonly resolve: (result: Upscaled) => void;
  readonly reject: (error: unknown) => void;
  readonly following: Following;
}

const pixelsOf = ({ data, width, height }: ImageData): Pixels => ({
  data: data as Uint8ClampedArray<ArrayBuffer>,
  width,
  height,
});

const imageOf = ({ data, width, height }: Pixels): ImageData => new ImageData(data, width, height);

/** A site's models in a worker, one picture after the other. */
export class Engine {
  private readonly waiting = new Map<number, Waiting>();
  private worker: Worker | undefined; // there is none before the first picture, and after one that broke
  private recogniser: Promise<Recogniser> | undefined;
  private last = 0;

  private constructor(
    private readonly base: string,
    private readonly site: Site,
  ) {}

  /** @param base address of the site's folder, with a slash at its end */
  static async open(base: string): Promise<Engine> {
    const answer = await fetch(new URL("site.json", base), { cache: "no-cache" });
    if (!answer.ok) throw new Refused(`got no site.json (${answer.status}); expected a folder of sr4 export --format web`);
    const site = (await answer.json()) as Site;
    const files: SiteFile[] = [site.runtime.wasm, ...(site.choice === null ? [] : [site.choice.recogniser]), ...site.models.flatMap((model) => Object.values(model.files))];
    await forgetOthers(base, files.map((file) => file.path));
    return new Engine(base, site);
  }

  get models(): readonly SiteModel[] {
    return this.site.models;
  }

  /** Of sr4, which made the site. */
  get version(): string {
    return this.site.version;
  }

  /** Whether the site has a model for faces and one for all else, of which pictures call for one. */
  get hasChoice(): boolean {
    return this.site.choice !== null;
  }

  /** The name of the model that a picture calls for: the one for faces, or the first of the others. */
  async modelFor(picture: ImageData): Promise<string> {
    const { choice, models } = this.site;
    if (choice === null) return models[0]!.name;
    if (!mayBeFace(picture)) return choice.other;
    this.recogniser ??= fetched(this.base, choice.recogniser, () => {}).then(
      ({ buffer }) => new Recogniser(new Float32Array(buffer)),
    );
    return (await this.recogniser).isFace(pixelsOf(picture)) ? choice.face : choice.other;
  }

  /**
   * Upscale opaque 8-bit pixels, such as an ImageData.
   *
   * @throws Refused for impossible pictures or options; the signal's reason where it is aborted
   */
  async upscale(picture: ImageData, options: Options = {}, following: Following = {}): Promise<Upscaled> {
    const { signal } = following;
    signal?.throwIfAborted();
    const model = this.models.find(({ name }) => options.model === undefined || name === options.model);
    if (model === undefined)
      throw new Refused(`no model ${options.model}; expected one of ${this.models.map(({ name }) => name).join(", ")}`);
    const id = (this.last += 1);
    const pixels = pixelsOf(picture);
    this.worker ??= this.started();
    this.send({ kind: "upscale", id, base: this.base, runtime: this.site.runtime, model, pixels, options });
    const stop = (): void => {
      this.send({ kind: "cancel", id });
      this.waiting.get(id)?.reject(signal?.reason);
      this.waiting.delete(id);
    };
    signal?.addEventListener("abort", stop);
    try {
      return await new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject, following }));
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  /** End the worker, and let go of its memory. */
  close(): void {
    this.end(new DOMException("the engine was closed", "AbortError"));
  }

  private started(): Worker {
    const worker = new Worker(new URL(WORKER, import.meta.url), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<Reply>) => this.hear(data);
    worker.onerror = ({ message }) => {
      const unstarted = `got no worker of ${WORKER}; expected a file of this site: try again, or load the page again`;
      if (worker === this.worker) this.end(new Refused(message || unstarted));
    };
    return worker;
  }

  private end(error: unknown): void {
    this.worker?.terminate();
    this.worker = undefined;
    for (const one of this.waiting.values()) one.reject(error);
    this.waiting.clear();
  }

  private send(request: Request): void {
    this.worker?.postMessage(request);
  }

  private hear(reply: Reply): void {
    const one = this.waiting.get(reply.id);
    if (one === undefined) return; // cancelled
    if (reply.kind === "progress") return one.following.onProgress?.(reply.progress);
    if (reply.kind === "band") return one.following.onBand?.({ ...reply.band, pixels: imageOf(reply.band.pixels) });
    this.waiting.delete(reply.id);
    if (reply.kind === "failed") return one.reject(new (reply.isRefused ? Refused : Error)(reply.message));
    const { samples, uncertainty, ...said } = reply.drawn;
    const { width, height } = samples[0]!;
    const map = uncertainty === null ? null : imageOf(uncertainty);
    one.resolve({ ...said, samples: samples.map(imageOf), uncertainty: map, width, height });
  }
}

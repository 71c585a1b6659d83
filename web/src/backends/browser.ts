/** This browser itself: the engine in a worker, with the models of the site. */

import { Engine, type Band } from "../../engine/engine";
import { sha256Of } from "../../engine/files";
import { FULL_SCALE } from "../../engine/heatmap";
import type { Settings } from "../settings";
import { Offline, type Backend, type Drawn, type Models, type Picture, type Progress } from "./backend";

const AUTO = "auto";
const EARLY = 0.05; // the share below which the time left is not guessed

export class Browser implements Backend {
  readonly kind = "browser";
  readonly takes = {
    evidence: ["exact"],
    sizes: ["model"],
    formats: ["png"],
    files: "image/*",
  } as const;
  readonly limits = "limits_browser";
  readonly atOnce = 1; // its worker draws one after the other
  private engine: Engine | undefined;

  /** @param base address of the site's folder, with a slash at its end */
  constructor(private readonly base: string) {}

  async models(): Promise<Models> {
    const { models, hasChoice } = await this.opened();
    const names = models.map(({ name }) => name);
    if (hasChoice) names.unshift(AUTO);
    return { default: names[0]!, names, models: [...models] };
  }

  async isReady(): Promise<boolean> {
    await this.opened();
    return true;
  }

  useKey(): void {
    throw new Error("this browser asks for no key");
  }

  async draw(file: File, settings: Settings, tell: (progress: Progress) => void, signal: AbortSignal): Promise<Drawn> {
    const engine = await this.opened();
    const { pixels, isOpaque } = await read(file);
    const sha256 = (await sha256Of(await file.arrayBuffer())) ?? "";
    const name = settings.model === AUTO ? await engine.modelFor(pixels) : settings.model;
    const following = new Telling(tell);
    const detail = settings.detail === null ? {} : { detail: settings.detail };
    const { samples, seed } = settings;
    const result = await engine.upscale(pixels, { model: name, seed, samples, ...detail }, { ...following, signal });
    following.encoding();
    const evidence = result.isHeld ? "exact" : "none";
    const about = {
      model: name,
      backend: "ONNX Runtime Web (WebAssembly)",
      version: engine.version,
      samples,
      detail: String(settings.detail ?? ""),
      evidence,
      scale: String(engine.models.find((one) => one.name === name)!.scale),
      sha256,
      provenance: null,
      notes: isOpaque ? [] : ["its transparent parts were laid on white"],
    };
    const pictures = result.samples.map(async (sample, place): Promise<Picture> => ({
      ...about,
      data: await encoded(sample),
      seed: seed + place,
      consistency: Number(result.consistency[place]!.toPrecision(4)),
      settings: { model: name, seed: seed + place, samples: 1, evidence, ...detail },
    }));
    const map = result.uncertainty;
    const uncertainty = map === null ? null : { data: await encoded(map), isCalibrated: false, most: FULL_SCALE };
    return { pictures: await Promise.all(pictures), uncertainty };
  }

  async saved(_: File, picture: Picture): Promise<Blob> {
    return picture.data; // as a PNG file, which is all that it takes
  }

  private async opened(): Promise<Engine> {
    this.engine ??= await Engine.open(this.base).catch((error: unknown) => {
      throw error instanceof TypeError ? new Offline() : error; // which is how fetch fails
    });
    return this.engine;
  }
}

/** Turns what the engine says into what the page shows. */
class Telling {
  private progress: Progress = { state: "sending", share: 0, secondsLeft: null, emerging: null };
  private began = 0;

  constructor(private readonly tell: (progress: Progress) => void) {}

  readonly onProgress = ({ stage, share }: { stage: "loading" | "drawing"; share: number }): void => {
    if (stage === "loading") return this.next({ state: "loading", share });
    if (this.progress.state !== "running") this.began = performance.now();
    const seconds = (performance.now() - this.began) / 1000;
    this.next({ state: "running", share, secondsLeft: share < EARLY ? null : (seconds * (1 - share)) / share });
  };

  /** The first sample is the one that is looked at. */
  readonly onBand = ({ sample, top, height, pixels }: Band): void => {
    if (sample > 0) return;
    const emerging = this.progress.emerging ?? Object.assign(document.createElement("canvas"), { width: pixels.width, height });
    emerging.getContext("2d")!.putImageData(pixels, 0, top);
    this.next({ emerging });
  };

  encoding(): void {
    this.next({ state: "fetching", share: 1, secondsLeft: null });
  }

  private next(changed: Partial<Progress>): void {
    this.progress = { ...this.progress, ...changed };
    this.tell(this.progress);
  }
}

/** The pixels of a file, laid on white, as the file has them: no profile is applied. */
async function read(file: File): Promise<{ pixels: ImageData; isOpaque: boolean }> {
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" }).catch(() => {
    throw new Error(`got ${file.name}, which this browser cannot open; expected a picture such as a PNG or JPEG file`);
  });
  const { width, height } = bitmap;
  const drawing = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })!;
  drawing.drawImage(bitmap, 0, 0);
  const isOpaque = allOpaque(drawing.getImageData(0, 0, width, height));
  drawing.fillStyle = "#fff";
  drawing.fillRect(0, 0, width, height);
  drawing.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { pixels: drawing.getImageData(0, 0, width, height), isOpaque };
}

function allOpaque({ data }: ImageData): boolean {
  for (let at = 3; at < data.length; at += 4) if (data[at] !== 255) return false;
  return true;
}

async function encoded(pixels: ImageData): Promise<Blob> {
  const canvas = new OffscreenCanvas(pixels.width, pixels.height);
  canvas.getContext("2d")!.putImageData(pixels, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}

/** The worker: takes pictures one after the other, so that the page never freezes. */

import { type ModelConfig, readConfig, Refused, samplingOf } from "./config";
import { fetched } from "./files";
import { heatmap } from "./heatmap";
import type { Band, Drawn, Options, Progress, Reply, Request, SiteFile, SiteModel } from "./messages";
import { DiffusionModel, type Network } from "./model";
import { openNetwork, type Runtime } from "./network";
import { consistencyOf, type Pixels, toPixels, toPlanes } from "./pixels";
import { BandedSampling, tileFor } from "./tiles";

const MOST_THREADS = 4;
const MOST_PIXELS = 2 ** 26; // of a result

/** The worker's side of its own thread, of which tsc's DOM library has no type. */
interface Scope {
  postMessage(reply: Reply, transfer: Transferable[]): void;
  onmessage: ((event: MessageEvent<Request>) => void) | null;
}

interface Opened {
  readonly model: SiteModel;
  readonly config: ModelConfig;
  readonly network: Network;
}

type Upscale = Extract<Request, { kind: "upscale" }>;

class Cancelled extends Error {}

const scope = self as unknown as Scope;
const cancelled = new Set<number>();
let queue = Promise.resolve();
let runtime: typeof Runtime | undefined;
let opened: Opened | undefined; // the model that was used last

scope.onmessage = ({ data }) => {
  if (data.kind === "cancel") cancelled.add(data.id);
  else queue = queue.then(() => answered(data));
};

async function answered(request: Upscale): Promise<void> {
  const { id } = request;
  try {
    const tell = (progress: Progress): void => scope.postMessage({ kind: "progress", id, progress }, []);
    const ready = await open(request, tell);
    const show = (band: Band<Pixels>): void => scope.postMessage({ kind: "band", id, band }, [band.pixels.data.buffer]);
    const drawn = await upscaled(ready, request, tell, show);
    const pictures = drawn.uncertainty === null ? drawn.samples : [...drawn.samples, drawn.uncertainty];
    scope.postMessage({ kind: "done", id, drawn }, pictures.map((one) => one.data.buffer));
  } catch (error) {
    if (error instanceof Cancelled) return; // the page has let go of it
    const message = error instanceof Error ? error.message : String(error);
    scope.postMessage({ kind: "failed", id, message, isRefused: error instanceof Refused }, []);
  } finally {
    cancelled.delete(id);
  }
}

/** Let messages come in, and stop where one says so. */
async function checkpoint(id: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve));
  if (cancelled.has(id)) throw new Cancelled();
}

async function open({ id, base, model, ...request }: Upscale, tell: (progress: Progress) => void): Promise<Opened> {
  await checkpoint(id);
  if (opened !== undefined && opened.model.files["model.onnx"].sha256 === model.files["model.onnx"].sha256
    && opened.model.files["model.safetensors"].sha256 === model.files["model.safetensors"].sha256) return opened;
  opened = undefined; // two models at once would take twice the memory
  const { script, wasm } = request.runtime;
  const wanted = [...(runtime === undefined ? [wasm] : []), ...Object.values(model.files)];
  const total = wanted.reduce((sum, file) => sum + file.bytes, 0);
  let come = 0;
  const get = (file: SiteFile) =>
    fetched(base, file, (count) => tell({ stage: "loading", share: Math.min(1, (come += count) / total) }));
  runtime ??= await started(new URL(script.path, base).href, await get(wasm));
  const config = readConfig(new TextDecoder().decode(await get(model.files["config.json"])), model.name);
  const [graph, weights] = await Promise.all([get(model.files["model.onnx"]), get(model.files["model.safetensors"])]);
  await checkpoint(id);
  opened = { model, config, network: await openNetwork(runtime, { graph, weights }) };
  return opened;
}

async function started(script: string, wasm: Uint8Array<ArrayBuffer>): Promise<typeof Runtime> {
  const found = (await import(script)) as typeof Runtime;
  found.env.wasm.wasmBinary = wasm.buffer;
  // Threads need memory that is shared, which browsers allow to isolated pages alone.
  found.env.wasm.numThreads = globalThis.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1;
  return found;
}

async function upscaled(
  { config, network }: Opened,
  { id, pixels, options }: Upscale,
  tell: (progress: Progress) => void,
  show: (band: Band<Pixels>) => void,
): Promise<Drawn> {
  let [done, total] = [0, 1];
  const advance = (): void => tell({ stage: "drawing", share: Math.min(1, (done += 1) / total) });
  const model = new DiffusionModel(config, network, async () => {
    advance();
    await checkpoint(id);
  });
  const sampling = samplingOf(config, options.steps, options.detail);
  const seeds = seedsOf(options);
  checkSize(pixels, config.scale);
  const lowRes = toPlanes(pixels);
  const tile = tileFor(model, lowRes, sampling, options.tile);
  tell({ stage: "drawing", share: 0 });
  const [samples, consistency]: [Pixels[], number[]] = [[], []];
  for (const [sample, seed] of seeds.entries()) {
    const banded = tile === 0 ? null : new BandedSampling(model, lowRes, seed, sampling, tile);
    const parts = banded === null ? sampling.steps : banded.evaluations + banded.gives;
    total = seeds.length * (parts + 1); // the last is what comes below
    const height = pixels.height * config.scale;
    const drawn = banded?.picture((top, rows) => {
      show({ sample, top, height, pixels: toPixels(rows) });
      advance();
    });
    const made = toPixels(await (drawn ?? model.sample(lowRes, seed, sampling)));
    samples.push(made);
    consistency.push(consistencyOf(model.degradation, made, lowRes));
    advance();
  }
  return {
    samples,
    consistency,
    isHeld: sampling.isConsistent,
    uncertainty: samples.length > 1 ? heatmap(samples) : null,
  };
}

function seedsOf({ seed = 0, samples = 1 }: Options): bigint[] {
  if (typeof seed === "number" ? !Number.isSafeInteger(seed) || seed < 0 : seed < 0n)
    throw new Refused(`got seed ${seed}; expected a whole number of at least 0`);
  if (!Number.isSafeInteger(samples) || samples < 1)
    throw new Refused(`got ${samples} samples; expected a whole number of at least 1`);
  return Array.from({ length: samples }, (_, number) => BigInt(seed) + BigInt(number));
}

function checkSize({ width, height }: Pixels, scale: number): void {
  if (width * height * scale ** 2 > MOST_PIXELS)
    throw new Refused(
      `got a ${width}x${height} picture for a result of ${width * scale}x${height * scale}; in the browser expected ` +
        `at most ${Math.floor(MOST_PIXELS / scale ** 2).toLocaleString("en")} pixels: crop it, or use sr4 upscale`,
    );
}

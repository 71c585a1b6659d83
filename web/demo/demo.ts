/** The plain page of a site that `sr4 export --format web` makes. */

import { Engine, type Progress, type SiteModel } from "../engine/engine";

function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

const form = byId<HTMLFormElement>("form");
const file = byId<HTMLInputElement>("file");
const model = byId<HTMLSelectElement>("model");
const detail = byId<HTMLInputElement>("detail");
const go = byId<HTMLButtonElement>("go");
const stop = byId<HTMLButtonElement>("stop");
const bar = byId<HTMLProgressElement>("progress");

let given: { name: string; pixels: ImageData } | undefined;
let stopping: AbortController | undefined;

function say(text: string, isWrong = false): void {
  byId("state").textContent = text;
  byId("state").classList.toggle("wrong", isWrong);
}

const wrong = (error: unknown): void => say(error instanceof Error ? error.message : String(error), true);

/** The pixels of a file, laid on white, as the file has them: no profile is applied. */
async function read(source: File): Promise<ImageData> {
  const bitmap = await createImageBitmap(source, { colorSpaceConversion: "none" }).catch(() => {
    throw new Error(`got ${source.name}, which this browser cannot open; expected a picture such as a PNG or JPEG file`);
  });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const drawing = canvas.getContext("2d", { willReadFrequently: true })!;
  drawing.fillStyle = "#fff";
  drawing.fillRect(0, 0, canvas.width, canvas.height);
  drawing.drawImage(bitmap, 0, 0);
  bitmap.close();
  return drawing.getImageData(0, 0, canvas.width, canvas.height);
}

async function asFile(pixels: ImageData): Promise<Blob> {
  const canvas = new OffscreenCanvas(pixels.width, pixels.height);
  canvas.getContext("2d")!.putImageData(pixels, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}

async function figure(pixels: ImageData, caption: string, width: number, name?: string): Promise<HTMLElement> {
  const made = document.createElement("figure");
  const picture = document.createElement("img");
  picture.src = URL.createObjectURL(await asFile(pixels));
  picture.alt = caption;
  picture.width = width;
  const text = document.createElement("figcaption");
  text.textContent = `${caption}, ${pixels.width}x${pixels.height} `;
  if (name !== undefined) {
    const link = document.createElement("a");
    link.href = picture.src;
    link.download = name;
    link.textContent = "Download";
    text.append(link);
  }
  made.append(picture, text);
  return made;
}

function clear(): void {
  const shown = byId("pictures");
  for (const picture of shown.querySelectorAll("img")) URL.revokeObjectURL(picture.src);
  shown.replaceChildren();
}

async function take(source: File, engine: Engine): Promise<void> {
  try {
    stopping?.abort();
    go.disabled = true;
    given = { name: source.name.replace(/\.[^.]*$/, ""), pixels: await read(source) };
    clear();
    byId("pictures").append(await figure(given.pixels, "Given", given.pixels.width));
    model.value = await engine.modelFor(given.pixels);
    model.dispatchEvent(new Event("change"));
    go.disabled = false;
    say("");
  } catch (error) {
    wrong(error);
  }
}

function follow({ stage, share }: Progress): void {
  bar.value = share;
  say(stage === "loading" ? "Loading the model; it is kept for the next time" : `Drawing, ${Math.floor(share * 100)} %`);
}

/** A consistency (mean squared difference, x 1e-5) in words. */
function off(consistency: number): string {
  const levels = Math.sqrt(consistency * 1e-5) * 255;
  return `${levels < 0.1 ? "less than 0.1" : levels.toFixed(1)} of 255 levels`;
}

async function upscale(engine: Engine): Promise<void> {
  if (given === undefined) return;
  const { name, pixels } = given;
  const own = new AbortController();
  stopping = own;
  [go.hidden, stop.hidden, bar.hidden] = [true, false, false];
  const seed = byId<HTMLInputElement>("seed").valueAsNumber;
  const options = {
    model: model.value,
    seed,
    samples: byId<HTMLInputElement>("samples").valueAsNumber,
    ...(byId("detail-row").hidden ? {} : { detail: detail.valueAsNumber }),
  };
  const begin = performance.now();
  try {
    const result = await engine.upscale(pixels, options, { onProgress: follow, signal: own.signal });
    const seconds = (performance.now() - begin) / 1000;
    clear();
    const shown = [figure(pixels, "Given", result.width)];
    for (const [number, sample] of result.samples.entries())
      shown.push(figure(sample, `Seed ${seed + number}`, result.width, `${name}-${options.model}-${seed + number}.png`));
    byId("pictures").append(...(await Promise.all(shown)));
    say(`Done in ${seconds.toFixed(1)} s. Downscaled, the result is off the picture given by ${off(result.consistency)}.`);
  } catch (error) {
    if (own.signal.aborted) say("Cancelled");
    else wrong(error);
  } finally {
    [go.hidden, stop.hidden, bar.hidden] = [false, true, true];
  }
}

function choose(chosen: SiteModel | undefined): void {
  byId("detail-row").hidden = chosen?.has_detail !== true;
  byId("about").textContent = `${chosen?.description ?? ""} Licence of the weights: ${chosen?.licence ?? "unknown"}`;
}

async function start(): Promise<void> {
  byId("unstarted").hidden = true;
  const engine = await Engine.open(new URL(".", location.href).href);
  for (const one of engine.models) model.add(new Option(`${one.name}, x${one.scale}`, one.name));
  const chosen = (): void => choose(engine.models.find(({ name }) => name === model.value));
  model.addEventListener("change", chosen);
  chosen();
  file.addEventListener("change", () => file.files?.[0] && void take(file.files[0], engine));
  form.addEventListener("submit", (event) => (event.preventDefault(), void upscale(engine)));
  stop.addEventListener("click", () => stopping?.abort());
  const drop = byId("drop");
  for (const kind of ["dragover", "dragleave", "drop"] as const)
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragover");
      const dropped = kind === "drop" ? event.dataTransfer?.files[0] : undefined;
      if (dropped !== undefined) void take(dropped, engine);
    });
  form.hidden = false;
}

start().catch(wrong);

/** `sr4 serve` by its HTTP API, whose description is at /openapi.json. */

import { EVIDENCE, fields, FORMATS, SHOWN, SIZES, type Fields, type Settings } from "../settings";
import { Offline, Refused, type Backend, type Drawn, type HeatMap, type Models, type Picture, type Progress } from "./backend";

interface Job {
  state: "waiting" | "running" | "done" | "failed" | "cancelled";
  /** From 0 to 1. */
  share: number;
  seconds_left: number | null;
  /** How many looks at it there were to be had so far. */
  previews: number;
  /** Single samples that can be fetched. */
  samples: number;
  uncertainty: boolean;
  error: string | null;
  links: { self: string; events: string; preview: string; result: string };
}

export class Service implements Backend {
  readonly kind = "service";
  readonly takes = {
    evidence: EVIDENCE,
    sizes: SIZES,
    formats: FORMATS,
    files: "image/*,.tif,.tiff,.jp2,.npy,.heic",
  };
  readonly limits = null;
  readonly atOnce = 3; // it has a queue of its own

  useKey(given: string): void {
    key = given;
  }

  async models(): Promise<Models> {
    return (await ask("/v1/models")).json();
  }

  async isReady(): Promise<boolean> {
    try {
      await ask("/readyz");
      return true;
    } catch (error) {
      if (error instanceof Refused && error.status === 503) return false;
      throw error;
    }
  }

  async draw(file: File, settings: Settings, tell: (progress: Progress) => void, signal: AbortSignal): Promise<Drawn> {
    let now: Progress = { state: "sending", share: 0, secondsLeft: null, emerging: null };
    let seen = 0;
    const next = (changed: Partial<Progress>): void => tell((now = { ...now, ...changed }));
    const job = await finished(file, fields(settings), signal, (told) => {
      const { state, share, seconds_left: secondsLeft, previews } = told;
      if (state !== "waiting" && state !== "running") return;
      next({ state, share, secondsLeft });
      if (previews === seen) return;
      seen = previews;
      const show = (bitmap: ImageBitmap | null) => bitmap && next({ emerging: laid(bitmap, now.emerging) });
      look(told, signal).then(show, () => undefined); // one that does not come changes nothing
    });
    next({ state: "fetching", share: 1, secondsLeft: null });
    const drawn = await fetched(job, signal);
    tidy(job);
    return drawn;
  }

  /** In another format than the one shown, it is made again, as it was. */
  async saved(file: File, picture: Picture, format: string): Promise<Blob> {
    if (format === SHOWN) return picture.data;
    const wish: Fields = {};
    for (const [name, value] of Object.entries(picture.settings)) wish[name] = String(value);
    wish["format"] = format;
    const { signal } = new AbortController();
    const job = await finished(file, wish, signal);
    const { data } = await result(job, "show=result", signal);
    tidy(job);
    return data;
  }
}

/** The key that the service may ask for. */
let key = "";

async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (key !== "") headers.set("Authorization", `Bearer ${key}`);
  let answer: Response;
  try {
    answer = await fetch(path, { ...init, headers, cache: "no-store" });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Offline();
  }
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

async function refusal(answer: Response): Promise<Refused> {
  const body = (await answer.json().catch(() => null)) as { detail?: string; title?: string } | null;
  const said = body?.detail ?? body?.title ?? `${answer.status} ${answer.statusText}`; // of a proxy
  return new Refused(answer.status, said, Number(answer.headers.get("Retry-After")) || 1);
}

function pause(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1000);
    signal.addEventListener("abort", () => (clearTimeout(timer), stop()), { once: true });
  });
}

/** Hand in a picture; where the queue is full, again and again until it is taken. */
async function start(file: Blob, wish: Fields, signal: AbortSignal): Promise<Job> {
  const body = new FormData();
  for (const [name, value] of Object.entries(wish)) body.append(name, value);
  body.append("file", file);
  for (;;) {
    try {
      const headers = { Prefer: "respond-async" };
      return await (await ask("/v1/upscale", { method: "POST", body, headers, signal })).json();
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 429) throw error;
      await pause(error.retryAfter, signal);
    }
  }
}

const LOST = 5; // connections that may break before that counts as offline

/** Each change of a job until it has ended. */
async function* follow(job: Job, signal: AbortSignal): AsyncGenerator<Job> {
  for (let broken = 0; ; broken += 1) {
    try {
      for await (const data of events(await ask(job.links.events, { signal }))) {
        const now = JSON.parse(data) as Job;
        broken = 0;
        yield now;
        if (now.state !== "waiting" && now.state !== "running") return;
      }
    } catch (error) {
      if (signal.aborted || error instanceof Refused || broken >= LOST) throw error;
    }
    await pause(1, signal);
  }
}

/** The data of server-sent events. EventSource cannot send a key. */
async function* events(answer: Response): AsyncGenerator<string> {
  if (answer.body === null) return;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (text + value).split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const lines = block.split("\n").filter((line) => line.startsWith("data:"));
      if (lines.length > 0) yield lines.map((line) => line.slice(5).trim()).join("\n");
    }
  }
}

/** What there is of a picture; null where it has ended meanwhile. */
async function look(job: Job, signal: AbortSignal): Promise<ImageBitmap | null> {
  const answer = await ask(job.links.preview, { signal });
  return answer.status === 200 ? createImageBitmap(await answer.blob()) : null;
}

/** A picture on top of what was there before, which shows through where it is clear. */
function laid(bitmap: ImageBitmap, before: HTMLCanvasElement | null): HTMLCanvasElement {
  const { width, height } = bitmap;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const drawing = canvas.getContext("2d")!;
  if (before !== null) drawing.drawImage(before, 0, 0, width, height);
  drawing.drawImage(bitmap, 0, 0);
  return canvas;
}

/** @param query which picture, such as "sample=2" */
async function result(job: Job, query: string, signal: AbortSignal): Promise<Picture> {
  const answer = await ask(`${job.links.result}?${query}`, { signal });
  const said = (name: string): string => answer.headers.get(`SR4-${name}`) ?? "";
  return {
    data: await answer.blob(),
    model: said("Model"),
    backend: said("Backend"),
    version: said("Version"),
    seed: Number(said("Seed")),
    samples: Number(said("Samples")),
    detail: said("Detail"),
    evidence: said("Evidence"),
    scale: said("Scale"),
    consistency: Number(said("Consistency")),
    sha256: said("Input-SHA256"),
    settings: JSON.parse(said("Settings")),
    provenance: JSON.parse(said("Provenance")),
    notes: JSON.parse(said("Notes") || "[]"),
  };
}

async function map(job: Job, signal: AbortSignal): Promise<HeatMap> {
  const answer = await ask(`${job.links.result}?show=uncertainty`, { signal });
  const said = JSON.parse(answer.headers.get("SR4-Map")!) as { calibrated: boolean; most: number };
  return { data: await answer.blob(), isCalibrated: said.calibrated, most: said.most };
}

/** Draw a picture: a job that is done. One that is given up is cancelled at the service, too. */
async function finished(
  file: Blob,
  wish: Fields,
  signal: AbortSignal,
  tell: (job: Job) => void = () => undefined,
): Promise<Job> {
  let job = await start(file, wish, signal);
  try {
    tell(job);
    for await (job of follow(job, signal)) tell(job);
  } catch (error) {
    tidy(job);
    throw error;
  }
  if (job.state !== "done") throw new Refused(500, job.error ?? job.state, 1);
  return job;
}

async function fetched(job: Job, signal: AbortSignal): Promise<Drawn> {
  const numbers = Array.from({ length: job.samples }, (_, place) => `sample=${place + 1}`);
  const queries = numbers.length > 0 ? numbers : ["show=result"];
  const pictures = await Promise.all(queries.map((query) => result(job, query, signal)));
  return { pictures, uncertainty: job.uncertainty ? await map(job, signal) : null };
}

/** Cancel a job, or forget its result; it is forgotten in a few minutes anyway, so a refusal changes nothing. */
function tidy(job: Job): void {
  ask(job.links.self, { method: "DELETE", keepalive: true }).catch(() => undefined);
}

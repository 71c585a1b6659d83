/** The HTTP API of `sr4 serve`; its description is at /openapi.json. */

import type { Fields } from "./settings";

export interface Model {
  name: string;
  scale: number;
  parameters: number;
  licence: string;
  /** Whether `detail` may be other than 1. */
  has_detail: boolean;
}

export interface Models {
  default: string;
  names: string[];
  models: Model[];
}

export interface Job {
  state: "waiting" | "running" | "done" | "failed" | "cancelled";
  /** From 0 to 1. */
  share: number;
  seconds_left: number | null;
  /** Single samples that can be fetched. */
  samples: number;
  uncertainty: boolean;
  error: string | null;
  links: { self: string; events: string; result: string };
}

/** A picture of a result, and what its answer says of it. */
export interface Picture {
  data: Blob;
  model: string;
  backend: string;
  version: string;
  seed: number;
  samples: number;
  detail: string;
  evidence: string;
  scale: string;
  /** Mean squared difference, x 1e-5. */
  consistency: number;
  sha256: string;
  /** Fields of a request for the same picture. */
  settings: Record<string, unknown>;
  provenance: Record<string, unknown>;
  notes: string[];
}

/** What the server refuses or fails at, in its own line. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    detail: string,
    readonly retryAfter: number,
  ) {
    super(detail);
  }
}

/** There is no answer at all. */
export class Offline extends Error {}

/** The key that the server may ask for; in this tab's memory only. */
let key = "";

export function useKey(given: string): void {
  key = given;
}

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

export async function models(): Promise<Models> {
  return (await ask("/v1/models")).json();
}

/** Whether the server takes pictures at once; throws Offline where there is none. */
export async function isReady(): Promise<boolean> {
  try {
    await ask("/readyz");
    return true;
  } catch (error) {
    if (error instanceof Refused && error.status === 503) return false;
    throw error;
  }
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
export async function start(file: Blob, wish: Fields, signal: AbortSignal): Promise<Job> {
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
export async function* follow(job: Job, signal: AbortSignal): AsyncGenerator<Job> {
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

/** @param query which picture, such as "sample=2" or "show=uncertainty" */
export async function result(job: Job, query: string, signal: AbortSignal): Promise<Picture> {
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

/** Cancel a job, or forget its result. */
export async function forget(job: Job): Promise<void> {
  await ask(job.links.self, { method: "DELETE", keepalive: true });
}

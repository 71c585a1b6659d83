/** Files of the site, fetched once and kept by the browser. */

import { Refused } from "./config";
import type { SiteFile } from "./messages";

const STORE = "sr4";

/** Cache Storage, where the browser has it: not over plain HTTP from another machine. */
async function store(): Promise<Cache | null> {
  return "caches" in globalThis ? caches.open(STORE) : null;
}

/**
 * The bytes of a file, whole and as its checksum says.
 *
 * @param onBytes called with how many more have come
 */
export async function fetched(base: string, file: SiteFile, onBytes: (count: number) => void): Promise<Uint8Array<ArrayBuffer>> {
  const url = new URL(file.path, base).href;
  const kept = await store();
  const hit = await kept?.match(url);
  if (hit !== undefined) {
    const bytes = new Uint8Array(await hit.arrayBuffer());
    onBytes(bytes.length);
    return bytes;
  }
  const bytes = await downloaded(url, file, onBytes);
  await kept?.put(url, new Response(bytes)).catch((error: unknown) => {
    // A full disk only means that the file is fetched again next time.
    if (!(error instanceof DOMException && error.name === "QuotaExceededError")) throw error;
  });
  return bytes;
}

async function downloaded(url: string, file: SiteFile, onBytes: (count: number) => void): Promise<Uint8Array<ArrayBuffer>> {
  const answer = await fetch(url).catch(() => null);
  if (answer === null || !answer.ok || answer.body === null)
    throw new Refused(`got no ${file.path} (${answer?.status ?? "no answer"}); expected a file of this site: load the page again`);
  const bytes = new Uint8Array(file.bytes);
  let length = 0;
  const reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (length + value.length <= bytes.length) bytes.set(value, length);
    length += value.length;
    onBytes(value.length);
  }
  if (length !== file.bytes || !(await isAsSaid(bytes, file.sha256)))
    throw new Refused(`got another ${file.path} than this site was made with; expected ${file.bytes} bytes: export it again`);
  return bytes;
}

async function isAsSaid(bytes: Uint8Array<ArrayBuffer>, sha256: string): Promise<boolean> {
  const found = await sha256Of(bytes);
  return found === null || found === sha256;
}

/** A checksum in hexadecimal digits; null over plain HTTP from another machine, where browsers give none. */
export async function sha256Of(bytes: BufferSource): Promise<string | null> {
  if (globalThis.crypto?.subtle === undefined) return null;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Let go of what earlier versions of the site have left. */
export async function forgetOthers(base: string, paths: readonly string[]): Promise<void> {
  const kept = await store();
  const wanted = new Set(paths.map((path) => new URL(path, base).href));
  for (const request of (await kept?.keys()) ?? [])
    if (request.url.startsWith(base) && !wanted.has(request.url)) await kept?.delete(request);
}

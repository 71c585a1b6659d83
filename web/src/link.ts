/** Links that hold settings, and say which picture they were made with. */

import { fields, type Settings } from "./settings";

export interface Wanted {
  settings: URLSearchParams;
  /** Of the picture's file. */
  sha256: string;
  name: string;
}

/** The part of an address after "#". */
export function write(settings: Settings, sha256: string, name: string): string {
  const { uncertainty: _, ...kept } = fields(settings);
  const found = new URLSearchParams({ ...kept, format: settings.format, sha256, name });
  return found.toString();
}

/** What a link asks for; null where the address has no such part. */
export function read(hash: string): Wanted | null {
  const settings = new URLSearchParams(hash.replace(/^#/, ""));
  const sha256 = settings.get("sha256") ?? "";
  if (!/^[0-9a-f]{64}$/.test(sha256)) return null;
  return { settings, sha256, name: (settings.get("name") ?? "").slice(0, 100) };
}

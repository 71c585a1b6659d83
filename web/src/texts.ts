/** Every word of the page, in the language that was chosen. */

import de from "../texts/de.json";
import en from "../texts/en.json";

export type Key = keyof typeof en;
export type Language = "en" | "de";

const TABLES: Record<Language, Record<Key, string>> = { en, de };
const KEPT = "sr4-language";

let current: Language = first();

function first(): Language {
  const kept = localStorage.getItem(KEPT);
  if (kept === "en" || kept === "de") return kept;
  return navigator.language.toLowerCase().startsWith("de") ? "de" : "en";
}

export function language(): Language {
  return current;
}

export function setLanguage(chosen: Language): void {
  current = chosen;
  localStorage.setItem(KEPT, chosen);
}

let kind = "";

/** Say things as they are where pictures are drawn; see `Backend`. */
export function setKind(given: string): void {
  kind = given;
}

/** The text of a key, with `{name}` replaced by the values. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  const table: Record<string, string> = TABLES[current];
  const text = table[`${key}_${kind}`] ?? TABLES[current][key];
  return text.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name]));
}

/** A number as people of the language write it. */
export function number(value: number, digits = 0): string {
  const places = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return value.toLocaleString(current, places);
}

/**
 * Fill what the HTML leaves to the language: `data-text` names the key of an element's text,
 * `data-label` that of its aria-label.
 */
export function translate(root: ParentNode): void {
  for (const one of root.querySelectorAll<HTMLElement>("[data-text]")) {
    one.textContent = t(one.dataset.text as Key);
  }
  for (const one of root.querySelectorAll<HTMLElement>("[data-label]")) {
    const label = t(one.dataset.label as Key);
    one.setAttribute("aria-label", label);
    if (one.matches("button.icon")) one.title = label;
  }
}

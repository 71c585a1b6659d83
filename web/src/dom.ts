/** Small helpers for elements. */

/** The one element with an id. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no element ${id}`);
  return found as T;
}

type Child = Node | string;

/** A new element with properties and children. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Offer a file to the browser's downloads. */
export function save(data: Blob, name: string): void {
  const link = make("a", { href: URL.createObjectURL(data), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // once it is surely read
}

let clearing: ReturnType<typeof setTimeout> | undefined;

/** Tell screen readers; whoever sees reads the same in a line that goes again. */
export function say(text: string, isShown = false): void {
  byId("live").textContent = text;
  const toast = byId("toast");
  toast.textContent = text;
  toast.hidden = !isShown;
  clearTimeout(clearing);
  if (isShown) clearing = setTimeout(() => (toast.hidden = true), 5000);
}

/** Whether a text could be put on the clipboard; some browsers do not let pages write to it. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // the caller shows the text instead
  }
}

/** How pictures come in: chosen, taken, dropped, pasted, or as an example. */

import { byId, say } from "./dom";
import { t } from "./texts";

export const EXAMPLES: Record<string, string> = {
  astronaut: "astronaut.png",
  coffee: "coffee.jpg",
  chelsea: "chelsea.png",
};

export async function example(name: string): Promise<File> {
  const answer = await fetch(`examples/${name}`);
  const data = await answer.blob();
  return new File([data], name, { type: data.type });
}

/** Open the browser's choice of files. */
export function choose(): void {
  byId("files").click();
}

/**
 * @param accept kinds of files that can be chosen
 * @param take called with the files of a person
 */
export function startIntake(accept: string, take: (files: File[]) => void): void {
  byId<HTMLInputElement>("files").accept = accept;
  for (const id of ["files", "photo"]) {
    const input = byId<HTMLInputElement>(id);
    input.addEventListener("change", () => {
      if (input.files?.length) take([...input.files]);
      input.value = ""; // so that the same file can be chosen again
    });
  }
  const each = (selector: string, act: (element: HTMLElement) => void): void => {
    for (const one of document.querySelectorAll<HTMLElement>(selector)) {
      one.addEventListener("click", () => act(one));
    }
  };
  each(".choose", choose);
  each(".take", () => byId("photo").click());
  each("[data-example]", async (one) => take([await example(EXAMPLES[one.dataset.example!]!)]));
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length > 0) take(files);
  });
  startDropping(take);
}

function startDropping(take: (files: File[]) => void): void {
  const veil = byId("veil");
  let within = 0; // elements that the pointer has entered and not left
  const holdsFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;
  const show = (): void => {
    veil.hidden = within <= 0;
  };
  document.addEventListener("dragenter", (event) => {
    if (holdsFiles(event)) within += 1;
    show();
  });
  document.addEventListener("dragleave", (event) => {
    if (holdsFiles(event)) within -= 1;
    show();
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    within = 0;
    show();
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length > 0) take(files);
    else say(t("not_pictures"), true);
  });
}

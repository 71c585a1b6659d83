/** The pictures of the session, as thumbnails with their states. */

import { Offline, Refused } from "./backends/backend";
import { byId, make } from "./dom";
import { icon } from "./icons";
import { hasEnded, shown, type Run, type Session } from "./session";
import { number, t } from "./texts";

/** What a run is at, in words. */
export function stateText(run: Run): string {
  const percent = number(Math.floor(run.share * 100)); // not all of it while something is left
  if (run.state !== "running") return t(`state_${run.state}`, { percent });
  if (run.share === 1) return t("state_finishing"); // all is drawn, and put into its file
  if (run.secondsLeft === null || run.secondsLeft < 1) return t("state_running", { percent });
  return t("state_running_left", { percent, seconds: number(run.secondsLeft) });
}

/** Why a run has no result, in a line. */
export function errorText(error: unknown): string {
  if (error instanceof Offline) return t("error_offline");
  if (error instanceof Refused && error.status === 404) return t("error_lost");
  const said = error instanceof Error ? error.message : String(error);
  return said.charAt(0).toUpperCase() + said.slice(1);
}

/** Draws the strip; what has not changed stays, so that the focus does. */
export class Strip {
  private readonly list = byId("strip");
  private readonly items = new Map<Run, HTMLLIElement>();

  constructor(
    private readonly session: Session,
    private readonly add: () => void,
    private readonly look: () => void,
  ) {
    this.list.append(make("li", { className: "more" }));
  }

  draw(): void {
    const more = this.list.firstElementChild!;
    const button = make("button", { type: "button", className: "add" }, icon("plus"), make("span", {}, t("add")));
    button.addEventListener("click", this.add);
    if (more.textContent !== t("add")) more.replaceChildren(button);
    for (const [run, item] of this.items) {
      if (this.session.runs.includes(run)) continue;
      item.remove();
      this.items.delete(run);
    }
    this.session.runs.forEach((run, place) => {
      const item = this.items.get(run) ?? this.item(run);
      this.update(run, item);
      const there = this.list.children[place + 1];
      if (there !== item) this.list.insertBefore(item, there ?? null);
    });
  }

  private item(run: Run): HTMLLIElement {
    const thumb = make("img", { alt: "", src: run.url, draggable: false });
    thumb.addEventListener("error", () => (thumb.hidden = true));
    const open = make(
      "button",
      { type: "button", className: "open" },
      make("span", { className: "blank" }, icon("picture")),
      thumb,
      make("span", { className: "name" }, run.file.name),
      make("span", { className: "state" }),
      make("progress", { max: 1 }),
    );
    open.addEventListener("click", () => {
      this.session.select(run);
      this.look();
    });
    const close = make("button", { type: "button", className: "icon close" }, icon("close"));
    close.addEventListener("click", () => {
      if (hasEnded(run)) this.session.remove(run);
      else this.session.cancel(run);
    });
    const item = make("li", {}, open, close);
    this.items.set(run, item);
    return item;
  }

  private update(run: Run, item: HTMLLIElement): void {
    const { name } = run.file;
    item.className = run.state;
    const open = item.querySelector<HTMLButtonElement>(".open")!;
    open.setAttribute("aria-current", String(run === this.session.selected));
    const thumb = open.querySelector("img")!;
    const source = shown(run)?.url ?? run.url;
    if (thumb.src !== source) {
      thumb.hidden = false;
      thumb.src = source;
    }
    item.querySelector(".state")!.textContent = stateText(run);
    const progress = item.querySelector("progress")!;
    progress.hidden = hasEnded(run);
    if (run.share > 0) progress.value = run.share;
    else progress.removeAttribute("value");
    progress.setAttribute("aria-hidden", "true"); // the button says it
    const close = item.querySelector(".close")!;
    close.setAttribute("aria-label", t(hasEnded(run) ? "remove_named" : "cancel_named", { name }));
  }
}

/** The picture that is looked at: its state, and what can be done with its result. */

import type { HeatMap } from "./backends/backend";
import { byId, copy, make, save, say } from "./dom";
import * as link from "./link";
import { choices, formats } from "./panel";
import { promised } from "./promise";
import { hasEnded, shown, type Run, type Session, type Shown } from "./session";
import { errorText, stateText } from "./strip";
import { number, t } from "./texts";
import { Viewer } from "./viewer";

const GUESSED = 8; // times as large as its picture, until the result says how large it is

export class Work {
  private readonly viewer = new Viewer();
  private readonly format = byId<HTMLSelectElement>("download-format");
  private showsUncertainty = false;
  private seen: Run | null = null;

  constructor(
    private readonly session: Session,
    open: (run: Run) => void,
  ) {
    const on = (id: string, act: (run: Run) => void): void =>
      byId(id).addEventListener("click", () => this.session.selected && act(this.session.selected));
    on("cancel", (run) => session.cancel(run));
    on("retry", (run) => {
      session.remove(run);
      session.add([run.file], run.settings);
    });
    on("download", (run) => void this.download(run));
    on("link", (run) => void this.link(run));
    on("details", open);
    on("uncertainty", () => {
      this.showsUncertainty = !this.showsUncertainty;
      this.draw();
    });
  }

  draw(): void {
    const run = this.session.selected;
    document.body.dataset.view = run === null ? "empty" : "work";
    byId("hero").hidden = run !== null;
    byId("work").hidden = run === null;
    if (run === null) return;
    const { takes } = this.session.backend;
    if (run !== this.seen) choices(this.format, formats(takes), run.settings.format);
    this.format.hidden = takes.formats.length < 2;
    this.seen = run;
    byId("title").textContent = run.file.name;
    byId("facts").textContent = facts(run);
    this.drawState(run);
    this.drawView(run);
    const picture = shown(run);
    byId("outcome").hidden = picture === null;
    byId("tools").hidden = run.given === null && picture === null;
    if (picture !== null) this.drawOutcome(run, picture);
  }

  private drawState(run: Run): void {
    byId("status").hidden = hasEnded(run);
    byId("status-text").textContent = stateText(run);
    const progress = byId<HTMLProgressElement>("progress");
    if (run.share > 0) progress.value = run.share;
    else progress.removeAttribute("value");
    const isLost = run.state === "failed" || run.state === "cancelled";
    byId("ended").hidden = !isLost;
    byId("ended").classList.toggle("alarm", run.state === "failed");
    byId("ended-title").textContent = t(run.state === "failed" ? "failed_title" : "cancelled_title");
    byId("ended-text").textContent = run.state === "failed" ? errorText(run.error) : "";
  }

  private drawView(run: Run): void {
    const { result, given, emerging } = run;
    const map = result?.uncertainty ?? null;
    const isShown = map !== null && this.showsUncertainty;
    byId("uncertainty").hidden = map === null;
    byId("uncertainty").setAttribute("aria-pressed", String(isShown));
    byId("scale").hidden = !isShown;
    if (map !== null) drawScale(map);
    byId("unseen").hidden = given !== null || result !== null || hasEnded(run);
    if (given === null && result === null) {
      this.viewer.show(null);
      return;
    }
    this.viewer.show({
      before: given === null ? null : run.url,
      after: shown(run)?.url ?? null,
      uncertainty: isShown ? map.url : null,
      emerging,
      width: result?.width ?? emerging?.width ?? given!.width * GUESSED,
      height: result?.height ?? emerging?.height ?? given!.height * GUESSED,
    });
  }

  private drawOutcome(run: Run, picture: Shown): void {
    const { sentence, isHeld } = promised(picture.consistency, picture.evidence);
    byId("promise").classList.toggle("free", !isHeld);
    byId("promise-text").textContent = sentence;
    byId("notes").replaceChildren(...picture.notes.map((note) => make("li", {}, note)));
    const { pictures } = run.result!;
    byId("link").hidden = picture.sha256 === ""; // it says which picture it was made with
    byId("samples").hidden = pictures.length < 2;
    const grid = byId("grid");
    if (grid.childElementCount !== pictures.length || grid.dataset.run !== String(run.id)) {
      grid.dataset.run = String(run.id);
      grid.replaceChildren(...pictures.map((one, place) => this.sample(run, one, place)));
    }
    [...grid.children].forEach((cell, place) => {
      cell.setAttribute("aria-pressed", String(place === run.chosen));
      cell.setAttribute("aria-label", t("sample_named", { number: place + 1 }));
    });
  }

  private sample(run: Run, picture: Shown, place: number): HTMLElement {
    const image = make("img", { src: picture.url, alt: "", draggable: false });
    const cell = make("button", { type: "button" }, image, make("span", {}, String(place + 1)));
    cell.addEventListener("click", () => this.session.choose(run, place));
    return cell;
  }

  private async download(run: Run): Promise<void> {
    const button = byId<HTMLButtonElement>("download");
    const problem = byId("download-error");
    const format = this.format.value;
    problem.hidden = true;
    button.setAttribute("aria-busy", "true");
    say(t("downloading"));
    try {
      const several = run.result!.pictures.length > 1 ? `_${run.chosen + 1}` : "";
      const stem = run.file.name.replace(/\.[^.]*$/, "");
      save(await this.session.saved(run, format), `${stem}_sr4${several}.${format}`);
    } catch (error) {
      problem.textContent = errorText(error);
      problem.hidden = false;
    } finally {
      button.removeAttribute("aria-busy");
    }
  }

  private async link(run: Run): Promise<void> {
    const picture = shown(run)!;
    const model = picture.model; // not "auto", which other versions may understand otherwise
    const hash = link.write({ ...run.settings, model, format: this.format.value }, picture.sha256, run.file.name);
    history.replaceState(null, "", `#${hash}`);
    say(t((await copy(location.href)) ? "link_copied" : "link_shown"), true);
  }
}

function drawScale(map: HeatMap): void {
  const legend = map.isCalibrated ? t("uncertainty_interval") : t("uncertainty_legend");
  byId("scale-legend").textContent = legend;
  const numbers = [0, 1, 2, 3].map((part) => number((map.most * part) / 4));
  const ticks = [...numbers, t("uncertainty_more", { levels: map.most })];
  byId("scale-ticks").replaceChildren(...ticks.map((text) => make("span", {}, text)));
}

function facts(run: Run): string {
  const sides = (size: { width: number; height: number }): string => `${size.width} × ${size.height}`;
  const { given, result } = run;
  const picture = shown(run);
  if (result === null || picture === null) return given === null ? "" : sides(given);
  const size = given === null ? sides(result) : t("size_change", { from: sides(given), to: sides(result) });
  return [size, picture.model, `${t("seed")} ${number(picture.seed)}`].join("  ·  ");
}

/** The form of the settings. */

import type { Backend, Model, Models, Takes } from "./backends/backend";
import { byId, make } from "./dom";
import { icon } from "./icons";
import { defaults, MOST_SAMPLES, readSettings, type Settings, type SizeBy } from "./settings";
import { number, t, type Key } from "./texts";

const MOST_SEED = 999_999; // that the dice throw

export class Panel {
  settings: Settings;
  private models: Models;
  private readonly form = byId<HTMLFormElement>("form");

  /** @param again called to draw the picture that is looked at with these settings */
  constructor(
    private readonly backend: Backend,
    private readonly again: () => void,
  ) {
    this.settings = defaults(backend.takes);
    const { model } = this.settings;
    this.models = { default: model, names: [model], models: [] };
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.form.reportValidity()) this.again();
    });
  }

  /** The models that there are to choose from. */
  offer(models: Models): void {
    this.models = models;
    if (!models.names.includes(this.settings.model)) this.settings.model = models.default;
    this.draw();
  }

  /** Take the settings of a link, as far as they can be chosen here. */
  fill(given: URLSearchParams): void {
    const settings = readSettings(given, this.settings, this.backend.takes);
    const isKnown = this.models.models.length === 0 || this.models.names.includes(settings.model);
    this.settings = { ...settings, model: isKnown ? settings.model : this.models.default };
    this.draw();
  }

  /** @param hasPicture whether there is one to draw again */
  enable(hasPicture: boolean): void {
    byId("again").hidden = !hasPicture;
    byId("settings-hint").textContent = t(hasPicture ? "again_hint" : "settings_hint");
  }

  /** Build the form anew, in the present language. */
  draw(): void {
    const isAt = document.activeElement?.id ?? "";
    const { takes, limits } = this.backend;
    this.form.replaceChildren(
      this.model(),
      ...(this.hasDetail() ? [this.detail()] : []),
      this.samples(),
      ...(takes.sizes.length > 1 ? [this.size()] : []),
      ...(takes.evidence.length > 1 ? [this.evidence()] : []),
      this.seed(),
      ...(takes.formats.length > 1 ? [this.format()] : []),
      make("button", { id: "again", className: "primary wide" }, icon("again"), t("again")),
      make("p", { id: "settings-hint", className: "quiet" }),
      ...(limits === null ? [] : [make("p", { className: "hint" }, t(limits))]),
    );
    if (isAt !== "") document.getElementById(isAt)?.focus();
  }

  private model(): HTMLElement {
    const names = this.models.names.map((name): [string, string] => [
      name,
      name === "auto" ? t("model_auto") : name,
    ]);
    const about = this.models.models.find((one) => one.name === this.settings.model);
    const hint =
      about === undefined
        ? t("model_auto_about")
        : t("model_about", { scale: about.scale, parameters: number(about.parameters / 1e6) });
    const field = select("model", "model", names, this.settings.model, (value) => {
      this.settings.model = value;
      this.draw();
    });
    field.append(make("p", { className: "hint" }, hint));
    return field;
  }

  /** The models that may draw: automatic may take any of them. */
  private asked(): readonly Model[] {
    const { models } = this.models;
    const meant = models.filter(({ name }) => name === this.settings.model);
    return meant.length > 0 ? meant : models;
  }

  private hasDetail(): boolean {
    const asked = this.asked();
    return asked.length > 0 && asked.every((one) => one.has_detail);
  }

  private detail(): HTMLElement {
    const { detail } = this.settings;
    const said = make("output", {}, detail === null ? t("detail_own") : number(detail, 2));
    const asked = this.asked();
    const own = asked.reduce((sum, one) => sum + one.detail, 0) / asked.length;
    const range = make("input", {
      type: "range",
      id: "detail",
      min: "0",
      max: "1",
      step: "0.05",
      value: String(detail ?? own),
    });
    range.addEventListener("input", () => {
      this.settings.detail = Number(range.value);
      said.textContent = number(this.settings.detail, 2);
    });
    const label = make("label", { htmlFor: "detail" }, t("detail"));
    const ends = make("div", { className: "ends hint" }, make("span", {}, t("detail_soft")), make("span", {}, t("detail_sharp")));
    return make("div", { className: "field" }, make("div", { className: "labelled" }, label, said), range, ends);
  }

  private samples(): HTMLElement {
    const cells = Array.from({ length: MOST_SAMPLES }, (_, place) => {
      const value = String(place + 1);
      const input = make("input", {
        type: "radio",
        name: "samples",
        id: `samples-${value}`,
        value,
        checked: place + 1 === this.settings.samples,
      });
      input.addEventListener("change", () => (this.settings.samples = place + 1));
      return make("label", {}, input, make("span", {}, value));
    });
    const legend = make("legend", {}, t("samples"));
    const hint = make("p", { className: "hint" }, t("samples_hint"));
    return make("fieldset", { className: "field" }, legend, make("div", { className: "cells" }, ...cells), hint);
  }

  private size(): HTMLElement {
    const kinds = this.backend.takes.sizes.map((kind): [string, string] => [kind, t(`size_${kind}`)]);
    const field = select("size", "size-by", kinds, this.settings.sizeBy, (value) => {
      this.settings.sizeBy = value as SizeBy;
      this.settings.size = value === "width" ? 1024 : 4;
      this.draw();
    });
    if (this.settings.sizeBy === "model") return field;
    const isWidth = this.settings.sizeBy === "width";
    const value = numeric("size-value", this.settings.size, isWidth ? 1 : 0.1, (size) => (this.settings.size = size));
    value.step = isWidth ? "1" : "any";
    value.setAttribute("aria-label", t("size_value"));
    field.append(value);
    return field;
  }

  private evidence(): HTMLElement {
    const kinds = this.backend.takes.evidence.map((name): [string, string] => [name, t(`evidence_${name}` as Key)]);
    return select("evidence", "evidence", kinds, this.settings.evidence, (value) => (this.settings.evidence = value));
  }

  private seed(): HTMLElement {
    const value = numeric("seed", this.settings.seed, 0, (seed) => (this.settings.seed = seed));
    const dice = make("button", { type: "button", className: "icon", title: t("seed_dice") }, icon("dice"));
    dice.setAttribute("aria-label", t("seed_dice"));
    dice.addEventListener("click", () => {
      this.settings.seed = Math.floor(Math.random() * MOST_SEED);
      value.value = String(this.settings.seed);
    });
    const label = make("label", { htmlFor: "seed" }, t("seed"));
    return make("div", { className: "field" }, label, make("div", { className: "beside" }, value, dice));
  }

  private format(): HTMLElement {
    return select("format", "format", formats(this.backend.takes), this.settings.format, (value) => (this.settings.format = value));
  }
}

/** The formats of results, as choices. */
export function formats(takes: Takes): [string, string][] {
  return takes.formats.map((name) => [name, name === "npy" ? "NumPy" : name.toUpperCase()]);
}

/** Fill a select with choices. */
export function choices(element: HTMLSelectElement, all: [string, string][], chosen: string): void {
  element.replaceChildren(...all.map(([value, text]) => make("option", { value }, text)));
  element.value = chosen;
}

function select(
  key: Key,
  id: string,
  all: [string, string][],
  chosen: string,
  change: (value: string) => void,
): HTMLElement {
  const element = make("select", { id });
  choices(element, all, chosen);
  element.addEventListener("change", () => change(element.value));
  return make("div", { className: "field" }, make("label", { htmlFor: id }, t(key)), element);
}

function numeric(id: string, value: number, least: number, change: (value: number) => void): HTMLInputElement {
  const input = make("input", { type: "number", id, value: String(value), min: String(least), step: "1", required: true });
  input.inputMode = "decimal";
  input.addEventListener("input", () => {
    if (input.checkValidity()) change(Number(input.value));
  });
  return input;
}

/** Before and after under one slider, with zoom and pan. */

import "img-comparison-slider";
import type { HTMLImgComparisonSliderElement } from "img-comparison-slider";

import { byId } from "./dom";
import { number, t } from "./texts";

interface Point {
  x: number;
  y: number;
}

export interface View {
  before: string | null;
  after: string | null;
  uncertainty: string | null;
  /** Rows of the result that are there already; laid over the picture before. */
  emerging: HTMLCanvasElement | null;
  /** Of the result, in its own pixels. */
  width: number;
  height: number;
}

const THIN = 64; // pixels in height, in which its labels would hide a picture
const STEP = 1.25; // a key, or a notch of the wheel
const MOST = 32; // screen pixels a pixel
const MOST_FITTED = 6; // small pictures are not blown up further to fit
const REVEAL = 900; // milliseconds
const SLIDE = 2; // percent, a key
const MOVE = 60; // pixels, a key

export class Viewer {
  private readonly frame = byId("viewer");
  private readonly slider = byId<HTMLImgComparisonSliderElement>("slider");
  private readonly before = byId<HTMLImageElement>("before");
  private readonly after = byId<HTMLImageElement>("after");
  private readonly heat = byId<HTMLImageElement>("heat");
  private readonly zoomed = byId("zoom-now");
  private view: View | null = null;
  /** Screen pixels a pixel of the result; null while it fits the frame. */
  private scale: number | null = null;
  /** The place of the result that lies in the middle of the frame, from 0 to 1. */
  private middle: Point = { x: 0.5, y: 0.5 };
  private readonly pointers = new Map<number, Point>();

  constructor() {
    new ResizeObserver(() => this.lay()).observe(this.frame);
    this.frame.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.frame.addEventListener("keydown", (event) => this.key(event));
    this.frame.addEventListener("pointerdown", (event) => this.grab(event), { capture: true });
    this.frame.addEventListener("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel"] as const) {
      this.frame.addEventListener(name, (event) => this.pointers.delete(event.pointerId));
    }
    const pinching = (event: Event): void => {
      if (this.pointers.size > 1) event.stopPropagation(); // the slider would follow one finger
    };
    this.frame.addEventListener("touchmove", pinching, { capture: true });
    this.slider.addEventListener("slide", () => this.tell());
    byId("zoom-in").addEventListener("click", () => this.zoomBy(STEP));
    byId("zoom-out").addEventListener("click", () => this.zoomBy(1 / STEP));
    byId("fit").addEventListener("click", () => this.zoomTo(null));
    byId("one-to-one").addEventListener("click", () => this.zoomTo(1 / devicePixelRatio));
  }

  /** Show pictures; the zoom stays where they are of the same size. */
  show(view: View | null): void {
    const before = this.view;
    if (view === null || before?.width !== view.width || before.height !== view.height) {
      this.scale = null;
      this.middle = { x: 0.5, y: 0.5 };
    }
    this.view = view;
    this.slider.hidden = view === null;
    if (view === null) return;
    put(this.before, view.before);
    put(this.after, view.after);
    put(this.heat, view.uncertainty);
    if (before?.emerging !== view.emerging) before?.emerging?.remove();
    if (view.emerging !== null && !view.emerging.isConnected) this.before.after(view.emerging);
    this.frame.classList.toggle("uncertain", view.uncertainty !== null);
    this.frame.classList.toggle("single", view.before === null || view.after === null);
    if (view.after === null) this.slider.value = 100;
    else if (view.before === null) this.slider.value = 0;
    else if (this.slider.value === 100 && before?.after === null) this.reveal();
    else if (before === null || before.before === null) this.slider.value = 50;
    this.lay();
  }

  /** Draw the slider over a result that has just come. */
  private reveal(): void {
    const whole = matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : REVEAL;
    const began = performance.now();
    const step = (now: number): void => {
      const share = whole === 0 ? 1 : Math.min(1, Math.max(0, now - began) / whole);
      this.slider.value = 100 - 50 * (1 - (1 - share) ** 3);
      this.tell();
      if (share < 1 && this.view?.after !== null) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  /** Words of the present language. */
  tell(): void {
    const percent = Math.round(this.slider.value);
    this.slider.setAttribute("aria-valuenow", String(percent));
    this.slider.setAttribute("aria-valuetext", t("compare_value", { percent }));
    this.zoomed.textContent = `${number(this.present * devicePixelRatio * 100)} %`;
  }

  private get fitted(): number {
    if (this.view === null) return 1;
    const { clientWidth, clientHeight } = this.frame;
    const whole = Math.min(clientWidth / this.view.width, clientHeight / this.view.height);
    return Math.min(MOST_FITTED, whole);
  }

  private get present(): number {
    return this.scale ?? this.fitted;
  }

  /** Place the pictures, and the slider over the part of them that is seen. */
  private lay(): void {
    if (this.view === null) return;
    const { clientWidth, clientHeight } = this.frame;
    const width = this.view.width * this.present;
    const height = this.view.height * this.present;
    const across = place(clientWidth, width, this.middle.x);
    const down = place(clientHeight, height, this.middle.y);
    this.middle = { x: across.middle, y: down.middle };
    Object.assign(this.slider.style, {
      left: `${across.seen}px`,
      top: `${down.seen}px`,
      width: `${across.length}px`,
      height: `${down.length}px`,
    });
    for (const pane of this.slider.querySelectorAll<HTMLElement>(".pane")) {
      pane.style.height = `${down.length}px`;
    }
    const { emerging } = this.view;
    for (const image of [this.before, this.after, this.heat, ...(emerging === null ? [] : [emerging])]) {
      image.style.width = `${width}px`;
      image.style.height = `${height}px`;
      image.style.transform = `translate(${across.start - across.seen}px, ${down.start - down.seen}px)`;
    }
    const isLarger = width > clientWidth + 1 || height > clientHeight + 1;
    this.frame.classList.toggle("larger", isLarger);
    this.frame.classList.toggle("thin", down.length < THIN);
    this.frame.classList.toggle("blocks", this.present * devicePixelRatio >= 8);
    this.slider.handle = isLarger; // elsewhere a drag moves the picture
    byId("fit").setAttribute("aria-pressed", String(this.scale === null));
    this.tell();
  }

  /** @param at the point of the frame that stays where it is; its middle by default */
  private zoomTo(scale: number | null, at?: Point): void {
    if (this.view === null) return;
    const before = this.present;
    this.scale = scale === null ? null : Math.min(MOST, scale);
    if (at !== undefined && this.scale !== null) {
      const { width, height } = this.view;
      const { clientWidth, clientHeight } = this.frame;
      const by = 1 / before - 1 / this.scale;
      this.middle.x += ((at.x - clientWidth / 2) * by) / width;
      this.middle.y += ((at.y - clientHeight / 2) * by) / height;
    }
    this.lay();
  }

  private zoomBy(factor: number, at?: Point): void {
    const next = this.present * factor;
    this.zoomTo(next > this.fitted ? next : null, at); // which is as far out as it goes
  }

  private move(x: number, y: number): void {
    if (this.view === null) return;
    this.middle.x -= x / (this.view.width * this.present);
    this.middle.y -= y / (this.view.height * this.present);
    this.lay();
  }

  private wheel(event: WheelEvent): void {
    if (this.view === null || event.deltaY === 0) return;
    if (event.deltaY > 0 && this.scale === null) return; // the page scrolls on
    event.preventDefault();
    const notch = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? event.deltaY / 100 : event.deltaY / 3;
    this.zoomBy(STEP ** -Math.max(-3, Math.min(3, notch)), this.within(event));
  }

  private key(event: KeyboardEvent): void {
    const actions: Record<string, () => void> = {
      "+": () => this.zoomBy(STEP),
      "=": () => this.zoomBy(STEP),
      "-": () => this.zoomBy(1 / STEP),
      "0": () => this.zoomTo(null),
      "1": () => this.zoomTo(1 / devicePixelRatio),
      ...(event.shiftKey ? this.moves() : this.slides()),
    };
    const action = actions[event.key];
    if (action === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  }

  private moves(): Record<string, () => void> {
    return {
      ArrowLeft: () => this.move(MOVE, 0),
      ArrowRight: () => this.move(-MOVE, 0),
      ArrowUp: () => this.move(0, MOVE),
      ArrowDown: () => this.move(0, -MOVE),
    };
  }

  private slides(): Record<string, () => void> {
    const slide = (value: number) => (): void => {
      this.slider.value = Math.max(0, Math.min(100, value));
      this.tell();
    };
    const now = this.slider.value;
    return {
      ArrowLeft: slide(now - SLIDE),
      ArrowRight: slide(now + SLIDE),
      PageDown: slide(now - 10),
      PageUp: slide(now + 10),
      Home: slide(0),
      End: slide(100),
    };
  }

  private grab(event: PointerEvent): void {
    const isHandle = event.composedPath().some((one) => one instanceof Element && one.slot === "handle");
    const handle = this.slider.querySelector(".handle")!.getBoundingClientRect();
    const isOnHandle = inside(handle, event);
    if (isHandle || (isOnHandle && this.pointers.size === 0)) return;
    this.pointers.set(event.pointerId, this.within(event));
    if (this.pointers.size > 1) this.slider.handle = true;
  }

  private drag(event: PointerEvent): void {
    const before = this.pointers.get(event.pointerId);
    if (before === undefined || event.buttons === 0) return;
    const now = this.within(event);
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.pointers.set(event.pointerId, now);
    if (other !== undefined) {
      this.zoomBy(apart(now, other) / Math.max(1, apart(before, other)), {
        x: (now.x + other.x) / 2,
        y: (now.y + other.y) / 2,
      });
    } else if (this.frame.classList.contains("larger")) {
      this.move(now.x - before.x, now.y - before.y);
    }
  }

  private within(event: MouseEvent): Point {
    const { left, top } = this.frame.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }
}

function put(image: HTMLImageElement, source: string | null): void {
  image.hidden = source === null;
  if (source === null) image.removeAttribute("src");
  else if (image.src !== source) image.src = source;
}

function apart(one: Point, other: Point): number {
  return Math.hypot(one.x - other.x, one.y - other.y);
}

function inside(box: DOMRect, { clientX, clientY }: MouseEvent): boolean {
  return clientX >= box.left && clientX <= box.right && clientY >= box.top && clientY <= box.bottom;
}

/** Where a picture lies along one side of the frame: its start, and the part that is seen. */
function place(frame: number, length: number, middle: number) {
  if (length <= frame) {
    const start = (frame - length) / 2;
    return { start, seen: start, length, middle: 0.5 };
  }
  const start = Math.max(frame - length, Math.min(0, frame / 2 - middle * length));
  return { start, seen: 0, length: frame, middle: (frame / 2 - start) / length };
}

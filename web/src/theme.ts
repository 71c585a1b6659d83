/** Light or dark: as the system has it, until somebody chooses. */

import { icon } from "./icons";
import { t } from "./texts";

const KEPT = "sr4-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

function isDark(): boolean {
  const kept = localStorage.getItem(KEPT);
  return kept === null ? system.matches : kept === "dark";
}

export function drawTheme(button: HTMLElement): void {
  const dark = isDark();
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  button.replaceChildren(icon(dark ? "sun" : "moon"));
  const label = t(dark ? "theme_light" : "theme_dark");
  button.setAttribute("aria-label", label);
  button.title = label;
}

export function startTheme(button: HTMLElement): void {
  button.addEventListener("click", () => {
    localStorage.setItem(KEPT, isDark() ? "light" : "dark");
    drawTheme(button);
  });
  system.addEventListener("change", () => drawTheme(button));
  drawTheme(button);
}

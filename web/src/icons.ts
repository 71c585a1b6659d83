/** The icons in use, as new elements. */

import camera from "lucide-static/icons/camera.svg";
import check from "lucide-static/icons/check.svg";
import compare from "lucide-static/icons/chevrons-left-right.svg";
import dice from "lucide-static/icons/dices.svg";
import download from "lucide-static/icons/download.svg";
import picture from "lucide-static/icons/image-plus.svg";
import info from "lucide-static/icons/info.svg";
import layers from "lucide-static/icons/layers.svg";
import link from "lucide-static/icons/link.svg";
import fit from "lucide-static/icons/maximize.svg";
import minus from "lucide-static/icons/minus.svg";
import moon from "lucide-static/icons/moon.svg";
import plus from "lucide-static/icons/plus.svg";
import again from "lucide-static/icons/rotate-cw.svg";
import sun from "lucide-static/icons/sun.svg";
import alert from "lucide-static/icons/triangle-alert.svg";
import offline from "lucide-static/icons/unplug.svg";
import close from "lucide-static/icons/x.svg";

const ICONS = {
  again,
  alert,
  camera,
  check,
  close,
  compare,
  dice,
  download,
  fit,
  info,
  layers,
  link,
  minus,
  moon,
  offline,
  picture,
  plus,
  sun,
};

export type Icon = keyof typeof ICONS;

export function icon(name: Icon): Element {
  const svg = new DOMParser().parseFromString(ICONS[name], "image/svg+xml").documentElement;
  svg.setAttribute("aria-hidden", "true");
  return document.importNode(svg, true);
}

/** Put icons where the HTML has `data-icon`. */
export function drawIcons(root: ParentNode): void {
  for (const one of root.querySelectorAll<HTMLElement>("[data-icon]")) {
    one.prepend(icon(one.dataset.icon as Icon));
    delete one.dataset.icon;
  }
}

/** What a result promises, in one plain sentence, as `consistency_in_words` of the package has it. */

import { number, t, type Key } from "./texts";

const HELD_TO: Record<string, Key> = {
  exact: "promise_exact",
  jpeg: "promise_jpeg",
  noise: "promise_noise",
  sharpened: "promise_sharpened",
};
const NOTHING = 0.1; // of 255 levels
const MET = 0.5; // the same; more is more than rounding

export interface Promised {
  sentence: string;
  /** Whether the result was held to anything, and that was met. */
  isHeld: boolean;
}

/**
 * @param consistency mean squared difference on the [0, 1] scale, x 1e-5
 * @param evidence what the picture was taken to be, such as "jpeg (quality 90, 4:2:0)"
 */
export function promised(consistency: number, evidence: string): Promised {
  const levels = Math.sqrt(consistency * 1e-5) * 255;
  const off =
    levels < NOTHING ? t("off_little") : t("off_levels", { levels: number(levels, 1) });
  const kind = /\bsharpened\b/.test(evidence) ? "sharpened" : evidence.split(" ")[0];
  const key = HELD_TO[kind ?? ""];
  const isHeld = key !== undefined && levels < MET;
  return { sentence: t(isHeld ? key : "promise_none", { off }), isHeld };
}

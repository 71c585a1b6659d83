/** The drawer with all that a result says of how it was made. */

import type { Models } from "./backends/backend";
import { byId, copy, make, say } from "./dom";
import { shown, type Run } from "./session";
import { t, type Key } from "./texts";

export class Drawer {
  models: Models | null = null;
  private readonly dialog = byId<HTMLDialogElement>("drawer");

  constructor() {
    byId("drawer-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close(); // the space beside it
    });
    byId("copy-provenance").addEventListener("click", async () => {
      const pre = byId("provenance-json");
      if (await copy(pre.textContent ?? "")) say(t("copied"), true);
      else getSelection()?.selectAllChildren(pre);
    });
  }

  open(run: Run): void {
    const picture = shown(run);
    if (picture === null || run.result === null) return;
    const licence = this.models?.models.find((one) => one.name === picture.model)?.licence;
    const rows: [Key, string][] = [
      ["d_name", run.file.name],
      ["d_size", `${run.result.width} × ${run.result.height}`],
      ["d_scale", picture.scale],
      ["d_model", picture.model],
      ["d_evidence", picture.evidence],
      ["d_consistency", String(picture.consistency)],
      ["d_seed", String(picture.seed)],
      ["d_samples", String(run.result.pictures.length)],
      ["d_detail", picture.detail],
      ["d_backend", picture.backend],
      ["d_version", picture.version],
      ["d_input", picture.sha256],
      ["d_licence", licence ?? ""],
    ];
    const filled = rows.filter(([, value]) => value !== "");
    byId("facts-list").replaceChildren(
      ...filled.map(([key, value]) => make("div", {}, make("dt", {}, t(key)), make("dd", {}, value))),
    );
    byId("again-json").textContent = JSON.stringify(picture.settings, null, 2);
    byId("provenance").hidden = picture.provenance === null;
    byId("provenance-json").textContent = JSON.stringify(picture.provenance, null, 2);
    this.dialog.showModal();
  }
}

/** The line that says which picture a link was made with. */

import { byId } from "./dom";
import { example, EXAMPLES } from "./intake";
import { read, type Wanted } from "./link";
import { shown, type Run } from "./session";
import { t } from "./texts";

export class WantedLine {
  private wanted: Wanted | null = null;
  private isMet: boolean | null = null;

  /** @param take called with an example that the link was made with */
  constructor(take: (files: File[]) => void) {
    byId("wanted-close").addEventListener("click", () => {
      this.wanted = null;
      history.replaceState(null, "", location.pathname);
      this.draw();
    });
    byId("wanted-example").addEventListener("click", async () => {
      if (this.wanted !== null) take([await example(this.wanted.name)]);
    });
  }

  /** The settings of the present address, if it is a link. */
  open(): URLSearchParams | null {
    this.wanted = read(location.hash);
    this.isMet = null;
    this.draw();
    return this.wanted?.settings ?? null;
  }

  /** Compare the picture of a run that has ended. */
  meet(run: Run): void {
    const sha256 = shown(run)?.sha256;
    if (this.wanted === null || sha256 === undefined) return;
    this.isMet = sha256 === this.wanted.sha256;
    this.draw();
  }

  draw(): void {
    byId("wanted").hidden = this.wanted === null;
    if (this.wanted === null) return;
    const { name, sha256 } = this.wanted;
    byId("wanted-text").textContent =
      this.isMet === null
        ? t("link_needs", { name, sha: sha256.slice(0, 12) })
        : t(this.isMet ? "link_matches" : "link_differs");
    byId("wanted-example").hidden = this.isMet !== null || !Object.values(EXAMPLES).includes(name);
  }
}

/** Whether what draws the pictures is there, and what it offers. */

import { Refused, type Backend, type Models } from "./backends/backend";
import { byId } from "./dom";
import { t } from "./texts";

export type Presence = "loading" | "ready" | "offline" | "locked";

const LOOK: Record<Presence, number> = { loading: 500, ready: 15_000, offline: 3000, locked: 15_000 };

export class Server {
  private presence: Presence = "loading";
  private isOffered = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** @param offer called with the models that it offers, once they are known */
  constructor(
    private readonly backend: Backend,
    private readonly offer: (models: Models) => void,
  ) {
    const dialog = byId<HTMLDialogElement>("key");
    byId("key-form").addEventListener("submit", () => {
      backend.useKey(byId<HTMLInputElement>("key-value").value);
      setTimeout(() => void this.look()); // once the dialog has closed
    });
    dialog.addEventListener("cancel", (event) => event.preventDefault());
  }

  /** Look now, and again after a while. */
  async look(): Promise<void> {
    clearTimeout(this.timer);
    this.presence = await this.asked();
    this.draw();
    this.timer = setTimeout(() => void this.look(), LOOK[this.presence]);
  }

  draw(): void {
    const line = byId("server");
    const text = t(`server_${this.presence}`);
    if (line.textContent !== text) line.textContent = text;
    line.className = `server ${this.presence}`;
    byId("offline").hidden = this.presence !== "offline";
    const dialog = byId<HTMLDialogElement>("key");
    if (this.presence === "locked" && !dialog.open) dialog.showModal();
  }

  private async asked(): Promise<Presence> {
    try {
      if (!this.isOffered) {
        this.offer(await this.backend.models());
        this.isOffered = true;
      }
      return (await this.backend.isReady()) ? "ready" : "loading";
    } catch (error) {
      return error instanceof Refused && error.status === 401 ? "locked" : "offline";
    }
  }
}

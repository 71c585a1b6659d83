/** The page: its parts, and who tells whom. */

import type { Backend } from "./backends/backend";
import { byId, say } from "./dom";
import { Drawer } from "./drawer";
import { drawIcons } from "./icons";
import { choose, startIntake } from "./intake";
import { Panel } from "./panel";
import { Server } from "./server";
import { Session, type Run } from "./session";
import { errorText, Strip } from "./strip";
import { language, setKind, setLanguage, t, translate, type Language } from "./texts";
import { drawTheme, startTheme } from "./theme";
import { WantedLine } from "./wanted";
import { Work } from "./work";

const NARROW = "(max-width: 63.99rem)"; // as in style.css

/** @param backend what draws the pictures */
export function start(backend: Backend): void {
  setKind(backend.kind);
  new Page(backend).open();
}

class Page {
  private readonly session: Session;
  private readonly panel: Panel;
  private readonly work: Work;
  private readonly strip: Strip;
  private readonly server: Server;
  private readonly wanted = new WantedLine((files) => this.take(files));
  private readonly drawer = new Drawer();

  constructor(private readonly backend: Backend) {
    this.session = new Session(backend, (ended) => {
      this.draw();
      if (ended !== undefined) this.announce(ended);
    });
    this.panel = new Panel(backend, () => {
      if (this.session.selected !== null) this.take([this.session.selected.file]);
    });
    this.work = new Work(this.session, (run) => this.drawer.open(run));
    this.strip = new Strip(this.session, choose, look);
    this.server = new Server(backend, (models) => {
      this.drawer.models = models;
      this.panel.offer(models);
      this.draw();
    });
  }

  open(): void {
    drawIcons(document);
    startTheme(byId("theme"));
    for (const one of byId("languages").querySelectorAll("button")) {
      one.addEventListener("click", () => this.speak(one.value as Language));
    }
    startIntake(this.backend.takes.files, (files) => this.take(files));
    addEventListener("hashchange", () => this.openLink());
    addEventListener("pagehide", () => this.session.leave());
    byId<HTMLDetailsElement>("settings").open = !matchMedia(NARROW).matches;
    this.speak(language());
    this.openLink();
    void this.server.look();
  }

  private take(files: File[]): void {
    this.session.add(files, this.panel.settings);
    look();
  }

  private announce(run: Run): void {
    const { name } = run.file;
    if (run.state === "done") say(t("said_done", { name }));
    else say(t("said_failed", { name, detail: errorText(run.error) }));
    if (run.state === "failed") void this.server.look(); // which may have gone
    this.wanted.meet(run);
  }

  private draw(): void {
    byId("session").hidden = this.session.runs.length === 0;
    this.work.draw();
    this.strip.draw();
    this.panel.enable(this.session.selected !== null);
  }

  private speak(chosen: Language): void {
    setLanguage(chosen);
    document.documentElement.lang = chosen;
    translate(document);
    for (const one of byId("languages").querySelectorAll("button")) {
      one.setAttribute("aria-pressed", String(one.value === chosen));
    }
    drawTheme(byId("theme"));
    this.panel.draw();
    this.wanted.draw();
    this.server.draw();
    this.draw();
  }

  private openLink(): void {
    const settings = this.wanted.open();
    if (settings !== null) this.panel.fill(settings);
    this.draw();
  }
}

/** Bring the picture that is looked at into sight. */
function look(): void {
  const { top, bottom } = byId("viewer").getBoundingClientRect();
  if (top < 0 || bottom > innerHeight) byId("work").scrollIntoView();
}

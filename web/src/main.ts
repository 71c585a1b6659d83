/** The page: its parts, and who tells whom. */

import { byId, say } from "./dom";
import { Drawer } from "./drawer";
import { drawIcons } from "./icons";
import { choose, startIntake } from "./intake";
import { Panel } from "./panel";
import { Server } from "./server";
import { Session, type Run } from "./session";
import { errorText, Strip } from "./strip";
import { language, setLanguage, t, translate, type Language } from "./texts";
import { drawTheme, startTheme } from "./theme";
import { WantedLine } from "./wanted";
import { Work } from "./work";

const NARROW = "(max-width: 63.99rem)"; // as in style.css

const session = new Session((ended) => {
  draw();
  if (ended !== undefined) announce(ended);
});
const panel = new Panel(() => {
  if (session.selected !== null) take([session.selected.file]);
});
const drawer = new Drawer();
const work = new Work(session, (run) => drawer.open(run));
const strip = new Strip(session, choose, look);
const wanted = new WantedLine(take);
const server = new Server((models) => {
  drawer.models = models;
  panel.offer(models);
  draw();
});

function take(files: File[]): void {
  session.add(files, panel.settings);
  look();
}

/** Bring the picture that is looked at into sight. */
function look(): void {
  const { top, bottom } = byId("viewer").getBoundingClientRect();
  if (top < 0 || bottom > innerHeight) byId("work").scrollIntoView();
}

function announce(run: Run): void {
  const { name } = run.file;
  if (run.state === "done") say(t("said_done", { name }));
  else say(t("said_failed", { name, detail: errorText(run.error) }));
  if (run.state === "failed") void server.look(); // which may have gone
  wanted.meet(run);
}

function draw(): void {
  byId("session").hidden = session.runs.length === 0;
  work.draw();
  strip.draw();
  panel.enable(session.selected !== null);
}

function speak(chosen: Language): void {
  setLanguage(chosen);
  document.documentElement.lang = chosen;
  translate(document);
  for (const one of byId("languages").querySelectorAll("button")) {
    one.setAttribute("aria-pressed", String(one.value === chosen));
  }
  drawTheme(byId("theme"));
  panel.draw();
  wanted.draw();
  server.draw();
  draw();
}

function openLink(): void {
  const settings = wanted.open(panel.settings);
  if (settings !== null) panel.fill(settings);
  draw();
}

drawIcons(document);
startTheme(byId("theme"));
for (const one of byId("languages").querySelectorAll("button")) {
  one.addEventListener("click", () => speak(one.value as Language));
}
startIntake(take);
addEventListener("hashchange", openLink);
addEventListener("pagehide", () => session.leave());
byId<HTMLDetailsElement>("settings").open = !matchMedia(NARROW).matches;
speak(language());
openLink();
void server.look();

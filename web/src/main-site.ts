/** The page of a site that `sr4 export --format web` makes. */

import { Browser } from "./backends/browser";
import { start } from "./page";

document.getElementById("unstarted")?.remove();
start(new Browser(new URL(".", location.href).href));

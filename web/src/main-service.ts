/** The page of `sr4 serve`. */

import { Service } from "./backends/service";
import { start } from "./page";

start(new Service());

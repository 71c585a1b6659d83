// Writes the static page and the engine into src/sr4/web/page: index.html, favicon.svg, assets/,
// NOTICES, and engine.json, which names the version of ONNX Runtime Web that they were built with. Another
// folder can be named as the argument.

import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const out = process.argv[2] ?? join(here, "..", "..", "src", "sr4", "web", "page");
const packages = JSON.parse(await readFile(join(here, "..", "package.json"), "utf8"));

/** Bundles, and gives the names that they got. */
async function built(entryPoints, define = {}) {
  const { metafile } = await build({
    absWorkingDir: here,
    entryPoints,
    outdir: join(out, "assets"),
    entryNames: "[name]-[hash]",
    bundle: true,
    minify: true,
    charset: "utf8",
    format: "esm",
    target: "es2022",
    define,
    metafile: true,
    logLevel: "warning",
  });
  return Object.keys(metafile.outputs).map((path) => basename(path));
}

await rm(join(out, "assets"), { recursive: true, force: true });
await mkdir(out, { recursive: true });
const [worker] = await built({ worker: "../engine/worker.ts" });
const names = await built({ demo: "demo.ts", style: "style.css" }, { WORKER: JSON.stringify(worker) });
const named = (end) => `assets/${names.find((name) => name.endsWith(end))}`;
const page = (await readFile(join(here, "index.html"), "utf8"))
  .replace("{{style}}", named(".css"))
  .replace("{{script}}", named(".js"));
await writeFile(join(out, "index.html"), page);
await copyFile(join(here, "..", "favicon.svg"), join(out, "favicon.svg"));
const runtime = packages.devDependencies["onnxruntime-web"];
const licence = await readFile(join(here, "..", "licences", "onnxruntime-web.txt"), "utf8");
await writeFile(
  join(out, "NOTICES"),
  `Parts of a site that others made, with their licences.\n\nonnxruntime-web ${runtime} (in runtime/)\n\n${licence}`,
);
await writeFile(join(out, "engine.json"), `${JSON.stringify({ "onnxruntime-web": runtime })}\n`);

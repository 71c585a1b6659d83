// Writes the page twice: that of the service into src/sr4/serve/page/static, that of sites without a
// service into src/sr4/web/page, or both below a folder named as the argument, as service/ and site/.
// Names of files in assets/ change with what they hold, so that browsers may keep them.

import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const packages = join(here, "..", "src", "sr4");
const [elsewhere] = process.argv.slice(2);
const RUNTIME = "onnxruntime-web";
const VENDORED = {
  "img-comparison-slider": "MIT",
  "lucide-static": "LICENSE",
  "@fontsource-variable/instrument-sans": "LICENSE",
};

// What a site's page has besides the service's: the service sends its policy as a header.
const HEAD = `
    <meta
      http-equiv="Content-Security-Policy"
      content="default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; img-src 'self' blob:; style-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'"
    />
    <meta name="referrer" content="no-referrer" />`;
const BODY = `
    <p class="unstarted" id="unstarted">
      This page works from a web server only, any will do: <code>python -m http.server</code> in its folder, then
      <code>http://localhost:8000</code>.
    </p>`;

/** The licence of a vendored package: its own file, or the standard text where it ships none. */
async function notice(name) {
  const folder = join(here, "node_modules", name);
  const about = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  const file = VENDORED[name];
  const text =
    file === "LICENSE"
      ? await readFile(join(folder, file), "utf8")
      : await readFile(join(here, "licences", `${name}.txt`), "utf8");
  const lines = text.trim().split("\n").map((line) => line.trimEnd());
  return `${name} ${about.version} (${about.license})${name === RUNTIME ? ", in runtime/" : ""}\n\n${lines.join("\n")}\n`;
}

/** Icons as text, without comments and line breaks. */
const icons = {
  name: "icons",
  setup(building) {
    building.onLoad({ filter: /\.svg$/ }, async ({ path }) => {
      const text = await readFile(path, "utf8");
      const contents = text.replace(/<!--.*?-->/gs, "").replace(/\s+/g, " ").replaceAll("> <", "><").trim();
      return { contents, loader: "text" };
    });
  },
};

/** Bundles into a folder's assets/, and gives their paths in it by the beginnings of their names. */
async function bundled(out, entryPoints, define = {}) {
  const { metafile } = await build({
    absWorkingDir: here,
    entryPoints,
    outdir: out,
    entryNames: "assets/[name]-[hash]",
    assetNames: "assets/[name]-[hash]",
    bundle: true,
    minify: true,
    charset: "utf8",
    format: "esm",
    target: "es2022",
    legalComments: "none", // they are in NOTICES
    loader: { ".woff2": "file" },
    plugins: [icons],
    define,
    metafile: true,
    logLevel: "warning",
  });
  const made = Object.keys(metafile.outputs).map((path) => relative(out, join(here, path)));
  const find = (name) => made.find((path) => basename(path).startsWith(`${name}-`) && !path.endsWith(".woff2"));
  return Object.fromEntries(Object.keys(entryPoints).map((name) => [name, find(name)]));
}

/** Writes a page into a folder. */
async function write(out, main, { head = "", body = "", define = {}, vendored }) {
  const { app, style } = await bundled(out, { app: main, style: "src/style.css" }, define);
  const page = (await readFile(join(here, "index.html"), "utf8"))
    .replace("{{head}}", head)
    .replace("{{body}}", body)
    .replace("{{style}}", style)
    .replace("{{script}}", app);
  await writeFile(join(out, "index.html"), page);
  await cp(join(here, "favicon.svg"), join(out, "favicon.svg"));
  await cp(join(here, "examples"), join(out, "examples"), { recursive: true });
  const notices = await Promise.all(vendored.map(notice));
  await writeFile(
    join(out, "NOTICES"),
    `Parts of this page that others made, with their licences.\n\n${notices.join(`\n${"-".repeat(80)}\n\n`)}`,
  );
}

const service = elsewhere ? join(elsewhere, "service") : join(packages, "serve", "page", "static");
const site = elsewhere ? join(elsewhere, "site") : join(packages, "web", "page");
for (const out of [service, site]) {
  await rm(out, { recursive: true, force: true });
  await mkdir(out, { recursive: true });
}

await write(service, "src/main-service.ts", { vendored: Object.keys(VENDORED) });

const { worker } = await bundled(site, { worker: "engine/worker.ts" });
await write(site, "src/main-site.ts", {
  head: HEAD,
  body: BODY,
  define: { WORKER: JSON.stringify(basename(worker)) },
  vendored: [...Object.keys(VENDORED), RUNTIME],
});
const { devDependencies } = JSON.parse(await readFile(join(here, "package.json"), "utf8"));
await writeFile(join(site, "engine.json"), `${JSON.stringify({ [RUNTIME]: devDependencies[RUNTIME] })}\n`);

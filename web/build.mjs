// Writes the page into src/sr4/serve/page/static: index.html, NOTICES, favicon.svg and assets/,
// whose names change with what they hold, so that browsers may keep them. Another folder can be
// named as the argument.

import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const out = process.argv[2] ?? join(here, "..", "src", "sr4", "serve", "page", "static");
const VENDORED = {
  "img-comparison-slider": "MIT",
  "lucide-static": "LICENSE",
  "@fontsource-variable/instrument-sans": "LICENSE",
};

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
  return `${name} ${about.version} (${about.license})\n\n${lines.join("\n")}\n`;
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

await rm(join(out, "assets"), { recursive: true, force: true });
await mkdir(out, { recursive: true });
const { metafile } = await build({
  absWorkingDir: here,
  entryPoints: { app: "src/main.ts", style: "src/style.css" },
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
  metafile: true,
  logLevel: "warning",
});

const built = Object.keys(metafile.outputs).map((path) => relative(out, join(here, path)));
const named = (start, end) => built.find((path) => basename(path).startsWith(start) && path.endsWith(end));
const page = (await readFile(join(here, "index.html"), "utf8"))
  .replace("{{style}}", `/${named("style-", ".css")}`)
  .replace("{{script}}", `/${named("app-", ".js")}`);
await writeFile(join(out, "index.html"), page);
await writeFile(join(out, "favicon.svg"), await readFile(join(here, "favicon.svg")));
const notices = await Promise.all(Object.keys(VENDORED).map(notice));
await writeFile(
  join(out, "NOTICES"),
  `Parts of this page that others made, with their licences.\n\n${notices.join(`\n${"-".repeat(80)}\n\n`)}`,
);

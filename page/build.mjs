// Build the page: one HTML file that opens from disk, with the worker inside.  node page/build.mjs [where to write it]
//
// A browser that opens a file from disk loads no second script and no module.  So the worker's code travels as text in
// the page, from which the page makes a Blob and a classic worker.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const here = (path) => join(import.meta.dirname, path);
const read = (path) => readFileSync(here(path), "utf8");

/** A script with all that it imports, minified, as text that can stand inside a script element. */
async function bundle(entry) {
  const { outputFiles } = await build({
    ...{ entryPoints: [here(entry)], bundle: true, minify: true, format: "iife", target: "es2022" },
    ...{ charset: "utf8", legalComments: "none", write: false, loader: { ".wasm": "binary" } },
  });
  return outputFiles[0].text.replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--").trim();
}

const { outputFiles } = await build({
  entryPoints: [here("src/ui/style.css")], minify: true, charset: "utf8", write: false,
});
const parts = {
  "/*STYLE*/": outputFiles[0].text.trim(),
  "/*WORKER*/": await bundle("src/engine/worker.js"),
  "/*MAIN*/": await bundle("src/ui/main.js"),
  "/*DATA*/": read("data/recorded.json").trim().replaceAll("<", "\\u003c"),
};
let page = read("src/ui/page.html");
for (const [placeholder, text] of Object.entries(parts)) {
  const around = page.split(placeholder);
  if (around.length !== 2) throw new Error(`page.html has ${placeholder} ${around.length - 1} times, expected once`);
  page = around.join(text);
}
writeFileSync(process.argv[2] ?? here("../minivjepa_course/toys/collapse.html"), page);

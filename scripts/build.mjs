/** Compiles the sources to dist/ and copies what they read at run time to the same places there. */

import "./install.mjs";
import { cpSync, existsSync, rmSync } from "node:fs";
import { extname, join } from "node:path";
import { root, run } from "./run.mjs";

const dist = join(root, "dist");
rmSync(dist, { recursive: true, force: true });
await run(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"]);

/** By folder: SQL of the migrations, worker scripts' and pages' companions, the workflows of `skein dev --example`. */
const assetFolders = ["store", "api", "cli", "mcp", "agents", "examples"];
const assetTypes = [".sql", ".html", ".css", ".svg", ".yaml", ".yml", ".json"];

for (const folder of assetFolders) {
  if (!existsSync(join(root, folder))) continue;
  // A name without an extension is taken for a folder.
  const filter = (/** @type {string} */ path) => ["", ...assetTypes].includes(extname(path));
  cpSync(join(root, folder), join(dist, folder), { recursive: true, filter });
}

/**
 * Compiles the sources to dist/ and copies what they read at run time to the same places there. With `--if-stale` only if
 * a source is newer than the build.
 */

import "./install.mjs";
import { chmodSync, cpSync, existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { extname, join } from "node:path";
import { root, run } from "./run.mjs";

const dist = join(root, "dist");
const main = join(dist, "cli", "main.js");
if (process.argv.includes("--if-stale") && !isStale()) process.exit(0);
console.log("Building …");
rmSync(dist, { recursive: true, force: true });
await run(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"]);

/** By folder: SQL of the migrations, worker scripts' and pages' companions, the workflows of `skein dev --example`. */
const assetFolders = ["store", "api", "cli", "mcp", "agents", "examples"];
const assetTypes = [".sql", ".html", ".css", ".svg", ".yaml", ".yml", ".json", ".py"];

for (const folder of assetFolders) {
  if (!existsSync(join(root, folder))) continue;
  // A name without an extension is taken for a folder.
  const filter = (/** @type {string} */ path) => ["", ...assetTypes].includes(extname(path));
  cpSync(join(root, folder), join(dist, folder), { recursive: true, filter });
}

// In a clone npx runs this very file.
chmodSync(main, 0o755);

function isStale() {
  const built = statSync(main, { throwIfNoEntry: false });
  return !built || newestSource(root) > built.mtimeMs;
}

/** @param {string} folder @returns {number} in milliseconds since 1970 */
function newestSource(folder) {
  const times = readdirSync(folder, { withFileTypes: true }).map((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return isSourceFolder(entry.name) ? newestSource(path) : 0;
    return isSourceFile(entry.name) ? statSync(path).mtimeMs : 0;
  });
  return Math.max(0, ...times);
}

/** @param {string} name */
function isSourceFolder(name) {
  return !/^\.|^(node_modules|dist|test|bench|docs|scripts|project_logs|coverage)$/.test(name);
}

/** @param {string} name */
function isSourceFile(name) {
  return /\.(ts|js|json|sql|ya?ml|html|css|svg|py)$/.test(name) && !/\.(test|suite)\.ts$/.test(name);
}

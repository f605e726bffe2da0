/** `npm start`: installs and builds what is missing, then runs the embedded system with the example workflow. */

import "./install.mjs";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { root, run } from "./run.mjs";

const main = "dist/cli/main.js";

if (isStale()) {
  console.log("Building …");
  await import("./build.mjs");
}
await run(process.execPath, [main, "dev", "--example", ...process.argv.slice(2)]);

function isStale() {
  const built = statSync(join(root, main), { throwIfNoEntry: false });
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
  return /\.(ts|js|json|sql|ya?ml|html|css|svg)$/.test(name) && !/\.(test|suite)\.ts$/.test(name);
}

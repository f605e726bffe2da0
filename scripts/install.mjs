/** Running or importing this installs the dependencies, unless they are those of package-lock.json already (20 ms). */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root, run } from "./run.mjs";

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Skein needs Node 20.19 or newer; this is ${process.version}.`);
  process.exit(1);
}
if (!isInstalled()) {
  console.log("Installing the dependencies …");
  // No dependency of ours needs its install script, and not running any is safer.
  await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
}

/**
 * Compares what npm says it installed with what the lock file asks for. The times of the files would not tell: both
 * a checkout and `npm install` touch the lock file last.
 */
function isInstalled() {
  const wanted = packagesIn("package-lock.json");
  const present = packagesIn("node_modules/.package-lock.json");
  if (!wanted || !present) return false;
  const isAsLocked = Object.entries(present).every(([path, { version }]) => wanted[path]?.version === version);
  // An optional package may be missing: most are for other platforms. The path "" is the project itself.
  const isComplete = Object.entries(wanted).every(([path, { optional }]) => !path || optional || present[path]);
  return isAsLocked && isComplete;
}

/**
 * @param {string} file
 * @returns {Record<string, { version: string, optional?: boolean }> | undefined}
 */
function packagesIn(file) {
  try {
    return JSON.parse(readFileSync(join(root, file), "utf8")).packages;
  } catch {
    return undefined;
  }
}

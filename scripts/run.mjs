/** Uses nothing but Node, as do all scripts here: they run before anything is installed. */

import { spawn } from "node:child_process";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

/**
 * Runs a program in the root folder on this terminal. If it fails, this process exits as it did.
 * @param {string} file
 * @param {string[]} args
 */
export async function run(file, args) {
  // npm is a batch file on Windows, and those need a shell.
  const shell = process.platform === "win32" && file === "npm";
  const child = spawn(file, args, { cwd: root, stdio: "inherit", shell });
  const release = passSignals(child);
  const status = await new Promise((resolve) => {
    child.once("exit", (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
    child.once("error", (error) => {
      console.error(`Cannot run ${file}: ${error.message}`);
      resolve(1);
    });
  });
  release();
  if (status !== 0) process.exit(status);
}

/** How often we look whether our parent is still there. */
const ORPHAN_CHECK_MS = 500;

/** @param {import("node:child_process").ChildProcess} child */
function passSignals(child) {
  const onTerm = () => child.kill("SIGTERM");
  // A terminal sends Ctrl-C to the child too; passing it on would look like a second, more impatient Ctrl-C.
  const onInt = () => process.stdin.isTTY || child.kill("SIGINT");
  process.on("SIGTERM", onTerm).on("SIGINT", onInt);
  // npm and its shell die of a SIGTERM without passing it on; a new parent says that they did.
  const parent = process.ppid;
  const watch = setInterval(() => process.ppid !== parent && onTerm(), ORPHAN_CHECK_MS);
  return () => {
    clearInterval(watch);
    process.off("SIGTERM", onTerm).off("SIGINT", onInt);
  };
}

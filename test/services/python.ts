/** A python3 for the tests of the Python client. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { findOnPath } from "./service.ts";
import { aptInstall, isDebianRoot } from "./source.ts";

const run = promisify(execFile);

/** The path of a python3 that runs the client (3.9 or newer), if this machine has one. */
export async function findPython(): Promise<string | undefined> {
  const path = findOnPath("python3");
  if (path === undefined) return undefined;
  const isNewEnough = run(path, ["-c", "import sys; sys.exit(sys.version_info < (3, 9))"]);
  return isNewEnough.then(
    () => path,
    () => undefined,
  );
}

/** Installs python3 where it is missing and can be had from apt. */
export async function providePython(log: (line: string) => void): Promise<void> {
  if (isDebianRoot() && (await findPython()) === undefined) await aptInstall(["python3"], log);
}

export const howToGetPython =
  "no python3 (3.9 or newer) on this machine: install python3, or run as root on Debian, where the tests install it";

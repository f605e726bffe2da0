/** Gets what the test files of the "sandbox" project need: once per `vitest run`, before the first of them. */

import { existsSync } from "node:fs";
import type { TestProject } from "vitest/node";
import { openBubblewrap } from "../agents/executor_agents/bubblewrap/bubblewrap.ts";
import { SkeinError } from "../core/errors.ts";
import { findOnPath } from "./services/service.ts";
import { aptInstall, isDebianRoot } from "./services/source.ts";

/** Python has to be the system's own: others lie in folders that are not in the sandbox. */
const isComplete = () => findOnPath("bwrap") !== undefined && existsSync("/usr/bin/python3");

/** @throws when CI=true and this machine cannot sandbox programs; elsewhere the files are reported as skipped */
export async function setup(project: TestProject): Promise<(() => void) | undefined> {
  if (!isComplete() && isDebianRoot()) await aptInstall(["bubblewrap", "python3"], console.warn);
  const reason = await whyNot();
  project.provide("canSandbox", reason === undefined);
  if (reason === undefined) return undefined;
  const message = `NOT RUN: the suites on a real sandbox: ${reason}`;
  if (process.env.CI === "true") throw new SkeinError("FEATURE_UNAVAILABLE", message);
  return () => console.warn(`\n${message}\n`);
}

async function whyNot(): Promise<string | undefined> {
  if (!isComplete())
    return "there is no bubblewrap and /usr/bin/python3; as root on Debian they are installed by themselves";
  return openBubblewrap().then(
    () => undefined,
    (error: Error) => error.message,
  );
}

declare module "vitest" {
  interface ProvidedContext {
    canSandbox: boolean;
  }
}

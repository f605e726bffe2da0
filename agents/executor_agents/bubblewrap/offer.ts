/** Which of the sandboxed executors this machine can offer. */

import { SkeinError } from "../../../core/errors.ts";
import type { Executor } from "../../../sdk/executor.ts";
import type { Logger } from "../../../transport/transport.ts";
import { hasProgram, openBubblewrap } from "./bubblewrap.ts";
import { codePython } from "./code-python.ts";
import { shellCommand } from "./shell-command.ts";

/**
 * `code.python` and `shell.command`, if SKEIN_SANDBOX asks for them. What cannot be sandboxed here is not offered, and
 * `log` is told what is missing. `path` is where bwrap is looked for, default PATH.
 */
export async function sandboxedExecutors(
  kind: "off" | "bubblewrap",
  log: Logger,
  path?: string,
): Promise<readonly Executor[]> {
  if (kind === "off") return [];
  const tell = (names: string, reason: string) =>
    log.warn({ step: "sandbox", code: "SANDBOX_UNAVAILABLE" }, `not offering ${names}: ${reason}`);
  try {
    const sandbox = await openBubblewrap(path);
    if (await hasProgram(sandbox, "python3")) return [codePython(sandbox), shellCommand(sandbox)];
    tell("code.python", "python3 is not installed in /usr: apt-get install python3");
    return [shellCommand(sandbox)];
  } catch (error) {
    if (!(error instanceof SkeinError && error.code === "SANDBOX_UNAVAILABLE")) throw error;
    tell("code.python and shell.command", error.message);
    return [];
  }
}

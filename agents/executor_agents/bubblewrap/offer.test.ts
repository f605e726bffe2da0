import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { collectLines } from "../running.suite.ts";
import { sandboxedExecutors } from "./offer.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "skein-offer-"));
  chmodSync(folder, 0o755);
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A `bwrap` that runs `script` instead. */
function fakeBwrap(script: string): void {
  writeFileSync(join(folder, "bwrap"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

async function offered(kind: "off" | "bubblewrap" = "bubblewrap") {
  const { log, lines } = collectLines();
  const executors = await sandboxedExecutors(kind, log, folder);
  return { names: executors.map(({ capability }) => capability), lines };
}

describe("code.python and shell.command", () => {
  it("are off by default, without a word", async () => {
    expect(await offered("off")).toEqual({ names: [], lines: [] });
  });

  it.runIf(process.platform === "linux").each([
    ["there is no bwrap", undefined, "bwrap is not installed: apt-get install bubblewrap python3"],
    [
      "there are no user namespaces",
      "echo 'bwrap: No permissions to create a new namespace.' >&2; exit 1",
      "a sandbox cannot be built: The sandbox failed: bwrap: No permissions to create a new namespace;",
    ],
    ["bwrap runs programs without any sandbox", "printf + >&3; cat /proc/self/status", "is not so inside"],
    ["bwrap runs nothing", "printf + >&3; echo broken >&2; exit 9", "nothing can be run in a sandbox: broken;"],
  ])("are not offered where %s, and the log says what is missing", async (_, script, reason) => {
    if (script !== undefined) fakeBwrap(script);
    const { names, lines } = await offered();
    expect(names).toEqual([]);
    expect(lines).toEqual([
      expect.objectContaining({
        code: "SANDBOX_UNAVAILABLE",
        message: expect.stringContaining(reason),
      }),
    ]);
    expect(lines[0]).toMatchObject({ message: expect.stringContaining("docs/executors/shell.command.md") });
  });
});

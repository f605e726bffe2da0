import { spawn } from "node:child_process";
import { setMaxListeners } from "node:events";
import { mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, inject, it } from "vitest";
import type { Json } from "../../../core/json.ts";
import type { Executor, ExecutorContext } from "../../../sdk/executor.ts";
import { collectLog, perform } from "../perform.suite.ts";
import { eventually, testBed } from "../running.suite.ts";
import { openBubblewrap } from "./bubblewrap.ts";
import { codePython } from "./code-python.ts";
import { processesWith } from "./process-list.suite.ts";
import { shellCommand } from "./shell-command.ts";

let executors: { python: Executor; shell: Executor };
beforeAll(async () => {
  if (!inject("canSandbox")) return;
  const sandbox = await openBubblewrap();
  executors = { python: codePython(sandbox) as Executor, shell: shellCommand(sandbox) as Executor };
});

type Rest = Partial<ExecutorContext>;
const python = (code: string, more: Record<string, Json> = {}, rest: Rest = {}) =>
  perform(executors.python, { code, ...more }, rest);
const shell = (command: string, more: Record<string, Json> = {}, rest: Rest = {}) =>
  perform(executors.shell, { command, ...more }, rest);

describe.skipIf(!inject("canSandbox"))("code.python", () => {
  it.each<[string, Json, Json]>([
    ["def main(input):\n  return input['a'] + 1", { a: 1 }, 2],
    ["def main(input):\n  return None", null, null],
    ["main = lambda input: [input, {'ü': '漢'}]", "é", ["é", { ü: "漢" }]],
    ["import asyncio\nasync def main(input):\n  await asyncio.sleep(0)\n  return input", true, true],
    ["import helper\ndef main(input):\n  return helper.twice(input)", 4, 8],
    ["def main(input):\n  return open('data/a.txt').read()", null, "a text\n"],
    [
      "import sys, os\ndef main(input):\n  return [sys.argv, os.getcwd(), __name__]",
      null,
      [["main.py"], "/tmp", "main"],
    ],
    [
      "from dataclasses import dataclass, asdict\n@dataclass\nclass A:\n  x: int\ndef main(input):\n  return asdict(A(1))",
      null,
      { x: 1 },
    ],
    [
      "from multiprocessing import Pool\ndef f(x):\n  return x * x\ndef main(input):\n  with Pool(2) as pool:\n    return pool.map(f, input)",
      [1, 2, 3],
      [1, 4, 9],
    ],
    ["def main(input):\n  return len(input)", "x".repeat(500_000), 500_000],
  ])("%j returns its value", async (code, input, value) => {
    const files = { "helper.py": "def twice(x):\n  return 2 * x\n", "data/a.txt": "a text\n" };
    expect(await python(code, { input, files })).toEqual({ value, stdout: "", stderr: "" });
  });

  it("answers with the ends of what was printed", async () => {
    const code = "import sys\ndef main(input):\n  print('x' * 100000 + 'end')\n  print('careful', file=sys.stderr)";
    const { stdout, stderr } = (await python(code)) as { stdout: string; stderr: string };
    expect(stdout).toMatch(/^…x+end\n$/);
    expect(stdout).toHaveLength(16 * 1024 + 1);
    expect(stderr).toBe("careful\n");
  });

  it.each([
    ["def main(input):\n  return input.x", "CODE_FAILED", "has no attribute 'x' (line 2)"],
    [
      "def f():\n  raise ValueError('no good')\n\ndef main(input):\n  f()",
      "CODE_FAILED",
      "ValueError: no good (line 2)",
    ],
    ["raise KeyError('early')", "CODE_FAILED", "KeyError: 'early' (line 1)"],
    ["x = 1", "CODE_FAILED", "does not define main(input)"],
    ["def main():\n  pass", "CODE_FAILED", "TypeError: main() takes 0 positional arguments"],
    ["def main(input):\n  return {1, 2}", "CODE_FAILED", "set is not JSON serializable"],
    ["def main(input):\n  return float('nan')", "CODE_FAILED", "not JSON compliant"],
    ["def main(input):\n  return main(input)", "CODE_FAILED", "RecursionError"],
    ["import sys\ndef main(input):\n  sys.exit(3)", "CODE_FAILED", "exited with 3"],
    ["import os\ndef main(input):\n  os._exit(0)", "CODE_FAILED", "exited with 0 before main returned"],
    ["import os\ndef main(input):\n  os.kill(os.getpid(), 11)", "CODE_FAILED", "signal 11"],
    ["import ctypes\ndef main(input):\n  ctypes.string_at(1)", "CODE_FAILED", "signal 11"],
    ["import numpyy", "CODE_FAILED", "No module named 'numpyy' (line 1)"],
    ["def main(input)\n  return 1", "CODE_SYNTAX", "(line 1)"],
    ["x = '\0'", "CODE_SYNTAX", "null bytes"],
    ["def main(input):\n  return 'x' * 9000000", "CODE_OUTPUT_TOO_LARGE", "9000013 bytes of JSON"],
    ["def main(input):\n  return 'x' * 10**9", "SANDBOX_MEMORY", "out of memory"],
  ])("%j fails for good and says why", async (code, errorCode, hint) => {
    await expect(python(code)).rejects.toMatchObject({
      name: "NonRetryableError",
      code: errorCode,
      message: expect.stringContaining(hint),
    });
  });

  it("logs the traceback of what failed", async () => {
    const { log, lines } = collectLog();
    await expect(python("def main(input):\n  return 1 / 0", {}, { log })).rejects.toThrow("division by zero");
    expect(lines).toEqual([expect.stringMatching(/^warn Traceback[\s\S]*line 2, in main/)]);
  });

  it.each<Record<string, Json>>([
    { code: "" },
    { code: "x".repeat(300_000) },
    { code: "1", timeout_ms: 600_001 },
    { code: "1", memory_mb: 63 },
    { code: "1", memory_mb: 2_049 },
    { code: "1", timeout: 5 },
  ])("refuses %j", (input) => {
    expect(() => executors.python.parseInput(input)).toThrow(expect.objectContaining({ code: "INPUT_INVALID" }));
  });
});

describe.skipIf(!inject("canSandbox"))("shell.command", () => {
  it.each<[Record<string, Json>, Json]>([
    [{ command: "echo out; echo bad >&2" }, { exit_code: 0, stdout: "out\n", stderr: "bad\n" }],
    [{ args: ["printf", "%s|", "a b", "$HOME", "--", ""] }, { exit_code: 0, stdout: "a b|$HOME|--||", stderr: "" }],
    [
      { command: "sort", stdin: "b\na\n" },
      { exit_code: 0, stdout: "a\nb\n", stderr: "" },
    ],
    [
      { command: "cat in/x.txt", files: { "in/x.txt": "ü" } },
      { exit_code: 0, stdout: "ü", stderr: "" },
    ],
    [
      { command: "exit 7", allow_failure: true },
      { exit_code: 7, stdout: "", stderr: "" },
    ],
    [
      { command: "kill -9 $$", allow_failure: true },
      { exit_code: 137, stdout: "", stderr: "" },
    ],
    [
      { command: "pwd; id -un; env | sort | cut -d= -f1 | paste -sd' '" },
      { exit_code: 0, stdout: "/tmp\nsandbox\nHOME LANG PATH PWD TMPDIR\n", stderr: "" },
    ],
    [
      { command: "true", stdin: "x".repeat(500_000) },
      { exit_code: 0, stdout: "", stderr: "" },
    ],
  ])("%j answers", async (input, output) => {
    expect(await perform(executors.shell, input)).toEqual(output);
  });

  it.each([
    ["echo almost; echo 'no such thing' >&2; exit 2", "exited with 2: no such thing"],
    ["echo only output; exit 1", "exited with 1: only output"],
    ["exit 4", "exited with 4: it printed nothing"],
    ["no-such-program", "exited with 127:"],
  ])("%j fails for good and says why", async (command, message) => {
    await expect(shell(command)).rejects.toMatchObject({
      name: "NonRetryableError",
      code: "COMMAND_FAILED",
      message: expect.stringContaining(message),
    });
  });

  it.each<Record<string, Json>>([
    {},
    { command: "" },
    { command: "true", args: ["true"] },
    { args: [] },
    { args: [""] },
    { command: "x".repeat(100_001) },
    { args: ["echo", "ü".repeat(50_001)] },
    { command: "a\0b" },
    { command: "true", env: { LD_PRELOAD: "x" } },
  ])("refuses %j", (input) => {
    expect(() => executors.shell.parseInput(input)).toThrow(expect.objectContaining({ code: "INPUT_INVALID" }));
  });
});

describe.skipIf(!inject("canSandbox"))("both", () => {
  it("end at the time limit of the input, or of the attempt if that is shorter, and may be retried", async () => {
    const stopped = { name: "TaskError", code: "SANDBOX_TIMEOUT", message: "The sandbox was stopped after 200 ms" };
    await expect(shell("sleep 60", { timeout_ms: 200 })).rejects.toMatchObject(stopped);
    await expect(shell("sleep 60", {}, { timeoutMs: 200 })).rejects.toMatchObject(stopped);
  });

  it("end at once when the attempt is aborted, with everything they started, also while they wait for a turn", async () => {
    const abort = new AbortController();
    setMaxListeners(0, abort.signal); // one attempt has one signal; here twelve share it
    const seconds = "54321.25";
    const command = `sleep ${seconds} & setsid sleep ${seconds} & sleep ${seconds}`;
    const attempts = Array.from({ length: 12 }, () => shell(command, {}, { signal: abort.signal }));
    const outcomes = Promise.allSettled(attempts);
    const sleepers = () => processesWith(`sleep\0${seconds}\0`);
    await expect.poll(sleepers, { timeout: 10_000 }).not.toEqual([]);
    abort.abort(new Error("lease lost"));
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ status: "rejected", reason: { message: "lease lost" } });
    }
    expect(sleepers()).toEqual([]);
    expect(await shell("echo next")).toMatchObject({ stdout: "next\n" });
  });

  it("many at once each get their own answer", async () => {
    const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => shell("cat", { stdin: String(i) })));
    expect(answers).toEqual(Array.from({ length: 12 }, (_, i) => ({ exit_code: 0, stdout: String(i), stderr: "" })));
  });
});

describe.skipIf(!inject("canSandbox"))("an executor process with SKEIN_SANDBOX=bubblewrap", () => {
  const bed = testBed();
  const main = fileURLToPath(new URL("../main.ts", import.meta.url));

  it("offers both, passes on nothing it has inherited, and takes its sandboxes along when it is killed", async () => {
    const folder = mkdtempSync(join(tmpdir(), "skein-inherited-"));
    bed.after(async () => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, "secret.txt"), "the-secret");
    const inherited = openSync(join(folder, "secret.txt"), "r");
    const server = await bed.server();
    const child = spawn(process.execPath, ["--import", "tsx", main], {
      env: { PATH: process.env.PATH, SKEIN_URL: server.url, SKEIN_SANDBOX: "bubblewrap" },
      // As a shell or a service manager may leave it open; no file of the sandbox has this number.
      stdio: ["ignore", "ignore", "inherit", ...Array(26).fill("ignore"), inherited],
    });
    bed.after(async () => void child.kill("SIGKILL"));
    const looking = server.add("shell.command", {
      command: "cat /proc/self/fd/29 /proc/1/fd/29 2>&1; readlink /proc/self/fd/29",
    });
    await eventually(() => expect(looking.status).toBe("completed"), 20_000);
    expect(server.agents()[0]?.capabilities).toEqual(expect.arrayContaining(["code.python", "shell.command"]));
    expect(looking.report?.output).toMatchObject({ stdout: expect.stringMatching(/\/dev\/null\n$/) });
    expect(JSON.stringify(looking.report?.output)).not.toContain("the-secret");

    const seconds = "65432.5";
    server.add("shell.command", { command: `setsid sleep ${seconds} & sleep ${seconds}` });
    await eventually(() => expect(processesWith(`sleep\0${seconds}`)).toHaveLength(2), 20_000);
    child.kill("SIGKILL");
    await eventually(() => expect(processesWith(`sleep\0${seconds}`)).toEqual([]), 20_000);
  });
});

/** The command as a process of its own: what the shell sees. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { version } from "../version.ts";

const main = join(import.meta.dirname, "main.ts");
const tsx = import.meta.resolve("tsx");

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "skein-bin-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function start(args: string[], env: NodeJS.ProcessEnv = {}) {
  const { SKEIN_URL: _, ...own } = process.env;
  const child = spawn(process.execPath, ["--import", tsx, main, ...args], { cwd: folder, env: { ...own, ...env } });
  let output = "";
  const seen = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      for (const look of seen) look();
    });
  }
  return {
    child,
    ended: once(child, "close").then(([code, signal]) => ({ code: code ?? signal, output })),
    /** Resolves once the text has been written. */
    saw: (text: string) =>
      new Promise<void>((resolve) => {
        const look = () => output.includes(text) && resolve();
        seen.add(look);
        look();
      }),
  };
}

/** An embedded system takes 2 s to start, and ten times as long on a busy machine. */
const SLOW = { timeout: 180_000 };

describe("the skein command", SLOW, () => {
  it("answers with its version", async () => {
    expect(await start(["--version"]).ended).toEqual({ code: 0, output: `${version}\n` });
  });

  it("takes variables from a .env file, and says in one sentence what is wrong with them", async () => {
    await writeFile(join(folder, ".env"), "SKEIN_URL=nowhere\n");
    const { code, output } = await start(["runs", "list"]).ended;
    await rm(join(folder, ".env"));
    expect([code, output.trimEnd().split("\n")]).toEqual([
      2,
      [expect.stringMatching(/"nowhere" is not a server address/)],
    ]);
  });

  it("cancels an embedded run with Ctrl-C, stops the system, and exits with 1", async () => {
    await writeFile(
      join(folder, "long.yaml"),
      "name: long\ntasks: [{ id: a, capability: core.sleep, input: { duration: 10m } }]\n",
    );
    const skein = start(["run", "long.yaml", "--in-memory"]);
    await skein.saw("task.claimed");
    skein.child.kill("SIGINT");
    const { code, output } = await skein.ended;
    expect(output).toMatch(/run\.cancelled/);
    expect(code).toBe(1);
  });

  it.skipIf(process.platform === "win32")("stops when the npm that started it is gone", async () => {
    // As npm does: a shell in between, which dies of a SIGTERM and passes nothing on.
    const command = [process.execPath, "--import", tsx, main, "dev", "--in-memory", "--port", "0"];
    const shell = spawn("sh", ["-c", `"$@"; :`, "sh", ...command], {
      cwd: folder,
      env: { ...process.env, npm_command: "exec" },
    });
    let output = "";
    const ended = once(shell.stdout, "end");
    shell.stdout.setEncoding("utf8");
    for await (const text of shell.stdout) {
      output += text;
      if (output.includes("Ctrl-C stops it") && !shell.killed) shell.kill("SIGTERM");
    }
    await ended;
    expect(output).toMatch(/Stopping/);
  });

  it("names a database that does not answer, and starts none of its own in its place", async () => {
    const { code, output } = await start(["dev"], { DATABASE_URL: "postgres://me:secret@127.0.0.1:1/x" }).ended;
    expect(output).toMatch(/^PostgreSQL at 127\.0\.0\.1:1\/x: .* Check DATABASE_URL\. \[DATABASE_UNAVAILABLE\]$/m);
    expect(output).not.toMatch(/secret|running at/);
    expect(code).toBe(3);
  });
});

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { eventually, testBed } from "./running.suite.ts";

const bed = testBed();

const mainFile = fileURLToPath(new URL("./main.ts", import.meta.url));
const moduleFile = fileURLToPath(new URL("./blocking.suite.ts", import.meta.url));

/** The process, and what it has written so far. */
function start(
  url: string,
  args: string[] = [],
  env: Record<string, string> = {},
): { child: ChildProcess; output(): string } {
  const child = spawn(process.execPath, ["--import", "tsx", mainFile, ...args], {
    env: { PATH: process.env.PATH, SKEIN_URL: url, ...env },
  });
  let text = "";
  child.stdout?.on("data", (chunk) => {
    text += chunk;
  });
  child.stderr?.on("data", (chunk) => {
    text += chunk;
  });
  bed.after(async () => {
    if (child.exitCode === null) child.kill("SIGKILL");
  });
  return { child, output: () => text };
}

async function exitCode(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null) await once(child, "exit");
  return child.exitCode;
}

describe("the executor process", { timeout: 60_000 }, () => {
  it("keeps the leases of a handler that blocks its thread, and of its neighbours", async () => {
    // Three of them have to pass; shorter ones run out by themselves when the machine is busy.
    const leaseMs = 4_000;
    const server = await bed.server({ leaseMs });
    start(server.url, ["--import", moduleFile]);
    const neighbour = server.add("core.sleep", { ms: 4 * leaseMs });
    await eventually(() => expect(neighbour.status).toBe("running"), 30_000);
    const blocking = server.add("test.block", { ms: 3 * leaseMs });
    await eventually(() => expect([blocking.status, neighbour.status]).toEqual(["completed", "completed"]), 60_000);
    expect(blocking).toMatchObject({ attempt: 1, lost: 0 });
    expect(neighbour).toMatchObject({ attempt: 1, lost: 0 });
    expect(blocking.report?.output).toBeGreaterThanOrEqual(3 * leaseMs);
  }, 90_000);

  it("waits for the server, drains at SIGTERM and exits 0", async () => {
    const server = await bed.server();
    await server.stop();
    const { child, output } = start(server.url, ["--capability", "core.sleep,core.echo"]);
    await eventually(() => expect(output()).toContain("waiting for the server"), 30_000);
    await server.start();
    const task = server.add("core.sleep", { ms: 300 });
    await eventually(() => expect(task.status).toBe("running"), 30_000);
    child.kill("SIGTERM");
    expect(await exitCode(child)).toBe(0);
    expect(task).toMatchObject({ status: "completed", released: 0 });
    expect(server.agents()[0]).toMatchObject({ left: true, capabilities: ["core.echo", "core.sleep"] });
    for (const line of output().trim().split("\n")) expect(JSON.parse(line)).toHaveProperty("msg");
  });

  it("exits 1 at the second signal", async () => {
    const server = await bed.server();
    const { child } = start(server.url);
    const task = server.add("core.sleep", { ms: 60_000 });
    await eventually(() => expect(task.status).toBe("running"), 30_000);
    child.kill("SIGTERM");
    await eventually(() => {
      child.kill("SIGINT");
      expect(child.exitCode).toBe(1);
    });
  });

  it("gives back what is left at the end of the drain time", async () => {
    const server = await bed.server();
    const { child } = start(server.url, [], { SKEIN_DRAIN_MS: "50" });
    const task = server.add("core.sleep", { ms: 60_000 });
    await eventually(() => expect(task.status).toBe("running"), 30_000);
    child.kill("SIGTERM");
    expect(await exitCode(child)).toBe(0);
    expect(task).toMatchObject({ status: "ready", released: 1 });
  });

  it.each([
    [["--capability", "no.such"], "There is no executor for no.such"],
    [["--capability", "llm.generate"], "There is no executor for llm.generate (it needs OPENAI_BASE_URL)"],
    [["--import", "./no-such-file.js"], "Cannot load the executors of ./no-such-file.js"],
  ])("exits 1 and says why when started with %j", async (args, message) => {
    const { child, output } = start("http://127.0.0.1:9", args);
    expect(await exitCode(child)).toBe(1);
    expect(output()).toContain(message);
  });
});

/** What the kit says of executors that break the protocol on purpose, and of commands and deployments it cannot work with. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { invoke } from "../../../cli/invoke.suite.ts";
import { loadConfig } from "../../../config.ts";
import { type Embedded, startEmbedded } from "../../../embedded.ts";
import { createAgentClient, createClient } from "../../../sdk/client.ts";
import { cases } from "./cases.ts";
import { certify } from "./main.ts";
import { capabilities } from "./rig.ts";

const naive = fileURLToPath(new URL("../../../test/certify/naive-executor.mjs", import.meta.url));
const command = [process.execPath, naive];
const adminKey = "skk_test-admin-key-of-the-conformance-kit";
const { PATH = "" } = process.env;

/** What is wrong with the executor, and which cases have to find it. */
const faults: [fault: string, failed: string[], passed: string[]][] = [
  ["incapable", ["registration"], ["echo"]],
  ["report-twice", ["echo"], ["failures"]],
  ["greedy", ["slots"], ["echo"]],
  ["give-up", ["lost-claim", "lost-report"], ["echo"]],
  ["no-heartbeat", ["slow-report"], ["echo"]],
  ["ignore-cancel", ["cancel"], ["stale-lease"]],
  ["strict", ["unknown-fields"], ["echo"]],
  ["lose-key", ["crash"], ["echo"]],
  ["abrupt", ["drain"], ["echo"]],
];
const found = faults.flatMap(([, failed]) => failed);

/** Enough for what an executor does at once, and short enough to wait for what it never does. */
const PATIENCE_MS = 8_000;
const DEADLINE_MS = 120_000;

let embedded: Embedded;

beforeAll(async () => {
  const config = loadConfig({ PORT: "0", SKEIN_ADMIN_KEY: adminKey });
  embedded = await startEmbedded({ config, logger: pino({ level: "silent" }), inMemory: true });
});
afterAll(() => embedded?.stop());

/** The key of a namespace where nobody else performs anything. */
async function keyOf(namespace: string): Promise<string> {
  const admin = createClient({ url: embedded.url, apiKey: adminKey });
  const { key } = await admin.keys.create({ name: "kit", namespace, scopes: ["runs:read", "runs:write", "work"] });
  return key;
}

async function verdicts(fault: string, only: string[]): Promise<Record<string, boolean>> {
  const { results } = await certify({
    url: embedded.url,
    apiKey: await keyOf(`fault-${fault}`),
    command,
    env: { PATH, FAULTS: fault },
    only,
    patienceMs: PATIENCE_MS,
    log: () => {},
  });
  return Object.fromEntries(results.map(({ name, failure }) => [name, failure === undefined]));
}

describe.concurrent("the conformance kit", { timeout: DEADLINE_MS }, () => {
  it("passes an executor without these faults in the same cases", async ({ expect }) => {
    expect(await verdicts("none", found)).toEqual(Object.fromEntries(found.map((name) => [name, true])));
  });

  it.each(faults)("finds an executor that is broken: %s", async (fault, failed, passed) => {
    expect(await verdicts(fault, [...failed, ...passed])).toEqual({
      ...Object.fromEntries(failed.map((name) => [name, false])),
      ...Object.fromEntries(passed.map((name) => [name, true])),
    });
  });
});

describe("docs/certify.md", () => {
  it("has a row for each case and each capability, and for nothing else", () => {
    const text = readFileSync(new URL("../../../docs/certify.md", import.meta.url), "utf8");
    const documented = [...text.matchAll(/^\| `([a-z][a-z.-]*)` /gm)].map(([, name]) => name);
    expect(documented).toEqual([...capabilities, ...cases.map(({ name }) => name)]);
  });
});

describe("skein certify", { timeout: DEADLINE_MS }, () => {
  const skein = async (args: string[], env: Record<string, string> = {}) =>
    invoke(["certify", "--url", embedded.url, "--api-key", await keyOf("cli"), ...args], { env: { PATH, ...env } });

  it("prints a table and a verdict, and exits with 0", async () => {
    const { code, stdout, stderr } = await skein(["--case", "echo", "--", ...command]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^✓ echo +\d+ ms {2}It performs a task.*\nAll 1 cases passed at http/);
  });

  it("exits with 1 when a case fails, and says in JSON what it expected", async () => {
    const args = ["--json", "--case", "registration", "--case", "echo", "--", ...command];
    const { code, stdout } = await skein(args, { FAULTS: "incapable" });
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      passed: 1,
      failed: 1,
      results: [
        {
          name: "registration",
          status: "failed",
          step: "read its registration",
          failure: { actual: '["certify.big","certify.invalid"]', expected: "[]" },
        },
        { name: "echo", status: "passed" },
      ],
    });
  });

  it("tells what a command said that ended before it registered", async () => {
    const script = 'console.error("no such module"); process.exit(7)';
    const { code, stdout } = await skein(["--case", "echo", "--", process.execPath, "-e", script]);
    expect(code).toBe(1);
    expect(stdout).toContain("while     start the executor");
    expect(stdout).toContain("it ended by itself (exit code 7): no such module");
  });

  it("tells of a command that does not exist", async () => {
    const { code, stdout } = await skein(["--case", "echo", "--", "/nowhere/executor"]);
    expect(code).toBe(1);
    expect(stdout).toContain("it cannot be started: spawn /nowhere/executor ENOENT");
  });

  it("refuses a case that does not exist, naming those that do", async () => {
    const { code, stderr } = await skein(["--case", "ecco", "--", ...command]);
    expect(code).toBe(2);
    expect(stderr).toContain(`There is no case "ecco"; there are ${cases.map(({ name }) => name).join(", ")}.`);
  });

  it("wants a command", async () => {
    const { code, stderr } = await skein([]);
    expect(code).toBe(2);
    expect(stderr).toContain("missing required argument 'command'");
  });

  it("refuses to begin where another executor would take its tasks", async () => {
    const apiKey = await keyOf("taken");
    const connection = { url: embedded.url, apiKey };
    const other = { name: "other", capabilities: ["certify.sleep"] };
    const agent = createAgentClient(connection, await createClient(connection).agents.register(other));
    const begun = certify({ ...connection, command, env: { PATH }, log: () => {} });
    await expect(begun).rejects.toMatchObject({
      code: "CAPABILITY_CONFLICT",
      message: expect.stringContaining("offers certify.sleep already"),
    });
    await agent.leave();
  });

  it("refuses a port that is taken", async () => {
    const port = new URL(embedded.url).port;
    const { code, stderr } = await skein(["--listen", port, "--", ...command]);
    expect(code).toBe(2);
    expect(stderr).toContain(`Cannot listen on port ${port} (listen EADDRINUSE`);
  });

  it("leaves no agent behind", async () => {
    const admin = createClient({ url: embedded.url, apiKey: adminKey });
    const { data } = await admin.agents.list();
    expect(data.filter(({ status, name }) => status === "live" && name.startsWith("certify-"))).toEqual([]);
    const cli = createClient({ url: embedded.url, apiKey: await keyOf("cli") });
    expect((await cli.agents.list()).data.map(({ status }) => status)).not.toContain("live");
  });
});

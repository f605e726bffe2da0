/** The Python client, run by this machine's python3, against the deployed system. */
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SkeinError } from "../../core/errors.ts";
import type { Json, JsonObject } from "../../core/json.ts";
import { compileSchema } from "../../core/schema.ts";
import type { TaskDefinition } from "../../core/workflow.ts";
import { createAgentClient } from "../../sdk/client.ts";
import { adminKey, type Deployment, startDeployment, until } from "../../test/deployment.ts";
import { findPython, howToGetPython } from "../../test/services/python.ts";
import { freshDatabase } from "../../test/services.ts";
import { type Meddler, startMeddler } from "./meddler.suite.ts";

const here = import.meta.dirname;
const fixtures = join(here, "../../test/e2e/fixtures/executors.py");
const keeping = join(here, "../../test/e2e/fixtures/keeper.py");
const calls = "client_calls";
const example = join(here, "example.py");
const runFile = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), "skein-python-"));

const python = await findPython();
if (!python && process.env.CI === "true") throw new SkeinError("FEATURE_UNAVAILABLE", howToGetPython);
if (!python) console.warn(`NOT RUN: the tests of the Python client: ${howToGetPython}`);

interface Agent {
  child: ChildProcess;
  output(): string;
  signal(name: NodeJS.Signals): Promise<number | null>;
  exited(): Promise<number | null>;
}

const agents: Agent[] = [];

/** `skein.py` with these files of executors, as a process of its own. */
function startAgent(name: string, sources: string[], env: Record<string, string> = {}): Agent {
  const child = spawn(python!, [join(here, "skein.py"), ...sources], {
    env: {
      PATH: process.env.PATH,
      PYTHONDONTWRITEBYTECODE: "1",
      SKEIN_URL: meddler.url,
      SKEIN_API_KEY: adminKey,
      SKEIN_AGENT_NAME: name,
      ...env,
    },
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (chunk) => (text += chunk));
  const agent: Agent = {
    child,
    output: () => text,
    signal(signal) {
      const exited = agent.exited();
      child.kill(signal);
      return exited;
    },
    async exited() {
      if (child.exitCode === null) await once(child, "exit");
      return child.exitCode;
    },
  };
  agents.push(agent);
  return agent;
}

/** The programs that README.md shows: they begin with a comment that names their file. */
function writeReadmePrograms(): void {
  const readme = readFileSync(join(here, "README.md"), "utf8");
  const programs = [...readme.matchAll(/```python\n# (\w+\.py)\n(.*?)```/gs)];
  for (const [, file = "", program = ""] of programs) writeFileSync(join(folder, file), program);
  expect(programs.map(([, file]) => file)).toEqual([
    "greeter.py",
    "test_greeter.py",
    "tally.py",
    "test_tally.py",
    "nightly.py",
  ]);
  copyFileSync(join(here, "skein.py"), join(folder, "skein.py"));
}

let meddler: Meddler;
let deployment: Deployment;
let shared: Agent;

beforeAll(async () => {
  if (!python) return;
  writeReadmePrograms();
  meddler = await startMeddler();
  shared = startAgent("shared", [fixtures, join(folder, "greeter.py")]);
  await until(() => expect(shared.output()).toContain("cannot register, trying again"), "the agent waits");
  const { databaseUrl } = await freshDatabase();
  deployment = await startDeployment({ databaseUrl, executors: 0 });
  meddler.target = deployment.orchestrators[0]!.url;
  await until(() => expect(shared.output()).toContain("registered"), "the agent has registered");
});
afterAll(async () => {
  for (const { child } of agents) child.kill("SIGKILL");
  await deployment?.stop();
  await meddler?.close();
  rmSync(folder, { recursive: true });
});

const submit = (tasks: TaskDefinition[], defaults: JsonObject = {}) =>
  deployment.client().runs.submit({ definition: { name: "python", defaults, tasks } });

/** Runs one task called `a` to its end. */
async function settle(task: Omit<TaskDefinition, "id">, defaults: JsonObject = {}) {
  const { id } = await submit([{ id: "a", ...task }], defaults);
  return settled(id);
}

async function settled(runId: string) {
  const { runs } = deployment.client();
  await until(async () => expect((await runs.get(runId)).finished_at).not.toBeNull(), "the run has finished");
  return runs.task(runId, "a");
}

async function untilRunning(runId: string): Promise<void> {
  const running = async () =>
    expect(await deployment.client().runs.task(runId, "a")).toMatchObject({ status: "running" });
  await until(running, "the task runs");
}

async function agentsNamed(name: string) {
  return (await deployment.client().agents.list()).data.filter((agent) => agent.name === name);
}

const quickRetry = { retry: { max_attempts: 5, initial_delay: "50ms", jitter: false } };

describe.skipIf(!python).concurrent("the Python client", () => {
  it("shows programs and their tests in its README, and all work", async () => {
    const options = { cwd: folder, env: { PYTHONDONTWRITEBYTECODE: "1" }, stdio: "pipe" } as const;
    execFileSync(python!, ["-m", "unittest", "test_greeter", "test_tally"], options);
    const task = await settle({ capability: "demo.greet", input: { name: "geese" } });
    expect(task).toMatchObject({ status: "completed", attempt: 1, output: { text: "Hello, geese!" } });
  });

  it("asks the server for runs and all around them", async () => {
    // Not through the meddler, whose faults are for agents; and not blocking it.
    const env = {
      PATH: process.env.PATH,
      PYTHONDONTWRITEBYTECODE: "1",
      PYTHONPATH: here,
      SKEIN_URL: deployment.orchestrators[0]!.url,
      SKEIN_API_KEY: adminKey,
    };
    const printed = await runFile(python!, ["nightly.py"], { cwd: folder, env });
    expect(printed.stdout).toBe("Hello, Ada!\n");
    const { stderr } = await runFile(python!, ["-m", "unittest", calls], {
      cwd: join(here, "../../test/e2e/fixtures"),
      env,
    });
    expect(stderr).toMatch(/Ran \d+ tests in [\d.]+s\n\nOK/);
    expect(stderr).not.toContain("Ran 0 tests");
  });

  it("keeps in a TestContext what an agent keeps", () => {
    execFileSync(python!, ["-m", "unittest", "test_kept"], {
      cwd: join(here, "../../test/e2e/fixtures"),
      env: { PYTHONDONTWRITEBYTECODE: "1", PYTHONPATH: here },
      stdio: "pipe",
    });
  });

  it("judges contracts as the TypeScript runtime does", () => {
    const cases = contracts.flatMap(([schema, ...values]) => values.map((value) => ({ schema, value })));
    const program =
      "import json,sys,skein; print(json.dumps([not list(skein._breaches(c['schema'], c['value'], '', c['schema'])) for c in json.load(sys.stdin)]))";
    const input = JSON.stringify(cases);
    const verdicts = JSON.parse(execFileSync(python!, ["-c", program], { cwd: folder, input, encoding: "utf8" }));
    const expected = cases.map(({ schema, value }) => compileSchema(schema).findProblems(value).length === 0);
    expect(verdicts).toEqual(expected);
    expect(new Set(expected).size).toBe(2);
  });

  it("registers its contracts", async () => {
    const { data } = await deployment.client().capabilities();
    expect(data).toContainEqual(
      expect.objectContaining({
        name: "demo.greet",
        version: "1",
        description: "Greets somebody.",
        agents: 1,
        slots: 16,
        input_schema: expect.objectContaining({ required: ["name"] }),
      }),
    );
  });

  it("tells a handler all about its attempt, ignores fields it does not know, and reports output, log and usage", async () => {
    const task = await settle({ capability: "py.context", input: { "ü€🦆": [1, 2.5, null, true] } });
    const [agent] = await agentsNamed("shared");
    expect(task).toMatchObject({
      status: "completed",
      agent_id: agent!.id,
      output: {
        input: { "ü€🦆": [1, 2.5, null, true] },
        key: "a",
        attempt: 1,
        is_keyed: true,
        run_id: task.run_id,
        agent_id: agent!.id,
        capability: "py.context",
        timeout: 600,
        traceparent: expect.stringMatching(/^00-[0-9a-f]{32}-/),
      },
    });
    // Any older transaction in the server holds the newest lines back a while.
    await expect
      .poll(async () => (await deployment.client().runs.logs(task.run_id)).data, { timeout: 30_000 })
      .toContainEqual(expect.objectContaining({ source: "handler", level: "warn", message: "seen by everybody" }));
  });

  it("runs a coroutine", async () => {
    expect(await settle({ capability: "py.async" })).toMatchObject({ status: "completed", output: "later" });
  });

  it("fails attempts with what the handler raised, to be retried", async () => {
    const task = await settle({ capability: "py.flaky" }, quickRetry);
    expect(task).toMatchObject({ status: "completed", attempt: 4, failures: 3, output: 4 });
    expect(task.attempts.map(({ error }) => error && [error.code, error.message])).toEqual([
      ["HANDLER_FAILED", "ValueError: not yet\uFFFD"],
      ["BUSY", "busy"],
      ["HANDLER_FAILED", "SystemExit: a handler must not end the agent"],
      null,
    ]);
  });

  it.each<[string, Json, string, RegExp]>([
    ["py.final", {}, "NO_SUCH_PAGE", /^there is no such page$/],
    ["py.breaks", { output: { n: 1.5 } }, "OUTPUT_INVALID", /\/n: must be integer/],
    ["py.nan", {}, "OUTPUT_INVALID", /\/n is a number that JSON cannot carry/],
    ["demo.greet", {}, "INPUT_INVALID", /\/name: is missing/],
    ["py.astray", {}, "EMIT_REFUSED", /There is no map "nowhere"/],
  ])("fails %s with input %j for good, with %s", async (capability, input, code, message) => {
    const task = await settle({ capability, input }, quickRetry);
    expect(task).toMatchObject({
      status: "failed",
      attempt: 1,
      error: { code, message: expect.stringMatching(message) },
    });
  });

  it("adds to an open map and spawns tasks", async () => {
    const { id } = await submit([
      { id: "pages", for_each: [], open: true, capability: "py.context", input: "{{ item }}" },
      { id: "a", capability: "py.grow" },
    ]);
    expect(await settled(id)).toMatchObject({ status: "completed" });
    const { data } = await deployment.client().runs.tasks(id);
    expect(data.map(({ key, status }) => `${key} ${status}`).sort()).toEqual([
      "a completed",
      "a/child completed",
      "pages completed",
      "pages[0] completed",
      "pages[1] completed",
      "pages[2] completed",
    ]);
  });

  it("tells the handler of a cancelled run, and lives on", async () => {
    const { id } = await submit([{ id: "a", capability: "py.wait", input: { name: "cancelled" } }], {
      heartbeat: "1s",
    });
    const waiting = async () => expect((await deployment.client().runs.task(id, "a")).progress).toBe("waiting");
    await until(waiting, "the progress note is seen");
    await deployment.client().runs.cancel(id);
    await until(() => expect(shared.output()).toContain("stopped: cancelled CANCELLED"), "the handler has stopped");
    expect(await settled(id)).toMatchObject({ status: "cancelled" });
  });

  it("ends an attempt that takes longer than its timeout", async () => {
    const task = await settle({
      capability: "py.wait",
      input: { name: "slow" },
      timeout: "500ms",
      retry: { max_attempts: 1 },
    });
    expect(task).toMatchObject({ status: "failed", error: { code: "timeout" } });
    await until(() => expect(shared.output()).toContain("stopped: slow timeout"), "the handler has stopped");
  });

  it("keeps a lease for longer than one, of a handler that does not look up", async () => {
    const task = await settle({ capability: "py.sleep", input: { seconds: 5 } }, { heartbeat: "2s" });
    expect(task).toMatchObject({ status: "completed", attempt: 1, lost_leases: 0, output: "slept" });
  });
});

describe.skipIf(!python)("what an agent in Python keeps and tells others", () => {
  let keeper: Agent;
  beforeAll(async () => {
    keeper = await startKeeper();
  });
  afterAll(() => keeper.signal("SIGTERM"));

  async function startKeeper(): Promise<Agent> {
    const started = startAgent("keeper", [keeping]);
    await until(() => expect(started.output()).toContain("registered"), "the keeper has registered");
    return started;
  }

  const work = (capability: string, input: Json = {}) => settle({ capability, input }, quickRetry);
  const kept = () => deployment.client().agentData("keeper");

  it("comes with the success of the attempt that brings it, and with no other", async () => {
    const task = await work("py.keep", { word: "grey geese", to: "clerk", attempts: 2 });
    expect(task).toMatchObject({ status: "completed", attempt: 2, output: 1 });
    expect(await work("py.keep", { word: "a duck", to: "keeper" })).toMatchObject({ output: 2 });
    const writer = { task_id: task.id, attempt: 2 };
    expect((await kept().memory.list()).data).toMatchObject([
      { content: { saw: "a duck" } },
      { type: "observation", content: { saw: "grey geese" }, writer },
    ]);
    const state = await kept().state.read();
    expect(state).toMatchObject({ document: { count: 2 }, revision: 2 });
    expect(Date.parse(state.expires_at!) - Date.parse(state.updated_at)).toBeCloseTo(3_600_000, -4);
    expect((await deployment.client().agentData("clerk").inbox.read()).messages).toMatchObject([
      { from: { kind: "agent", name: "keeper" }, body: { count: 1 }, type: "told", conversation: "c1", writer },
    ]);
  });

  it("is there when an agent of its name starts again", async () => {
    expect(await keeper.signal("SIGTERM")).toBe(0);
    keeper = await startKeeper();
    const seen = await work("py.recall", { words: "geese -duck", attempts: 2 });
    expect(seen).toMatchObject({
      attempt: 2,
      output: {
        state: { count: 2 },
        found: [{ saw: "grey geese" }],
        newest: [{ saw: "a duck" }],
        inbox: [["keeper", { count: 2 }]],
      },
    });
    expect(await work("py.recall", { words: "none", wait: 0 })).toMatchObject({ output: { inbox: [], found: [] } });
  });

  it("is not overwritten unread, unless it is to be, and is deleted", async () => {
    const overtaken = await work("py.overwrite");
    expect(overtaken).toMatchObject({ status: "completed", attempt: 2, output: 2 });
    expect(overtaken.attempts[0]).toMatchObject({ error: { code: "STATE_CONFLICT" } });
    expect(await work("py.overwrite", { force: true })).toMatchObject({ attempt: 1, output: 1 });
    expect(await kept().state.read()).toMatchObject({ document: { count: 41 } });
    expect(await work("py.forget")).toMatchObject({ status: "completed" });
    await expect(kept().state.read()).rejects.toMatchObject({ code: "STATE_NOT_FOUND" });
  });

  it("is asked of others, who reply or do not, and heard of by topic", async () => {
    const client = deployment.client();
    const registered = await client.agents.register({ name: "oracle", capabilities: ["none"], kind: "external" });
    const oracle = createAgentClient({ url: client.url }, registered);
    const answering = (async () => {
      for await (const { id, from, body } of oracle.data.inbox.stream()) {
        await oracle.send([{ to: from.name, reply_to: id, body: { heard: body } }]);
        return;
      }
    })();
    const asked = await work("py.ask", { to: "oracle", question: "why", within: "20s" });
    expect(asked).toMatchObject({ status: "completed", output: ["oracle", { heard: { question: "why" } }] });
    await answering;
    expect((await kept().subscriptions.list()).data.map(({ topic }) => topic)).toEqual(["python"]);
    const unheard = await settle({
      capability: "py.ask",
      input: { to: "nobody", question: "?", within: "10ms" },
      retry: { max_attempts: 1 },
    });
    expect(unheard).toMatchObject({ status: "failed", error: { code: "NO_REPLY" } });
  });

  it("loses no update of handlers that contend for it", async () => {
    const { id } = await submit([
      { id: "a", for_each: Array.from({ length: 20 }, (_, n) => n), capability: "py.update", input: {} },
    ]);
    expect(await settled(id)).toMatchObject({ status: "completed" });
    expect(await kept().state.read()).toMatchObject({ document: { count: 20 } });
  });

  it("is updated once, though the answer was lost", async () => {
    await kept().state.write({ count: 7 });
    const [agent] = (await agentsNamed("keeper")).filter(({ status }) => status === "live");
    const isUpdate = (answer: string, request: string) => request.includes("write_id") && answer.includes("revision");
    const lost = meddler.loseAnswer(`/v1/agents/${agent!.id}/state`, isUpdate);
    expect(await work("py.update")).toMatchObject({ status: "completed", attempt: 1 });
    await lost;
    expect(await kept().state.read()).toMatchObject({ document: { count: 8 } });
  });
});

describe.skipIf(!python)("the Python client in trouble", () => {
  it("asks again for leases whose answer was lost, and reports again: no attempt is used up", async () => {
    const lost = [
      meddler.loseAnswer("/v1/tasks/claim", (answer) => answer.includes('"lease_token"')),
      meddler.loseAnswer("/v1/tasks/report", (answer) => answer.includes('"accepted"')),
    ];
    const task = await settle({ capability: "py.async" });
    await Promise.all(lost);
    expect(task).toMatchObject({ status: "completed", attempt: 1, failures: 0, lost_leases: 0 });
    await until(() => expect(shared.output()).toContain("reported: duplicate"), "the report was repeated");
  });

  it("registers again when the server has forgotten it", async () => {
    const [before] = await agentsNamed("shared");
    const headers = { authorization: `Bearer ${adminKey}` };
    const url = `${deployment.orchestrators[0]!.url}/v1/agents/${before!.id}`;
    expect((await fetch(url, { method: "DELETE", headers })).status).toBe(204);
    // The server itself remembers it for a moment; what it still takes then is lost with its lease.
    await until(async () => {
      const task = await settle({ capability: "py.async" }, { heartbeat: "1s" });
      expect(task.status).toBe("completed");
      expect(task.agent_id).not.toBe(before!.id);
    }, "another agent has the tasks");
    expect(await agentsNamed("shared")).toMatchObject([{ status: "live" }, { status: "left" }]);
  });

  it("survives the server's death: what ends meanwhile is reported later, and new work is taken", async () => {
    const { id } = await submit([{ id: "a", capability: "py.sleep", input: { seconds: 2 } }]);
    const asleep = async () =>
      expect((await deployment.client().runs.task(id, "a")).progress).toEqual({ asleep: true });
    await until(asleep, "the handler runs");
    const [orchestrator] = deployment.orchestrators;
    const said = shared.output().length;
    await orchestrator!.kill();
    await until(
      () => expect(shared.output().slice(said)).toContain("the report did not get through"),
      "it cannot report",
    );
    await orchestrator!.start();
    await until(() => deployment.client().ready(), "the server is back");
    expect(await settled(id)).toMatchObject({ status: "completed", attempt: 1, lost_leases: 0 });
    expect(await settle({ capability: "py.async" })).toMatchObject({ status: "completed", attempt: 1 });
  });

  it("drains at SIGTERM: what runs is finished and reported, then it leaves", async () => {
    const agent = startAgent("drained", [example]);
    const { id } = await submit([{ id: "a", capability: "slow.count", input: { to: 3, seconds: 0.3 } }]);
    await untilRunning(id);
    expect(await agent.signal("SIGTERM")).toBe(0);
    expect(await settled(id)).toMatchObject({ status: "completed", attempt: 1, output: { counted: 3 } });
    expect(await agentsNamed("drained")).toMatchObject([{ status: "left" }]);
  });

  it("leaves when somebody drains it", async () => {
    const agent = startAgent("unwanted", [example]);
    await until(async () => expect(await agentsNamed("unwanted")).toHaveLength(1), "it has registered");
    const [{ id } = { id: "" }] = await agentsNamed("unwanted");
    await deployment.client().agents.cordon(id, { cordoned: true, draining: true });
    expect(await agent.exited()).toBe(0);
    expect(await agentsNamed("unwanted")).toMatchObject([{ status: "left" }]);
  });

  it("gives back what does not finish in time", async () => {
    const agent = startAgent("hasty", [example], { SKEIN_DRAIN_MS: "0" });
    const { id } = await submit([{ id: "a", capability: "slow.count", input: { to: 2, seconds: 1 } }]);
    await untilRunning(id);
    expect(await agent.signal("SIGINT")).toBe(0);
    const released = await deployment.client().runs.task(id, "a");
    expect(released).toMatchObject({ status: "ready", failures: 0, lost_leases: 0 });
    expect(released.attempts).toMatchObject([{ outcome: "released" }]);
    await deployment.client().runs.cancel(id);
  });

  it("says what is wrong, and exits", async () => {
    const codeOf = async (env: Record<string, string>, sources = [example]) => {
      const agent = startAgent("wrong", sources, env);
      await once(agent.child, "close");
      return [agent.child.exitCode, agent.output()];
    };
    expect(await codeOf({ SKEIN_API_KEY: "skk_wrong" })).toEqual([1, expect.stringContaining("UNAUTHENTICATED: ")]);
    expect(await codeOf({ SKEIN_SLOTS: "many", SKEIN_DRAIN_MS: "-1" })).toEqual([
      2,
      expect.stringMatching(/CONFIG_INVALID: SKEIN_SLOTS .* SKEIN_DRAIN_MS /),
    ]);
    expect(await codeOf({}, [])).toEqual([2, expect.stringContaining("CAPABILITY_INVALID: There is no executor")]);
    expect(await codeOf({}, ["none.py"])).toEqual([2, expect.stringContaining("There is no file none.py")]);
  });
});

/** A schema, and values to judge. */
const contracts: [JsonObject, ...Json[]][] = [
  [{ type: "integer" }, 1, 1.0, 1.5, "1", true, null],
  [{ type: ["number", "null"] }, 1.5, null, false],
  [
    { type: "object", required: ["a"], additionalProperties: false, properties: { a: {} } },
    {},
    { a: 1 },
    { a: 1, b: 2 },
    [],
  ],
  [
    { patternProperties: { "^x": { type: "string" } }, additionalProperties: { type: "number" } },
    { x1: "a", y: 1 },
    { x1: 1 },
    { y: "a" },
  ],
  [{ items: { type: "string", minLength: 2, maxLength: 3 } }, ["ab"], ["a"], ["abcd"], ["🦆🦆"], [1], "a"],
  [{ prefixItems: [{ const: 1 }], items: false }, [1], [1, 2], [2], []],
  [{ minItems: 1, maxItems: 2, uniqueItems: true }, [], [1], [1, 1.0], [1, true], [{ a: 1 }, { a: 1 }], [1, 2, 3]],
  [{ minimum: 1, exclusiveMaximum: 3 }, 0, 1, 2.9, 3, "x"],
  [{ maximum: 1, exclusiveMinimum: 0 }, 0, 1, 2],
  [{ minProperties: 1, maxProperties: 1 }, {}, { a: 1 }, { a: 1, b: 1 }],
  [{ enum: [1, "a", null, { b: [1] }] }, 1, true, "a", null, { b: [1] }, { b: [2] }],
  [{ pattern: "^a+$" }, "aa", "ab", 1],
  [{ anyOf: [{ type: "string" }, { minimum: 5 }] }, "a", 5, 4],
  [{ oneOf: [{ type: "integer" }, { minimum: 5 }] }, 1, 5, 5.5, 4.5],
  [{ allOf: [{ minimum: 1 }, { maximum: 2 }], not: { const: 2 } }, 0, 1, 2],
  [
    { $ref: "#/$defs/tree", $defs: { tree: { type: "object", properties: { "a/b": { $ref: "#/$defs/tree" } } } } },
    { "a/b": { "a/b": {} } },
    { "a/b": { "a/b": 1 } },
  ],
];

/** Retries and forks over HTTP: what is answered, what is kept, and what is refused. */
import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { LogLineBody, RunBody, TaskBody } from "../../core/protocol/runs.ts";
import {
  completion,
  failure,
  type Namespace,
  nowhere,
  startServer,
  type TestAgent,
  type TestServer,
} from "./server.ts";

let server: TestServer;
let space: Namespace;
let agent: TestAgent;

beforeAll(async () => {
  server = await startServer();
  space = await server.newNamespace();
  agent = await space.join();
});
afterEach(async () => expect(await server.store.audit()).toEqual([]));
afterAll(() => server.stop());

const rerun = <T = RunBody>(verb: "retry" | "fork", run: string, body?: unknown, headers?: Record<string, string>) =>
  space.call<T>({ method: "POST", path: `/v1/runs/${run}/${verb}`, body, ...(headers && { headers }) });

async function tasksOf(run: string): Promise<Record<string, TaskBody>> {
  const { body } = await space.call<{ data: TaskBody[] }>({ path: `/v1/runs/${run}/tasks` });
  return Object.fromEntries(body.data.map((task) => [task.key, task]));
}

const statusesOf = async (run: string) =>
  Object.fromEntries(Object.values(await tasksOf(run)).map(({ key, status }) => [key, status]));

/** Works off everything that is ready, and fails the tasks that are named. */
async function work(failing: string[] = []): Promise<void> {
  for (let leases = await agent.claim(); leases.length > 0; leases = await agent.claim()) {
    await agent.report(
      leases.map((lease) =>
        failing.includes(lease.key) ? failure(lease, { retryable: false }) : completion(lease, { of: lease.key }),
      ),
    );
  }
}

const chain = [{ id: "a" }, { id: "b", needs: ["a"] }, { id: "c", needs: ["b"] }];

/** A finished run of the chain. */
async function ended(failing: string[], options: Record<string, unknown> = {}): Promise<RunBody> {
  const { id } = await space.submit(chain, options);
  await work(failing);
  return space.finished(id);
}

describe("a retry", () => {
  it("is a new run that keeps what completed and runs the rest", async () => {
    const old = await ended(["c"], { inputs: { x: 1 }, labels: { k: "v" }, priority: 2 });
    const { status, headers, body } = await rerun("retry", old.id);
    expect([status, headers.location]).toEqual([202, `/v1/runs/${body.id}`]);
    expect(body).toMatchObject({
      status: "running",
      attempt: 2,
      retried_from: old.id,
      inputs: { x: 1 },
      labels: { k: "v" },
      priority: 2,
      counts: { completed: 2, ready: 1 },
    });
    const [before, now] = [await tasksOf(old.id), await tasksOf(body.id)];
    expect(now.b).toMatchObject({ kept_from: before.b!.id, output: { of: "b" }, attempt: 0, started_at: null });
    expect(now.c).toMatchObject({ kept_from: null, error: null });
    await work();
    expect(await space.finished(body.id)).toMatchObject({ status: "completed" });
    const { body: logs } = await space.call<{ data: LogLineBody[] }>({ path: `/v1/runs/${body.id}/logs` });
    expect(logs.data.filter(({ step }) => step === "keep").map(({ task }) => task)).toEqual(["a", "b"]);
    expect(logs.data[0]).toMatchObject({ step: "submit", fields: { tasks: 3, retried_from: old.id } });
    for (const picture of ["graph?format=json", "timeline?format=json", "timeline?format=svg"]) {
      expect((await space.call({ path: `/v1/runs/${body.id}/${picture}` })).status).toBe(200);
    }
  });

  it("keeps the version that the run is pinned to", async () => {
    const definition = { name: "pinned", tasks: [{ id: "a", capability: "work" }] };
    await space.call({ path: "/v1/workflows", body: definition });
    const { body } = await space.call<RunBody>({ path: "/v1/runs", body: { workflow: "pinned" } });
    await work(["a"]);
    await space.finished(body.id);
    await space.call({ path: "/v1/workflows", body: { ...definition, description: "newer" } });
    expect((await rerun("retry", body.id, {})).body).toMatchObject({ workflow: "pinned", version: 1 });
    await work();
  });

  it("runs named tasks again, with what depends on them", async () => {
    const old = await ended([]);
    const { body } = await rerun("retry", old.id, { from: ["b"] });
    expect(await statusesOf(body.id)).toEqual({ a: "completed", b: "ready", c: "pending" });
    await work();
    expect(await space.finished(body.id)).toMatchObject({ status: "completed", attempt: 2 });
  });

  it("is refused of a run that goes on, and of one that completed, with the remedy", async () => {
    const done = await ended([]);
    expect(await rerun("retry", done.id)).toMatchObject({
      status: 409,
      body: { code: "NOTHING_TO_RETRY", detail: expect.stringMatching(/`from`/) },
    });
    const { id } = await space.submit(chain);
    for (const body of [undefined, { from: ["a"] }]) {
      expect(await rerun("retry", id, body)).toMatchObject({
        status: 409,
        body: { code: "RUN_NOT_FINISHED", detail: expect.stringMatching(/running.*fork/) },
      });
    }
    await work();
    expect(await rerun("retry", nowhere)).toMatchObject({ status: 404, body: { code: "RUN_NOT_FOUND" } });
    const foreign = await server.newNamespace();
    expect(await foreign.call({ method: "POST", path: `/v1/runs/${done.id}/fork` })).toMatchObject({ status: 404 });
  });

  it("is made once under an Idempotency-Key, which cannot be used for anything else", async () => {
    const old = await ended(["c"]);
    const headers = { "idempotency-key": randomUUID() };
    const first = await rerun("retry", old.id, { from: ["b"] }, headers);
    const again = await rerun("retry", old.id, { from: ["b"] }, headers);
    expect([again.status, again.body.id]).toEqual([202, first.body.id]);
    const other = await ended(["c"]);
    for (const [verb, run, body] of [
      ["retry", old.id, {}],
      ["retry", other.id, { from: ["b"] }],
      ["fork", old.id, { from: ["b"] }],
    ] as const) {
      expect(await rerun(verb, run, body, headers)).toMatchObject({
        status: 422,
        body: { code: "IDEMPOTENCY_KEY_REUSED" },
      });
    }
    await work();
  });
});

describe("a fork", () => {
  it("of a run that goes on keeps what has completed by then", async () => {
    const { id } = await space.submit(chain);
    const [a] = await agent.claim();
    await agent.report([completion(a!, 1)]);
    const [held] = await agent.claim();
    const { status, body } = await rerun("fork", id);
    expect([status, body.retried_from, body.attempt]).toEqual([202, id, 2]);
    expect(await statusesOf(body.id)).toEqual({ a: "completed", b: "ready", c: "pending" });
    expect(await statusesOf(id)).toMatchObject({ b: "running" });
    await agent.report([completion(held!)]);
    await work();
    for (const run of [id, body.id]) expect(await space.finished(run)).toMatchObject({ status: "completed" });
  });

  it("with other inputs keeps nothing, unless it is told which tasks they concern", async () => {
    const old = await ended([], { inputs: { x: 1 } });
    const whole = await rerun("fork", old.id, { inputs: { x: 2 } });
    expect(whole.body).toMatchObject({ inputs: { x: 2 }, version: null });
    expect(await statusesOf(whole.body.id)).toEqual({ a: "ready", b: "pending", c: "pending" });
    const part = await rerun("fork", old.id, { inputs: { x: 3 }, from: ["c"] });
    expect(await statusesOf(part.body.id)).toEqual({ a: "completed", b: "completed", c: "ready" });
    const leases = await agent.claim();
    expect(leases.find(({ key }) => key === "c")!.input).toMatchObject({ inputs: { x: 3 } });
    await agent.report(leases.map((lease) => completion(lease)));
    await work();
  });

  it("checks other inputs against the schema of the workflow", async () => {
    const schema = { type: "object", properties: { x: { type: "number" } } };
    const old = await ended([], { definition: { inputs: schema }, inputs: { x: 1 } });
    expect(await rerun("fork", old.id, { inputs: { x: "two" } })).toMatchObject({
      status: 422,
      body: { code: "RUN_INPUTS_INVALID", errors: [{ pointer: "/inputs/x" }] },
    });
  });

  it("with edits runs the edited tasks and their dependants, under a definition of its own", async () => {
    const definition = { name: "edited", tasks: chain.map((task) => ({ capability: "work", ...task })) };
    await space.call({ path: "/v1/workflows", body: definition });
    const submitted = await space.call<RunBody>({ path: "/v1/runs", body: { workflow: "edited" } });
    await work(["b"]);
    const old = await space.finished(submitted.body.id);
    const edits = { b: { input: { fixed: "{{ tasks.a.output.of }}" }, retry: { max_attempts: 1 } } };
    const { status, body } = await rerun("fork", old.id, { edits });
    expect([status, body.version, body.workflow]).toEqual([202, null, "edited"]);
    const [lease] = await agent.claim();
    expect(lease).toMatchObject({ key: "b", input: { fixed: "a" } });
    await agent.report([completion(lease!)]);
    await work();
    expect(await space.finished(body.id)).toMatchObject({ status: "completed" });
    expect((await space.call<{ version: number }>({ path: "/v1/workflows/edited" })).body.version).toBe(1);
    const same = await rerun("fork", body.id, { edits: { c: {} } });
    expect(await statusesOf(same.body.id)).toEqual({ a: "completed", b: "completed", c: "ready" });
    const back = await rerun("fork", body.id, { edits: { b: { input: null, retry: null } } });
    expect(back.body.version).toBeNull();
    expect((await rerun("fork", old.id, { edits: { b: { capability: "work" } } })).body.version).toBe(1);
    await work();
  });

  it("refuses edits that make the workflow wrong, as a submit would, and stores nothing", async () => {
    const old = await ended([]);
    const runs = async () => (await server.sql.query("select from run")).length;
    const before = await runs();
    const refuse = async (edits: object) => (await rerun<{ code: string }>("fork", old.id, { edits })).body;
    expect(await refuse({ b: { needs: ["c"] } })).toMatchObject({ status: 422, code: "WORKFLOW_HAS_CYCLE" });
    expect(await refuse({ b: { tiemout: "5s" } })).toMatchObject({
      status: 422,
      code: "WORKFLOW_KEY_UNKNOWN",
      errors: [{ pointer: "/edits/b/tiemout", message: expect.stringContaining('Did you mean "timeout"?') }],
    });
    expect(await refuse({ c: { input: "{{ tasks.d.output }}" } })).toMatchObject({
      status: 422,
      errors: [{ pointer: "/edits/c/input" }],
    });
    expect(await refuse({ b: { timeout: "5 parsecs" } })).toMatchObject({ code: "WORKFLOW_DURATION_INVALID" });
    expect(await refuse({ b: { id: "x" } })).toMatchObject({ status: 400, errors: [{ pointer: "/edits/b/id" }] });
    expect(await refuse({ b: "x" })).toMatchObject({ code: "REQUEST_INVALID", status: 400 });
    expect(await runs()).toBe(before);
  });

  it("refuses tasks that there are not, each at its place, with the nearest", async () => {
    const { id } = await space.submit([{ id: "search" }, { id: "read" }]);
    const answer = await rerun("fork", id, { from: ["read", "serch"], edits: { raed: {}, search: {} } });
    expect(answer).toMatchObject({
      status: 422,
      body: {
        code: "TASK_UNKNOWN",
        errors: [
          { code: "TASK_UNKNOWN", pointer: "/from/1", message: expect.stringContaining('Did you mean "search"?') },
          { code: "TASK_UNKNOWN", pointer: "/edits/raed", message: expect.stringContaining('Did you mean "read"?') },
        ],
      },
    });
    await work();
    await space.finished(id);
    const retried = await rerun("retry", id, { from: ["reed"] });
    expect(retried).toMatchObject({ status: 422, body: { errors: [{ pointer: "/from/0" }] } });
    expect(await rerun("retry", id, { form: [] })).toMatchObject({ status: 400, body: { code: "REQUEST_INVALID" } });
  });

  it("of a run in which nothing is left to do finishes by itself", async () => {
    const old = await ended([]);
    const { body } = await rerun("fork", old.id);
    expect(await space.finished(body.id)).toMatchObject({ status: "completed", counts: { completed: 3 } });
  });

  it("takes a definition that is checked on the thread", async () => {
    const tasks = Array.from({ length: 2_500 }, (_, n) => ({
      id: `t${n}`,
      capability: "nobody",
      input: "x".repeat(150),
    }));
    const { id } = await space.submit(tasks);
    const { status, body } = await rerun("fork", id, { edits: { t7: { capability: "other" } } });
    expect([status, body.task_count]).toEqual([202, 2_500]);
    for (const run of [id, body.id]) await space.call({ method: "POST", path: `/v1/runs/${run}/cancel` });
    for (const run of [id, body.id]) await space.finished(run);
  });
});

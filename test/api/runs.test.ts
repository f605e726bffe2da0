/** Workflows and runs over HTTP: every route's purpose, pages, negotiation, idempotency and waiting. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { LogLineBody, ResultBody, RunBody, TaskBody, TaskDetailBody } from "../../core/protocol/runs.ts";
import type { Validation, WorkflowRecord } from "../../core/protocol/workflows.ts";
import { completion, failure, type Namespace, nowhere, startServer, type TestServer } from "./server.ts";

type Page<T> = { data: T[]; next_cursor: string | null };

let server: TestServer;
let space: Namespace;

beforeAll(async () => {
  server = await startServer();
  space = await server.newNamespace();
});
afterAll(() => server.stop());

const uuidV7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const utcMilliseconds = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

async function allPages<T>(path: string): Promise<T[][]> {
  const pages: T[][] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const query: string = cursor === undefined ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const { body, status } = await space.call<Page<T>>({ path: path + query });
    expect(status).toBe(200);
    pages.push(body.data);
    cursor = body.next_cursor;
  }
  return pages;
}

describe("workflows", () => {
  it("are saved from runs as these are now, with their patches, and run with other inputs", async () => {
    const space = await server.newNamespace();
    const agent = await space.join();
    const run = await space.submit([{ id: "a", input: "{{ inputs.x }}" }], { inputs: { x: 1 } });
    const patched = await space.call({
      method: "PATCH",
      path: `/v1/runs/${run.id}/graph`,
      headers: { "if-match": '"0"' },
      body: { add: [{ id: "b", capability: "work", needs: ["a"] }] },
    });
    expect(patched.status).toBe(200);
    const save = (body: object) =>
      space.call<{ name: string; version: number; definition: { tasks: { id: string }[] } }>({
        path: `/v1/runs/${run.id}/workflow`,
        body,
      });
    const saved = await save({ name: "again", description: "What was planned." });
    expect([saved.status, saved.body.name, saved.body.version]).toEqual([201, "again", 1]);
    expect(saved.body.definition.tasks.map(({ id }) => id)).toEqual(["a", "b"]);
    expect((await save({ name: "again", description: "What was planned." })).status).toBe(200);
    const { body: next } = await space.call<{ id: string }>({
      path: "/v1/runs",
      body: { workflow: "again", inputs: { x: 2 } },
    });
    await space.call({ method: "POST", path: `/v1/runs/${run.id}/cancel` });
    await agent.work(({ input }) => input);
    expect(await space.finished(next.id)).toMatchObject({ status: "completed", workflow: "again", version: 1 });
  });

  const yaml = (more = "") => `name: report\n${more}tasks:\n  - { id: a, capability: work }\n`;
  const post = <T>(path: string, body: string, type = "application/yaml", own = space) =>
    own.call<T>({ path, body, headers: { "content-type": type } });

  it("are registered once by content, each new content as a new version", async () => {
    const own = await server.newNamespace();
    const first = await post<WorkflowRecord>("/v1/workflows", yaml(), "application/yaml", own);
    expect([first.status, first.body]).toMatchObject([201, { name: "report", version: 1 }]);
    expect(first.body.created_at).toMatch(utcMilliseconds);
    const again = await post<WorkflowRecord>("/v1/workflows", yaml(), "text/yaml; charset=utf-8", own);
    expect([again.status, again.body]).toEqual([200, first.body]);
    const json = JSON.stringify({ tasks: [{ capability: "work", id: "a" }], name: "report" });
    expect((await post("/v1/workflows", json, "application/json", own)).status).toBe(200);
    const second = await post<WorkflowRecord>("/v1/workflows", yaml("description: other\n"), "application/yaml", own);
    expect([second.status, second.body.version]).toEqual([201, 2]);
    const conflict = await post("/v1/workflows", yaml("description: third\nversion: 2\n"), "application/yaml", own);
    expect([conflict.status, (conflict.body as { code: string }).code]).toEqual([409, "WORKFLOW_VERSION_CONFLICT"]);

    const read = (path: string) => own.call<WorkflowRecord>({ path });
    expect((await read("/v1/workflows/report")).body.version).toBe(2);
    expect((await read("/v1/workflows/report?version=1")).body).toEqual(first.body);
    expect((await read("/v1/workflows/report?version=3")).status).toBe(404);
    const list = await own.call<Page<WorkflowRecord>>({ path: "/v1/workflows" });
    expect(list.body.data.map(({ name, version }) => `${name}@${version}`)).toEqual(["report@2"]);
  });

  it.each([
    ["application/yaml", "name: x\ntasks:\n  - id: a\n    capability: work\n    neds: [b]\n", [5, 5]],
    [
      "application/json",
      '{ "name": "x", "tasks": [\n  { "id": "a", "capability": "work",\n    "neds": [] }] }',
      [3, 5],
    ],
  ])("in %s are refused with line, column, pointer and a suggestion", async (type, text, [line, column]) => {
    const flaw = {
      code: "WORKFLOW_KEY_UNKNOWN",
      pointer: "/tasks/0/neds",
      line,
      column,
      message: expect.stringContaining('Did you mean "needs"?'),
    };
    const refused = await post("/v1/workflows", text, type);
    expect([refused.status, refused.body]).toMatchObject([422, { code: "WORKFLOW_KEY_UNKNOWN", errors: [flaw] }]);
    const checked = await post<Validation>("/v1/workflows/validate", text, type);
    expect([checked.status, checked.body]).toMatchObject([200, { valid: false, errors: [flaw] }]);
  });

  it("are checked without being stored", async () => {
    const own = await server.newNamespace();
    const checked = await post<Validation>("/v1/workflows/validate", yaml(), "application/yaml", own);
    expect(checked.body).toMatchObject({ valid: true, tasks: 1, errors: [], bounds: { tasks: { least: 1, most: 1 } } });
    expect((await own.call<Page<unknown>>({ path: "/v1/workflows" })).body.data).toEqual([]);
  });

  it("are listed in pages that miss and repeat none", async () => {
    const own = await server.newNamespace();
    for (const letter of "edcba") await post("/v1/workflows", yaml().replace("report", letter), "text/yaml", own);
    const seen: string[] = [];
    for (let cursor = ""; ; ) {
      const page = await own.call<Page<WorkflowRecord>>({ path: `/v1/workflows?limit=2${cursor}` });
      seen.push(...page.body.data.map(({ name }) => name));
      if (page.body.next_cursor === null) break;
      cursor = `&cursor=${page.body.next_cursor}`;
    }
    expect(seen).toEqual(["a", "b", "c", "d", "e"]);
  });
});

describe("a run", () => {
  it("is acknowledged with 202, its address and all its fields", async () => {
    const { status, headers, body } = await space.call<RunBody>({
      path: "/v1/runs",
      body: {
        definition: { name: "flow", labels: { a: "1", b: "2" }, tasks: [{ id: "a", capability: "work" }] },
        inputs: { topic: "geese" },
        labels: { b: "3" },
        priority: 7,
      },
    });
    expect(status).toBe(202);
    expect(headers.location).toBe(`/v1/runs/${body.id}`);
    expect(body.id).toMatch(uuidV7);
    expect(body.created_at).toMatch(utcMilliseconds);
    expect(body).toMatchObject({
      workflow: "flow",
      version: null,
      status: "running",
      inputs: { topic: "geese" },
      labels: { a: "1", b: "3" },
      priority: 7,
      task_count: 1,
      counts: { ready: 1 },
      attempt: 1,
      retried_from: null,
      fair_key: null,
      error: null,
      finished_at: null,
    });
    expect((await space.call({ path: headers.location! })).body).toEqual(body);
  });

  it("of a registered workflow keeps the version that was asked for", async () => {
    const own = await server.newNamespace();
    for (const description of ["one", "two"]) {
      await own.call({
        path: "/v1/workflows",
        body: { name: "w", description, tasks: [{ id: "a", capability: "work" }] },
      });
    }
    const submit = async (workflow: string) => (await own.call<RunBody>({ path: "/v1/runs", body: { workflow } })).body;
    expect(await submit("w@1")).toMatchObject({ workflow: "w", version: 1 });
    expect(await submit("w")).toMatchObject({ workflow: "w", version: 2 });
    expect(await submit("w@3")).toMatchObject({ code: "WORKFLOW_NOT_FOUND", status: 404 });
  });

  it("shows its result, tasks, attempts, inputs and logs", async () => {
    const own = await server.newNamespace();
    const agent = await own.join();
    const { id } = await own.submit(
      [
        { id: "a", input: { n: "{{ inputs.n }}" }, retry: { initial_delay: "1ms", jitter: false } },
        { id: "b", needs: ["a"] },
      ],
      { inputs: { n: 20 }, definition: { outputs: { sum: "{{ tasks.b.output + 1 }}" } } },
    );
    const [first] = await agent.claim();
    await agent.report([{ ...failure(first!), logs: [log("at first")] }]);
    const [second] = await agent.claim({ wait: 10 });
    expect([second!.key, second!.attempt, second!.input]).toEqual(["a", 2, { n: 20 }]);
    await agent.report([{ ...completion(second!, 20), logs: [log("better", { n: 20 })] }]);
    await agent.work(({ input }) => (input as { needs: { a: number } }).needs.a * 2);

    expect((await own.finished(id)).counts).toEqual({ completed: 2 });
    const result = await own.call<ResultBody>({ path: `/v1/runs/${id}/result` });
    expect(result.body).toEqual({ status: "completed", outputs: { sum: 41 }, error: null });
    const tasks = await own.call<Page<TaskBody>>({ path: `/v1/runs/${id}/tasks` });
    expect(tasks.body.data).toMatchObject([
      { key: "a", status: "completed", attempt: 2, failures: 1, output: 20, needs: [], agent_id: agent.id },
      { key: "b", status: "completed", attempt: 1, needs: ["a"], output: 40 },
    ]);
    const detail = await own.call<TaskDetailBody>({ path: `/v1/runs/${id}/tasks/a` });
    expect(detail.body).toMatchObject({
      id: tasks.body.data[0]!.id,
      input: { n: 20 },
      attempts: [
        { attempt: 1, outcome: "failed", error: { code: "broken" }, agent_id: agent.id },
        { attempt: 2, outcome: "completed", error: null },
      ],
    });
    expect((await own.call({ path: `/v1/runs/${id}/tasks/${detail.body.id}` })).body).toEqual(detail.body);
    const logs = await own.call<Page<LogLineBody>>({ path: `/v1/runs/${id}/logs` });
    expect(logs.body.data.filter(({ task }) => task === "a").map(({ step, message }) => `${step}: ${message}`)).toEqual(
      [
        "ready: task ready for work",
        "claim: task claimed by poll",
        "log: at first",
        "retry: attempt failed; task will be tried again",
        "claim: task claimed by poll",
        "log: better",
        "finish: task completed",
      ],
    );
  });

  function log(message: string, fields?: object) {
    return { at: "2026-01-31T12:00:00.000Z", level: "info", message, ...(fields && { fields }) };
  }

  it("fails with the failure of its first failed task", async () => {
    const own = await server.newNamespace();
    const agent = await own.join();
    const { id } = await own.submit([{ id: "a" }, { id: "b", needs: ["a"] }]);
    const [lease] = await agent.claim();
    await agent.report([failure(lease!, { retryable: false })]);
    const run = await own.finished(id);
    expect(run).toMatchObject({
      status: "failed",
      error: { code: "broken", message: "It broke.", task: "a" },
      counts: { failed: 1, skipped: 1 },
    });
    const result = await own.call<ResultBody>({ path: `/v1/runs/${id}/result` });
    expect(result.body).toEqual({ status: "failed", outputs: null, error: run.error });
  });

  it("is cancelled at once, and cancelled again without harm, but not once it has finished otherwise", async () => {
    const own = await server.newNamespace();
    const agent = await own.join();
    const { id } = await own.submit([{ id: "a" }]);
    const cancel = (run: string, body?: object) =>
      own.call<RunBody>({ method: "POST", path: `/v1/runs/${run}/cancel`, body });
    const first = await cancel(id, { reason: "changed my mind" });
    expect(first.status).toBe(202);
    expect(await own.finished(id)).toMatchObject({ status: "cancelled", error: { message: "changed my mind" } });
    expect((await cancel(id)).status).toBe(202);

    const other = await own.submit([{ id: "a" }]);
    await agent.work();
    await own.finished(other.id);
    expect((await cancel(other.id)).body).toMatchObject({ code: "RUN_ALREADY_FINISHED", status: 409 });
    expect((await cancel(nowhere)).body).toMatchObject({ code: "RUN_NOT_FOUND", status: 404 });
  });

  it("is paused and resumed, each once, by a key that is named and not told, until it has finished", async () => {
    const own = await server.newNamespace();
    const agent = await own.join();
    const { id } = await own.submit([{ id: "a" }, { id: "b", needs: ["a"] }, { id: "c" }]);
    const [a] = await agent.claim({ max: 1 });
    const change = (verb: "pause" | "resume", run: string, body?: object) =>
      own.call<RunBody>({ method: "POST", path: `/v1/runs/${run}/${verb}`, body });

    const paused = await change("pause", id, { reason: "lunch" });
    expect([paused.status, paused.body]).toMatchObject([202, { id, status: "paused", paused_by: "test" }]);
    expect((await change("pause", id, { reason: "again" })).status).toBe(202);
    expect((await agent.report([completion(a!)], { claim: { max: 10 } })).tasks).toEqual([]);
    expect(await agent.claim()).toEqual([]);
    expect((await own.call<Page<RunBody>>({ path: "/v1/runs?status=paused" })).body.data).toMatchObject([{ id }]);
    const resumed = await change("resume", id);
    expect([resumed.status, resumed.body]).toMatchObject([202, { id, status: "running", paused_by: null }]);
    expect((await change("resume", id, { reason: "again" })).status).toBe(202);
    await agent.work();
    await own.finished(id);

    const logs = (await own.call<Page<LogLineBody>>({ path: `/v1/runs/${id}/logs` })).body.data;
    expect(logs.filter(({ step }) => step === "pause" || step === "resume")).toMatchObject([
      { step: "pause", fields: { by: "test", reason: "lunch" } },
      { step: "resume", fields: { by: "test" } },
    ]);
    const events = await own.call<Page<{ type: string }>>({ path: `/v1/runs/${id}/events` });
    expect(events.body.data.filter(({ type }) => /paused|resumed/.test(type))).toMatchObject([
      { type: "run.paused", by: "test", reason: "lunch" },
      { type: "run.resumed", by: "test" },
    ]);
    expect(events.text).not.toContain(own.key);

    for (const verb of ["pause", "resume"] as const) {
      expect((await change(verb, id)).body).toMatchObject({ code: "RUN_ALREADY_FINISHED", status: 409 });
      expect((await change(verb, nowhere)).body).toMatchObject({ code: "RUN_NOT_FOUND", status: 404 });
      expect((await change(verb, id, { why: "x" })).body).toMatchObject({ code: "REQUEST_INVALID", status: 400 });
    }
  });

  it("that is paused is cancelled all the same", async () => {
    const own = await server.newNamespace();
    const { id } = await own.submit([{ id: "a" }]);
    await own.call({ method: "POST", path: `/v1/runs/${id}/pause` });
    expect((await own.call({ method: "POST", path: `/v1/runs/${id}/cancel` })).status).toBe(202);
    expect(await own.finished(id)).toMatchObject({ status: "cancelled", paused_by: null });
  });

  it("hands its trace on to every lease", async () => {
    const own = await server.newNamespace();
    const agent = await own.join();
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    await own.submit([{ id: "a" }], { headers: { traceparent } });
    expect((await agent.claim())[0]!.traceparent).toBe(traceparent);
    await own.submit([{ id: "a" }], { headers: { traceparent: "00-0-0-0" } });
    const [begun] = await agent.claim();
    expect(begun!.traceparent).toMatch(/^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-01$/);
  });
});

describe("listings", () => {
  it("of runs come newest first, in pages, and by status, workflow and label", async () => {
    const own = await server.newNamespace();
    const agent = await own.join();
    const ids: string[] = [];
    for (let n = 0; n < 5; n++) {
      const labels = { odd: String(n % 2 === 1), "with=sign": "a=b" };
      ids.unshift((await own.submit([{ id: "a" }], { labels, definition: { name: n < 3 ? "few" : "many" } })).id);
    }
    const list = async (query: string) =>
      (await own.call<Page<RunBody>>({ path: `/v1/runs?${query}` })).body.data.map(({ id }) => ids.indexOf(id));
    expect(await list("")).toEqual([0, 1, 2, 3, 4]);
    expect(await list("workflow=many")).toEqual([0, 1]);
    expect(await list("label=odd=true")).toEqual([1, 3]);
    expect(await list("label=odd=true&workflow=few")).toEqual([3]);
    expect(await list("label=odd=true&label=nope=1")).toEqual([]);
    await own.call({ method: "POST", path: `/v1/runs/${ids[4]}/cancel` });
    await own.finished(ids[4]!);
    expect(await list("status=cancelled")).toEqual([4]);
    expect(await list("status=running&limit=2")).toEqual([0, 1]);
    await agent.work();

    const seen: string[] = [];
    for (let cursor = ""; ; ) {
      const page = await own.call<Page<RunBody>>({ path: `/v1/runs?limit=2${cursor}` });
      expect(page.body.data.length).toBeLessThanOrEqual(2);
      seen.push(...page.body.data.map(({ id }) => id));
      if (page.body.next_cursor === null) break;
      cursor = `&cursor=${page.body.next_cursor}`;
    }
    expect(seen).toEqual(ids);
  });

  it("of tasks and logs come in order, in pages, and tasks by status", async () => {
    const tasks = Array.from({ length: 7 }, (_, n) => ({ id: `t${n}`, needs: n === 0 ? [] : [`t${n - 1}`] }));
    const { id } = await space.submit(tasks);
    const pages = await allPages<TaskBody>(`/v1/runs/${id}/tasks?limit=3`);
    expect(pages.map((page) => page.map(({ key }) => key))).toEqual([["t0", "t1", "t2"], ["t3", "t4", "t5"], ["t6"]]);
    expect((await allPages<TaskBody>(`/v1/runs/${id}/tasks?status=ready`)).flat().map(({ key }) => key)).toEqual([
      "t0",
    ]);
    const whole = (await allPages<LogLineBody>(`/v1/runs/${id}/logs?limit=100`)).flat();
    expect((await allPages<LogLineBody>(`/v1/runs/${id}/logs?limit=1`)).flat()).toEqual(whole);
    expect(whole.length).toBeGreaterThan(1);
  });

  it("of keys and agents come in pages", async () => {
    const own = await server.newNamespace();
    for (let n = 0; n < 3; n++) await own.join([`work-${n}`]);
    const agents = await own.call<Page<{ id: string; capabilities: string[] }>>({ path: "/v1/agents?limit=2" });
    expect(agents.body.data.map(({ capabilities }) => capabilities)).toEqual([["work-2"], ["work-1"]]);
    const rest = await own.call<Page<{ id: string }>>({ path: `/v1/agents?cursor=${agents.body.next_cursor}` });
    expect([rest.body.data.length, rest.body.next_cursor]).toEqual([1, null]);
    const key = await own.keyWith("runs:read");
    const keys = await own.call<Page<{ name: string }>>({ path: "/v1/keys?limit=1" });
    expect(keys.body.data.map(({ name }) => name)).toEqual(["limited"]);
    expect(keys.text).not.toContain(key);
    expect(keys.body.next_cursor).not.toBeNull();
  });
});

describe("pictures", () => {
  const formats = {
    json: "application/json",
    mermaid: "text/vnd.mermaid",
    dot: "text/vnd.graphviz",
    svg: "image/svg+xml",
    html: "text/html",
  };
  let run: RunBody;
  beforeAll(async () => {
    run = await space.submit([{ id: "a<b>&c".replace(/\W/g, "_") }, { id: "d", needs: ["a_b__c"] }]);
  });

  it.each(Object.entries(formats))("of the graph come as %s, by name and by media type", async (format, type) => {
    const named = await space.call({ path: `/v1/runs/${run.id}/graph?format=${format}` });
    expect([named.status, named.headers["content-type"]]).toEqual([200, `${type}; charset=utf-8`]);
    const negotiated = await space.call({ path: `/v1/runs/${run.id}/graph`, headers: { accept: type } });
    expect(negotiated.text).toBe(named.text);
    expect(named.headers).toMatchObject({
      "content-security-policy": expect.stringContaining("default-src 'none'"),
      "x-content-type-options": "nosniff",
      "cache-control": "no-store",
    });
  });

  it.each([
    ["*/*", "json"],
    ["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "html"],
    ["text/html;q=0.1, image/svg+xml", "svg"],
    ["image/*", "svg"],
    ["TEXT/VND.GRAPHVIZ ; q=0.5, application/json;q=0.4", "dot"],
    ["text/html;q=0, application/json;q=0.1", "json"],
  ] as const)("of the graph for Accept: %s are %s", async (accept, format) => {
    const { headers } = await space.call({ path: `/v1/runs/${run.id}/graph`, headers: { accept } });
    expect(headers["content-type"]).toBe(`${formats[format]}; charset=utf-8`);
  });

  it.each(["application/pdf", "text/html;q=0", "*/*;q=nonsense"])("cannot be had for Accept: %s", async (accept) => {
    const { body } = await space.call({ path: `/v1/runs/${run.id}/graph`, headers: { accept } });
    expect(body).toMatchObject({ code: "NOT_ACCEPTABLE", status: 406 });
  });

  it("of the timeline come as json and svg", async () => {
    const json = await space.call<object>({ path: `/v1/runs/${run.id}/timeline` });
    expect(json.headers["content-type"]).toBe("application/json; charset=utf-8");
    const svg = await space.call({ path: `/v1/runs/${run.id}/timeline`, headers: { accept: "image/svg+xml" } });
    expect(svg.text).toMatch(/^<svg/);
    const html = await space.call({ path: `/v1/runs/${run.id}/timeline?format=html` });
    expect(html.body).toMatchObject({ code: "REQUEST_INVALID", errors: [{ pointer: "/querystring/format" }] });
  });
});

describe("Prefer: wait", () => {
  it("answers 200 with the finished run as soon as it has finished", async () => {
    const own = await server.newNamespace();
    const agent = await own.join();
    const submitting = own.call<RunBody>({
      path: "/v1/runs",
      body: { definition: { name: "w", tasks: [{ id: "a", capability: "work" }] } },
      headers: { prefer: "respond-async, wait=30" },
    });
    const [lease] = await agent.claim({ wait: 30 });
    await agent.report([completion(lease!)]);
    const { status, headers, body } = await submitting;
    expect([status, headers["preference-applied"], body.status]).toEqual([200, "wait=30", "completed"]);
  });

  it("answers 202 with the run as it is when the wait is over", async () => {
    const { status, body } = await space.call<RunBody>({
      path: "/v1/runs",
      body: { definition: { name: "w", tasks: [{ id: "a", capability: "nobody" }] } },
      headers: { prefer: "wait=1" },
    });
    expect([status, body.status]).toEqual([202, "running"]);
  });

  it.each(["wait=NaN", "wait=-1", "wait=", "waiting=30", "handling=lenient"])("ignores %s", async (prefer) => {
    const { status, headers } = await space.call({
      path: "/v1/runs",
      body: { definition: { name: "w", tasks: [{ id: "a", capability: "nobody" }] } },
      headers: { prefer },
    });
    expect([status, headers["preference-applied"]]).toEqual([202, undefined]);
  });
});

describe("Idempotency-Key", () => {
  const definition = (description: string) => ({ name: "once", description, tasks: [{ id: "a", capability: "work" }] });
  const submit = (key: string, body: object, own = space) =>
    own.call<RunBody & { code: string }>({ path: "/v1/runs", body, headers: { "idempotency-key": key } });

  it("answers a repeat with the same run, whatever the order of its keys", async () => {
    const key = randomUUID();
    const first = await submit(key, { definition: definition("x"), inputs: { a: 1, b: 2 } });
    const again = await submit(key, { inputs: { b: 2, a: 1 }, definition: definition("x") });
    expect([again.status, again.body.id]).toEqual([202, first.body.id]);
  });

  it("refuses another body, be it only another definition, and stores nothing of it", async () => {
    const own = await server.newNamespace();
    const key = randomUUID();
    await submit(key, { definition: definition("x") }, own);
    for (const body of [{ definition: definition("y") }, { definition: definition("x"), priority: 1 }]) {
      const { status, body: problem } = await submit(key, body, own);
      expect([status, problem.code]).toEqual([422, "IDEMPOTENCY_KEY_REUSED"]);
    }
    expect((await own.call<Page<RunBody>>({ path: "/v1/runs" })).body.data).toHaveLength(1);
    const definitions = await server.sql.query("select from definition where namespace = $1", [own.name]);
    expect(definitions).toHaveLength(1);
  });

  it("belongs to its namespace", async () => {
    const key = randomUUID();
    const [mine, theirs] = [await server.newNamespace(), await server.newNamespace()];
    const one = await submit(key, { definition: definition("x") }, mine);
    const other = await submit(key, { definition: definition("y") }, theirs);
    expect(other.status).toBe(202);
    expect(other.body.id).not.toBe(one.body.id);
  });

  it("makes one run of twenty submits at once", async () => {
    const own = await server.newNamespace();
    const key = randomUUID();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => submit(key, { definition: definition("x") }, own)),
    );
    expect(new Set(answers.map(({ status, body }) => `${status} ${body.id}`)).size).toBe(1);
    expect((await own.call<Page<RunBody>>({ path: "/v1/runs" })).body.data).toHaveLength(1);
  });

  it("makes one run of different bodies at once, and refuses the others", async () => {
    const own = await server.newNamespace();
    const key = randomUUID();
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, n) => submit(key, { definition: definition(`v${n}`) }, own)),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([202, ...Array(9).fill(422)]);
    expect((await own.call<Page<RunBody>>({ path: "/v1/runs" })).body.data).toHaveLength(1);
  });

  it.each(["", "x".repeat(256)])("must have 1 to 255 characters", async (key) => {
    const { body } = await submit(key, { definition: definition("x") });
    expect(body).toMatchObject({ code: "REQUEST_INVALID", status: 400 });
  });
});

/**
 * Hostile and careless requests: each is refused with a 4xx problem that names the place and the remedy, never with a
 * 5xx, and leaves nothing behind.
 */
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { errorTitles } from "../../core/errors.ts";
import type { Json, JsonObject } from "../../core/json.ts";
import type { Problem } from "../../core/protocol/common.ts";
import type { LeaseBody } from "../../core/protocol/tasks.ts";
import { until } from "../deployment.ts";
import {
  type Answer,
  adminKey,
  type Call,
  completion,
  failure,
  type Namespace,
  nowhere,
  proof,
  sendRaw,
  startServer,
  type TestAgent,
  type TestServer,
} from "./server.ts";

let server: TestServer;
let space: Namespace;
let agent: TestAgent;
let lease: LeaseBody;
let plan: string;
const goal = { have: { page: { type: "web.url", value: "https://a.example" } }, want: { text: "document.text" } };
let run: string;

beforeAll(async () => {
  server = await startServer();
  space = await server.newNamespace();
  agent = await space.join();
  // Nothing is asked of it but to be there when something is planned.
  await space.join([{ name: "read", consumes: { url: "web.url" }, produces: { text: "document.text" } }]);
  plan = (await space.call<{ id: string }>({ path: "/v1/plans", body: { goal } })).body.id;
  await space.call({ path: "/v1/workflows", body: flow([task("a")]) });
  // Leases that outlive this file, however slow the machine.
  run = (await space.submit(["a", "b"].map((id) => ({ id, heartbeat: "1h" })))).id;
  lease = (await agent.claim({ max: 1 }))[0]!;
});
afterAll(async () => {
  const violations = await server.store.audit();
  const failures = server.log.filter(({ level, err }) => Number(level) >= 50 && err !== undefined);
  await server.stop();
  expect(violations).toEqual([]);
  expect(failures).toEqual([]);
});

/** A cancelled run comes down after the answer, in steps that write events. */
async function cancelsAreOver(): Promise<void> {
  const underWay = `select id from run where ending is not null and finished_at is null
    union all select id from run where status = 'cancelled' and exists (select from task
      where run_id = run.id and task.status not in ('completed', 'failed', 'skipped', 'cancelled'))`;
  await until(async () => expect(await server.sql.query(underWay)).toEqual([]), "cancelled runs are down");
}

/** How many rows there are of everything a request could make. */
async function rows(): Promise<Record<string, number>> {
  await cancelsAreOver();
  const tables = [
    "run",
    "task",
    "workflow",
    "definition",
    "agent",
    "capability",
    "plan",
    "api_key",
    "idempotency",
    "event",
    "bid",
    "attempt",
    "artifact",
    "schedule",
    "schedule_tick",
  ];
  const counts = tables.map((table) => `(select count(*)::int from ${table}) as "${table}"`);
  return (await server.sql.query<Record<string, number>>(`select ${counts.join(", ")}`))[0]!;
}

/** Of any answer: if it is a refusal it has the form of one. */
function expectProblem({ status, headers, body }: Answer<Problem>): void {
  expect(status).toBeGreaterThanOrEqual(400);
  expect(status).toBeLessThan(500);
  expect(headers["content-type"]).toMatch(/^application\/problem\+json/);
  expect(Object.keys(errorTitles)).toContain(body.code);
  expect(body).toMatchObject({ status, type: `/problems/${body.code}`, title: errorTitles[body.code as "INTERNAL"] });
  expect(body.detail).toMatch(/^\S.{15,}/s);
  for (const flaw of body.errors ?? []) {
    expect(flaw.pointer).toMatch(/^(\/|$)/);
    expect(flaw.message.length).toBeGreaterThan(10);
    expect(Object.keys(errorTitles)).toContain(flaw.code);
  }
}

const byAgent = /^\/v1\/(tasks\/|agents\/[^/]+\/(heartbeat|announcements|bids))/;
const call = (one: Call) => server.call({ key: byAgent.test(one.path) ? agent.token : space.key, ...one });

/** Refused, in the form of a problem, without a trace. */
async function refuse(one: Call): Promise<Problem> {
  const before = await rows();
  const answer = await call(one);
  expectProblem(answer);
  expect(await rows()).toEqual(before);
  return answer.body;
}

const task = (id: string, more: JsonObject = {}) => ({ id, capability: "work", ...more });
const submit = (definition: Json, more: JsonObject = {}) => ({
  path: "/v1/runs",
  body: { definition, ...more } as Json,
});
const flow = (tasks: Json, more: JsonObject = {}) => ({ name: "flow", tasks, ...more });
const yaml = (body: string | Uint8Array) => ({
  path: "/v1/workflows",
  body,
  headers: { "content-type": "application/yaml" },
});
const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels);

describe("a workflow is refused", () => {
  it.each<[string, Json, string, string, JsonObject?]>([
    ["an unknown key", flow([task("a", { neds: [] })]), "WORKFLOW_KEY_UNKNOWN", "/tasks/0/neds"],
    ["an unknown key of its own", flow([task("a")], { tsks: 1 }), "WORKFLOW_KEY_UNKNOWN", "/tsks"],
    ["two tasks of one id", flow([task("a"), task("a")]), "WORKFLOW_TASK_DUPLICATE", "/tasks/0/id"],
    ["a need that is not there", flow([task("a", { needs: ["z"] })]), "WORKFLOW_NEED_UNKNOWN", "/tasks/0/needs/0"],
    ["a task that needs itself", flow([task("a", { needs: ["a"] })]), "WORKFLOW_HAS_CYCLE", "/tasks/0/needs/0"],
    [
      "a circle",
      flow([task("a", { needs: ["b"] }), task("b", { needs: ["a"] })]),
      "WORKFLOW_HAS_CYCLE",
      "/tasks/0/needs",
    ],
    ["no tasks", flow([]), "WORKFLOW_INVALID", "/tasks"],
    ["tasks that are no list", flow({ a: 1 }), "WORKFLOW_INVALID", "/tasks"],
    ["a task that is no object", flow([[]]), "WORKFLOW_INVALID", "/tasks/0"],
    ["an id of __proto__", flow([task("__proto__")]), "WORKFLOW_INVALID", "/tasks/0/id"],
    ["an odd id", flow([task("a b")]), "WORKFLOW_INVALID", "/tasks/0/id"],
    ["an id too long", flow([task("a".repeat(129))]), "WORKFLOW_INVALID", "/tasks/0/id"],
    ["a bare number as duration", flow([task("a", { timeout: 30 })]), "WORKFLOW_DURATION_INVALID", "/tasks/0/timeout"],
    [
      "a duration beyond all bounds",
      flow([task("a", { timeout: "9999999999d" })]),
      "WORKFLOW_DURATION_INVALID",
      "/tasks/0/timeout",
    ],
    ["a priority out of range", flow([task("a", { priority: 10 })]), "WORKFLOW_INVALID", "/tasks/0/priority"],
    ["a version out of range", flow([task("a")], { version: 2 ** 40 }), "WORKFLOW_INVALID", "/version"],
    [
      "attempts out of range",
      flow([task("a", { retry: { max_attempts: 0 } })]),
      "WORKFLOW_INVALID",
      "/tasks/0/retry/max_attempts",
    ],
    ["an expression that does not parse", flow([task("a", { when: "1 +" })]), "EXPRESSION_SYNTAX", "/tasks/0/when"],
    ["a template that does not close", flow([task("a", { input: "{{ 1" })]), "EXPRESSION_SYNTAX", "/tasks/0/input"],
    [
      "an expression over a task that is not needed",
      flow([task("a"), task("b", { input: { x: "{{ tasks.a.output }}" } })]),
      "EXPRESSION_NOT_A_NEED",
      "/tasks/1/input/x",
    ],
    ["an expression over nothing", flow([task("a", { when: "foo > 1" })]), "EXPRESSION_UNKNOWN_NAME", "/tasks/0/when"],
    ["a refused function", flow([task("a", { when: "'a'.matches('a')" })]), "EXPRESSION_NOT_ALLOWED", "/tasks/0/when"],
    [
      "an expression beyond its budget",
      flow([task("a", { when: `${"(".repeat(5000)}1${")".repeat(5000)}` })]),
      "EXPRESSION_LIMIT",
      "/tasks/0/when",
    ],
    [
      "an endless expression",
      flow([task("a", { when: `${"1+".repeat(50_000)}1 > 0` })]),
      "EXPRESSION_LIMIT",
      "/tasks/0/when",
    ],
    [
      "a schema that is none",
      flow([task("a")], { inputs: { type: "nonsense" } }),
      "WORKFLOW_SCHEMA_INVALID",
      "/inputs/type",
    ],
    ["U+0000", flow([task("a", { input: "\u0000" })]), "JSON_UNSTORABLE", "/tasks/0/input"],
    ["a lone surrogate", flow([task("a", { input: ["\ud800"] })]), "JSON_UNSTORABLE", "/tasks/0/input/0"],
  ])("for %s, as a file and inline", async (_, definition, code, pointer) => {
    const file = await refuse({ path: "/v1/workflows", body: definition });
    expect([file.code, file.errors?.[0]?.pointer]).toEqual([code, pointer]);
    expect(file.errors![0]).toHaveProperty("line");
    const inline = await refuse(submit(definition));
    expect([inline.code, inline.errors?.[0]?.pointer]).toEqual([code, `/definition${pointer}`]);
  });

  it.each<[string, string | Uint8Array, string]>([
    ["a tab for indentation", "name: x\ntasks:\n\t- id: a", "YAML_INVALID"],
    ["brackets that do not close", "name: [x", "YAML_INVALID"],
    ["two keys of one name", "name: x\nname: y\ntasks: [{ id: a, capability: c }]", "YAML_INVALID"],
    ["aliases that multiply", aliasBomb(), "YAML_INVALID"],
    ["two documents", "name: x\n---\nname: y", "YAML_INVALID"],
    ["a tag that constructs", "name: !!js/function 'x'\ntasks: []", "YAML_INVALID"],
    ["a merge key", "x: &x { a: 1 }\nname: n\n<<: *x\ntasks: [{ id: a, capability: c }]", "WORKFLOW_KEY_UNKNOWN"],
    ["a depth bomb", `name: ${nested(50_000)}`, "WORKFLOW_LIMIT_EXCEEDED"],
    ["nothing in it", "", "WORKFLOW_INVALID"],
    ["a scalar", "just text", "WORKFLOW_INVALID"],
    ["bytes that are not UTF-8", Buffer.from([0x6e, 0xff, 0xfe, 0x0a]), "JSON_INVALID"],
  ])("in YAML for %s", async (_, text, code) => {
    const { code: got, errors } = await refuse(yaml(text));
    expect([got, ...(errors ?? []).map((flaw) => flaw.code)]).toContain(code);
  });

  it("for a version after which there would be no next one", async () => {
    const { code, errors } = await refuse({ path: "/v1/workflows", body: flow([task("a")], { version: 2 ** 31 - 1 }) });
    expect([code, errors![0]!.pointer]).toEqual(["WORKFLOW_INVALID", "/version"]);
  });

  it("for one task too many", async () => {
    const tasks = Array.from({ length: 100_001 }, (_, n) => ({ id: `t${n}`, capability: "c" }));
    for (const one of [submit(flow(tasks)), { path: "/v1/workflows", body: flow(tasks) }]) {
      const problem = await refuse(one);
      expect(problem).toMatchObject({ code: "WORKFLOW_LIMIT_EXCEEDED", status: 413 });
      expect(problem.detail).toContain("SKEIN_MAX_TASKS_PER_RUN");
    }
  });
});

function aliasBomb(): string {
  const levels = Array.from(
    { length: 9 },
    (_, n) => `x${n}: &x${n} [${Array(9).fill(n === 0 ? "lol" : `*x${n - 1}`)}]`,
  );
  return `${levels.join("\n")}\nname: x\ntasks: [{ id: a, capability: c }]`;
}

describe("a submit is refused", () => {
  const good = flow([task("a")]);
  it.each<[string, JsonObject, string, string]>([
    ["nothing to run", {}, "REQUEST_INVALID", ""],
    ["two things to run", { workflow: "x", definition: good }, "REQUEST_INVALID", ""],
    ["an unknown key", { definition: good, prioritty: 1 }, "REQUEST_INVALID", "/prioritty"],
    ["a definition that is a list", { definition: [] }, "REQUEST_INVALID", "/definition"],
    ["a name that is none", { workflow: "a b" }, "REQUEST_INVALID", "/workflow"],
    ["a version that is none", { workflow: "a@0" }, "REQUEST_INVALID", "/workflow"],
    ["a priority out of range", { definition: good, priority: -1 }, "REQUEST_INVALID", "/priority"],
    ["a priority in between", { definition: good, priority: 0.5 }, "REQUEST_INVALID", "/priority"],
    ["inputs that are a list", { definition: good, inputs: [] }, "REQUEST_INVALID", "/inputs"],
    ["labels that are no texts", { definition: good, labels: { a: 1 } }, "REQUEST_INVALID", "/labels/a"],
    ["a label without a name", { definition: good, labels: { "": "x" } }, "REQUEST_INVALID", "/labels/"],
    ["an input with U+0000", { definition: good, inputs: { a: ["\u0000"] } }, "JSON_UNSTORABLE", "/inputs/a/0"],
    ["a key with a lone surrogate", { definition: good, inputs: { "\ud800": 1 } }, "JSON_UNSTORABLE", "/inputs/\ud800"],
    [
      "inputs that break the schema",
      {
        definition: { ...good, inputs: { type: "object", required: ["n"], properties: { n: { type: "number" } } } },
        inputs: { n: "x" },
      },
      "RUN_INPUTS_INVALID",
      "/inputs/n",
    ],
    [
      "inputs that the schema misses",
      { definition: { ...good, inputs: { type: "object", required: ["n"] } } },
      "RUN_INPUTS_INVALID",
      "/inputs",
    ],
  ])("for %s", async (_, body, code, pointer) => {
    const problem = await refuse({ path: "/v1/runs", body });
    expect([problem.code, problem.errors?.[0]?.pointer]).toEqual([code, pointer]);
  });

  it("for more labels than are allowed, those of the workflow included", async () => {
    const labels = (prefix: string) => Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`${prefix}${n}`, "x"]));
    const problem = await refuse(submit(flow([task("a")], { labels: labels("a") }), { labels: labels("b") }));
    expect(problem.errors![0]!.pointer).toBe("/labels");
    expect(problem.detail).toContain("SKEIN_MAX_LABELS");
  });

  it("for a workflow of another namespace", async () => {
    const other = await server.newNamespace();
    await other.call({ path: "/v1/workflows", body: { ...good, name: "theirs" } });
    expect((await refuse({ path: "/v1/runs", body: { workflow: "theirs" } })).code).toBe("WORKFLOW_NOT_FOUND");
  });
});

describe("a body is refused", () => {
  const json = (body: string | Uint8Array, path = "/v1/runs") => ({ path, body });
  const whole = JSON.stringify({ definition: flow([task("a")]) });

  it.each<[string, Call, string, string?]>([
    ["that is empty", json(""), "JSON_INVALID"],
    ["that is blank", json(" \n\t"), "JSON_INVALID"],
    ["that is not JSON", json("{"), "JSON_INVALID"],
    ["with something after its end", json(`${whole}x`), "JSON_INVALID"],
    ["with a trailing comma", json(`{"workflow":"x",}`), "JSON_INVALID"],
    ["with single quotes", json("{'workflow':'x'}"), "JSON_INVALID"],
    ["with NaN", json('{"priority":NaN}'), "JSON_INVALID"],
    ["with a raw control character", json('{"workflow":"a\u0001b"}'), "JSON_INVALID"],
    ["with one key twice", json('{"workflow":"a","labels":{"x":"1","x":"2"}}'), "JSON_INVALID", "/labels/x"],
    ["with one key twice, once escaped", json('{"workflow":"a","\\u0077orkflow":"b"}'), "JSON_INVALID", "/workflow"],
    ["that is a list", json("[]"), "REQUEST_INVALID", ""],
    ["that is a text", json('"x"'), "REQUEST_INVALID", ""],
    ["that is null", json("null"), "REQUEST_INVALID", ""],
    ["that is a number", json("1"), "REQUEST_INVALID", ""],
    ["with __proto__", json('{"workflow":"a","inputs":{"__proto__":{"x":1}}}'), "JSON_UNSTORABLE"],
    ["with an escaped __proto__", json('{"workflow":"a","inputs":{"\\u005f_proto__":{"x":1}}}'), "JSON_UNSTORABLE"],
    [
      "with constructor.prototype",
      json('{"workflow":"a","inputs":{"constructor":{"prototype":{}}}}'),
      "JSON_UNSTORABLE",
    ],
    ["with a number beyond a double", json('{"workflow":"a","inputs":{"x":1e200000}}'), "JSON_UNSTORABLE", "/inputs/x"],
    [
      "with too many digits",
      json(`{"workflow":"a","inputs":{"x":${"9".repeat(400)}}}`),
      "JSON_UNSTORABLE",
      "/inputs/x",
    ],
    ["with 65 levels of inputs", json(`{"workflow":"a","inputs":{"x":${nested(64)}}}`), "JSON_UNSTORABLE"],
    ["that is a depth bomb", json(nested(500_000)), "JSON_UNSTORABLE"],
    [
      "that is a depth bomb of objects",
      json(`{"inputs":${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}}`),
      "JSON_UNSTORABLE",
    ],
    [
      "that is not UTF-8",
      json(Buffer.from([...Buffer.from('{"workflow":"'), 0xc3, 0x28, ...Buffer.from('"}')])),
      "JSON_INVALID",
    ],
    ["that is UTF-16", json(Buffer.from(`\ufeff${whole}`, "utf16le")), "JSON_INVALID"],
    [
      "of another charset",
      { ...json(whole), headers: { "content-type": "application/json; charset=utf-16" } },
      "MEDIA_TYPE_UNSUPPORTED",
    ],
    ["of another type", { ...json(whole), headers: { "content-type": "text/plain" } }, "MEDIA_TYPE_UNSUPPORTED"],
    [
      "of a form",
      { ...json("a=b"), headers: { "content-type": "application/x-www-form-urlencoded" } },
      "MEDIA_TYPE_UNSUPPORTED",
    ],
    ["of no type that exists", { ...json(whole), headers: { "content-type": "nonsense" } }, "MEDIA_TYPE_UNSUPPORTED"],
    [
      "of YAML where there is no file",
      { ...json("a: b"), headers: { "content-type": "application/yaml" } },
      "MEDIA_TYPE_UNSUPPORTED",
    ],
    [
      "that is compressed",
      { ...json(gzipSync(whole)), headers: { "content-encoding": "gzip" } },
      "MEDIA_TYPE_UNSUPPORTED",
    ],
    ["that is absent", { path: "/v1/runs", method: "POST" }, "REQUEST_INVALID", ""],
    ["that is absent, of a workflow", { path: "/v1/workflows", method: "POST" }, "REQUEST_INVALID"],
    ["larger than its route takes", json(JSON.stringify({ name: "x".repeat(2 ** 20) }), "/v1/keys"), "BODY_TOO_LARGE"],
  ])("%s", async (_, one, code, pointer) => {
    const problem = await refuse(one);
    expect(problem.code).toBe(code);
    if (pointer !== undefined) expect(problem.errors?.[0]?.pointer).toBe(pointer);
  });

  it("over a limit with the limit's name: 64 MiB for runs and workflows, 16 for reports, 1 elsewhere", async () => {
    const announced = async (path: string, bytes: number) => {
      const key = byAgent.test(path) ? agent.token : space.key;
      const { body } = await sendRaw(
        server.url,
        `POST ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${key}\r\nContent-Type: application/json\r\nContent-Length: ${bytes}\r\nConnection: close\r\n\r\n`,
      );
      return `${body.status} ${/SKEIN_\w+/.exec(body.detail)?.[0]}`;
    };
    const MiB = 2 ** 20;
    expect(await announced("/v1/runs", 64 * MiB + 1)).toBe("413 SKEIN_MAX_DEFINITION_BYTES");
    expect(await announced("/v1/workflows", 64 * MiB + 1)).toBe("413 SKEIN_MAX_DEFINITION_BYTES");
    expect(await announced("/v1/workflows/validate", 64 * MiB + 1)).toBe("413 SKEIN_MAX_DEFINITION_BYTES");
    expect(await announced("/v1/tasks/report", 16 * MiB + 1)).toBe("413 SKEIN_MAX_REPORT_BYTES");
    for (const path of ["/v1/tasks/claim", "/v1/tasks/heartbeat", "/v1/agents", "/v1/keys", `/v1/runs/${run}/cancel`]) {
      expect([path, await announced(path, MiB + 1)]).toEqual([path, "413 SKEIN_MAX_BODY_BYTES"]);
    }
  });

  it("that turns out too large while it arrives", async () => {
    const head = `POST /v1/keys HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${space.key}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n`;
    const chunk = `10000\r\n${"x".repeat(0x10000)}\r\n`;
    const { body } = await sendRaw(server.url, `${head}${chunk.repeat(17)}0\r\n\r\n`);
    expect(body).toMatchObject({ code: "BODY_TOO_LARGE", status: 413 });
  });

  it("but not for a byte order mark, or for megabytes where they belong", async () => {
    const marked = await call(json(`\ufeff${whole}`));
    expect(marked.status).toBe(202);
    const large = await call(submit(flow([task("a")]), { inputs: { text: "x".repeat(5 * 2 ** 20) } }));
    expect(large.status).toBe(202);
    for (const { body } of [marked, large]) {
      await call({ method: "POST", path: `/v1/runs/${(body as unknown as { id: string }).id}/cancel` });
    }
  });
});

describe("what is asked of an agent's door is refused", () => {
  const claim = (more: JsonObject) => ({ path: "/v1/tasks/claim", body: { request_id: "r", max: 1, ...more } });
  const report = (more: JsonObject) => ({
    path: "/v1/tasks/report",
    body: { request_id: "r", reports: [{ ...completion(lease), ...more }] },
  });
  const beat = (more: JsonObject) => ({
    path: "/v1/tasks/heartbeat",
    body: { leases: [{ ...proof(lease), ...more }] },
  });
  const failed = (error: JsonObject) => ({
    path: "/v1/tasks/report",
    body: { request_id: "r", reports: [failure(lease, error)] },
  });

  const bids = (list: object[], agentId = agent.id) => ({
    path: `/v1/agents/${agentId}/bids`,
    body: { bids: list.map((one) => ({ task_id: nowhere, round: 1, bid: 1, ...one })) },
  });
  const announcements = (agentId: string, query: string) => ({ path: `/v1/agents/${agentId}/announcements${query}` });

  it.each<[string, () => Call, string, string?]>([
    ["a request_id with U+0000", () => claim({ request_id: "\u0000" }), "JSON_UNSTORABLE", "/request_id"],
    ["a request_id too long", () => claim({ request_id: "x".repeat(129) }), "REQUEST_INVALID", "/request_id"],
    ["nothing at most", () => claim({ max: 0 }), "REQUEST_INVALID", "/max"],
    ["too much at once", () => claim({ max: 1_001 }), "REQUEST_INVALID", "/max"],
    ["half a task", () => claim({ max: 0.5 }), "REQUEST_INVALID", "/max"],
    ["a wait too long", () => claim({ wait: 31 }), "REQUEST_INVALID", "/wait"],
    ["a wait before now", () => claim({ wait: -1 }), "REQUEST_INVALID", "/wait"],
    ["a wait that is a text", () => claim({ wait: "NaN" }), "REQUEST_INVALID", "/wait"],
    ["an id that is none", () => claim({ task_ids: [nowhere, "1"] }), "REQUEST_INVALID", "/task_ids/1"],
    ["a capability it did not register", () => claim({ capabilities: ["other"] }), "REQUEST_INVALID"],
    ["an attempt of 2^40", () => beat({ attempt: 2 ** 40 }), "REQUEST_INVALID", "/leases/0/attempt"],
    ["an attempt of 0", () => report({ attempt: 0 }), "REQUEST_INVALID", "/reports/0/attempt"],
    ["an attempt of 2^31", () => report({ attempt: 2 ** 31 }), "REQUEST_INVALID", "/reports/0/attempt"],
    ["progress with U+0000", () => beat({ progress: { x: "\u0000" } }), "JSON_UNSTORABLE", "/leases/0/progress/x"],
    ["a failure that is not told", () => report({ outcome: "failed" }), "REQUEST_INVALID", "/reports/0/error"],
    ["an outcome that is none", () => report({ outcome: "done" }), "REQUEST_INVALID", "/reports/0/outcome"],
    ["a delay of 1e300", () => failed({ retry_after_ms: 1e300 }), "REQUEST_INVALID", "/reports/0/error/retry_after_ms"],
    ["a delay below zero", () => failed({ retry_after_ms: -1 }), "REQUEST_INVALID", "/reports/0/error/retry_after_ms"],
    ["an empty code", () => failed({ code: "" }), "REQUEST_INVALID", "/reports/0/error/code"],
    [
      "a time that is none",
      () => report({ started_at: "yesterday\u0000" }),
      "REQUEST_INVALID",
      "/reports/0/started_at",
    ],
    [
      "a log line from nowhen",
      () => report({ logs: [{ at: "", level: "info", message: "" }] }),
      "REQUEST_INVALID",
      "/reports/0/logs/0/at",
    ],
    [
      "a report's request_id with U+0000",
      () => ({ path: "/v1/tasks/report", body: { request_id: "\u0000", reports: [] } }),
      "JSON_UNSTORABLE",
      "/request_id",
    ],
    [
      "an effect that does not exist",
      () => report({ effects: { spwan: [] } }),
      "REQUEST_INVALID",
      "/reports/0/effects/spwan",
    ],
    ["a bid below zero", () => bids([{ bid: -1 }]), "REQUEST_INVALID", "/bids/0/bid"],
    ["a bid beyond all costs", () => bids([{ bid: 1e16 }]), "REQUEST_INVALID", "/bids/0/bid"],
    ["a bid that is a text", () => bids([{}, { bid: "1" }]), "REQUEST_INVALID", "/bids/1/bid"],
    ["a bid that is neither told nor declined", () => bids([{ bid: undefined }]), "REQUEST_INVALID", "/bids/0/bid"],
    ["a round of 2^31", () => bids([{ round: 2 ** 31 }]), "REQUEST_INVALID", "/bids/0/round"],
    ["no bids", () => bids([]), "REQUEST_INVALID", "/bids"],
    ["two bids for one round", () => bids([{}, { bid: 2 }]), "REQUEST_INVALID", "/bids"],
    ["an unknown key of a bid", () => bids([{ price: 1 }]), "REQUEST_INVALID", "/bids/0/price"],
    ["bids of another agent", () => bids([{}], nowhere), "AGENT_NOT_FOUND"],
    ["announcements to another agent", () => announcements(nowhere, ""), "AGENT_NOT_FOUND"],
    [
      "announcements waited for too long",
      () => announcements(agent.id, "?wait=31"),
      "REQUEST_INVALID",
      "/querystring/wait",
    ],
    ["announcements of a page", () => announcements(agent.id, "?limit=1"), "REQUEST_INVALID", "/querystring/limit"],
  ])("%s", async (_, one, code, pointer) => {
    const problem = await refuse(one());
    expect([problem.code, ...(pointer === undefined ? [] : [problem.errors?.[0]?.pointer])]).toEqual(
      pointer === undefined ? [code] : [code, pointer],
    );
  });
});

describe("a registration is refused", () => {
  const body = (more: JsonObject) => ({ path: "/v1/agents", body: { name: "x", capabilities: ["work"], ...more } });
  it.each<[string, Call, string]>([
    ["no slots", body({ slots: 0 }), "/slots"],
    ["slots of 2^31", body({ slots: 2 ** 31 }), "/slots"],
    ["no capabilities", body({ capabilities: [] }), "/capabilities"],
    ["a capability with a space", body({ capabilities: ["a b"] }), "/capabilities/0"],
    ["a capability of __proto__", body({ capabilities: ["__proto__"] }), "/capabilities/0"],
    [
      "a contract with an odd version",
      body({ capabilities: [{ name: "a", version: "x" }] }),
      "/capabilities/0/version",
    ],
    ["a contract with an unknown key", body({ capabilities: [{ name: "a", schema: {} }] }), "/capabilities/0/schema"],
    ["a name with U+0000", body({ name: "\u0000" }), "/name"],
    [
      "more labels than are allowed",
      body({ labels: Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`l${n}`, ""])) }),
      "/labels",
    ],
    [
      "a namespace that is none",
      { path: "/v1/keys", body: { name: "x", namespace: "A b", scopes: ["admin"] } },
      "/namespace",
    ],
    [
      "a time before all times",
      { path: "/v1/keys", body: { name: "x", scopes: ["admin"], expires_at: "0000-01-01T00:00:00+23:59" } },
      "/expires_at",
    ],
    [
      "a time after all times",
      { path: "/v1/keys", body: { name: "x", scopes: ["admin"], expires_at: "9999-12-31T23:59:59-23:59" } },
      "/expires_at",
    ],
    ["a scope that is none", { path: "/v1/keys", body: { name: "x", scopes: ["root"] } }, "/scopes/0"],
    [
      "a time that is none",
      { path: "/v1/keys", body: { name: "x", scopes: ["admin"], expires_at: "2026-02-30T00:00:00Z" } },
      "/expires_at",
    ],
  ])("for %s", async (_, one, pointer) => {
    expect((await refuse(one)).errors![0]!.pointer).toBe(pointer);
  });
});

describe("a URL is refused", () => {
  const other = "01234567-89ab-7def-8123-456789abcdef";
  it.each<[string, string, string?]>([
    ["/v1/runs/1", "REQUEST_INVALID", "/params/run"],
    ["/v1/runs/%00", "REQUEST_INVALID"],
    ["/v1/runs/%ff", "REQUEST_INVALID"],
    ["/v1/runs/%", "REQUEST_INVALID"],
    [`/v1/runs/${other}`, "RUN_NOT_FOUND"],
    [`/v1/runs/${other}/result`, "RUN_NOT_FOUND"],
    [`/v1/runs/${other}/tasks`, "RUN_NOT_FOUND"],
    [`/v1/runs/${other}/tasks/a`, "RUN_NOT_FOUND"],
    [`/v1/runs/${other}/logs`, "RUN_NOT_FOUND"],
    [`/v1/runs/${other}/graph`, "RUN_NOT_FOUND"],
    [`/v1/runs/${other}/timeline`, "RUN_NOT_FOUND"],
    [`/v1/plans/${other}`, "PLAN_NOT_FOUND"],
    ["/v1/plans/x", "REQUEST_INVALID", "/params/plan"],
    ["/v1/runs/RUN/tasks/z", "TASK_NOT_FOUND"],
    ["/v1/runs/RUN/tasks/a%00", "REQUEST_INVALID"],
    ["/v1/runs/RUN/tasks/..%2f..%2fb", "TASK_NOT_FOUND"],
    [`/v1/runs/RUN/tasks/${other}`, "TASK_NOT_FOUND"],
    [`/v1/runs/RUN/tasks/${"x".repeat(2_000)}`, "REQUEST_INVALID", "/params/task"],
    [`/v1/runs/RUN/tasks/${"x".repeat(6_000)}`, "REQUEST_INVALID"],
    ["/v1/runs?limit=0", "REQUEST_INVALID", "/querystring/limit"],
    ["/v1/runs?limit=1001", "REQUEST_INVALID", "/querystring/limit"],
    ["/v1/runs?limit=NaN", "REQUEST_INVALID", "/querystring/limit"],
    ["/v1/runs?limit=1e999", "REQUEST_INVALID", "/querystring/limit"],
    ["/v1/runs?limit=1&limit=2", "REQUEST_INVALID", "/querystring/limit"],
    ["/v1/runs?stauts=failed", "REQUEST_INVALID", "/querystring/stauts"],
    ["/v1/runs?status=done", "REQUEST_INVALID", "/querystring/status"],
    ["/v1/runs?workflow=a%20b", "REQUEST_INVALID", "/querystring/workflow"],
    ["/v1/runs?workflow=%00", "REQUEST_INVALID"],
    ["/v1/runs?label=x", "REQUEST_INVALID", "/querystring/label"],
    ["/v1/runs?label=a=b&label==x", "REQUEST_INVALID", "/querystring/label/1"],
    ["/v1/runs?label=a=%00", "REQUEST_INVALID"],
    ["/v1/runs?cursor=nonsense", "REQUEST_INVALID"],
    [`/v1/runs?cursor=${"A".repeat(2_000)}`, "REQUEST_INVALID", "/querystring/cursor"],
    [`/v1/runs?cursor=${Buffer.from("' or 1=1 --").toString("base64url")}`, "REQUEST_INVALID"],
    ["/v1/runs/RUN/tasks?cursor=x", "REQUEST_INVALID"],
    ["/v1/runs/RUN/tasks?status=x", "REQUEST_INVALID", "/querystring/status"],
    ["/v1/runs/RUN/logs?cursor=x", "REQUEST_INVALID"],
    ["/v1/runs/RUN/graph?format=pdf", "REQUEST_INVALID", "/querystring/format"],
    ["/v1/workflows?cursor=x%20y", "REQUEST_INVALID"],
    ["/v1/workflows/none", "WORKFLOW_NOT_FOUND"],
    ["/v1/workflows/a%20b", "REQUEST_INVALID", "/params/name"],
    ["/v1/workflows/none?version=0", "REQUEST_INVALID", "/querystring/version"],
    ["/v1/workflows/none?version=1099511627776", "REQUEST_INVALID", "/querystring/version"],
    ["/v1/workflows/none?version=1.5", "REQUEST_INVALID", "/querystring/version"],
    ["/v1/agents/x", "REQUEST_INVALID", "/params/agent"],
    [`/v1/agents/${other}`, "AGENT_NOT_FOUND"],
    ["/v1/agents?cursor=x", "REQUEST_INVALID"],
    ["/v1/keys?cursor=x", "REQUEST_INVALID"],
    ["/v1/nope", "ROUTE_NOT_FOUND"],
    ["/v1", "ROUTE_NOT_FOUND"],
    ["//v1/runs", "ROUTE_NOT_FOUND"],
    ["/v1/runs/", "REQUEST_INVALID"],
    ["/V1/runs", "ROUTE_NOT_FOUND"],
    ["/problems/NOPE", "ROUTE_NOT_FOUND"],
    ["/docs/static/..%2f..%2f..%2fpackage.json", "ROUTE_NOT_FOUND"],
  ])("%s", async (path, code, pointer) => {
    const problem = await refuse({ path: path.replace("RUN", run) });
    expect(problem.code).toBe(code);
    if (pointer !== undefined) expect(problem.errors?.[0]?.pointer).toBe(pointer);
  });

  it.each([
    ["PUT", "/v1/runs", "GET, HEAD, POST"],
    ["DELETE", "/v1/workflows", "GET, HEAD, POST"],
    ["PATCH", "/v1/runs/RUN", "GET, HEAD"],
    ["GET", "/v1/tasks/claim", "POST"],
    ["OPTIONS", "/v1/keys", "GET, HEAD, POST"],
    ["PROPFIND", "/v1/keys", "GET, HEAD, POST"],
  ])("that does not answer to %s: %s", async (method, path, allow) => {
    const answer = await call({ method, path: path.replace("RUN", run), key: space.key });
    expect([answer.status, answer.body.code]).toEqual([405, "METHOD_NOT_ALLOWED"]);
    expect(answer.headers.allow!.split(", ").sort().join(", ")).toBe(allow);
  });
});

describe("what is hardly HTTP is refused", () => {
  const MiB10 = "x".repeat(10 * 2 ** 20);
  it.each<[string, string, string, number]>([
    ["a header of 10 MB", `GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ${MiB10}\r\n\r\n`, "HEADERS_TOO_LARGE", 431],
    ["a URL of 10 MB", `GET /${MiB10} HTTP/1.1\r\nHost: localhost\r\n\r\n`, "HEADERS_TOO_LARGE", 431],
    [
      "a thousand headers",
      `GET / HTTP/1.1\r\nHost: localhost\r\n${"X: y\r\n".repeat(9_000)}\r\n`,
      "HEADERS_TOO_LARGE",
      431,
    ],
    ["nonsense", "nonsense\r\n\r\n", "REQUEST_INVALID", 400],
    ["another protocol", "\u0016\u0003\u0001\u0002\u0000\u0001\u0000", "REQUEST_INVALID", 400],
    [
      "an impossible length",
      "POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
      "REQUEST_INVALID",
      400,
    ],
    [
      "two lengths",
      "POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
      "REQUEST_INVALID",
      400,
    ],
    [
      "a length and chunks",
      "POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "REQUEST_INVALID",
      400,
    ],
    ["a header with U+0000", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: a\u0000b\r\n\r\n", "REQUEST_INVALID", 400],
  ])("%s", async (_, bytes, code, status) => {
    const answer = await sendRaw(server.url, bytes);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect(answer.text).toMatch(/content-type: application\/problem\+json/i);
  });
});

describe("mutations of every request", () => {
  type Document = {
    paths: Record<
      string,
      Record<string, { operationId: string; parameters?: { name: string; in: string }[]; requestBody?: object }>
    >;
  };

  /** Requests that are as they should be, by operation; the mutations begin from these. */
  const valid: Record<string, () => Json> = {
    postWorkflows: () =>
      flow([task("a", { input: { x: "{{ inputs.x }}" }, retry: { max_attempts: 2 } }), task("b", { needs: ["a"] })]),
    postWorkflowsValidate: () => flow([task("a")], { inputs: { type: "object" }, defaults: { timeout: "1m" } }),
    postRunsRunWorkflow: () => ({ name: "saved", description: "x", goal: { have: { a: "t" }, want: {} } }),
    postRuns: () => ({
      definition: flow([task("a", { when: "inputs.x > 1" })]),
      inputs: { x: 1 },
      labels: { l: "v" },
      priority: 1,
      budget: { tokens: 1_000, cost: 0.5, calls: 9, wall_time: "1h", on_exhausted: "wait" },
    }),
    // It is about no run at all.
    postRunsBulk: () => ({
      action: "cancel",
      filter: {
        status: ["running"],
        workflow: "of-nobody",
        name_contains: "x",
        labels: { a: "b" },
        created_after: "2026-01-31T12:00:00Z",
        finished_before: "2026-01-31T12:00:00Z",
      },
      expected: 0,
      dry_run: false,
      reason: "x",
      compensate: false,
    }),
    putRetention: () => ({
      move_after: "1d",
      keep: { completed: "30d", failed: "P90D", cancelled: "1d", conversations: "7d" },
    }),
    patchRunsRunBudget: () => ({ tokens: 1, cost: 0.5, calls: 9, wall_time: "1h", on_exhausted: "wait" }),
    postRunsRunCancel: () => ({ reason: "x" }),
    postPlans: () => ({
      goal: { ...goal, prefer: "cheapest", must_use: ["read"], must_not_use: ["x"], budget: 5, deadline: "1m" },
      planner: "capability",
    }),
    postPlansPlanAccept: () => ({ inputs: { page: "x" }, labels: { a: "b" }, priority: 1, reason: "x" }),
    postPlansPlanReject: () => ({ reason: "x" }),
    patchAgentsAgent: () => ({ cordoned: false, draining: false }),
    postAgentsAgentBids: () => ({ bids: [{ task_id: nowhere, round: 1, bid: 2.5 }] }),
    putCapabilitiesCapabilityAllocation: () => ({ policy: "push" }),
    putLimitsLimit: () => ({ concurrency: 1, rate: { limit: 1, per: "1m" } }),
    postLimitsLimitPause: () => ({ reason: "x" }),
    postLimitsLimitResume: () => ({}),
    putAgentsAgentState: () => ({ document: { x: 1 }, ttl: "1h", write_id: nowhere }),
    putAgentsAgentWorkingState: () => ({ document: { x: 1 }, ttl: "1h", write_id: nowhere }),
    putMemoryScopeKey: () => ({ value: { x: 1 }, ttl: "1h", write_id: nowhere }),
    postAgentsAgentMemory: () => ({ entries: [{ type: "thought", content: "x", ttl: "1h" }] }),
    postSchedules: () => ({
      name: "nightly",
      cron: "0 0 1 1 *",
      workflow: "flow@1",
      timezone: "Europe/Berlin",
      inputs: { x: 1 },
      tick_input: "at",
      labels: { l: "v" },
      priority: 1,
      catch_up: "all",
      catch_up_limit: 5,
      overlap: "queue",
      jitter: "5m",
      description: "x",
    }),
    patchSchedulesSchedule: () => ({
      cron: "0 0 1 1 *",
      workflow: "flow@1",
      timezone: "Europe/Berlin",
      inputs: { x: 1 },
      tick_input: "at",
      labels: { l: "v" },
      priority: 1,
      catch_up: "all",
      catch_up_limit: 5,
      overlap: "queue",
      jitter: "5m",
      description: "x",
    }),
    postSchedulesPreview: () => ({ cron: "0 0 1 1 *", timezone: "UTC", from: "2026-01-01T00:00:00Z", count: 3 }),
    postSchedulesSchedulePause: () => ({ reason: "x" }),
    postSchedulesScheduleResume: () => ({ reason: "x" }),
    postSchedulesScheduleBackfill: () => ({ from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z" }),
    postDeadLettersLetterRedrive: () => ({}),
    postDeadLettersLetterDiscard: () => ({ reason: "x" }),
    postDeadLettersRedrive: () => ({ workflow: "flow", capability: "work", code: "x", run, limit: 5 }),
    postDeadLettersDiscard: () => ({ since: "2026-01-01T00:00:00Z", code: "none", limit: 5, reason: "x" }),
    postMessages: () => ({
      messages: [
        { to: "b", body: 1, type: "t", conversation: "c", reply_to: nowhere, key: "k", ttl: "1h", must_route: false },
        { to: { topic: "t" }, body: 1, expects_reply: "1h" },
        { to: { broadcast: true }, body: 1 },
      ],
    }),
    postConversations: () => ({
      protocol: "vote",
      topic: "t",
      members: ["a", "b"],
      deadline: "1h",
      budget: { messages: 9 },
    }),
    postConversationsConversationMessages: () => ({ type: "vote", body: { choice: "x" }, id: "k" }),
    postConversationsConversationCancel: () => ({ reason: "x" }),
    postConversationsConversationLeave: () => ({}),
    postAgentsAgentInboxAck: () => ({ ids: [nowhere] }),
    putRunsRunArtifactsPath: () => ({ content: "of any kind" }),
    postTasksClaim: () => ({ request_id: "fixed", max: 1, wait: 0, capabilities: ["work"], task_ids: [nowhere] }),
    postTasksHeartbeat: () => ({ leases: [{ ...proof(lease), lease_token: "other", progress: { x: 1 } }] }),
    postTasksReport: () => ({
      request_id: "fixed",
      reports: [
        {
          ...failure(lease, { retryable: true, retry_after_ms: 5 }),
          lease_token: "other",
          logs: [{ at: "2026-01-31T12:00:00Z", level: "info", message: "m", fields: { a: 1 } }],
          usage: { tokens: 1 },
          delivered_at: "2026-01-31T12:00:00Z",
          started_at: "2026-01-31T12:00:00Z",
        },
      ],
      claim: { capabilities: ["work"], max: 1 },
    }),
    patchRunsRunGraph: () => ({
      add: [{ id: "new", capability: "work" }],
      replace: [{ id: "b", capability: "other" }],
      rewire: { a: [] },
      remove: [],
      reason: "x",
      dry_run: true,
    }),
    postRunsRunRetry: () => ({ from: ["a"], budget: { calls: 9, on_exhausted: "wait" } }),
    postRunsRunFork: () => ({ from: ["a"], inputs: { x: 1 }, edits: { b: { when: "inputs.x > 1", input: null } } }),
    postRunsRunPause: () => ({ reason: "x" }),
    postRunsRunResume: () => ({ reason: "x" }),
    postRunsRunSignalsName: () => ({ payload: { x: 1 } }),
    postRunsRunTasksTaskApprove: () => ({ comment: "x", payload: [1] }),
    postRunsRunTasksTaskReject: () => ({ comment: "x" }),
    postTasksEmit: () => ({
      ...proof(lease),
      lease_token: "other",
      map: "a",
      items: [{ item: { x: 1 }, key: "k" }],
      close: false,
    }),
    postTasksRelease: () => ({ leases: [{ ...proof(lease), lease_token: "other" }] }),
    postAgents: () => ({
      name: "n",
      kind: "external",
      door: "poll",
      capabilities: [
        "w",
        { name: "c", version: "1", description: "d", input_schema: {}, output_schema: {} },
        { name: "p", cost: 1, consumes: { a: "t" }, produces: { b: "t" }, duration_ms: 1, reliability: 0.5 },
      ],
      labels: { a: "b" },
      slots: 1,
      version: "1",
    }),
    postAgentsAgentHeartbeat: () => ({ load: { cpu: 1 } }),
    postKeys: () => ({ name: "n", namespace: space.name, scopes: ["runs:read"], expires_at: "2999-01-01T00:00:00Z" }),
  };

  /** JSON texts that stand where something else belongs. */
  const intruders = [
    "null",
    "true",
    "0",
    "-1",
    "0.5",
    "2147483648",
    "1099511627776",
    "1e300",
    "1e200000",
    "-0",
    '""',
    '" "',
    '"\\u0000"',
    '"\\ud800"',
    '"\\ud83e\\udebf"',
    `"${"x".repeat(2_000)}"`,
    "[]",
    "{}",
    "[[]]",
    "[null]",
    '{"a":1}',
    '{"__proto__":1}',
    '{"a":1,"a":2}',
    nested(60),
    nested(80),
    nested(5_000),
    '"../../etc/passwd"',
    `"' or 1=1 --"`,
    '"{{ 1 + }}"',
    '"2026-13-45T99:99:99Z"',
    '"0000-01-01T00:00:00+23:59"',
    `"${nowhere}"`,
    "9007199254740993",
    "undefined",
    "'",
    "]",
    '"\\x"',
    "\u0000",
  ];

  /** Every place of a JSON value, as the path to it. */
  function placesIn(value: Json, path: string[] = []): string[][] {
    const children = typeof value === "object" && value !== null ? Object.entries(value) : [];
    return [path, ...children.flatMap(([key, child]) => placesIn(child as Json, [...path, key]))];
  }

  /** The value as text with an intruder at a place: put instead of what is there, or beside it under a new key. */
  function mutated(value: Json, path: string[], intruder: string, kind: "replace" | "remove" | "add"): string {
    const hole = "\u0001hole\u0001";
    const copy = structuredClone({ root: value }) as JsonObject;
    let parent = copy as Record<string, Json>;
    const steps = ["root", ...path];
    for (const step of steps.slice(0, -1)) parent = parent[step] as Record<string, Json>;
    const last = steps.at(-1)!;
    const target = parent[last];
    if (kind === "remove" && path.length > 0)
      Array.isArray(parent) ? parent.splice(Number(last), 1) : delete parent[last];
    else if (kind === "add" && typeof target === "object" && target !== null) (target as JsonObject).intruder = hole;
    else parent[last] = hole;
    return (JSON.stringify(copy.root) ?? "").replace(JSON.stringify(hole), () => intruder);
  }

  const queries = ["limit", "cursor", "status", "workflow", "label", "version", "format", "wait"];
  const odd = [
    "",
    "%00",
    "%ff",
    "%",
    "-1",
    "1e9",
    "NaN",
    "a%20b",
    "..%2f",
    "%F0%9F%A6%A2",
    "a".repeat(300),
    "null",
    "[]",
    "1;drop",
    "a=b",
    nowhere,
  ];

  function bodyCases(path: string, operationId: string): fc.Arbitrary<Call> {
    const places = placesIn(valid[operationId]!());
    return fc
      .record({
        place: fc.constantFrom(...places),
        intruder: fc.constantFrom(...intruders),
        kind: fc.constantFrom("replace", "replace", "add", "remove"),
      })
      .map(({ place, intruder, kind }) => ({
        path,
        body: mutated(valid[operationId]!(), place, intruder, kind as "add"),
      }));
  }

  function urlCases(method: string, template: string): fc.Arbitrary<Call> {
    return fc
      .record({
        name: fc.constantFrom(...queries),
        value: fc.constantFrom(...odd),
        param: fc.constantFrom(...odd.slice(1)),
        inPath: fc.boolean(),
      })
      .map(({ name, value, param, inPath }) => ({
        method,
        path: inPath ? template.replaceAll(/\{\w+\}/g, param) : `${fill(template)}?${name}=${value}`,
        headers: { accept: "application/json" },
      }));
  }

  const fill = (template: string) =>
    template
      .replace("{run}", run)
      .replace("{task}", "a")
      .replace("{plan}", plan)
      .replace("{conversation}", nowhere)
      .replace("{schedule}", "nightly")
      .replace("{letter}", nowhere)
      .replace("{agent}", agent.id)
      .replace("{key}", nowhere)
      .replace("{name}", "flow")
      .replace("{path}", "report.md")
      .replace("{type}", "thought")
      .replace("{limit}", "crm")
      .replace("{capability}", "work");

  // Some thousands of requests, one after the other.
  it("are answered or refused, never failed, and a refused one leaves nothing behind", {
    timeout: 120_000,
  }, async () => {
    const { paths } = (await server.call<Document>({ path: "/openapi.json" })).body;
    const cases: Call[] = [];
    for (const [template, methods] of Object.entries(paths)) {
      if (!template.startsWith("/v1/")) continue;
      for (const [method, { operationId, requestBody }] of Object.entries(methods)) {
        expect(
          requestBody === undefined || operationId in valid,
          `${operationId} needs a valid body in this test`,
        ).toBe(true);
        const seed = 20261123;
        if (requestBody) cases.push(...fc.sample(bodyCases(fill(template), operationId), { seed, numRuns: 40 }));
        if (method !== "delete")
          cases.push(...fc.sample(urlCases(method.toUpperCase(), template), { seed, numRuns: 8 }));
      }
    }
    expect(cases.length).toBeGreaterThan(500);
    let refusals = 0;
    let before = await rows();
    for (const one of cases) {
      const answer = await call(one);
      const name = `${one.method ?? "POST"} ${one.path} ${String(one.body ?? "").slice(0, 300)} → ${answer.status} ${answer.text.slice(0, 300)}`;
      expect(answer.status, name).toBeLessThan(500);
      const after = await rows();
      if (answer.status >= 400) {
        refusals++;
        expect(() => expectProblem(answer), name).not.toThrow();
        expect(after, name).toEqual(before);
      }
      before = after;
    }
    expect(refusals).toBeGreaterThan(300);
    expect((await server.call({ path: "/readyz" })).status).toBe(200);
  });
});

describe("after all that", () => {
  it("the server still does what it is for", async () => {
    const own = await server.newNamespace();
    const worker = await own.join();
    const { id } = await own.submit([{ id: "a" }, { id: "b", needs: ["a"] }]);
    await worker.work();
    expect((await own.finished(id)).status).toBe("completed");
    expect((await server.call({ path: "/v1/runs", key: adminKey })).status).toBe(200);
  });
});

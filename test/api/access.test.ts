/** Who may do what: every operation of the OpenAPI document against every kind of key, and what the headers must say. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Scope, scopes } from "../../core/protocol/keys.ts";
import type { TaskBody } from "../../core/protocol/runs.ts";
import type { LeaseBody } from "../../core/protocol/tasks.ts";
import {
  adminKey,
  type Call,
  completion,
  failure,
  type Namespace,
  proof,
  sendRaw,
  startReplica,
  startServer,
  type TestAgent,
  type TestServer,
} from "./server.ts";

interface Operation {
  method: string;
  path: string;
  operationId: string;
  /** Empty: public. */
  security: { apiKey?: Scope[]; agentToken?: [] }[];
}

/** What a request may name in a namespace; all of it carries `marker`, which no stranger may ever see. */
interface Resources {
  marker: string;
  run: string;
  /** A run that was cancelled. */
  ended: string;
  task: TaskBody;
  lease: LeaseBody;
  agent: { id: string; token: string };
  key: string;
  workflow: string;
  artifact: string;
  plan: string;
  conversation: string;
  schedule: string;
  /** A dead letter of a run that has failed. */
  letter: string;
  /** One that expects a reply. */
  message: string;
}

let server: TestServer;
let operations: Operation[];
let mine: Namespace;
let foreign: Namespace;
let foreignAgent: string;
let keys: Map<Scope, string>;
let shared: Resources;

beforeAll(async () => {
  server = await startServer();
  operations = await readOperations();
  [mine, foreign] = [await server.newNamespace(), await server.newNamespace()];
  foreignAgent = (await foreign.join()).token;
  shared = await newResources(mine);
  keys = new Map(await Promise.all(scopes.map(async (scope) => [scope, await mine.keyWith(scope)] as const)));
});
afterAll(() => server.stop());

async function readOperations(): Promise<Operation[]> {
  type Document = { paths: Record<string, Record<string, Omit<Operation, "method" | "path">>> };
  const { body } = await server.call<Document>({ path: "/openapi.json" });
  return Object.entries(body.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ ...operation, method: method.toUpperCase(), path })),
  );
}

async function newResources(own: Namespace): Promise<Resources> {
  const marker = `marker-${randomUUID()}`;
  const agent = await own.join([marker, plannable]);
  const labels = { marker };
  const tasks = [
    { id: marker, capability: marker, input: marker },
    { id: "ask", wait: { approval: {} } },
    { id: "items", capability: "other", for_each: [], open: true },
  ];
  const submitted = await own.submit(tasks, { inputs: { marker }, labels, budget: { calls: 100 } });
  const [lease] = await agent.claim();
  const { body } = await own.call<{ data: TaskBody[] }>({ path: `/v1/runs/${submitted.id}/tasks` });
  const { id: ended } = await own.submit([{ id: marker, capability: "other" }], { inputs: { marker }, labels });
  await own.call({ method: "POST", path: `/v1/runs/${ended}/cancel` });
  await own.finished(ended);
  await own.call({ path: "/v1/workflows", body: { name: marker, tasks: [{ id: "a", capability: marker }] } });
  await own.call({ method: "PUT", path: `/v1/runs/${submitted.id}/artifacts/${marker}`, ...asText(marker) });
  const as = { key: agent.token };
  await own.call({ ...as, method: "PUT", path: `/v1/agents/${agent.id}/state`, body: { document: marker } });
  await own.call({ ...as, method: "PUT", path: `/v1/agents/${agent.id}/working-state`, body: { document: marker } });
  await own.call({
    ...as,
    path: `/v1/agents/${agent.id}/memory`,
    body: { entries: [{ type: "thought", content: marker }] },
  });
  const asked = await own.call<{ messages: { id: string }[] }>({
    ...as,
    path: "/v1/messages",
    body: { messages: [{ to: agent.id, body: marker, expects_reply: "1h" }] },
  });
  await own.call({ ...as, method: "PUT", path: `/v1/agents/${agent.id}/subscriptions/${marker}` });
  const plan = await own.call<{ id: string }>({ path: "/v1/plans", body: { goal: { want: { [marker]: "made" } } } });
  const conversation = await own.call<{ id: string }>({
    path: "/v1/conversations",
    body: { protocol: "request-reply", topic: marker, members: ["tester", "somebody"] },
  });
  await own.call({ method: "PUT", path: "/v1/retention", body: { move_after: "1d" } });
  await own.call({ method: "PUT", path: "/v1/limits/crm", body: { concurrency: 1 } });
  await own.call({ path: "/v1/workflows", body: definition });
  const letter = await newLetter(own, agent, marker);
  const schedule = `every-${marker}`;
  await own.call({ path: "/v1/schedules", body: { name: schedule, cron: "@yearly", workflow: marker } });
  const key = await own.call<{ id: string }>({ path: "/v1/keys", body: { name: marker, scopes: ["runs:read"] } });
  await own.call({ ...as, method: "PUT", path: `/v1/memory/plans/${key.body.id}`, body: { value: marker } });
  return {
    marker,
    run: submitted.id,
    ended,
    task: body.data[0]!,
    lease: lease!,
    agent,
    key: key.body.id,
    workflow: marker,
    artifact: marker,
    plan: plan.body.id,
    conversation: conversation.body.id,
    schedule,
    letter,
    message: asked.body.messages[0]!.id,
  };
}

/** A task of the marker's capability that has failed for good. */
async function newLetter(own: Namespace, agent: TestAgent, marker: string): Promise<string> {
  const tasks = [{ id: marker, capability: marker, retry: { max_attempts: 1 } }];
  const { id } = await own.submit(tasks, { labels: { marker } });
  const { body } = await own.call<{ data: TaskBody[] }>({ path: `/v1/runs/${id}/tasks` });
  const [lease] = await agent.claim({ task_ids: [body.data[0]!.id] });
  await agent.report([failure(lease!)]);
  await own.finished(id);
  return body.data[0]!.id;
}

const asText = (body: string) => ({ body, headers: { "content-type": "text/plain" } });

/** Without inputs, so that it is a plan for itself. */
const plannable = { name: "make", produces: { made: "made" } };

const definition = { name: "w", tasks: [{ id: "a", capability: "work" }] };

/** The body of a request that succeeds for whoever may make it; operations without one are not listed. */
const bodies: Record<string, (resources: Resources) => object> = {
  postWorkflows: () => definition,
  postWorkflowsValidate: () => definition,
  postRunsRunWorkflow: () => ({ name: "saved" }),
  postRuns: () => ({ definition }),
  postRunsBulk: () => ({ action: "cancel", filter: {}, dry_run: true }),
  putRetention: () => ({ move_after: "1d" }),
  postPlans: () => ({ goal: { want: { made: "made" } } }),
  postPlansPlanAccept: () => ({ reason: "test" }),
  postRunsRunCancel: () => ({ reason: "test" }),
  patchRunsRunGraph: ({ marker }) => ({ rewire: { [marker]: [] } }),
  patchRunsRunBudget: () => ({ calls: 200 }),
  postRunsRunRetry: () => ({ from: [] }),
  postRunsRunFork: () => ({ inputs: {} }),
  postRunsRunPause: () => ({ reason: "test" }),
  postTasksClaim: ({ task }) => ({ request_id: randomUUID(), max: 1, task_ids: [task.id] }),
  postTasksHeartbeat: ({ lease }) => ({ leases: [proof(lease)] }),
  postTasksReport: ({ lease }) => ({ request_id: randomUUID(), reports: [completion(lease)] }),
  postTasksEmit: ({ lease }) => ({ ...proof(lease), map: "items", items: [{ item: 1 }] }),
  postTasksRelease: ({ lease }) => ({ leases: [proof(lease)] }),
  postAgents: () => ({ name: "new", capabilities: ["work"] }),
  postAgentsAgentHeartbeat: () => ({}),
  postAgentsAgentBids: ({ task }) => ({ bids: [{ task_id: task.id, round: 1, bid: 1 }] }),
  patchAgentsAgent: () => ({ cordoned: false }),
  putCapabilitiesCapabilityAllocation: () => ({ policy: "push" }),
  putAgentsAgentState: ({ marker }) => ({ document: marker }),
  putAgentsAgentWorkingState: ({ marker }) => ({ document: marker }),
  putMemoryScopeKey: () => ({ value: "of one's own" }),
  postAgentsAgentMemory: ({ marker }) => ({ entries: [{ type: "thought", content: marker }] }),
  postSchedules: () => ({ name: `new-${randomUUID()}`, cron: "@yearly", workflow: definition.name }),
  patchSchedulesSchedule: () => ({ priority: 1 }),
  postSchedulesPreview: () => ({ cron: "@yearly" }),
  postSchedulesSchedulePause: () => ({ reason: "test" }),
  postSchedulesScheduleResume: () => ({}),
  postSchedulesScheduleBackfill: () => ({ from: "2026-01-01T00:00:00Z" }),
  postDeadLettersLetterRedrive: () => ({}),
  postDeadLettersLetterDiscard: () => ({ reason: "test" }),
  postDeadLettersRedrive: () => ({ code: "none" }),
  postDeadLettersDiscard: () => ({ code: "none" }),
  postMessages: ({ marker }) => ({ messages: [{ to: "somebody", body: marker }] }),
  postConversations: () => ({ protocol: "vote", topic: "one's own", members: ["tester"] }),
  postConversationsConversationMessages: ({ marker }) => ({ type: "reply", body: { content: marker } }),
  postConversationsConversationCancel: () => ({ reason: "test" }),
  postConversationsConversationLeave: () => ({}),
  postAgentsAgentInboxAck: () => ({ ids: [randomUUID()] }),
  putRunsRunArtifactsPath: () => ({ content: "of any kind" }),
  putLimitsLimit: () => ({ concurrency: 2 }),
  postLimitsLimitPause: () => ({ reason: "test" }),
  postLimitsLimitResume: () => ({}),
  postKeys: () => ({ name: "new", scopes: ["runs:read"] }),
};

function requestTo({ method, path, operationId }: Operation, resources: Resources): Call {
  const { run, ended, task, agent, key, workflow, artifact, plan, message, conversation, schedule, letter } = resources;
  const params: Record<string, string> = {
    run: path.endsWith("/retry") ? ended : run,
    task: /approve|reject/.test(path) ? "ask" : task.key,
    agent: agent.id,
    key,
    name: workflow,
    path: artifact,
    plan,
    message,
    conversation,
    schedule,
    letter,
    topic: "news",
    scope: "plans",
    capability: "work",
    type: "thought",
    limit: "crm",
    code: "INTERNAL",
  };
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    if (!(name in params)) throw new Error(`The test does not know what to put for {${name}}`);
    return encodeURIComponent(params[name]!);
  });
  const body = bodies[operationId]?.(resources);
  const headers = operationId === "patchRunsRunGraph" ? { headers: { "if-match": '"0"' } } : {};
  return { method, path: filled, ...headers, ...(body && { body }) };
}

const scopeOf = ({ security }: Operation) => security.find((one) => one.apiKey)?.apiKey?.[0];
const isForAgents = ({ security }: Operation) => security.some((one) => one.agentToken);
const isPublic = ({ security }: Operation) => security.length === 0;
const nameOf = ({ method, path }: Operation) => `${method} ${path}`;

/** What each operation answers, by its name: a table that shows every deviation at once. */
async function table(
  chosen: Operation[],
  isRefused: boolean,
  callsFor: (operation: Operation, resources: Resources) => { key?: string | undefined }[],
): Promise<Record<string, string[]>> {
  const rows: Record<string, string[]> = {};
  for (const operation of chosen) {
    // Those who are refused change nothing, so one set of resources will do.
    const resources = isRefused ? shared : await newResources(mine);
    const answers: string[] = [];
    for (const who of callsFor(operation, resources)) {
      const { status, body } = await server.call<{ code?: string } | undefined>({
        ...requestTo(operation, resources),
        ...who,
      });
      answers.push(`${status}${status >= 400 ? ` ${body?.code}` : ""}`);
    }
    rows[nameOf(operation)] = [...new Set(answers)];
  }
  return rows;
}

const expected = (chosen: Operation[], answers: string[]) =>
  Object.fromEntries(chosen.map((operation) => [nameOf(operation), answers]));

// A request of each kind for each operation, each with a world of its own.
describe("every operation", { timeout: 120_000 }, () => {
  it("is known to this test, whose table of bodies has none that do not exist", () => {
    expect(operations.length).toBeGreaterThan(25);
    const ids = operations.map(({ operationId }) => operationId);
    expect(Object.keys(bodies).filter((id) => !ids.includes(id))).toEqual([]);
  });

  it("but the public ones refuses those without a key, and with one that is not known", async () => {
    const guarded = operations.filter((operation) => !isPublic(operation));
    const strangers = ["wrong", `skk_${"x".repeat(43)}`, `ska_${"x".repeat(43)}`, `${adminKey}x`].map((key) => ({
      key,
    }));
    const rows = await table(guarded, true, () => [{}, ...strangers]);
    expect(rows).toEqual(expected(guarded, ["401 UNAUTHENTICATED"]));
  });

  it("that is public answers without a key", async () => {
    const open = operations.filter(isPublic);
    expect(open.map(({ path }) => path)).toEqual(["/healthz", "/readyz", "/metrics", "/problems/{code}"]);
    expect(await table(open, false, () => [{}])).toEqual(expected(open, ["200"]));
  });

  it("refuses keys that have every scope but its own", async () => {
    const scoped = operations.filter((operation) => scopeOf(operation));
    const rows = await table(scoped, true, (operation) =>
      scopes
        .filter((scope) => scope !== scopeOf(operation) && scope !== "admin")
        .map((scope) => ({ key: keys.get(scope) })),
    );
    expect(rows).toEqual(expected(scoped, ["403 SCOPE_MISSING"]));
  });

  it("for keys refuses agents, for agents refuses keys", async () => {
    const forKeys = operations.filter((operation) => scopeOf(operation) && !isForAgents(operation));
    const byAgent = await table(forKeys, true, (_, { agent }) => [{ key: agent.token }]);
    expect(byAgent).toEqual(expected(forKeys, ["403 SCOPE_MISSING"]));
    const forAgents = operations.filter((operation) => isForAgents(operation) && !scopeOf(operation));
    expect(forAgents.length).toBeGreaterThan(4);
    const byKey = await table(forAgents, true, () => [{ key: mine.key }, { key: adminKey }, { key: keys.get("work") }]);
    expect(byKey).toEqual(expected(forAgents, ["403 AGENT_TOKEN_REQUIRED"]));
  });

  it("answers those who may", async () => {
    const guarded = operations.filter((operation) => !isPublic(operation));
    const rows = await table(guarded, false, (operation, { agent }) => {
      const scope = scopeOf(operation);
      return [{ key: scope ? keys.get(scope) : agent.token }];
    });
    for (const [name, answers] of Object.entries(rows))
      expect([name, answers]).toEqual([name, [expect.stringMatching(/^20\d$/)]]);
  });

  it("tells and changes nothing of another namespace, whose ids are not there", async () => {
    const leaks: string[] = [];
    for (const operation of operations.filter((one) => !isPublic(one))) {
      const resources = await newResources(mine);
      await foreign.join([plannable]);
      await foreign.call({ path: "/v1/workflows", body: definition });
      const snapshot = () =>
        server.sql.query(
          `select row_to_json(r) as row from run r where id = $1
         union all select row_to_json(t) from task t where run_id = $1
         union all select row_to_json(a) from (select id, capabilities, load, left_at from agent) a where id = $2
         union all select row_to_json(f) from artifact f where run_id = $1
         union all select row_to_json(k) from api_key k where id = $3
         union all select row_to_json(d) from agent_data d where namespace = $4
         union all select row_to_json(e) from agent_memory e where namespace = $4
         union all select row_to_json(m) from message m where namespace = $4
         union all select row_to_json(s) from subscription s where namespace = $4
         union all select row_to_json(h) from shared_memory h where namespace = $4
         union all select row_to_json(o) from working_state o where namespace = $4
         union all select row_to_json(w) from awaited_reply w where namespace = $4
         union all select row_to_json(l) from flow_limit l where namespace = $4
         union all select row_to_json(h) from schedule h where namespace = $4
         union all select row_to_json(p) from plan p where id = $5`,
          [resources.run, resources.agent.id, resources.key, mine.name, resources.plan],
        );
      const before = JSON.stringify(await snapshot());
      for (const key of scopeOf(operation) ? [foreign.key] : [foreignAgent]) {
        const { status, body, text } = await server.call({ ...requestTo(operation, resources), key });
        const name = `${nameOf(operation)} → ${status} ${body?.code ?? ""}`;
        // Names of capabilities, limits and shared keys are each namespace's own.
        const isNamed = /\{(?!capability\}|limit\})/.test(operation.path) && !operation.path.startsWith("/v1/memory/");
        const isOwn = status === 404 && /^(MEMORY|FLOW_LIMIT)_NOT_FOUND$/.test(body.code);
        const isStale = status === 409 && body.code === "LEASE_LOST";
        if (isNamed ? !(status === 404 && /NOT_FOUND$/.test(body.code)) : status >= 300 && !isStale && !isOwn)
          leaks.push(name);
        if (!isNamed && text.includes(resources.marker)) leaks.push(`${name}: marker`);
      }
      if (JSON.stringify(await snapshot()) !== before) leaks.push(`${nameOf(operation)}: changed`);
    }
    expect(leaks).toEqual([]);
  });
});

describe("an agent", () => {
  it("may remove itself and no other; a key with the scope may remove it", async () => {
    const [one, other] = [await mine.join(), await mine.join()];
    const remove = (id: string, key: string) => server.call({ method: "DELETE", path: `/v1/agents/${id}`, key });
    expect((await remove(other.id, one.token)).body).toMatchObject({ code: "SCOPE_MISSING", status: 403 });
    expect((await remove(one.id, one.token)).status).toBe(204);
    expect((await remove(other.id, keys.get("runs:write")!)).status).toBe(403);
    expect((await remove(other.id, keys.get("agents")!)).status).toBe(204);
  });

  it("that has left is unknown before long", async () => {
    const agent = await mine.join();
    await agent.call({ method: "DELETE", path: `/v1/agents/${agent.id}` });
    const claim = () => agent.call({ path: "/v1/tasks/claim", body: { request_id: randomUUID(), max: 1 } });
    await expect.poll(async () => (await claim()).status, { timeout: 10_000 }).toBe(401);
  });
});

describe("a key", () => {
  it("is shown once, and never again", async () => {
    const created = await mine.call<{ key: string; prefix: string; id: string }>({
      path: "/v1/keys",
      body: { name: "once", scopes: ["runs:read"], expires_at: "2999-01-01T00:00:00+02:00" },
    });
    expect(created.status).toBe(201);
    expect(created.body.key.startsWith(created.body.prefix)).toBe(true);
    expect(created.body).toMatchObject({ namespace: mine.name, expires_at: "2998-12-31T22:00:00.000Z" });
    const list = await mine.call<{ data: object[] }>({ path: "/v1/keys" });
    expect(list.text).toContain(created.body.id);
    expect(list.text).not.toContain(created.body.key);
    const stored = await server.sql.query("select row_to_json(k)::text as row from api_key k where id = $1", [
      created.body.id,
    ]);
    expect(JSON.stringify(stored)).not.toContain(created.body.key);
  });

  it("that has expired is unknown", async () => {
    const key = await mine.keyWith("runs:read");
    await server.sql.query("update api_key set expires_at = now() - interval '1 second' where prefix = $1", [
      key.slice(0, 12),
    ]);
    expect((await server.call({ path: "/v1/runs", key })).body.code).toBe("UNAUTHENTICATED");
  });

  it("that was revoked is unknown before long, and cannot be revoked again", async () => {
    const created = await mine.call<{ key: string; id: string }>({
      path: "/v1/keys",
      body: { name: "short", scopes: ["runs:read"] },
    });
    const { key, id } = created.body;
    expect((await server.call({ path: "/v1/runs", key })).status).toBe(200);
    const revoke = () => mine.call({ method: "DELETE", path: `/v1/keys/${id}` });
    expect((await revoke()).status).toBe(204);
    expect((await revoke()).body.code).toBe("KEY_NOT_FOUND");
    await expect.poll(async () => (await server.call({ path: "/v1/runs", key })).status, { timeout: 10_000 }).toBe(401);
  });

  it("creates keys of its own namespace; one of `default` also those of others", async () => {
    const { body } = await mine.call({
      path: "/v1/keys",
      body: { name: "x", namespace: foreign.name, scopes: ["admin"] },
    });
    expect(body).toMatchObject({ code: "SCOPE_MISSING", status: 403 });
  });

  it.each(["Basic YTpi", "Bearer", "Bearer a b", adminKey, `Token ${adminKey}`])(
    "must be a bearer token: %s",
    async (value) => {
      const answer = await server.call({ path: "/v1/runs", headers: { authorization: value } });
      expect([answer.status, answer.headers["www-authenticate"]]).toEqual([401, 'Bearer realm="skein"']);
    },
  );
});

describe("Host", () => {
  const port = () => new URL(server.url).port;
  it.each(["localhost", "LOCALHOST:PORT", "127.0.0.1:PORT", "[::1]", "[::1]:PORT", "localhost:1"])(
    "%s is served",
    async (host) => {
      const { status } = await server.call({ path: "/healthz", headers: { host: host.replace("PORT", port()) } });
      expect(status).toBe(200);
    },
  );

  it.each([
    "evil.example",
    "evil.example:PORT",
    "localhost.evil.example",
    "127.0.0.1.nip.io:PORT",
    "localhost:PORT@evil.example",
    "evil.example#localhost",
    "evil.example/localhost",
    "[::ffff:127.0.0.1]",
    "0.0.0.0:PORT",
    "2130706433",
    "localhost:PORT:PORT",
    "[::1",
    "::1",
  ])("%s is refused on every route, before anything else is looked at", async (host) => {
    for (const path of ["/healthz", "/v1/runs", "/docs/", "/openapi.json", "/nope", "/metrics"]) {
      const headers = { host: host.replaceAll("PORT", port()) };
      const { body } = await server.call({ path, headers, key: adminKey });
      expect([path, body]).toMatchObject([path, { code: "HOST_NOT_ALLOWED", status: 421 }]);
    }
  });

  it("that is missing or empty is refused", async () => {
    for (const start of ["1.0", "1.1", "1.1\r\nHost:", "1.1\r\nHost: "]) {
      const { status, body } = await sendRaw(server.url, `GET /healthz HTTP/${start}\r\nConnection: close\r\n\r\n`);
      expect([status, body.code]).toEqual([421, "HOST_NOT_ALLOWED"]);
    }
  });

  it("that stands twice is refused", async () => {
    const { status } = await sendRaw(
      server.url,
      "GET /healthz HTTP/1.1\r\nHost: evil.example\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    expect(status).toBeGreaterThanOrEqual(400);
  });
});

describe("Origin", () => {
  it.each(["http://localhost:3000", "https://127.0.0.1", "http://[::1]:5173"])("%s is served", async (origin) => {
    expect((await server.call({ path: "/healthz", headers: { origin } })).status).toBe(200);
  });

  it.each([
    "https://evil.example",
    "null",
    "",
    "file://",
    "http://localhost.evil.example",
    "http://localhost@evil.example",
    "http://localhost, https://evil.example",
    "chrome-extension://localhost.evil",
  ])("%s is refused", async (origin) => {
    const { body } = await server.call({ path: "/v1/runs", headers: { origin }, key: adminKey });
    expect(body).toMatchObject({ code: "ORIGIN_NOT_ALLOWED", status: 403 });
  });
});

describe("a server on loopback without keys", () => {
  it("answers whoever comes by a loopback name, in the namespace default; names it is told to allow, too", async () => {
    const open = await startReplica(server, {
      requireKey: false,
      env: { SKEIN_ALLOWED_HOSTS: "orchestrator, Skein.Example:8443" },
    });
    try {
      const status = async (call: Partial<Call>) => (await open.call({ path: "/v1/runs", ...call })).status;
      expect(await status({})).toBe(200);
      expect(await status({ key: "wrong" })).toBe(401);
      expect(await status({ headers: { origin: "https://evil.example" } })).toBe(403);
      expect(await status({ headers: { host: "evil.example" } })).toBe(421);
      expect(await status({ headers: { host: "orchestrator:8080", origin: "https://skein.example:8443" } })).toBe(200);
      expect(await status({ headers: { host: "skein.example" } })).toBe(421);
      const claim = await open.call({ path: "/v1/tasks/claim", body: { request_id: "r", max: 1 } });
      expect(claim.body).toMatchObject({ code: "AGENT_TOKEN_REQUIRED", status: 403 });
    } finally {
      await open.stop();
    }
  });
});

it("nothing secret is logged", () => {
  const log = JSON.stringify(server.log);
  for (const secret of [adminKey, mine.key, foreign.key, foreignAgent, ...keys.values()])
    expect(log).not.toContain(secret);
});

import type { ErrorCode } from "../../../core/errors.ts";
import type { Json, JsonObject } from "../../../core/json.ts";
import type { Problem } from "../../../core/protocol/common.ts";
import { equal, isTrue } from "../expect.ts";
import { proofOf, type Scenario } from "../scenario.ts";

/** Of one request that is wrong, and how it is refused. */
interface Wrong {
  what: string;
  /** `POST /v1/runs`; `GET`, if there is only a path. */
  request: string;
  /** A text is sent as it is. */
  body?: Json;
  headers?: Record<string, string>;
  status: number;
  code: ErrorCode;
  pointer?: string;
  /** The codes of what is wrong, where it is several things. */
  flaws?: ErrorCode[];
}

const nowhere = "0198c0de-0000-7000-8000-000000000000";

export const refusals: Scenario = {
  name: "refusals",
  title: "Every wrong request is refused with the status and the stable code that are documented for it",
  async play({ connection, unique, submit, join, claim, step }) {
    step("register an agent, which is given a task");
    const agent = await join(unique);
    const run = await submit({ definition: { name: "refusals", tasks: [{ id: "work", capability: unique }] } });
    const lease = await claim(agent);
    const key = connection.apiKey === undefined ? {} : { authorization: `Bearer ${connection.apiKey}` };
    const refuse = async (wrong: Wrong, caller: Record<string, string> = key) => {
      step(`send ${wrong.what}`);
      const [method, path] = wrong.request.includes(" ") ? wrong.request.split(" ") : ["GET", wrong.request];
      const type = wrong.body === undefined ? {} : { "content-type": "application/json" };
      const body = typeof wrong.body === "string" ? wrong.body : JSON.stringify(wrong.body);
      const answer = await connection.fetch!(connection.url.replace(/\/+$/, "") + path, {
        method: method!,
        headers: { ...type, ...caller, ...wrong.headers },
        ...(body !== undefined && { body }),
      });
      const problem = (await answer.json()) as Problem;
      const { status, code } = wrong;
      equal(`how ${wrong.what} is refused`, { status: answer.status, code: problem.code }, { status, code });
      isTrue("a sentence says why", problem.detail.length > 15, problem);
      const flaws = problem.errors?.map((flaw) => flaw.code);
      if (wrong.flaws) equal("what is wrong with it", flaws, wrong.flaws);
      if (wrong.pointer !== undefined) equal("where it is wrong", problem.errors?.[0]?.pointer, wrong.pointer);
    };

    for (const wrong of [...requests, ...ofRun(run.id), ...ofData(unique)]) await refuse(wrong);
    for (const wrong of ofLease({ ...proofOf(lease) })) await refuse(wrong, agent.authorization);
    await refuse(
      { what: "an agent's token for what needs a key", request: "/v1/runs", status: 403, code: "SCOPE_MISSING" },
      agent.authorization,
    );
  },
};

const echo = { name: "refusals", tasks: [{ id: "a", capability: "core.echo" }] };
const invalid = { status: 400, code: "REQUEST_INVALID" } as const;

/** A plan of one's own: it passes the same gate as a planner's. */
const ownPlan: JsonObject = {
  goal: { want: { a: "t" } },
  workflow: {
    name: "refusals",
    tasks: [{ id: "a", capability: "test.nowhere", priority: 9 }],
    outputs: { a: "{{ tasks.a.output.a }}" },
  },
};

const requests: Wrong[] = [
  // What is no request at all
  { what: "what is not JSON", request: "POST /v1/runs", body: "{", status: 400, code: "JSON_INVALID" },
  {
    what: "a key twice",
    request: "POST /v1/runs",
    body: '{"workflow":"a","workflow":"b"}',
    status: 400,
    code: "JSON_INVALID",
  },
  {
    what: "what no database can store",
    request: "POST /v1/runs",
    body: { definition: echo, inputs: { a: "\u0000" } },
    status: 422,
    code: "JSON_UNSTORABLE",
    pointer: "/inputs/a",
  },
  {
    what: "a form",
    request: "POST /v1/runs",
    body: "a=b",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    status: 415,
    code: "MEDIA_TYPE_UNSUPPORTED",
  },
  {
    what: "more than a mebibyte",
    request: "POST /v1/agents",
    body: { name: "x".repeat(2 ** 20) },
    status: 413,
    code: "BODY_TOO_LARGE",
  },
  { what: "a path that is none", request: "/v1/geese", status: 404, code: "ROUTE_NOT_FOUND" },
  { what: "a method that is none", request: "PUT /v1/runs", body: {}, status: 405, code: "METHOD_NOT_ALLOWED" },
  {
    what: "an unknown key",
    request: "/v1/runs",
    headers: { authorization: "Bearer skk_unknown" },
    status: 401,
    code: "UNAUTHENTICATED",
  },
  {
    what: "a page of another origin",
    request: "/v1/runs",
    headers: { origin: "https://geese.example" },
    status: 403,
    code: "ORIGIN_NOT_ALLOWED",
  },
  {
    what: "a claim without an agent's token",
    request: "POST /v1/tasks/claim",
    body: { request_id: "r", max: 1 },
    status: 403,
    code: "AGENT_TOKEN_REQUIRED",
  },
  // Runs and workflows
  { what: "nothing to run", request: "POST /v1/runs", body: {}, ...invalid, pointer: "" },
  {
    what: "a misspelt key",
    request: "POST /v1/runs",
    body: { definition: echo, prioritty: 1 },
    ...invalid,
    pointer: "/prioritty",
  },
  {
    what: "a priority that is none",
    request: "POST /v1/runs",
    body: { definition: echo, priority: 10 },
    ...invalid,
    pointer: "/priority",
  },
  {
    what: "a workflow that is not registered",
    request: "POST /v1/runs",
    body: { workflow: "test-nowhere" },
    status: 404,
    code: "WORKFLOW_NOT_FOUND",
  },
  {
    what: "a workflow without tasks",
    request: "POST /v1/workflows",
    body: { name: "refusals", tasks: [] },
    status: 422,
    code: "WORKFLOW_INVALID",
    pointer: "/tasks",
  },
  {
    what: "the name of a workflow that is not there",
    request: "/v1/workflows/test-nowhere",
    status: 404,
    code: "WORKFLOW_NOT_FOUND",
  },
  { what: "the id of a run that is not there", request: `/v1/runs/${nowhere}`, status: 404, code: "RUN_NOT_FOUND" },
  { what: "an id that is none", request: "/v1/runs/geese", ...invalid },
  { what: "a page of no entries", request: "/v1/runs?limit=0", ...invalid },
  { what: "a cursor that is none", request: "/v1/runs?cursor=geese", ...invalid },
  // Plans
  {
    what: "a goal that contradicts itself",
    request: "POST /v1/plans",
    body: { goal: { want: { a: "t" }, must_use: ["x"], must_not_use: ["x"] } },
    status: 422,
    code: "GOAL_INVALID",
  },
  {
    what: "a goal that nobody can reach",
    request: "POST /v1/plans",
    body: { goal: { want: { a: "test.nowhere" } } },
    status: 422,
    code: "PLAN_IMPOSSIBLE",
  },
  {
    what: "a goal that is reached already",
    request: "POST /v1/plans",
    body: { goal: { have: { a: { type: "t", value: 1 } }, want: { b: "t" } } },
    status: 422,
    code: "PLAN_EMPTY",
  },
  {
    what: "a planner that is none",
    request: "POST /v1/plans",
    body: { goal: { want: { a: "t" } }, planner: "nowhere" },
    status: 422,
    code: "PLANNER_UNKNOWN",
  },
  {
    what: "the id of a plan that is not there",
    request: `POST /v1/plans/${nowhere}/accept`,
    body: {},
    status: 404,
    code: "PLAN_NOT_FOUND",
  },
  {
    what: "a plan that breaks three rules at once",
    request: "POST /v1/plans",
    body: ownPlan,
    status: 422,
    code: "PLAN_REFUSED",
    flaws: ["PLAN_KEY_NOT_ALLOWED", "PLAN_CAPABILITY_UNKNOWN", "PLAN_TYPE_MISMATCH"],
  },
  // Conversations
  {
    what: "a conversation under no protocol",
    request: "POST /v1/conversations",
    body: { protocol: "shouting", topic: 1, members: ["a"] },
    status: 422,
    code: "CONVERSATION_INVALID",
  },
  {
    what: "the id of a conversation that is not there",
    request: `/v1/conversations/${nowhere}`,
    status: 404,
    code: "CONVERSATION_NOT_FOUND",
  },
  // Agents
  {
    what: "a capability that is none",
    request: "POST /v1/agents",
    body: { name: "a", capabilities: ["a b"] },
    ...invalid,
    pointer: "/capabilities/0",
  },
  {
    what: "a schema that is none",
    request: "POST /v1/agents",
    body: { name: "a", capabilities: [{ name: "test.a", output_schema: { type: "goose" } }] },
    status: 422,
    code: "CAPABILITY_INVALID",
  },
  {
    what: "the id of an agent that is not there",
    request: `/v1/agents/${nowhere}`,
    status: 404,
    code: "AGENT_NOT_FOUND",
  },
];

function ofRun(run: string): Wrong[] {
  const at = `/v1/runs/${run}`;
  return [
    { what: "a picture of no kind", request: `${at}/graph?format=painting`, ...invalid },
    {
      what: "a picture that is no picture",
      request: `${at}/graph`,
      headers: { accept: "audio/wav" },
      status: 406,
      code: "NOT_ACCEPTABLE",
    },
    { what: "a task that is not there", request: `${at}/tasks/nowhere`, status: 404, code: "TASK_NOT_FOUND" },
    {
      what: "a decision about what waits for none",
      request: `POST ${at}/tasks/work/approve`,
      body: {},
      status: 409,
      code: "TASK_NOT_WAITING",
    },
    {
      what: "a group that is not there",
      request: `POST ${at}/cancel`,
      body: { group: "nowhere" },
      status: 404,
      code: "GROUP_NOT_FOUND",
    },
    { what: "a retry of what goes on", request: `POST ${at}/retry`, body: {}, status: 409, code: "RUN_NOT_FINISHED" },
    {
      what: "a patch without a revision",
      request: `PATCH ${at}/graph`,
      body: { remove: ["work"] },
      status: 428,
      code: "REVISION_MISSING",
    },
    {
      what: "a patch of a stale revision",
      request: `PATCH ${at}/graph`,
      body: { add: echo.tasks },
      headers: { "if-match": '"99"' },
      status: 412,
      code: "REVISION_STALE",
    },
    {
      what: "a patch of what has started",
      request: `PATCH ${at}/graph`,
      body: { replace: [{ id: "work", capability: "core.echo" }] },
      headers: { "if-match": '"0"' },
      status: 409,
      code: "TASK_ALREADY_STARTED",
    },
    { what: "a file that is not there", request: `${at}/artifacts/nowhere`, status: 404, code: "ARTIFACT_NOT_FOUND" },
    {
      what: "a path out of the run",
      request: `PUT ${at}/artifacts/${encodeURIComponent("../passwd")}`,
      body: "x",
      ...invalid,
    },
  ];
}

function ofData(name: string): Wrong[] {
  const state = `/v1/agents/${name}/state`;
  const board = `/v1/memory/${name}/plan`;
  const message = (more: JsonObject) => ({ messages: [{ to: name, body: 1, ...more }] });
  return [
    { what: "a question for a state where there is none", request: state, status: 404, code: "STATE_NOT_FOUND" },
    { what: "a state without a document", request: `PUT ${state}`, body: {}, ...invalid, pointer: "/document" },
    {
      what: "a state of a stale revision",
      request: `PUT ${state}`,
      body: { document: 1 },
      headers: { "if-match": '"7"' },
      status: 412,
      code: "STATE_CONFLICT",
    },
    {
      what: "a time to live that is none",
      request: `PUT ${state}`,
      body: { document: 1, ttl: "soon" },
      ...invalid,
      pointer: "/ttl",
    },
    {
      what: "a state that is too large",
      request: `PUT ${state}`,
      body: { document: "x".repeat(900_000) },
      status: 413,
      code: "AGENT_DATA_TOO_LARGE",
    },
    {
      what: "an entry of no type",
      request: `POST /v1/agents/${name}/memory`,
      body: { entries: [{ content: 1 }] },
      ...invalid,
      pointer: "/entries/0/type",
    },
    {
      what: "an entry that is not there",
      request: `DELETE /v1/agents/${name}/memory?id=${nowhere}`,
      status: 404,
      code: "MEMORY_NOT_FOUND",
    },
    { what: "a shared key that is not there", request: board, status: 404, code: "MEMORY_NOT_FOUND" },
    {
      what: "a shared key of a stale revision",
      request: `PUT ${board}`,
      body: { value: 1 },
      headers: { "if-match": '"7"' },
      status: 412,
      code: "MEMORY_CONFLICT",
    },
    { what: "a scope that is none", request: "/v1/memory/a%20b", ...invalid },
    {
      what: "a message from somebody else",
      request: "POST /v1/messages",
      body: message({ from: "boss" }),
      ...invalid,
      pointer: "/messages/0/from",
    },
    {
      what: "a message to nobody that has to arrive",
      request: "POST /v1/messages",
      body: message({ to: `${name}-nobody`, must_route: true }),
      status: 404,
      code: "AGENT_NOT_FOUND",
    },
    {
      what: "a message to an id that is not there",
      request: "POST /v1/messages",
      body: message({ to: nowhere }),
      status: 404,
      code: "AGENT_NOT_FOUND",
    },
    {
      what: "a message that is too large",
      request: "POST /v1/messages",
      body: message({ body: "x".repeat(9_000_000) }),
      status: 413,
      code: "AGENT_DATA_TOO_LARGE",
    },
    { what: "a topic that is none", request: "POST /v1/messages", body: message({ to: { topic: "a b" } }), ...invalid },
    {
      what: "a question for a reply that nobody awaits",
      request: `/v1/messages/${nowhere}/reply`,
      status: 404,
      code: "MESSAGE_NOT_FOUND",
    },
  ];
}

function ofLease(proof: { task_id: string; attempt: number; lease_token: string }): Wrong[] {
  const report = (more: JsonObject) => ({ request_id: "r", reports: [{ ...proof, outcome: "completed", ...more }] });
  return [
    {
      what: "a claim for nothing",
      request: "POST /v1/tasks/claim",
      body: { request_id: "r", max: 0 },
      ...invalid,
      pointer: "/max",
    },
    {
      what: "a wait that is too long",
      request: "POST /v1/tasks/claim",
      body: { request_id: "r", max: 1, wait: 31 },
      ...invalid,
      pointer: "/wait",
    },
    {
      what: "a claim for what the agent does not offer",
      request: "POST /v1/tasks/claim",
      body: { request_id: "r", max: 1, capabilities: ["other"] },
      ...invalid,
    },
    {
      what: "an outcome that is none",
      request: "POST /v1/tasks/report",
      body: report({ outcome: "done" }),
      ...invalid,
      pointer: "/reports/0/outcome",
    },
    {
      what: "a failure without an error",
      request: "POST /v1/tasks/report",
      body: report({ outcome: "failed" }),
      ...invalid,
      pointer: "/reports/0/error",
    },
    {
      what: "an effect that does not exist",
      request: "POST /v1/tasks/report",
      body: report({ effects: { spwan: [] } }),
      ...invalid,
      pointer: "/reports/0/effects/spwan",
    },
    {
      what: "items for a map that is not there",
      request: "POST /v1/tasks/emit",
      body: { ...proof, map: "nowhere", items: [{ item: 1 }] },
      status: 409,
      code: "EMIT_REFUSED",
    },
    {
      what: "items under a lease that is not held",
      request: "POST /v1/tasks/emit",
      body: { ...proof, lease_token: "forged", map: "work" },
      status: 409,
      code: "LEASE_LOST",
    },
  ];
}

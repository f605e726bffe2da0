/** A client that did not come from here, the official one of the extension, over the official transport. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { createTaskSessionFromClient, type V2RequestFraming } from "@modelcontextprotocol/ext-tasks/client";
import {
  contributeTaskFilterV2,
  isTaskStatusNotificationV2,
  readAcceptedTaskIdsV2,
} from "@modelcontextprotocol/ext-tasks/core/v2";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../config.ts";
import { type Embedded, startEmbedded } from "../../embedded.ts";
import { createClient } from "../../sdk/client.ts";
import { messagesOf } from "../event-stream.suite.ts";
import { call, eventually, shout } from "../tools.suite.ts";

const ADMIN_KEY = "an-admin-key-for-this-test";
const VERSION = "2026-07-28";
const TASKS = "io.modelcontextprotocol/tasks";
const info = { name: "test", version: "1" };

let embedded: Embedded;
const rest = () => createClient({ url: embedded.url, apiKey: ADMIN_KEY });

beforeAll(async () => {
  const config = loadConfig({ PORT: "0", HOST: "0.0.0.0", SKEIN_ADMIN_KEY: ADMIN_KEY });
  embedded = await startEmbedded({ config, logger: pino({ level: "silent" }), inMemory: true, executors: [shout] });
});

afterAll(async () => {
  await embedded?.stop();
});

interface Answer {
  result?: Record<string, unknown> & { status?: string; taskId?: string; content?: { text: string }[] };
  error?: { code: number; message: string; data?: unknown };
}

/** One request as it goes over the wire. */
async function post(id: number, method: string, params: object, capabilities: object, key: string): Promise<Response> {
  const { name, taskId } = params as { name?: string; taskId?: string };
  const _meta = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientInfo": info,
    "io.modelcontextprotocol/clientCapabilities": capabilities,
  };
  return fetch(`${embedded.url}/mcp`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${key}`,
      accept: "application/json, text/event-stream",
      "content-type": "application/json",
      "mcp-protocol-version": VERSION,
      "mcp-method": method,
      "mcp-name": name ?? taskId ?? "",
    },
    body: JSON.stringify({ jsonrpc: "2.0", id, method, params: { ...params, _meta } }),
  });
}

async function send(method: string, params: object, capabilities: object, key = ADMIN_KEY): Promise<Answer> {
  return (await (await post(1, method, params, capabilities, key)).json()) as Answer;
}

const extensions = { [TASKS]: {} };
const able = { elicitation: {}, extensions };
const submit = (definition: object, capabilities: object = able) =>
  send("tools/call", { name: "workflow_submit", arguments: { definition } }, capabilities);
const get = (taskId: string, capabilities: object = able, key?: string) =>
  send("tasks/get", { taskId }, capabilities, key);
const until = async (taskId: string, status: string) => {
  await expect.poll(async () => (await get(taskId)).result?.status, eventually).toBe(status);
  return (await get(taskId)).result!;
};

const echo = { name: "echo", tasks: [{ id: "a", capability: "core.echo", input: 7 }], outputs: "{{ tasks.a.output }}" };
const endless = { name: "endless", tasks: [{ id: "nap", capability: "core.sleep", input: { duration: "1h" } }] };
const form = { type: "object", required: ["count"], properties: { count: { type: "integer", maximum: 9 } } };
const asking = {
  name: "asking",
  tasks: [
    { id: "count", capability: "human.task", input: { form, assignee: "ann", payload: { bird: "goose" } } },
    { id: "sure", wait: { approval: {} } },
    { id: "other", wait: { any_of: [{ signal: "never" }, { approval: {} }] } },
  ],
  outputs: "{{ tasks.count.output.payload.count }}",
};

describe("a submitted run", () => {
  it("is a task at once, which says that it works and then how it ended", async () => {
    const { result: created } = await submit(echo);
    expect(created).toMatchObject({ resultType: "task", status: "working", ttlMs: null, pollIntervalMs: 1_000 });
    expect(created).not.toHaveProperty("result");
    const done = await until(created!.taskId!, "completed");
    expect(done).toMatchObject({
      resultType: "complete",
      result: {
        structuredContent: { id: created!.taskId, status: "completed", outputs: 7 },
        content: [{ type: "text", text: expect.stringContaining("Outputs: 7") }],
      },
    });
  });

  it("is a plain answer for clients that do not know tasks, whatever else they say", async () => {
    for (const capabilities of [{}, { elicitation: {} }, { tasks: {} }, { extensions: { "com.example/other": {} } }]) {
      const { result } = await submit(echo, capabilities);
      expect(result).toMatchObject({ resultType: "complete", structuredContent: { workflow: "echo" } });
      expect(result).not.toHaveProperty("taskId");
    }
  });

  it("that is refused is a plain error", async () => {
    const { result } = await submit({ name: "bad", tasks: [{ id: "a", needs: ["b"], capability: "core.echo" }] });
    expect(result).toMatchObject({ resultType: "complete", isError: true });
    expect(result!.content![0]!.text).toContain("WORKFLOW_NEED_UNKNOWN");
  });

  it("that fails is a task that completed with the error as its result", async () => {
    const failing = { name: "failing", tasks: [{ id: "a", terminate: { status: "failed", message: "Enough." } }] };
    const { result: created } = await submit(failing);
    const { result } = await until(created!.taskId!, "completed");
    expect(result).toMatchObject({ isError: true, content: [{ text: expect.stringContaining("Enough.") }] });
  });

  it("is cancelled by tasks/cancel, which may be repeated", async () => {
    const { result: created } = await submit(endless);
    const taskId = created!.taskId!;
    for (let n = 0; n < 2; n++) {
      const { result } = await send("tasks/cancel", { taskId }, able);
      expect(result).toMatchObject({ resultType: "complete" });
      expect(result).not.toHaveProperty("status");
      await until(taskId, "cancelled");
    }
    expect((await rest().runs.get(taskId)).status).toBe("cancelled");
  });

  it("asks what waits for a decision, takes the answers as they come, and refuses what does not fit", async () => {
    const { result: created } = await submit(asking);
    const taskId = created!.taskId!;
    const questions = async () => {
      const { inputRequests = {} } = (await get(taskId)).result as { inputRequests?: object };
      return Object.entries(inputRequests) as [string, { method: string; params: { message: string } }][];
    };
    await expect.poll(async () => (await questions()).length, eventually).toBe(3);
    const keyOf = async (task: string) =>
      (await questions()).find(([, { params }]) => params.message.includes(task))![0];
    const update = (inputResponses: object) => send("tasks/update", { taskId, inputResponses }, able);
    const count = await keyOf("count");
    expect(Object.fromEntries(await questions())[count]).toMatchObject({
      method: "elicitation/create",
      params: { message: expect.stringContaining("by ann"), requestedSchema: form },
    });

    const wrong = await update({ [count]: { action: "accept", content: { count: 10 } } });
    expect(wrong.error).toMatchObject({ code: -32_602, message: expect.stringContaining("ANSWER_INVALID") });
    await update({ [count]: { action: "cancel" }, "unknown-key": { action: "accept", content: {} } });
    expect(await questions()).toHaveLength(3);

    expect((await update({ [count]: { action: "accept", content: { count: 7 } } })).result).toEqual(
      expect.not.objectContaining({ status: expect.anything() }),
    );
    await expect.poll(async () => (await questions()).map(([key]) => key), eventually).not.toContain(count);
    await update({ [await keyOf("sure")]: { action: "accept", content: { approve: true } } });
    await update({ [count]: { action: "accept", content: { count: 8 } } });
    await update({ [await keyOf("other")]: { action: "accept", content: { approve: true, comment: "fine" } } });
    const { result } = await until(taskId, "completed");
    expect(result).toMatchObject({ structuredContent: { outputs: 7 } });
  });

  it("asks what the runs wait for that it waits for, at any depth", async () => {
    const wait = (id: string) => ({ id, wait: { approval: {} } });
    await rest().workflows.register({ name: "grandchild", tasks: [wait("deep")] });
    await rest().workflows.register({ name: "child", tasks: [wait("middle"), { id: "run", workflow: "grandchild" }] });
    const { result: created } = await submit({
      name: "parent",
      tasks: [wait("top"), { id: "run", workflow: "child" }],
    });
    const taskId = created!.taskId!;
    const questions = async () => {
      const { inputRequests = {} } = (await get(taskId)).result as { inputRequests?: object };
      return Object.entries(inputRequests) as [string, { params: { message: string } }][];
    };
    const asked = async () => (await questions()).map(([, { params }]) => /^Task (.*) waits/.exec(params.message)?.[1]);
    await expect.poll(asked, eventually).toEqual(["top of parent", "middle of child", "deep of grandchild"]);
    const answer = { action: "accept", content: { approve: true } };
    const inputResponses = Object.fromEntries((await questions()).map(([key]) => [key, answer]));
    await send("tasks/update", { taskId, inputResponses }, able);
    expect(await until(taskId, "completed")).toMatchObject({ result: { structuredContent: { status: "completed" } } });
  });

  it("that is declined fails", async () => {
    const { result: created } = await submit({ name: "declined", tasks: [{ id: "ask", wait: { approval: {} } }] });
    const { inputRequests } = await until(created!.taskId!, "input_required");
    const inputResponses = Object.fromEntries(Object.keys(inputRequests!).map((key) => [key, { action: "decline" }]));
    await send("tasks/update", { taskId: created!.taskId!, inputResponses }, able);
    const { result } = await until(created!.taskId!, "completed");
    expect(result).toMatchObject({ isError: true, _meta: { "skein/error": { code: "rejected" } } });
  });

  it("asks nothing of a client that can ask nobody", async () => {
    const { result: created } = await submit(asking, { extensions });
    await until(created!.taskId!, "input_required");
    for (const capabilities of [{ extensions }, { extensions, elicitation: { url: {} } }]) {
      const { result } = await get(created!.taskId!, capabilities);
      expect(result).toMatchObject({ status: "working" });
      expect(result).not.toHaveProperty("inputRequests");
    }
    for (const elicitation of [{ form: {} }, { form: {}, url: {} }]) {
      expect((await get(created!.taskId!, { extensions, elicitation })).result).toHaveProperty("inputRequests");
    }
    await rest().runs.cancel(created!.taskId!);
  });
});

describe("a client that listens to tasks", () => {
  /** A stream of `subscriptions/listen`, message by message. */
  async function listen(notifications: object, capabilities: object = able, key = ADMIN_KEY) {
    const response = await post(5, "subscriptions/listen", notifications, capabilities, key);
    const heard: { method?: string; params: Record<string, unknown> & { status?: string; uri?: string } }[] = [];
    const read = async () => {
      for await (const message of messagesOf(response)) heard.push(message as (typeof heard)[number]);
    };
    return { response, heard, read };
  }

  it("hears how each stands, at once, when it asks something, and when it has ended", async () => {
    const definition = {
      name: "listened",
      tasks: [
        { id: "a", wait: { signal: "go" } },
        { id: "ask", wait: { approval: {} } },
      ],
    };
    const taskId = (await submit(definition)).result!.taskId!;
    const stranger = (await submit(endless)).result!.taskId!;
    const filter = contributeTaskFilterV2({ notifications: { resourceSubscriptions: [`skein://runs/${stranger}`] } }, [
      taskId,
    ]);
    const { heard, read, response } = await listen(filter);
    expect(response.status).toBe(200);
    const reading = read();
    const statuses = () =>
      heard.filter(({ method }) => method === "notifications/tasks").map(({ params }) => params.status);
    await expect.poll(statuses, eventually).toEqual(["input_required"]);
    expect(readAcceptedTaskIdsV2(heard[0]!.params)).toEqual([taskId]);
    expect(heard[0]!.params).toMatchObject({ notifications: { resourceSubscriptions: [`skein://runs/${stranger}`] } });
    const first = heard.find(({ method }) => method === "notifications/tasks")!;
    const [key] = Object.keys(first.params.inputRequests as object);
    await send(
      "tasks/update",
      { taskId, inputResponses: { [key!]: { action: "accept", content: { approve: true } } } },
      able,
    );
    await expect.poll(() => statuses().at(-1), eventually).toBe("working");
    await rest().runs.signal(taskId, "go");
    await expect.poll(() => statuses().at(-1), eventually).toBe("completed");
    for (const message of heard.slice(1).filter(({ params }) => params.uri === undefined)) {
      expect(isTaskStatusNotificationV2(message), JSON.stringify(message)).toBe(true);
      expect(message.params).toMatchObject({ taskId, _meta: { "io.modelcontextprotocol/subscriptionId": 5 } });
    }
    await rest().runs.cancel(stranger);
    await expect
      .poll(() => heard.at(-1), eventually)
      .toMatchObject({
        method: "notifications/resources/updated",
        params: { uri: `skein://runs/${stranger}` },
      });
    expect(statuses().filter((status) => status === "completed")).toHaveLength(1);
    void reading;
  });

  it("is refused what it does not know, and what there is not", async () => {
    const taskId = (await submit(endless)).result!.taskId!;
    const filter = { notifications: { taskIds: [taskId] } };
    const unable = await listen(filter, { elicitation: {} });
    expect([unable.response.status, ((await unable.response.json()) as Answer).error?.code]).toEqual([400, -32_021]);
    const { key } = await rest().keys.create({ name: "far", namespace: "far-away", scopes: ["runs:read"] });
    for (const [asked, as] of [
      [filter, key],
      [{ notifications: { taskIds: ["nonsense"] } }, ADMIN_KEY],
    ] as const) {
      const { response } = await listen(asked, able, as);
      expect([response.status, ((await response.json()) as Answer).error?.code]).toEqual([400, -32_602]);
    }
    await rest().runs.cancel(taskId);
  });
});

describe("a request about a task", () => {
  const nobody = "0198c0de-0000-7000-8000-000000000000";

  it.each(["tasks/get", "tasks/update", "tasks/cancel"])(
    "%s of a client that does not know tasks says what it lacks",
    async (method) => {
      const { error } = await send(method, { taskId: nobody, inputResponses: {} }, { elicitation: {} });
      expect(error).toMatchObject({ code: -32_021, data: { requiredCapabilities: { extensions: { [TASKS]: {} } } } });
    },
  );

  it.each([nobody, "nonsense", "../agents"])("knows no task %s", async (taskId) => {
    for (const method of ["tasks/get", "tasks/update", "tasks/cancel"]) {
      expect((await send(method, { taskId, inputResponses: {} }, able)).error).toMatchObject({ code: -32_602 });
    }
  });

  it("knows no task of another namespace, and needs the scope for what it does", async () => {
    const taskId = (await submit(endless)).result!.taskId!;
    const foreign = await rest().keys.create({ name: "foreign", namespace: "elsewhere", scopes: ["runs:read"] });
    expect((await get(taskId, able, foreign.key)).error).toMatchObject({ code: -32_602 });
    const reader = await rest().keys.create({ name: "reader", scopes: ["runs:read"] });
    expect((await get(taskId, able, reader.key)).result).toMatchObject({ status: "working" });
    const refused = await send("tasks/cancel", { taskId }, able, reader.key);
    expect(refused.error).toMatchObject({ data: { code: "SCOPE_MISSING" } });
    await rest().runs.cancel(taskId);
  });
});

describe("the official client of the extension", () => {
  it("plans, submits, approves and fetches a run", async () => {
    const client = new Client(info, { capabilities: able, versionNegotiation: { mode: "auto" } });
    const requestInit = { headers: { authorization: `Bearer ${ADMIN_KEY}` } };
    await client.connect(new StreamableHTTPClientTransport(new URL(`${embedded.url}/mcp`), { requestInit }));
    const framing: V2RequestFraming = { protocolVersion: VERSION, clientInfo: info, clientCapabilities: able };
    const asked: string[] = [];
    const session = createTaskSessionFromClient(client, {
      endpointId: "skein",
      v2RequestFraming: framing,
      rawDispatch: async (request) => {
        const { method, params, id } = request as { method: string; params: object; id: number };
        return { jsonrpc: "2.0", id, ...(await send(method, params, able)) } as never;
      },
      onInputRequest: async (request) => {
        asked.push(JSON.stringify(request));
        return { action: "accept", content: { approve: true } } as never;
      },
    });
    const goal = { have: { text: { type: "mcp.text" } }, want: { loud: "mcp.loud" } };
    const plan = await call(client, "plan_create", { goal });
    const accepted = await session.callTool("plan_accept", { plan_id: plan.id!, inputs: { text: "geese" } });
    expect((await accepted.settle()).outcome).toMatchObject({
      result: { structuredContent: { outputs: { loud: "GEESE" } } },
    });

    const definition = {
      name: "decided",
      tasks: [
        { id: "ask", wait: { approval: { assignee: "ann" } } },
        { id: "say", needs: ["ask"], capability: "core.echo", input: "done" },
      ],
      outputs: "{{ tasks.say.output }}",
    };
    expect(await call(client, "workflow_validate", { definition })).toMatchObject({ valid: true });
    const submitted = await session.callTool("workflow_submit", { definition });
    const { outcome } = await submitted.settle();
    expect(asked).toHaveLength(1);
    expect(outcome).toMatchObject({ result: { structuredContent: { status: "completed", outputs: "done" } } });
    const { id } = (outcome as unknown as { result: { structuredContent: { id: string } } }).result.structuredContent;
    expect((await call(client, "run_get", { run_id: id })).status).toBe("completed");
    await session.close();
    await client.close();
  });
});

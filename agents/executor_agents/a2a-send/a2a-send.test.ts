import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { AgentCard, type Message, type Part, Role, type Task, TaskState } from "@a2a-js/sdk";
import { LegacyJsonRpcTransportHandler } from "@a2a-js/sdk/compat/v0_3/server";
import {
  AgentEvent,
  type AgentExecutor,
  DefaultRequestHandler,
  type ExecutionEventBus,
  InMemoryTaskStore,
  JsonRpcTransportHandler,
  type RequestContext,
  ServerCallContext,
} from "@a2a-js/sdk/server";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Json, JsonObject } from "../../../core/json.ts";
import { perform } from "../perform.suite.ts";
import { a2aSend } from "./a2a-send.ts";

const textPart = (value: string): Part => ({
  content: { $case: "text", value },
  mediaType: "text/plain",
  filename: "",
  metadata: undefined,
});
const messageOf = (contextId: string, taskId: string, parts: Part[]): Message => ({
  messageId: "m",
  role: Role.ROLE_AGENT,
  contextId,
  taskId,
  parts,
  metadata: undefined,
  extensions: [],
  referenceTaskIds: [],
});

const states: Record<string, TaskState> = {
  fail: TaskState.TASK_STATE_FAILED,
  reject: TaskState.TASK_STATE_REJECTED,
  cancel: TaskState.TASK_STATE_CANCELED,
  ask: TaskState.TASK_STATE_INPUT_REQUIRED,
  login: TaskState.TASK_STATE_AUTH_REQUIRED,
};

/** Does what the first word of the message says. */
class Worker implements AgentExecutor {
  readonly received: Message[] = [];
  readonly cancelled: string[] = [];
  readonly #endings = new Map<string, () => void>();

  async execute(request: RequestContext, bus: ExecutionEventBus): Promise<void> {
    const { taskId, contextId, userMessage } = request;
    this.received.push(userMessage);
    const [first] = userMessage.parts;
    const word = first?.content?.$case === "text" ? first.content.value.split(" ")[0]! : "echo";
    if (word === "chat") return bus.publish(AgentEvent.message(messageOf(contextId, "", [textPart("hello back")])));
    if (word === "crash") throw new Error("out of order");
    const status = (state: TaskState, said?: string) => ({
      state,
      message: said === undefined ? undefined : messageOf(contextId, taskId, [textPart(said)]),
      timestamp: undefined,
    });
    const submitted = status(TaskState.TASK_STATE_SUBMITTED);
    const task: Task = {
      id: taskId,
      contextId,
      status: submitted,
      artifacts: [],
      history: [userMessage],
      metadata: undefined,
    };
    bus.publish(AgentEvent.task(task));
    const update = (state: TaskState, said?: string) =>
      bus.publish(AgentEvent.statusUpdate({ taskId, contextId, status: status(state, said), metadata: undefined }));
    update(TaskState.TASK_STATE_WORKING, "on it");
    if (word === "hang") {
      await new Promise<void>((resolve) => this.#endings.set(taskId, resolve));
      if (this.cancelled.includes(taskId)) return;
    }
    const ending = states[word];
    if (ending !== undefined) return update(ending, "because of this");
    const artifact = {
      artifactId: "a1",
      name: "echo",
      description: "",
      parts: [...userMessage.parts, textPart("done")],
      metadata: undefined,
      extensions: [],
    };
    bus.publish(
      AgentEvent.artifactUpdate({ taskId, contextId, artifact, append: false, lastChunk: true, metadata: undefined }),
    );
    update(TaskState.TASK_STATE_COMPLETED, "finished");
  }

  /** Lets what hangs go on to its completion. */
  finish(): void {
    for (const end of this.#endings.values()) end();
  }

  cancelTask = async (taskId: string, bus: ExecutionEventBus): Promise<void> => {
    this.cancelled.push(taskId);
    const status = { state: TaskState.TASK_STATE_CANCELED, message: undefined, timestamp: undefined };
    bus.publish(AgentEvent.statusUpdate({ taskId, contextId: "", status, metadata: undefined }));
    this.#endings.get(taskId)?.();
  };
}

type Handler = Pick<JsonRpcTransportHandler, "handle">;
interface Hosted {
  card: JsonObject;
  handler: Handler;
}

let server: Server;
let port: number;
let base: string;
let worker: Worker;
let hosted: Record<string, Hosted>;
/** What the server does to a method before the agent sees it. */
let disturbance: ((method: string, response: ServerResponse) => boolean) | undefined;
let requests: { path: string; method: string; authorization: string | undefined }[] = [];

/** One server under three paths: an agent that streams, one that does not, one of the protocol's older version. */
function hostAll(): Record<string, Hosted> {
  const host = (path: string, streaming: boolean, version: string): Hosted => {
    const card = {
      name: "worker",
      description: "does what it is told",
      version: "1",
      capabilities: { streaming },
      defaultInputModes: ["text/plain"],
      defaultOutputModes: ["text/plain"],
      skills: [],
      supportedInterfaces: [
        { url: `${base}${path}rpc`, protocolBinding: "JSONRPC", protocolVersion: version, tenant: "" },
      ],
    };
    const requestHandler = new DefaultRequestHandler(AgentCard.fromJSON(card), new InMemoryTaskStore(), worker);
    const handler =
      version === "0.3"
        ? new LegacyJsonRpcTransportHandler(requestHandler)
        : new JsonRpcTransportHandler(requestHandler);
    return { card, handler: handler as Handler };
  };
  const legacy = host("/legacy/", true, "0.3");
  const { supportedInterfaces: _, ...shared } = legacy.card;
  legacy.card = { ...shared, protocolVersion: "0.3.0", url: `${base}/legacy/rpc`, preferredTransport: "JSONRPC" };
  return { "/": host("/", true, "1.0"), "/plain/": host("/plain/", false, "1.0"), "/legacy/": legacy };
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [, path = "/", rest] = /^(.*\/)(\.well-known\/agent-card\.json|card\.json|rpc)$/.exec(request.url!) ?? [];
  const host = hosted[path];
  if (!host || !rest) return void response.writeHead(404).end("nothing here");
  const body = await text(request);
  const method = rest === "rpc" ? (JSON.parse(body) as { method: string }).method : "card";
  requests.push({ path: request.url!, method, authorization: request.headers.authorization });
  if (disturbance?.(method, response)) return;
  if (method === "card")
    return void response.setHeader("content-type", "application/json").end(JSON.stringify(host.card));
  const requestedVersion = String(request.headers["a2a-version"] ?? "0.3");
  const answer = await host.handler.handle(body, new ServerCallContext({ requestedVersion }));
  if (!(Symbol.asyncIterator in answer)) {
    return void response.setHeader("content-type", "application/json").end(JSON.stringify(answer));
  }
  try {
    for await (const event of answer as AsyncIterable<unknown>) {
      if (!response.headersSent) response.setHeader("content-type", "text/event-stream");
      response.write(`data: ${JSON.stringify(event)}\n\n`);
    }
  } catch (error) {
    if (response.headersSent) throw error;
    const { id } = JSON.parse(body) as { id: number };
    response.write(JSON.stringify({ jsonrpc: "2.0", id, error: JsonRpcTransportHandler.mapToJSONRPCError(error) }));
  }
  response.end();
}

let executor: ReturnType<typeof a2aSend>;

beforeAll(async () => {
  server = createServer((request, response) => void serve(request, response).catch(() => response.destroy()));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ({ port } = server.address() as { port: number });
  base = `http://127.0.0.1:${port}`;
  executor = a2aSend({ allow: [`127.0.0.1:${port}`] });
});
beforeEach(() => {
  worker = new Worker();
  hosted = hostAll();
  disturbance = undefined;
  requests = [];
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const send = (input: Record<string, Json>, rest = {}) =>
  perform(executor, { agent_url: base, ...input }, rest) as Promise<Record<string, Json>>;

const agents = ["/", "/plain", "/legacy/"];

describe.each(agents)("a message to the agent at %s", (path) => {
  const agent_url = () => base + path;

  it("is answered with the artifacts of its task when that is completed", async () => {
    const notes: Json[] = [];
    const output = await send(
      { agent_url: agent_url(), message: "echo this" },
      { progress: (note: Json) => notes.push(note) },
    );
    expect(output).toEqual({
      state: "completed",
      text: "echo this\ndone\nfinished",
      artifacts: [
        {
          artifact_id: "a1",
          name: "echo",
          parts: [expect.objectContaining({ text: "echo this" }), expect.objectContaining({ text: "done" })],
        },
      ],
      message: [expect.objectContaining({ text: "finished" })],
      context_id: expect.any(String),
      task_id: expect.any(String),
    });
    expect(notes.at(-1)).toEqual({ task_id: output.task_id, state: "completed", text: "finished" });
    if (path === "/") expect(notes).toContainEqual({ task_id: output.task_id, state: "working", text: "on it" });
    expect(worker.received[0]).toMatchObject({ messageId: "idempotency-1", role: Role.ROLE_USER });
  });

  it("may be answered with a message alone", async () => {
    const output = await send({ agent_url: agent_url(), message: "chat", context_id: "c1" });
    expect(output).toMatchObject({ state: "completed", text: "hello back", artifacts: [], context_id: "c1" });
    expect(output).not.toHaveProperty("task_id");
  });

  it.each([
    ["fail", "TaskError", "A2A_TASK_FAILED"],
    ["reject", "NonRetryableError", "A2A_TASK_REJECTED"],
    ["cancel", "NonRetryableError", "A2A_TASK_CANCELED"],
    ["ask", "NonRetryableError", "A2A_TASK_INPUT_REQUIRED"],
    ["login", "NonRetryableError", "A2A_TASK_AUTH_REQUIRED"],
  ])("whose task comes to %s is a %s with %s", async (message, name, code) => {
    await expect(send({ agent_url: agent_url(), message })).rejects.toMatchObject({
      name,
      code,
      message: expect.stringContaining("because of this"),
    });
    expect(worker.cancelled).toEqual([]);
  });

  it("is cancelled at the agent's when the attempt is told to stop", async () => {
    const abort = new AbortController();
    const notes: { task_id?: string; state?: string }[] = [];
    const failure = expect(
      send(
        { agent_url: agent_url(), message: "hang" },
        { signal: abort.signal, progress: (note: { state?: string }) => notes.push(note) },
      ),
    ).rejects.toThrow("lease lost");
    await expect.poll(() => notes.at(-1)?.state).toBe("working");
    abort.abort(new Error("lease lost"));
    await failure;
    expect(worker.cancelled).toEqual([notes.at(-1)?.task_id]);
  });

  it("that shall not be waited for is answered with where its task is", async () => {
    const output = await send({ agent_url: agent_url(), message: "hang", blocking: false });
    expect(output).toMatchObject({ state: expect.stringMatching(/submitted|working/), task_id: expect.any(String) });
  });
});

describe("a message", () => {
  it("may have parts of every kind, there and back", async () => {
    const parts = [
      { text: "echo", media_type: "text/markdown" },
      { data: { a: [1, null] } },
      { url: "https://example.org/a.pdf", media_type: "application/pdf", filename: "a.pdf" },
      { raw: "AP8=", media_type: "application/octet-stream", filename: "a.bin" },
    ];
    const { artifacts } = (await send({ parts })) as unknown as { artifacts: [{ parts: Json[] }] };
    expect(artifacts[0].parts.slice(0, 4)).toEqual([
      parts[0],
      { ...parts[1], media_type: "application/json" },
      parts[2],
      parts[3],
    ]);
  });

  it("continues a task that asked for input", async () => {
    const failure = await send({ message: "ask" }).catch((error: Error) => error.message);
    const [, task_id = "", context_id = ""] = /task (\S+) \(context (\S+)\)/.exec(failure as string) ?? [];
    const output = await send({ message: "echo again", task_id, context_id });
    expect(output).toMatchObject({ state: "completed", task_id, context_id });
  });

  it("is cancelled at the agent's when it takes too long", async () => {
    await expect(send({ message: "hang", timeout_ms: 2_000 })).rejects.toMatchObject({
      name: "TaskError",
      code: "A2A_TIMEOUT",
    });
    expect(worker.cancelled).toHaveLength(1);
  });

  it("goes where the card itself is given, too", async () => {
    expect(await send({ agent_url: `${base}/plain/card.json`, message: "echo" })).toMatchObject({ state: "completed" });
  });

  it("carries its headers to the agent's origin and to no other", async () => {
    const headers = { authorization: "Bearer x" };
    await send({ message: "echo", headers });
    expect(requests.map(({ authorization }) => authorization)).toEqual(requests.map(() => "Bearer x"));
    requests = [];
    const elsewhere = `http://elsewhere.test:${port}`;
    const moved = a2aSend({ allow: [`127.0.0.1:${port}`], lookup: async () => ["127.0.0.1"] });
    hosted["/"]!.card = JSON.parse(JSON.stringify(hosted["/"]!.card).replaceAll(base, elsewhere));
    await perform(moved, { agent_url: base, message: "echo", headers });
    const told = requests.map(({ method, authorization }) => [method === "card", authorization]);
    expect(told).toEqual([[true, "Bearer x"], ...told.slice(1).map(() => [false, undefined])]);
  });

  it.each<[string, Record<string, Json>]>([
    ["either message or parts", {}],
    ["either message or parts", { message: "a", parts: [{ text: "b" }] }],
    ["/agent_url", { agent_url: "ftp://example.org/", message: "a" }],
    ["/agent_url", { agent_url: "http://u:p@example.org/", message: "a" }],
    ["/parts", { parts: [] }],
    ["/parts/0", { parts: [{ text: "a", raw: "AA==" }] }],
    ["/parts/0", { parts: [{ raw: "not base64" }] }],
    ["/headers", { message: "a", headers: { Host: "internal" } }],
    ["/timeout_ms", { message: "a", timeout_ms: 0 }],
  ])("is refused for %s (%#)", async (hint, input) => {
    await expect(send(input)).rejects.toMatchObject({
      code: "INPUT_INVALID",
      message: expect.stringContaining(hint),
    });
  });
});

describe("an agent in trouble", () => {
  it("that crashes is a failure, in its words", async () => {
    await expect(send({ message: "crash" })).rejects.toMatchObject({
      message: expect.stringContaining("out of order"),
    });
  });

  it("that breaks off its stream is asked what has become of the task", async () => {
    let stream: ServerResponse | undefined;
    disturbance = (method, response) => {
      if (method === "SendStreamingMessage") stream = response;
      if (method === "GetTask") worker.finish();
      return false;
    };
    const progress = (note: { state?: string }) => void (note.state === "working" && stream?.destroy());
    expect(await send({ message: "hang" }, { progress })).toMatchObject({
      state: "completed",
      text: "hang\ndone\nfinished",
    });
    expect(requests.map(({ method }) => method)).toContain("GetTask");
  });

  it("that does not answer for a while is asked again", async () => {
    let missed = 0;
    disturbance = (method, response) => {
      if (method !== "GetTask" || missed === 3) return false;
      missed++;
      response.writeHead(503).end();
      return true;
    };
    expect(await send({ agent_url: `${base}/plain`, message: "echo" })).toMatchObject({ state: "completed" });
    expect(missed).toBe(3);
  });

  it.each([
    [503, "7", "RetryAfterError"],
    [500, undefined, "TaskError"],
    [429, undefined, "TaskError"],
    [401, undefined, "NonRetryableError"],
    [302, undefined, "NonRetryableError"],
  ])("that answers %i (Retry-After: %s) is a %s", async (status, retryAfter, name) => {
    for (const wanted of ["card", "SendStreamingMessage"]) {
      disturbance = (method, response) => {
        if (method !== wanted) return false;
        response.writeHead(status, { location: "/plain/", ...(retryAfter && { "retry-after": retryAfter }) }).end();
        return true;
      };
      await expect(send({ message: "echo" })).rejects.toMatchObject({ name, code: "HTTP_STATUS" });
    }
    expect(worker.received).toEqual([]);
  });

  it("that is not there is final", async () => {
    await expect(send({ agent_url: `${base}/nowhere/`, message: "echo" })).rejects.toMatchObject({
      name: "NonRetryableError",
      code: "HTTP_STATUS",
      message: expect.stringContaining("/nowhere/.well-known/agent-card.json answered 404"),
    });
  });

  it.each([
    ["no JSON", "A2A_PROTOCOL", "<html>"],
    ["no card", "A2A_CARD_INVALID", "{}"],
    ["another transport", "A2A_CARD_INVALID", '{"supportedInterfaces":[{"url":"http://x","protocolBinding":"GRPC"}]}'],
  ])("whose card is %s fails with %s", async (_title, code, card) => {
    disturbance = (_method, response) => !!response.setHeader("content-type", "application/json").end(card);
    await expect(send({ message: "echo" })).rejects.toMatchObject({ code });
  });

  it.each([
    ["http://127.0.0.2:1/rpc", "HTTP_TARGET_REFUSED"],
    ["http://169.254.169.254/rpc", "HTTP_TARGET_REFUSED"],
    ["file:///etc/passwd", "A2A_CARD_INVALID"],
    ["not a url", "A2A_CARD_INVALID"],
  ])("whose card leads to %s gets nothing", async (url, code) => {
    hosted["/"]!.card = JSON.parse(JSON.stringify(hosted["/"]!.card).replaceAll(`${base}/rpc`, url));
    await expect(send({ message: "echo" })).rejects.toMatchObject({ name: "NonRetryableError", code });
  });

  it("that answers without end is cut off", async () => {
    disturbance = (method, response) => {
      if (method === "card") return false;
      response.writeHead(200, { "content-type": "application/json" });
      const more = () =>
        void (response.destroyed || response.write(Buffer.alloc(65_536, " "), () => setImmediate(more)));
      more();
      return true;
    };
    await expect(send({ agent_url: `${base}/plain`, message: "echo" })).rejects.toMatchObject({
      code: "HTTP_BODY_TOO_LARGE",
    });
  });

  it("that does not know the task is final", async () => {
    await expect(send({ message: "echo", task_id: "unknown" })).rejects.toMatchObject({
      name: "NonRetryableError",
      code: "A2A_ERROR",
    });
  });
});

/**
 * `a2a.send` — a message to a remote agent by A2A (https://a2a-protocol.org), and what comes of it.
 *
 * The agent's card says where and how it is spoken to; both addresses pass the guard of `http.request`. Follows the remote
 * task by its stream, or by asking, until it has ended, and cancels it when the attempt is told to stop. The message id
 * is the task's idempotency key: agents that heed it take a repeated message once.
 * Docs, limits and errors: docs/executors/a2a.send.md.
 */

import { setTimeout as delay } from "node:timers/promises";
import { type AgentCard, type Message, Role, type Task, TaskState, type TaskStatus } from "@a2a-js/sdk";
import {
  type Client,
  ClientFactory,
  DefaultAgentCardResolver,
  JsonRpcTransportFactory,
  RestTransportFactory,
} from "@a2a-js/sdk/client";
import { A2AError, isJsonRpcError } from "@a2a-js/sdk/errors";
import type { Agent } from "undici";
import { z } from "zod";
import { defineExecutor, type ExecutorContext, NonRetryableError, TaskError } from "../../../sdk/executor.ts";
import { guardedAgent, httpHeaders, httpUrl } from "../http-request/guarded-fetch.ts";
import type { GuardOptions } from "../http-request/ssrf-guard.ts";
import { a2aFetch } from "./a2a-fetch.ts";
import { inputPart, outputPart, partFrom, partTo, textOf } from "./parts.ts";

const DEFAULT_TIMEOUT_MS = 300_000;
const MAX_TIMEOUT_MS = 86_400_000;
const MAX_PARTS = 100;
const MAX_MESSAGE_CHARS = 1024 * 1024;
const MAX_ID_CHARS = 512;
/** Between two questions how the task is, at first and at most. */
const FIRST_POLL_MS = 200;
const MAX_POLL_MS = 10_000;
const POLL_GROWTH = 1.5;
/** So many questions in a row may go unanswered before the attempt fails. */
const MAX_UNANSWERED = 5;
const CANCEL_WITHIN_MS = 5_000;
const JSON_RPC_INTERNAL_ERROR = -32_603;

const id = z.string().min(1).max(MAX_ID_CHARS);

const input = z
  .strictObject({
    agent_url: httpUrl.describe(
      "Where the agent is; its card is at .well-known/agent-card.json below, or this URL itself",
    ),
    message: z.string().min(1).max(MAX_MESSAGE_CHARS).optional().describe("A text"),
    parts: z.array(inputPart).min(1).max(MAX_PARTS).optional().describe("Instead of a text"),
    context_id: id.optional().describe("Continues a conversation"),
    task_id: id.optional().describe("Continues a task that asked for input"),
    headers: httpHeaders.default({}).describe("Such as authorization; sent to the origin of agent_url only"),
    blocking: z.boolean().default(true).describe("If false, answers as soon as the agent has taken the message"),
    timeout_ms: z.int().min(1).max(MAX_TIMEOUT_MS).default(DEFAULT_TIMEOUT_MS).describe("For the whole conversation"),
  })
  .refine(({ message, parts }) => (message === undefined) !== (parts === undefined), "needs either message or parts");

const output = z.strictObject({
  state: z.string().describe("completed; if not blocking, the state so far"),
  text: z.string().describe("All text of the answer"),
  artifacts: z.array(
    z.strictObject({
      artifact_id: z.string(),
      name: z.string().optional(),
      description: z.string().optional(),
      parts: z.array(outputPart),
    }),
  ),
  message: z.array(outputPart).describe("The parts of the agent's last message"),
  context_id: z.string().describe("For the next message of this conversation"),
  task_id: z.string().optional().describe("Absent if the agent answered without a task"),
});

type A2aInput = z.output<typeof input>;
type A2aOutput = z.input<typeof output>;
type A2aContext = ExecutorContext<A2aInput>;

/** The executor. */
export function a2aSend(guard: GuardOptions = {}) {
  const agent = guardedAgent(guard);
  return defineExecutor({
    capability: "a2a.send",
    description: "Sends a message to a remote agent (A2A) and answers with what it made of it",
    input,
    output,
    run: (context) => perform(context, agent),
  });
}

async function perform(context: A2aContext, agent: Agent): Promise<A2aOutput> {
  const { input, signal } = context;
  signal.throwIfAborted();
  const timeout = AbortSignal.timeout(input.timeout_ms);
  const conversation = new Conversation(context, AbortSignal.any([signal, timeout]));
  try {
    await conversation.open(agent);
    return await conversation.outcome();
  } catch (error) {
    if (!signal.aborted && !timeout.aborted) throw failureOf(error);
    await conversation.cancel();
    if (signal.aborted) throw signal.reason;
    throw new TaskError(`The agent did not finish within ${input.timeout_ms} ms`, { code: "A2A_TIMEOUT" });
  }
}

/** One message and the remote task that it led to. */
class Conversation {
  readonly #context: A2aContext;
  readonly #signal: AbortSignal;
  #client: Client | undefined;
  #card: AgentCard | undefined;
  #task: Pick<Task, "id" | "status"> | undefined;

  constructor(context: A2aContext, signal: AbortSignal) {
    this.#context = context;
    this.#signal = signal;
  }

  async open(agent: Agent): Promise<void> {
    const { agent_url, headers } = this.#context.input;
    const fetchImpl = a2aFetch({ agent, agentUrl: new URL(agent_url), headers, signal: this.#signal });
    const options = { fetchImpl, legacyCompat: { enabled: true } };
    const [base, path] = cardAt(new URL(agent_url));
    this.#card = await new DefaultAgentCardResolver(options).resolve(base, path);
    const factory = new ClientFactory({
      transports: [new JsonRpcTransportFactory(options), new RestTransportFactory(options)],
      clientConfig: { polling: true },
    });
    this.#client = await factory.createFromAgentCard(this.#card).catch((cause: Error) => {
      throw new NonRetryableError(`The agent speaks neither JSON-RPC nor HTTP+JSON: ${cause.message}`, {
        code: "A2A_CARD_INVALID",
        cause,
      });
    });
  }

  async outcome(): Promise<A2aOutput> {
    const { blocking } = this.#context.input;
    const first = blocking && this.#card!.capabilities?.streaming ? await this.#stream() : await this.#send();
    if (isMessage(first)) return messageOutput(first);
    if (!blocking && first) return taskOutput(first);
    return taskOutput(await this.#settled(first));
  }

  /** The answer, if the stream held one that is whole. */
  async #stream(): Promise<Message | Task | undefined> {
    try {
      for await (const { payload } of this.#client!.sendMessageStream(this.#request(), { signal: this.#signal })) {
        if (payload?.$case === "message") return payload.value;
        if (payload?.$case === "task") this.#note(payload.value);
        if (payload?.$case === "statusUpdate") this.#note({ id: payload.value.taskId, status: payload.value.status });
        // Some agents leave the stream open while they wait for somebody.
        if (this.#task && isSettled(this.#task.status)) break;
      }
    } catch (error) {
      // What has become of the task can still be asked.
      if (this.#signal.aborted || !this.#task) throw error;
    }
    return undefined;
  }

  async #send(): Promise<Message | Task> {
    const answer = await this.#client!.sendMessage(this.#request(), { signal: this.#signal });
    if (!isMessage(answer)) this.#note(answer);
    return answer;
  }

  async #settled(latest: Task | undefined): Promise<Task> {
    let task = latest;
    let unanswered = 0;
    for (let pauseMs = FIRST_POLL_MS; !task || !isSettled(task.status); ) {
      if (task || unanswered > 0) {
        await delay(pauseMs, undefined, { signal: this.#signal });
        pauseMs = Math.min(pauseMs * POLL_GROWTH, MAX_POLL_MS);
      }
      try {
        task = await this.#ask();
        unanswered = 0;
      } catch (error) {
        const failure = failureOf(error);
        if (this.#signal.aborted || failure instanceof NonRetryableError || ++unanswered > MAX_UNANSWERED) throw error;
      }
    }
    return task;
  }

  async #ask(): Promise<Task> {
    if (!this.#task) throw new TaskError("The agent's stream ended before it named a task", { code: "A2A_PROTOCOL" });
    const task = await this.#client!.getTask({ tenant: "", id: this.#task.id }, { signal: this.#signal });
    this.#note(task);
    return task;
  }

  /** Asks the agent to stop, as far as it can be asked. It may have ended meanwhile, or not be able to. */
  async cancel(): Promise<void> {
    if (!this.#task || isSettled(this.#task.status)) return;
    const request = { tenant: "", id: this.#task.id, metadata: undefined };
    await this.#client!.cancelTask(request, { signal: AbortSignal.timeout(CANCEL_WITHIN_MS) }).catch(() => {});
  }

  #note(task: Pick<Task, "id" | "status">): void {
    const { status } = task;
    const text = textOf(status?.message?.parts);
    const isNews = status?.state !== this.#task?.status?.state || text !== textOf(this.#task?.status?.message?.parts);
    this.#task = { id: task.id, status };
    if (isNews) this.#context.progress({ task_id: task.id, state: stateName(status), ...(text !== "" && { text }) });
  }

  #request() {
    const { input, idempotencyKey } = this.#context;
    const message: Message = {
      messageId: idempotencyKey,
      role: Role.ROLE_USER,
      contextId: input.context_id ?? "",
      taskId: input.task_id ?? "",
      parts: (input.parts ?? [{ text: input.message! }]).map(partTo),
      metadata: undefined,
      extensions: [],
      referenceTaskIds: [],
    };
    return { tenant: "", message, configuration: undefined, metadata: undefined };
  }
}

/** The card's place by the agent's: `.well-known/agent-card.json` below it, unless it names the card itself. */
function cardAt(url: URL): [base: string, path: string | undefined] {
  if (url.pathname.endsWith(".json")) return [url.href, ""];
  const base = new URL(url);
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  return [base.href, undefined];
}

const stateNames: Record<number, string> = {
  [TaskState.TASK_STATE_SUBMITTED]: "submitted",
  [TaskState.TASK_STATE_WORKING]: "working",
  [TaskState.TASK_STATE_COMPLETED]: "completed",
  [TaskState.TASK_STATE_FAILED]: "failed",
  [TaskState.TASK_STATE_CANCELED]: "canceled",
  [TaskState.TASK_STATE_INPUT_REQUIRED]: "input-required",
  [TaskState.TASK_STATE_REJECTED]: "rejected",
  [TaskState.TASK_STATE_AUTH_REQUIRED]: "auth-required",
};

function stateName(status: TaskStatus | undefined): string {
  return stateNames[status?.state ?? TaskState.TASK_STATE_UNSPECIFIED] ?? "unknown";
}

/** Ended, or going on only if somebody does something. */
function isSettled(status: TaskStatus | undefined): boolean {
  return !["submitted", "working", "unknown"].includes(stateName(status));
}

function isMessage(answer: Message | Task | undefined): answer is Message {
  return answer !== undefined && "messageId" in answer;
}

function messageOutput({ parts, contextId }: Message): A2aOutput {
  return {
    state: "completed",
    text: textOf(parts),
    artifacts: [],
    message: parts.map(partFrom),
    context_id: contextId,
  };
}

/** Throws for every state in which the task has ended, or stands still, without being completed. */
function taskOutput({ id, contextId, status, artifacts }: Task): A2aOutput {
  const state = stateName(status);
  const said = status?.message?.parts ?? [];
  if (isSettled(status) && state !== "completed") {
    const text = `The remote task ${id} (context ${contextId}) is ${state}: ${textOf(said) || "(no reason given)"}`;
    const code = `A2A_TASK_${state.toUpperCase().replace("-", "_")}`;
    throw state === "failed" ? new TaskError(text, { code }) : new NonRetryableError(text, { code });
  }
  const texts = [...artifacts.map(({ parts }) => textOf(parts)), textOf(said)].filter((text) => text !== "");
  return {
    state,
    text: texts.join("\n"),
    artifacts: artifacts.map(({ artifactId, name, description, parts }) => ({
      artifact_id: artifactId,
      ...(name !== "" && { name }),
      ...(description !== "" && { description }),
      parts: parts.map(partFrom),
    })),
    message: said.map(partFrom),
    context_id: contextId,
    task_id: id,
  };
}

/** The SDK wraps what the transport threw, sometimes more than once. */
function failureOf(error: unknown): TaskError {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof TaskError) return cause;
  }
  const { message } = error as Error;
  if (error instanceof A2AError) {
    const isTransient = isJsonRpcError(error) && error.envelopeCode === JSON_RPC_INTERNAL_ERROR;
    const options = { code: "A2A_ERROR", cause: error };
    const text = `The agent answered with an error: ${message}`;
    return isTransient ? new TaskError(text, options) : new NonRetryableError(text, options);
  }
  return new TaskError(`The agent does not answer as A2A has it: ${message}`, { code: "A2A_PROTOCOL", cause: error });
}

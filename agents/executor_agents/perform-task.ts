/** Tests of executors without a server: the runtime around one attempt, with what it would tell the server kept instead. */
import type { Json } from "../../core/json.ts";
import { defaultLimits } from "../../core/limits.ts";
import type { NewMessageBody } from "../../core/protocol/agent-data.ts";
import type { EmitAnswer, EmitBody, LeaseBody, ReportedLogBody } from "../../core/protocol/tasks.ts";
import { seedSpawned } from "../../core/spawn.ts";
import { createAgentClient } from "../../sdk/client.ts";
import { type EmittedItem, type Executor, type SpawnedTask, TaskError, type Usage } from "../../sdk/executor.ts";
import type { Logger } from "../../transport/transport.ts";
import { agentDataIn, type KeptData, type StoredEntry, type StoredMessage } from "./agent-data-in-memory.ts";
import { artifactsIn, type StoredFile, storedFile } from "./artifacts-in-memory.ts";
import { type Attempt, newAttempt, stopAttempt } from "./runtime/attempt.ts";
import { noteOf } from "./runtime/attempts.ts";
import { perform } from "./runtime/handler.ts";
import type { Session } from "./runtime/membership.ts";
import { type Outcome, type ReportedError, reportOf, timeoutOf } from "./runtime/outcome.ts";

export interface PerformTaskOptions {
  /** Aborted, it stops the attempt as a cancel does; the handler's signal has its reason. */
  signal?: AbortSignal;
  /** Default 600,000, as of a task. */
  timeoutMs?: number;
  /** From 1, the default. */
  attempt?: number;
  idempotencyKey?: string;
  /** The task's key. Default "task". */
  key?: string;
  /** Others that the handler can reach, as those of its process. */
  executors?: readonly Executor[];
  /** Maps that take no items, as if they were closed. All others are open. */
  closedMaps?: readonly string[];
  /** The files of the run, by path. */
  artifacts?: Readonly<Record<string, string | Uint8Array>>;
  /** The state of its agent; default: there is none. */
  state?: Json;
  /** What its agent remembers, the oldest first. */
  memory?: readonly StoredEntry[];
  /** Messages that its agent has not acknowledged, the oldest first; all but `body` may be left out. */
  inbox?: readonly StoredMessage[];
  /** What is replied to what the handler asks, in turn; then nobody replies. */
  replies?: readonly Json[];
}

/** What the runtime would report of the attempt, and what the handler did meanwhile. */
export interface PerformedTask {
  /** `stopped`: aborted from outside, so that nothing is reported. */
  outcome: "completed" | "failed" | "stopped";
  /** Of a completed attempt. */
  output?: Json;
  /** Of a failed attempt. */
  error?: ReportedError;
  /** Whether the task's retry policy decides about another attempt; of a failed one. */
  retryable?: boolean;
  /** What the handler threw, as it was thrown; of its stack a report tells nothing. */
  thrown?: unknown;
  /** False for a handler that was told to stop and did not, within 5 s. */
  hasReturned: boolean;
  logs: ReportedLogBody[];
  /** What the handler counted, by name. */
  usage: Usage;
  /** Every note, also those that a later one would have replaced before anybody saw it. */
  progress: Json[];
  /** By map: what it was given, each `key` once. */
  emitted: Record<string, { items: EmittedItem[]; isClosed: boolean }>;
  /** Empty when the attempt failed. */
  spawned: SpawnedTask[];
  /** The files of the run afterwards, by path. */
  artifacts: Record<string, StoredFile>;
  /** The state of its agent afterwards; undefined: there is none. */
  state: Json | undefined;
  /** What it added to its agent's memory. Empty when the attempt failed, as `sent` is. */
  remembered: StoredEntry[];
  sent: NewMessageBody[];
  /** Ids of the messages that it acknowledged. Empty when the attempt failed. */
  acknowledged: string[];
  /** What it asked for a reply to, in order. */
  asked: Pick<NewMessageBody, "to" | "body">[];
  /** What its agent has been subscribed to. */
  topics: string[];
}

const DEFAULT_TIMEOUT_MS = 600_000;
const LEASE_MS = 30_000;
/** How long a handler may go on after it was told to stop. */
const HEED_SIGNAL_MS = 5_000;
const AGENT_ID = "agent";

/**
 * Performs one task as an executor agent would: checks the input, runs the handler, checks the output. Resolves with what
 * would be reported, and never rejects. Spawned tasks are checked as the server does.
 */
export async function performTask(
  executor: Executor,
  input: Json,
  options: PerformTaskOptions = {},
): Promise<PerformedTask> {
  const { emitted, send } = openMaps(options.closedMaps ?? []);
  const attempt = attemptOf(executor, input, options, send);
  const files = new Map(Object.entries(options.artifacts ?? {}).map(([path, content]) => [path, storedFile(content)]));
  const progress: Json[] = [];
  const { state, memory = [], inbox = [], replies = [] } = options;
  const kept: KeptData = { state, memory, inbox, replies, asked: [], topics: new Set() };
  const stop = stopper(attempt, options.signal);
  const performing = perform(attempt, {
    progress: (note) => {
      if (!attempt.isEnded && "json" in noteOf(note)) progress.push(structuredClone(note));
    },
    executors: new Map((options.executors ?? []).map((other) => [other.capability, other])),
    artifacts: artifactsIn(files, { taskId: attempt.lease.task_id, attempt: attempt.lease.attempt }),
    data: agentDataIn(kept),
  });
  let performed = await Promise.race([performing, stop.happened]);
  stop.forget();
  performed ??= await Promise.race([performing, patience()]);
  attempt.isEnded = true;
  const outcome = attempt.stopped ? stop.outcome() : judged(attempt, performed!.outcome);
  const report = outcome && reportOf(attempt, outcome).item;
  return {
    outcome: report?.outcome ?? "stopped",
    ...(report?.output !== undefined && { output: report.output }),
    ...(report?.error && { error: report.error, retryable: report.error.retryable !== false }),
    ...(performed && "thrown" in performed && { thrown: performed.thrown }),
    hasReturned: performed !== undefined,
    logs: attempt.log?.kept().lines ?? [],
    usage: attempt.usage ?? {},
    progress,
    emitted,
    spawned: (report?.effects?.spawn ?? []) as unknown as SpawnedTask[],
    artifacts: Object.fromEntries(files),
    state: report?.effects?.state ? report.effects.state.document : kept.state,
    remembered: (report?.effects?.memory ?? []).map(({ type, content }) => ({ type, content })),
    sent: report?.effects?.messages ?? [],
    acknowledged: report?.effects?.acknowledge ?? [],
    asked: kept.asked.map(({ to, body }) => ({ to, body })),
    topics: [...kept.topics],
  };
}

function patience(): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), HEED_SIGNAL_MS).unref());
}

/** Tells the handler to stop, when its time is over or `signal` aborts. */
function stopper(attempt: Attempt, signal: AbortSignal | undefined) {
  let outcome: Outcome | undefined;
  let tell = () => {};
  const happened = new Promise<undefined>((resolve) => {
    tell = () => resolve(undefined);
  });
  const cancel = () => {
    stopAttempt(attempt, signal!.reason);
    tell();
  };
  const timer = setTimeout(() => {
    const error = timeoutOf(attempt.lease);
    outcome = { error };
    stopAttempt(attempt, new TaskError(error.message, error));
    tell();
  }, attempt.lease.timeout_ms);
  if (signal?.aborted) cancel();
  signal?.addEventListener("abort", cancel);
  return {
    happened,
    /** Undefined for a cancel, of which nothing is reported. */
    outcome: () => outcome,
    forget() {
      clearTimeout(timer);
      signal?.removeEventListener("abort", cancel);
    },
  };
}

/** A success that spawns tasks which the server would refuse is none. */
function judged({ growth, lease }: Attempt, outcome: Outcome): Outcome {
  const { tasks = [] } = growth?.spawned ?? {};
  if ("error" in outcome || tasks.length === 0) return outcome;
  const seeds = seedSpawned(tasks, lease.key, defaultLimits);
  return "code" in seeds ? { error: { ...seeds, retryable: false } } : outcome;
}

function attemptOf(
  executor: Executor,
  input: Json,
  { timeoutMs = DEFAULT_TIMEOUT_MS, attempt = 1, idempotencyKey = "idempotency-1", key = "task" }: PerformTaskOptions,
  send: typeof fetch,
): Attempt {
  const client = createAgentClient({ url: "http://skein.test", fetch: send }, { id: AGENT_ID, agent_token: "" });
  const session: Session = {
    agentId: AGENT_ID,
    token: "",
    leaseMs: LEASE_MS,
    queues: {},
    client,
    patientClient: client,
  };
  const lease: LeaseBody = {
    task_id: "00000000-0000-7000-8000-000000000001",
    key,
    run_id: "00000000-0000-7000-8000-000000000000",
    attempt,
    lease_token: "",
    lease_ms: LEASE_MS,
    timeout_ms: timeoutMs,
    capability: executor.capability,
    input,
    idempotency_key: idempotencyKey,
    traceparent: null,
  };
  return newAttempt({ id: 1, session, executor, lease, hint: undefined, log: silent });
}

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** What the server does with items: a map has each key once, and takes none once it is closed. */
function openMaps(closed: readonly string[]) {
  const emitted: PerformedTask["emitted"] = {};
  const keys = new Set<string>();

  function take({ task_id, map, items = [], close }: EmitBody): EmitAnswer | undefined {
    if (closed.includes(map) || emitted[map]?.isClosed) return undefined;
    emitted[map] ??= { items: [], isClosed: false };
    const fresh = items.filter(({ key }) => !keys.has(`${map} ${key}`) && keys.add(`${map} ${key}`));
    // Keys that begin so are the runtime's.
    const given = ({ item, key = "" }: (typeof items)[number]): EmittedItem =>
      key.startsWith(`${task_id}/`) ? { item: item as Json } : { item: item as Json, key };
    emitted[map].items.push(...fresh.map(given));
    emitted[map].isClosed = close ?? false;
    return { added: fresh.length, repeated: items.length - fresh.length };
  }

  const send: typeof fetch = async (_url, init) => {
    const body = JSON.parse(String(init?.body)) as EmitBody;
    const answer = take(body);
    const detail = `The map "${body.map}" is closed; give it \`open\`, or emit before it is closed.`;
    return answer ? Response.json(answer) : Response.json({ code: "EMIT_REFUSED", detail }, { status: 409 });
  };
  return { emitted, send };
}

/** How an executor author describes one capability: its name, its contract, and the handler that performs it. */

import { z } from "zod";
import { brokenContract, type ContractFlaw } from "../core/contract.ts";
import { failureKinds, SkeinError } from "../core/errors.ts";
import { type Json, type JsonObject, pointerTo } from "../core/json.ts";
import { type FieldTypes, plannableFlaws, plannableShape } from "../core/planner/capability.ts";
import type { Addressee, MemoryEntryBody, MessageBody } from "../core/protocol/agent-data.ts";
import type { ArtifactBody } from "../core/protocol/artifacts.ts";
import type { EmitAnswer } from "../core/protocol/tasks.ts";
import { compileSchema } from "../core/schema.ts";
import { loosen } from "../core/schema-check.ts";
import { idPattern, type TaskDefinition } from "../core/workflow-schema.ts";
import type { MemoryFilter } from "./agent-data.ts";
import type { ArtifactContent, ArtifactFilter, PageOf, WriteArtifactOptions } from "./client.ts";

/** A contract: a zod schema (typed) or a JSON Schema 2020-12 object (untyped). */
export type ContractSchema = z.ZodType | JsonObject;

/** What the handler sees: what zod parses to; plain `Json` for a JSON Schema or none. */
export type HandlerInput<Schema> = Schema extends z.ZodType ? z.output<Schema> : Json;
/** What the handler may return: what zod accepts; anything JSON can carry for a JSON Schema or none. */
export type HandlerOutput<Schema> = Schema extends z.ZodType ? z.input<Schema> : unknown;

export interface ExecutorDefinition<
  Input extends ContractSchema | undefined = undefined,
  Output extends ContractSchema | undefined = undefined,
> {
  /** The name tasks ask for, such as `http.request`. */
  capability: string;
  /** Version of the contract. Default "1". */
  version?: string;
  description?: string;
  /** What one task costs here, in a unit that the agents of the capability share, for `cheapest-fit`. Default 0. */
  cost?: number;
  /** What one task needs of tokens of models, at most, for budgets. By default nobody knows. */
  tokens?: number;
  /** What one task counts as in budgets of calls. Default 1. */
  calls?: number;
  /**
   * Bids for tasks that are allocated by `contract-net`: the lowest wins; null, or an error, declines. Called at once for
   * each task that is announced, so it should answer fast. Without it, `cost` is what is bid.
   */
  bid?(task: AnnouncedTask<HandlerInput<Input>>): number | null;
  /**
   * Makes the capability plannable: the semantic type of each field of the input, such as `{ text: "document.text" }`, all
   * of which a planner fills, and of the fields of the output that it may use. See docs/planning.md.
   */
  consumes?: FieldTypes;
  produces?: FieldTypes;
  /** How long a task takes, about, in milliseconds; for planners. Default 0. */
  durationMs?: number;
  /** The share of tasks that complete, over 0 to 1; for planners. Default 1. */
  reliability?: number;
  /** Default: any JSON. */
  input?: Input;
  /** Default: any JSON. */
  output?: Output;
  /**
   * The handler. A thrown error is retried by the task's policy, a `NonRetryableError` is not, a `RetryAfterError` says
   * when. Returning nothing means the output `null`. It may run more than once: use `idempotencyKey` for outside effects.
   */
  run(context: ExecutorContext<HandlerInput<Input>>): HandlerOutput<Output> | Promise<HandlerOutput<Output>>;
  /** Called after the last handler when an executor process stops: gives back connections. It may run again later. */
  close?(): void | Promise<void>;
}

/** Everything a handler knows about the attempt it performs. */
export interface ExecutorContext<Input = unknown> {
  input: Input;
  /** Aborted on cancel, lost lease, timeout or drain: stop soon, the result will not be accepted. */
  signal: AbortSignal;
  log: TaskLogger;
  /** Leaves a note that others see while the task runs; a later one takes its place. It does not end with an error. */
  progress(note: Json): void;
  /** Counts what the attempt uses up. Calls add up by name; the sums go with its report, also when it fails. */
  usage(more: Usage): void;
  /** All that this process performs, by capability: a handler may have another one do a part of its work. */
  executors: ReadonlyMap<string, Executor>;
  /**
   * Adds items to an open map of the run, named as where the task stands, at once: they stay when the attempt fails. Await
   * it; it resolves when the map has them. Throws a `NonRetryableError` with code `emit_refused` when the map is closed,
   * settled or not there. With a `key`, an item is added once however often the task is tried.
   */
  emit(map: string, items: readonly EmittedItem[], options?: EmitOptions): Promise<EmitAnswer>;
  /**
   * Adds tasks to the run when this attempt completes; when it fails they are dropped. They may need one another, and are
   * named `<key>/<id>`. Tasks that are not valid fail this one for good (`spawn_invalid`).
   */
  spawn(tasks: readonly SpawnedTask[]): void;
  /** The files of the run. What is written stays when the attempt fails; the attempt after it may replace it. */
  artifacts: RunArtifacts;
  /** The one document that the agent keeps. It belongs to the agent's name: all that run under it have the same. */
  state: HandlerState;
  /** What the agent remembers, by its name too. */
  memory: HandlerMemory;
  /** What the agent has been told, by its name too. */
  inbox: HandlerInbox;
  /**
   * Sends a message to an agent, by its name or id, to a topic or to all, when this attempt completes; when it fails nothing is
   * sent. A message that is refused (AGENT_NOT_FOUND, INBOX_FULL, AGENT_DATA_TOO_LARGE) fails the attempt.
   */
  send(to: Addressee, body: Json, options?: SendOptions): void;
  /**
   * Sends a message at once, and resolves with its reply: the first message whose `reply_to` it is, acknowledged. Throws a
   * `TaskError` with code NO_REPLY when none has come `within` that time, default `30s`. A repeated attempt asks again.
   */
  ask(to: Addressee, body: Json, options?: AskOptions): Promise<MessageBody>;
  /** The same for every attempt of the task: send it along with outside effects. */
  idempotencyKey: string;
  taskId: string;
  /** The task's name within its run, such as `read[7]`. */
  key: string;
  runId: string;
  /** From 1. */
  attempt: number;
  agentId: string;
  capability: string;
  /** W3C trace context, when the run has one. */
  traceparent?: string;
  /** How long the whole attempt may take. */
  timeoutMs?: number;
}

/** A task that may be bid for, and how busy this process is. */
export interface AnnouncedTask<Input = unknown> {
  input: Input;
  taskId: string;
  key: string;
  runId: string;
  /** The attempt that the winner makes, from 1. */
  attempt: number;
  capability: string;
  /** Slots with a handler in them, of all. */
  running: number;
  slots: number;
}

/**
 * The files of the run. All three throw a `NonRetryableError` with the server's code where trying again cannot help, such as
 * ARTIFACT_NOT_FOUND, ARTIFACT_CONFLICT and ARTIFACT_LIMIT_EXCEEDED.
 */
export interface RunArtifacts {
  read(path: string): Promise<ArtifactContent>;
  /** Replaces what is there, unless `options` say otherwise. */
  write(path: string, content: string | Uint8Array, options?: WriteArtifactOptions): Promise<ArtifactBody>;
  /** By path, in pages. */
  list(filter?: ArtifactFilter): Promise<PageOf<ArtifactBody>>;
}

/**
 * What is read is as it was before this attempt, but for what the attempt itself has written. `set` and `delete` are written
 * when the attempt completes, in the same transaction, exactly once; `update` at once.
 */
export interface HandlerState {
  /** Undefined: there is none. */
  get<T extends Json = Json>(): Promise<T | undefined>;
  /**
   * Replaces the document when this attempt completes. If it was read in this attempt and somebody else has written it since,
   * the attempt fails with STATE_CONFLICT instead, and is tried again as its task's policy says.
   */
  set(document: Json, options?: TimeToLive): void;
  /** Takes it away, as `set` writes it. */
  delete(): void;
  /**
   * Writes what `change` makes of the document, at once, so that it stays when the attempt fails. `change` is called again
   * when somebody else was faster: let it do nothing else. Answers what was written.
   */
  update<T extends Json = Json>(change: (document: T | undefined) => T | Promise<T>, options?: TimeToLive): Promise<T>;
}

/** Entries of types such as `message`, `observation`, `thought`, or one's own. */
export interface HandlerMemory {
  /** Adds an entry when this attempt completes. */
  add(type: string, content: Json, options?: TimeToLive): void;
  /** The newest first, of before this attempt; by type, by words that they have (`search`), or the closest in meaning (`similarTo`). */
  list(filter?: MemoryFilter): Promise<PageOf<MemoryEntryBody>>;
}

/** Messages come again, to each attempt that reads them, until one that has acknowledged them completes. */
export interface HandlerInbox {
  /** Those that are not acknowledged, the oldest first; waits up to `wait` seconds (at most 30) for one. At most 100 by default. */
  read(options?: { limit?: number; wait?: number }): Promise<MessageBody[]>;
  /** Those of these ids do not come again once this attempt has completed: as what else it writes, exactly once. */
  acknowledge(ids: readonly string[]): void;
  /** From now on the agent has what is said to the topic, also while it is away; or no longer. */
  subscribe(topic: string): Promise<void>;
  unsubscribe(topic: string): Promise<void>;
}

export interface TimeToLive {
  /** A duration such as `90s` or `7d`; default: it stays. */
  ttl?: string;
}

export interface SendOptions {
  type?: string;
  conversation?: string;
  /** The id of the message that this one answers. */
  replyTo?: string;
  /** Under one key the agent sends one message, whichever attempt or task asks for it. */
  key?: string;
  /** Default 7d. */
  ttl?: string;
  /** Refuse it unless an agent of that name is there. Default false: it is kept for one that comes. */
  mustRoute?: boolean;
  /** How long a reply is awaited; without one the agent is sent a message of type `no_reply`. Default: none is. */
  expectsReply?: string;
}

export interface AskOptions {
  /** A duration such as `90s`. */
  within?: string;
  type?: string;
  conversation?: string;
}

/** An item for an open map. One whose `key` the map has already is ignored. */
export interface EmittedItem {
  item: Json;
  key?: string;
}

export interface EmitOptions {
  /** No more will come, from anybody. Default false. */
  close?: boolean;
}

/** A task as in a workflow. */
export type SpawnedTask = TaskDefinition;
/** Amounts by name. `tokens` (or `input_tokens` and `output_tokens`), `cost` (or `cost_usd`) and `calls` count for budgets. */
export type Usage = Record<string, number>;

/** Lines are stored with the attempt and written to the process log. */
export interface TaskLogger {
  debug(message: string, fields?: JsonObject): void;
  info(message: string, fields?: JsonObject): void;
  warn(message: string, fields?: JsonObject): void;
  error(message: string, fields?: JsonObject): void;
}

/** What planners are told. */
type Planning = Pick<ExecutorDefinition, "consumes" | "produces" | "durationMs" | "reliability">;

/** A defined executor, ready for the runtime: `run(parseInput(wire))`, then `parseOutput`. */
export interface Executor<Input = unknown, Output = unknown> {
  readonly capability: string;
  readonly version: string;
  readonly description: string;
  readonly cost?: number;
  readonly tokens?: number;
  readonly calls?: number;
  readonly planning?: Planning;
  readonly inputSchema?: JsonObject;
  readonly outputSchema?: JsonObject;
  /** The typed input. Throws a `NonRetryableError` with code INPUT_INVALID that names each pointer. */
  parseInput(value: Json): Input;
  /** The result as JSON; undefined becomes null. Throws a `NonRetryableError` with code OUTPUT_INVALID. */
  parseOutput(value: unknown): Json;
  run(context: ExecutorContext<Input>): Output | Promise<Output>;
  bid?(task: AnnouncedTask<Input>): number | null;
  close?(): void | Promise<void>;
}

/**
 * Checks and freezes a definition. Zod schemas must be synchronous and expressible as JSON Schema, because the contract
 * is published. Throws CAPABILITY_INVALID.
 */
export function defineExecutor<
  Input extends ContractSchema | undefined = undefined,
  Output extends ContractSchema | undefined = undefined,
>(definition: ExecutorDefinition<Input, Output>): Executor<HandlerInput<Input>, HandlerOutput<Output>> {
  const { capability, version = "1", description = "" } = definition;
  if (!idPattern.test(capability)) {
    throw new SkeinError(
      "CAPABILITY_INVALID",
      `"${capability}" is not a capability name: start with a letter or "_", then up to 127 letters, digits, "_", "." or "-"`,
    );
  }
  const input = contractOf(definition.input, capability, "input");
  const output = contractOf(definition.output, capability, "output");
  return Object.freeze({
    capability,
    version,
    description,
    ...(definition.cost !== undefined && { cost: definition.cost }),
    ...(definition.tokens !== undefined && { tokens: definition.tokens }),
    ...(definition.calls !== undefined && { calls: definition.calls }),
    ...planningOf(definition, { inputSchema: input?.jsonSchema, outputSchema: output?.jsonSchema }),
    ...(input && { inputSchema: input.jsonSchema }),
    ...(output && { outputSchema: output.jsonSchema }),
    parseInput: (value: Json) => (input ? input.parse(value) : value) as HandlerInput<Input>,
    parseOutput: (value: unknown) => toJson(output ? output.parse(value) : value, capability),
    run: (context: ExecutorContext<HandlerInput<Input>>) => definition.run(context),
    ...(definition.bid && {
      bid: (task: AnnouncedTask<HandlerInput<Input>>) => definition.bid?.(task) ?? null,
    }),
    ...(definition.close && { close: () => definition.close?.() }),
  });
}

function planningOf(
  { capability, consumes, produces, durationMs, reliability }: Planning & { capability: string },
  schemas: { inputSchema?: JsonObject | undefined; outputSchema?: JsonObject | undefined },
): { planning?: Planning } {
  const planning = {
    ...(consumes && { consumes }),
    ...(produces && { produces }),
    ...(durationMs !== undefined && { durationMs }),
    ...(reliability !== undefined && { reliability }),
  };
  if (Object.keys(planning).length === 0) return {};
  const read = z.strictObject(plannableShape).safeParse({ consumes, produces, duration_ms: durationMs, reliability });
  const flaws = read.success
    ? plannableFlaws(capability, { consumes, produces, ...schemas })
    : read.error.issues.map(({ path, message }) => ({ message: `${path.join(".")} ${message}` }));
  if (flaws.length === 0) return { planning };
  throw new SkeinError("CAPABILITY_INVALID", `"${capability}" is not usable by planners: ${flaws[0]!.message}`);
}

/** A failure with a stable code that workflows and people can tell apart. On its own it is retried by the task's policy. */
export class TaskError extends Error {
  readonly code: string;

  constructor(message: string, options: { code?: string; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.name = new.target.name;
    this.code = options.code ?? "HANDLER_FAILED";
  }
}

/** Trying again cannot help: the task fails at once. */
export class NonRetryableError extends TaskError {}

/** Try again, but not before `retryAfterMs` (milliseconds) have passed. */
export class RetryAfterError extends TaskError {
  readonly retryAfterMs: number;

  constructor(message: string, retryAfterMs: number, options: { code?: string; cause?: unknown } = {}) {
    super(message, options);
    this.retryAfterMs = retryAfterMs;
  }
}

interface Contract {
  jsonSchema: JsonObject;
  parse(value: unknown): unknown;
}

type Side = "input" | "output";

function contractOf(schema: ContractSchema | undefined, capability: string, side: Side): Contract | undefined {
  if (!schema) return undefined;
  try {
    return isZod(schema) ? zodContract(schema, capability, side) : jsonSchemaContract(schema, capability, side);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SkeinError("CAPABILITY_INVALID", `The ${side} schema of "${capability}" is not usable: ${reason}`, {
      cause,
    });
  }
}

/** By shape, not `instanceof`: an author's own copy of zod 4 is as good as ours. */
function isZod(schema: ContractSchema): schema is z.ZodType {
  return "_zod" in schema;
}

function zodContract(schema: z.ZodType, capability: string, side: Side): Contract {
  // What travels is the input of the input schema and the output of the output schema.
  // The server checks outputs, too, and takes no schema that it cannot check whole.
  const override = ({ jsonSchema }: { jsonSchema: object }) => {
    if (side === "output") loosen(jsonSchema as JsonObject);
  };
  const jsonSchema = { ...z.toJSONSchema(schema, { io: side, override }) } as JsonObject;
  return {
    jsonSchema,
    parse(value) {
      const result = schema.safeParse(value);
      if (result.success) return result.data;
      throw contractBroken(capability, side, result.error.issues.map(flawOf));
    },
  };
}

/** With what zod found inside a key or in the branches of a union; its own message says only that they are invalid. */
function flawOf(issue: z.core.$ZodIssue): ContractFlaw {
  const pointer = issue.path.reduce<string>((parent, segment) => pointerTo(parent, String(segment)), "");
  const inner =
    "issues" in issue ? issue.issues : "errors" in issue ? issue.errors.flatMap((branch) => branch[0] ?? []) : [];
  return { pointer, message: inner.map(({ message }) => message).join(", or ") || issue.message };
}

function jsonSchemaContract(jsonSchema: JsonObject, capability: string, side: Side): Contract {
  const validator = compileSchema(jsonSchema);
  return {
    jsonSchema,
    parse(value) {
      const plain = side === "output" ? toJson(value, capability) : (value as Json);
      const problems = validator.findProblems(plain);
      if (problems.length > 0) throw contractBroken(capability, side, problems);
      return plain;
    },
  };
}

function contractBroken(capability: string, side: Side, flaws: readonly ContractFlaw[]) {
  const code = side === "input" ? "INPUT_INVALID" : failureKinds.outputInvalid;
  return new NonRetryableError(brokenContract(side, capability, flaws), { code });
}

function toJson(value: unknown, capability: string): Json {
  try {
    return plainJson(value);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new NonRetryableError(`The output of "${capability}" is not JSON: ${reason}`, {
      code: failureKinds.outputInvalid,
      cause,
    });
  }
}

/**
 * The value as it will arrive: `toJSON` applied, undefined fields dropped, undefined itself as null. Throws a TypeError
 * for what JSON would silently change.
 */
export function plainJson(value: unknown): Json {
  return value === undefined ? null : (JSON.parse(JSON.stringify(value, refuseLossy)) as Json);
}

function refuseLossy(key: string, value: unknown): unknown {
  const isLossy =
    (typeof value === "number" && !Number.isFinite(value)) ||
    typeof value === "function" ||
    typeof value === "symbol" ||
    value instanceof Map ||
    value instanceof Set;
  if (isLossy) throw new TypeError(`"${key}" holds ${String(value)}`);
  return value;
}

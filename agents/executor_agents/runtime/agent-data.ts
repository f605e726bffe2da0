/** What a handler reads and writes of its agent's state and memory, and the messages that it sends. */
import { randomUUID } from "node:crypto";
import type { ErrorCode } from "../../../core/errors.ts";
import { failureKinds, SkeinError } from "../../../core/errors.ts";
import { findJsonFlaw, type Json } from "../../../core/json.ts";
import { formatCount } from "../../../core/limits.ts";
import {
  type AgentStateBody,
  MAX_ENTRIES,
  MAX_MESSAGES,
  type MemoryEntryBody,
  type NewEntryBody,
  type NewMessageBody,
} from "../../../core/protocol/agent-data.ts";
import type { ReportItem } from "../../../core/protocol/tasks.ts";
import type { MemoryFilter, WriteStateOptions } from "../../../sdk/agent-data.ts";
import type { PageOf } from "../../../sdk/client.ts";
import { type ExecutorContext, NonRetryableError, plainJson, TaskError } from "../../../sdk/executor.ts";
import { type Attempt, requireOpen, signalOf } from "./attempt.ts";
import { isForgotten, isTransient, messageOf, untilAnswered } from "./repeat.ts";

/** Where an agent's data is: the server, or, in tests of handlers, memory. */
export interface DataBackend {
  readState(): Promise<AgentStateBody | undefined>;
  /** Rejects with STATE_CONFLICT. */
  writeState(document: Json, options: WriteStateOptions): Promise<AgentStateBody>;
  listMemory(filter: MemoryFilter): Promise<PageOf<MemoryEntryBody>>;
}

type Effects = NonNullable<ReportItem["effects"]>;
export type DataEffects = Pick<Effects, "state" | "memory" | "messages">;

export type AgentData = Pick<ExecutorContext, "state" | "memory" | "send"> & {
  /** What goes with the report of a success, and its size as JSON. */
  effects(): { effects: DataEffects; bytes: number };
};

/** As JSON: leaves room in the report for the largest output, all log lines and what is spawned. */
const MAX_DATA_BYTES = 1_024 * 1_024;

/** Created when the handler first reads or writes any. */
export function agentDataOf(attempt: Attempt, backend: DataBackend): AgentData {
  attempt.data ??= createAgentData(attempt, backend);
  return attempt.data;
}

function createAgentData(attempt: Attempt, backend: DataBackend): AgentData {
  let state: Effects["state"];
  const memory: NewEntryBody[] = [];
  const messages: NewMessageBody[] = [];
  /** Of entries and messages as JSON. */
  let bytes = 0;
  /** Undefined: it has not been read. */
  let readRevision: number | undefined;

  async function read(): Promise<AgentStateBody | undefined> {
    const found = await backend.readState();
    readRevision = found?.revision ?? 0;
    return found;
  }

  /** A copy as it will arrive. */
  function take<T>(what: string, value: T): T {
    requireOpen(attempt, `${what} comes too late`);
    const plain = storable(`What is given as ${what}`, value);
    if (bytes + bytesOf(plain) <= MAX_DATA_BYTES) return plain as T;
    throw new NonRetryableError(
      `What an attempt writes with its report may have ${formatCount(MAX_DATA_BYTES)} bytes in all; keep larger things as artifacts.`,
      { code: "AGENT_DATA_TOO_LARGE" },
    );
  }

  function add<T>(list: T[], max: number, what: string, value: T): void {
    if (list.length >= max) {
      throw new NonRetryableError(`An attempt has at most ${max} of what is given as ${what}.`, {
        code: "AGENT_DATA_TOO_LARGE",
      });
    }
    const taken = take(what, value);
    list.push(taken);
    bytes += bytesOf(taken);
  }

  return {
    state: {
      async get<T extends Json>() {
        if (state) return state.document as T | undefined;
        return (await read())?.document as T | undefined;
      },
      set: (document, { ttl } = {}) => {
        const written = take("a state", { document, ...(ttl !== undefined && { ttl }) });
        state = { ...written, ...(readRevision !== undefined && { if_revision: readRevision }) };
      },
      delete: () => {
        requireOpen(attempt, "to delete the state is too late");
        state = readRevision === undefined ? {} : { if_revision: readRevision };
      },
      async update<T extends Json>(
        change: (document: T | undefined) => T | Promise<T>,
        { ttl }: { ttl?: string } = {},
      ): Promise<T> {
        if (state) {
          throw new NonRetryableError("The attempt has set the state for its report; let one handler do either.", {
            code: "STATE_CONFLICT",
          });
        }
        for (;;) {
          requireOpen(attempt, "to update the state is too late");
          const found = await read();
          const document = storable("What becomes of the state", await change(found?.document as T | undefined));
          try {
            const options = { ttl, ifRevision: readRevision, writeId: randomUUID() };
            readRevision = (await backend.writeState(document as Json, options)).revision;
            return document as T;
          } catch (error) {
            if (!(error instanceof TaskError && error.code === "STATE_CONFLICT")) throw error;
          }
        }
      },
    },
    memory: {
      add: (type, content, { ttl } = {}) =>
        add(memory, MAX_ENTRIES, "a memory entry", { type, content, ...(ttl !== undefined && { ttl }) }),
      list: (filter = {}) => backend.listMemory(filter),
    },
    send: (to, body, { replyTo, mustRoute, ...more } = {}) =>
      add(messages, MAX_MESSAGES, "a message", {
        to,
        body,
        ...more,
        ...(replyTo !== undefined && { reply_to: replyTo }),
        ...(mustRoute !== undefined && { must_route: mustRoute }),
      }),
    effects: () => {
      const effects: DataEffects = {
        ...(state && { state }),
        ...(memory.length > 0 && { memory }),
        ...(messages.length > 0 && { messages }),
      };
      return { effects, bytes: bytesOf(effects) };
    },
  };
}

function bytesOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}

/** A copy as it will arrive. Throws a NonRetryableError for what JSON or the database cannot hold. */
function storable(what: string, value: unknown): Json {
  let plain: Json;
  try {
    plain = plainJson(value);
  } catch (cause) {
    throw new NonRetryableError(`${what} is not JSON: ${messageOf(cause)}`, {
      code: failureKinds.outputUnstorable,
      cause,
    });
  }
  const flaw = findJsonFlaw(plain);
  if (!flaw) return plain;
  throw new NonRetryableError(`${what} is not storable: ${flaw.pointer} ${flaw.reason}; remove or encode it.`, {
    code: failureKinds.outputUnstorable,
  });
}

/** The server's. Requests whose answer is lost are repeated: a write has an id by which it is known. */
export function serverData(attempt: Attempt): DataBackend {
  const { data } = attempt.session.client;
  async function ask<T>(request: () => Promise<T>): Promise<T> {
    const signal = signalOf(attempt);
    try {
      return await untilAnswered(request, { giveUpAfterMs: attempt.lease.lease_ms, signal });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw dataFailure(error);
    }
  }
  return {
    readState: () => ask(() => data.state.read().catch(undefinedWhere("STATE_NOT_FOUND"))),
    writeState: (document, options) => ask(() => data.state.write(document, options)),
    listMemory: (filter) => ask(() => data.memory.list(filter)),
  };
}

function undefinedWhere(code: ErrorCode) {
  return (error: unknown): undefined => {
    if (!(error instanceof SkeinError && error.code === code)) throw error;
  };
}

/** As a handler fails with it: only what may pass is worth another attempt. */
export function dataFailure(error: unknown): TaskError {
  const code = error instanceof SkeinError ? error.code : "INTERNAL";
  const isPassing = isTransient(error) || isForgotten(error) || code === "STATE_CONFLICT";
  return new (isPassing ? TaskError : NonRetryableError)(messageOf(error), { code, cause: error });
}

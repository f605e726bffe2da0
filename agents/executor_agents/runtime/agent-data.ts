/** What a handler reads and writes of its agent's state and memory, and the messages that it reads and sends. */
import { randomUUID } from "node:crypto";
import type { ErrorCode } from "../../../core/errors.ts";
import { failureKinds, SkeinError } from "../../../core/errors.ts";
import type { Json } from "../../../core/json.ts";
import { formatCount } from "../../../core/limits.ts";
import {
  type AgentStateBody,
  MAX_ENTRIES,
  MAX_MESSAGES,
  type MemoryEntryBody,
  type MessageBody,
  type NewEntryBody,
  type NewMessageBody,
} from "../../../core/protocol/agent-data.ts";
import type { ReportItem } from "../../../core/protocol/tasks.ts";
import type { MemoryFilter, RequestMessage, WriteStateOptions } from "../../../sdk/agent-data.ts";
import type { PageOf } from "../../../sdk/client.ts";
import { type ExecutorContext, NonRetryableError, TaskError } from "../../../sdk/executor.ts";
import { askServer } from "./ask-server.ts";
import { type Attempt, requireOpen, signalOf } from "./attempt.ts";
import { plainValue } from "./plain-value.ts";

/** Where an agent's data is: the server, or, in tests of handlers, memory. */
export interface DataBackend {
  readState(): Promise<AgentStateBody | undefined>;
  /** Rejects with STATE_CONFLICT. */
  writeState(document: Json, options: WriteStateOptions): Promise<AgentStateBody>;
  listMemory(filter: MemoryFilter): Promise<PageOf<MemoryEntryBody>>;
  readInbox(options: { limit?: number; wait?: number }): Promise<MessageBody[]>;
  subscribe(topic: string, isWanted: boolean): Promise<void>;
  /** Rejects with NO_REPLY. */
  ask(message: RequestMessage): Promise<MessageBody>;
}

type Effects = NonNullable<ReportItem["effects"]>;
export type DataEffects = Pick<Effects, "state" | "memory" | "messages" | "acknowledge">;

export type AgentData = Pick<ExecutorContext, "state" | "memory" | "inbox" | "send" | "ask"> & {
  /** What goes with the report of a success, and its size as JSON. */
  effects(): { effects: DataEffects; bytes: number };
};

/** How long a reply is waited for by default. */
const DEFAULT_ASK = "30s";

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
  const acknowledged = new Set<string>();
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
    inbox: {
      read: (options = {}) => backend.readInbox(options),
      acknowledge: (ids) => {
        requireOpen(attempt, "to acknowledge messages is too late");
        for (const id of ids) acknowledged.add(id);
      },
      subscribe: (topic) => backend.subscribe(topic, true),
      unsubscribe: (topic) => backend.subscribe(topic, false),
    },
    ask: async (to, body, { within = DEFAULT_ASK, ...more } = {}) => {
      requireOpen(attempt, "to ask is too late");
      // Named, so that one whose answer was lost is found sent when it is sent again.
      const message = { to, body: storable("What is asked", body), key: randomUUID(), ...more };
      return backend.ask({ ...message, deadline: within });
    },
    send: (to, body, { replyTo, mustRoute, expectsReply, ...more } = {}) =>
      add(messages, MAX_MESSAGES, "a message", {
        to,
        body,
        ...more,
        ...(replyTo !== undefined && { reply_to: replyTo }),
        ...(mustRoute !== undefined && { must_route: mustRoute }),
        ...(expectsReply !== undefined && { expects_reply: expectsReply }),
      }),
    effects: () => {
      const effects: DataEffects = {
        ...(state && { state }),
        ...(memory.length > 0 && { memory }),
        ...(messages.length > 0 && { messages }),
        ...(acknowledged.size > 0 && { acknowledge: [...acknowledged] }),
      };
      return { effects, bytes: bytesOf(effects) };
    },
  };
}

function bytesOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}

function storable(what: string, value: unknown): Json {
  return plainValue(value, `${what} is`, failureKinds.outputUnstorable);
}

/** The server's. Requests whose answer is lost are repeated: a write has an id by which it is known. */
export function serverData(attempt: Attempt): DataBackend {
  const { client, patientClient } = attempt.session;
  const { data } = client;
  const patientRead = (options: { limit?: number; wait?: number }) =>
    patientClient.data.inbox.read(options, signalOf(attempt));
  return {
    readState: () => askServer(attempt, () => data.state.read().catch(undefinedWhere("STATE_NOT_FOUND"))),
    writeState: (document, options) => askServer(attempt, () => data.state.write(document, options)),
    listMemory: (filter) => askServer(attempt, () => data.memory.list(filter)),
    readInbox: async (options) => (await askServer(attempt, () => patientRead(options))).messages,
    subscribe: (topic, isWanted) =>
      askServer(attempt, async () => {
        await (isWanted ? data.subscriptions.add(topic) : data.subscriptions.remove(topic));
      }),
    ask: (message) => askServer(attempt, () => patientClient.request(message, signalOf(attempt))),
  };
}

function undefinedWhere(code: ErrorCode) {
  return (error: unknown): undefined => {
    if (!(error instanceof SkeinError && error.code === code)) throw error;
  };
}

/** An agent's state, memory and inbox without a server, for tests of handlers. */
import { refuseState } from "../../core/agent-data.ts";
import { SkeinError } from "../../core/errors.ts";
import type { Json } from "../../core/json.ts";
import { defaultLimits } from "../../core/limits.ts";
import type { AgentStateBody, MemoryEntryBody, MessageBody } from "../../core/protocol/agent-data.ts";
import type { RequestMessage } from "../../sdk/agent-data.ts";
import type { DataBackend } from "./runtime/agent-data.ts";
import { requestFailure } from "./runtime/ask-server.ts";

export interface StoredEntry {
  type: string;
  content: Json;
}

/** Of what is not said there is what a message needs. */
export type StoredMessage = Partial<MessageBody> & Pick<MessageBody, "body">;

/** What there is before the attempt; `state` undefined: none. Times to live are not kept. */
export interface KeptData {
  state: Json | undefined;
  memory: readonly StoredEntry[];
  inbox: readonly StoredMessage[];
  /** What is replied to what is asked, in turn; then nobody replies. */
  replies: readonly Json[];
  /** Messages that a reply was asked to. */
  asked: RequestMessage[];
  /** What the agent is subscribed to. */
  topics: Set<string>;
}

const DEFAULT_PAGE = 100;

/** `kept.state` is also what is written. `search` finds entries that have each of its words somewhere. */
export function agentDataIn(kept: KeptData): DataBackend {
  let revision = kept.state === undefined ? 0 : 1;
  const at = new Date().toISOString();
  const current = (): AgentStateBody | undefined =>
    kept.state === undefined
      ? undefined
      : { document: kept.state, revision, updated_at: at, expires_at: null, writer: null };
  const entries = kept.memory.map(
    ({ type, content }, n): MemoryEntryBody => ({
      id: idOf(n),
      type,
      content,
      created_at: at,
      expires_at: null,
      writer: null,
    }),
  );
  const messageOf = (message: StoredMessage, n: number): MessageBody => ({
    id: idOf(n),
    from: { kind: "client", name: "test" },
    to: "agent",
    type: null,
    conversation: null,
    reply_to: null,
    created_at: at,
    expires_at: at,
    writer: null,
    ...message,
  });
  const messages = kept.inbox.map(messageOf);
  return {
    readState: async () => current(),
    async writeState(document, { ifRevision }) {
      const condition = ifRevision === undefined ? undefined : { revision: ifRevision };
      const refusal = refuseState({ revision: current()?.revision ?? 0, document, condition }, defaultLimits);
      if (refusal) throw requestFailure(new SkeinError(refusal.code, refusal.message));
      kept.state = document;
      revision += 1;
      return current()!;
    },
    async listMemory({ type, search = "", similarTo, limit = DEFAULT_PAGE, cursor }) {
      if (similarTo !== undefined) {
        const message =
          "Memory without a server has no model to search by meaning with; test with a server, or `search`.";
        throw requestFailure(new SkeinError("FEATURE_UNAVAILABLE", message));
      }
      const words = search.toLowerCase().split(/\s+/);
      const found = entries
        .filter((entry) => type === undefined || entry.type === type)
        .filter(({ content }) => words.every((word) => JSON.stringify(content).toLowerCase().includes(word)))
        .reverse()
        .filter(({ id }) => cursor === undefined || id < cursor);
      const data = found.slice(0, limit);
      return { data, next_cursor: found.length > limit ? data.at(-1)!.id : null };
    },
    readInbox: async ({ limit = DEFAULT_PAGE }) => messages.slice(0, limit),
    subscribe: async (topic, isWanted) => {
      if (isWanted) kept.topics.add(topic);
      else kept.topics.delete(topic);
    },
    ask: async (message) => {
      const body = kept.replies[kept.asked.length];
      kept.asked.push(message);
      if (body === undefined)
        throw requestFailure(new SkeinError("NO_REPLY", "Nobody replied: the test gives no reply."));
      return messageOf({ from: { kind: "agent", name: "test" }, body }, messages.length + kept.asked.length);
    },
  };
}

function idOf(n: number): string {
  return `00000000-0000-7000-8000-${String(n).padStart(12, "0")}`;
}

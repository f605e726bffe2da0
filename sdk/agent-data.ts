/** What agents keep and tell each other: of one agent, by its id or name. */
import { SkeinError } from "../core/errors.ts";
import type { Json } from "../core/json.ts";
import type {
  AcknowledgeAnswer,
  AcknowledgeBody,
  AgentStateBody,
  EntriesAnswer,
  EntriesBody,
  ForgottenBody,
  InboxAnswer,
  MemoryEntryBody,
  MessageBody,
  MessagesAnswer,
  MessagesBody,
  NewMessageBody,
  ReplyAnswer,
  StateBody,
  SubscriptionBody,
  WorkingBody,
  WorkingStateBody,
} from "../core/protocol/agent-data.ts";
import { MAX_WAIT_SECONDS } from "../core/protocol/common.ts";
import type { Connection, PageOf, PageOptions } from "./connection.ts";
import { followStream } from "./follow.ts";

/** What must hold of the state for a write to take place, else STATE_CONFLICT; 0: that there is none. */
export interface StateCondition {
  ifRevision?: number | undefined;
}

export interface WriteStateOptions extends StateCondition {
  ttl?: string | undefined;
  writeId?: string | undefined;
}

export type MemoryFilter = PageOptions & {
  type?: string | undefined;
  /** Words that entries have. */
  search?: string | undefined;
  /** Those that mean something like this text, the closest first; the server needs a model for it. No `cursor`. */
  similarTo?: string | undefined;
};

export function agentDataOf(http: Connection, agent: string) {
  const root = `/v1/agents/${encodeURIComponent(agent)}`;
  const memory = (type?: string) => `${root}/memory${type === undefined ? "" : `/${encodeURIComponent(type)}`}`;
  return {
    state: {
      /** Rejects with STATE_NOT_FOUND where there is none. */
      read: () => http.get<AgentStateBody>(`${root}/state`),
      /**
       * Replaces the document whole. `ttl` is a duration such as `1h`; default: it stays. The same `writeId` (a UUID) lets a
       * write whose answer was lost be repeated.
       */
      write: (document: Json, { ttl, writeId, ...condition }: WriteStateOptions = {}) => {
        const body: StateBody = {
          document,
          ...(ttl !== undefined && { ttl }),
          ...(writeId !== undefined && { write_id: writeId }),
        };
        return http.put<AgentStateBody>(`${root}/state`, body, conditionHeaders(condition));
      },
      delete: (condition: StateCondition = {}) => http.delete(`${root}/state`, {}, conditionHeaders(condition)),
    },
    /** A document beside the state, for what may be lost: at most a day, in Redis where the server has one. */
    working: {
      /** Rejects with STATE_NOT_FOUND where there is none. */
      read: () => http.get<WorkingStateBody>(`${root}/working-state`),
      /** `ttl`: default 1h. */
      write: (document: Json, { ttl, writeId, ...condition }: WriteStateOptions = {}) => {
        const body: WorkingBody = {
          document,
          ...(ttl !== undefined && { ttl }),
          ...(writeId !== undefined && { write_id: writeId }),
        };
        return http.put<WorkingStateBody>(`${root}/working-state`, body, conditionHeaders(condition));
      },
      delete: (condition: StateCondition = {}) => http.delete(`${root}/working-state`, {}, conditionHeaders(condition)),
    },
    memory: {
      add: (entries: EntriesBody["entries"]) => http.post<EntriesAnswer>(memory(), { entries } satisfies EntriesBody),
      /** Newest first; with `similarTo` the closest. Rejects with FEATURE_UNAVAILABLE when there is no model for that. */
      list: ({ type, similarTo, ...query }: MemoryFilter = {}) =>
        http.get<PageOf<MemoryEntryBody>>(memory(type), { ...query, similar_to: similarTo }),
      /** Everything, unless a type or an id says less. */
      forget: ({ type, id }: { type?: string | undefined; id?: string | undefined } = {}) =>
        http.delete<ForgottenBody>(memory(type), { id }),
    },
    inbox: {
      /**
       * What is not acknowledged, oldest first; waits up to `wait` seconds for something. With `cursor`, the `next_cursor` of an
       * answer, what came after that.
       */
      read: (query: { limit?: number; wait?: number; cursor?: string } = {}, signal?: AbortSignal) =>
        http.get<InboxAnswer>(`${root}/inbox`, query, { signal }),
      /**
       * Each message once as it comes, without end, beginning with those that are not acknowledged; connects again by itself
       * when the connection is lost.
       */
      stream: (signal?: AbortSignal) => followMessages(http, `${root}/inbox`, signal),
      acknowledge: (ids: AcknowledgeBody["ids"]) => acknowledge(http, agent, ids),
    },
    /** The topics of which its inbox has what is said. */
    subscriptions: {
      list: () => http.get<{ data: SubscriptionBody[] }>(`${root}/subscriptions`),
      add: (topic: string) => http.put<SubscriptionBody>(`${root}/subscriptions/${encodeURIComponent(topic)}`),
      remove: (topic: string) => http.delete(`${root}/subscriptions/${encodeURIComponent(topic)}`),
    },
  };
}

async function* followMessages(
  http: Connection,
  path: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<MessageBody> {
  for await (const { data } of followStream(http, path, { signal })) yield data as MessageBody;
}

function acknowledge(http: Connection, agent: string, ids: AcknowledgeBody["ids"]): Promise<AcknowledgeAnswer> {
  const body: AcknowledgeBody = { ids };
  return http.post(`/v1/agents/${encodeURIComponent(agent)}/inbox/ack`, body);
}

/** All of them or none; the sender is whose token it is. */
export function sendMessages(http: Connection, messages: MessagesBody["messages"]): Promise<MessagesAnswer> {
  return http.post<MessagesAnswer>("/v1/messages", { messages } satisfies MessagesBody);
}

export type RequestMessage = Omit<NewMessageBody, "expects_reply"> & {
  /** How long a reply is worth waiting for, such as `30s`. */
  deadline: string;
};

/**
 * Sends a message and resolves with its reply: the first message that names it in `reply_to`, already acknowledged. Rejects
 * with NO_REPLY when none has come by the deadline.
 */
export async function requestReply(
  http: Connection,
  { deadline, ...message }: RequestMessage,
  signal?: AbortSignal,
): Promise<MessageBody> {
  const sent = await sendMessages(http, [{ ...message, expects_reply: deadline }]);
  const { id } = sent.messages[0]!;
  for (;;) {
    signal?.throwIfAborted();
    const path = `/v1/messages/${encodeURIComponent(id)}/reply`;
    const { inbox, message: reply } = await http.get<ReplyAnswer>(path, { wait: MAX_WAIT_SECONDS }, { signal });
    if (!reply) continue;
    await acknowledge(http, inbox, [reply.id]);
    if (reply.from.kind !== "system") return reply;
    throw new SkeinError(
      "NO_REPLY",
      `Nobody replied to the message ${id} within ${deadline}; a later reply comes to the inbox.`,
    );
  }
}

export function conditionHeaders({ ifRevision }: StateCondition): Record<string, string> {
  if (ifRevision === undefined) return {};
  return ifRevision === 0 ? { "if-none-match": "*" } : { "if-match": `"${ifRevision}"` };
}

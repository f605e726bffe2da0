/** What agents keep and tell each other: of one agent, by its id or name. */
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
  MessagesAnswer,
  MessagesBody,
  StateBody,
} from "../core/protocol/agent-data.ts";
import type { Connection, PageOf, PageOptions } from "./connection.ts";

/** What must hold of the state for a write to take place, else STATE_CONFLICT; 0: that there is none. */
export interface StateCondition {
  ifRevision?: number | undefined;
}

export interface WriteStateOptions extends StateCondition {
  ttl?: string | undefined;
  writeId?: string | undefined;
}

export type MemoryFilter = PageOptions & { type?: string | undefined; search?: string | undefined };

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
        return http.put<AgentStateBody>(`${root}/state`, body, headersOf(condition));
      },
      delete: (condition: StateCondition = {}) => http.delete(`${root}/state`, {}, headersOf(condition)),
    },
    memory: {
      add: (entries: EntriesBody["entries"]) => http.post<EntriesAnswer>(memory(), { entries } satisfies EntriesBody),
      /** Newest first. */
      list: ({ type, ...query }: MemoryFilter = {}) => http.get<PageOf<MemoryEntryBody>>(memory(type), query),
      /** Everything, unless a type or an id says less. */
      forget: ({ type, id }: { type?: string | undefined; id?: string | undefined } = {}) =>
        http.delete<ForgottenBody>(memory(type), { id }),
    },
    inbox: {
      /** What is not acknowledged, oldest first; waits up to `wait` seconds for something. */
      read: (query: { limit?: number; wait?: number } = {}, signal?: AbortSignal) =>
        http.get<InboxAnswer>(`${root}/inbox`, query, { signal }),
      acknowledge: (ids: AcknowledgeBody["ids"]) =>
        http.post<AcknowledgeAnswer>(`${root}/inbox/ack`, { ids } satisfies AcknowledgeBody),
    },
  };
}

/** All of them or none; the sender is whose token it is. */
export function sendMessages(http: Connection, messages: MessagesBody["messages"]): Promise<MessagesAnswer> {
  return http.post<MessagesAnswer>("/v1/messages", { messages } satisfies MessagesBody);
}

function headersOf({ ifRevision }: StateCondition): Record<string, string> {
  if (ifRevision === undefined) return {};
  return ifRevision === 0 ? { "if-none-match": "*" } : { "if-match": `"${ifRevision}"` };
}

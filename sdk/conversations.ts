/** Conversations: started and read by clients, spoken in by agents. */
import type { JsonObject } from "../core/json.ts";
import { MAX_WAIT_SECONDS } from "../core/protocol/common.ts";
import type {
  ConversationBody,
  diagramFormats,
  TranscriptBody,
  UtteranceAnswer,
  UtteranceBody,
} from "../core/protocol/conversations.ts";
import type { Connection, PageOf, PageOptions } from "./connection.ts";

export function conversationsOf(http: Connection) {
  const at = (id: string) => `/v1/conversations/${encodeURIComponent(id)}`;
  return {
    /** A protocol, what it is about, its members and terms (docs/conversations.md). With a key it is started once. */
    start: (body: JsonObject, { idempotencyKey }: { idempotencyKey?: string } = {}) =>
      http.post<ConversationBody>(
        "/v1/conversations",
        body,
        idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey },
      ),
    /** `wait`: up to so many seconds for its end. */
    get: (id: string, { wait = 0 }: { wait?: number } = {}, signal?: AbortSignal) =>
      http.get<ConversationBody>(at(id), { wait }, { signal }),
    list: (filter: PageOptions & { status?: ConversationBody["status"] } = {}) =>
      http.get<PageOf<ConversationBody>>("/v1/conversations", filter),
    /** What was said beyond the entry of this number, in order. */
    transcript: (id: string, page: { after?: number; limit?: number } = {}) =>
      http.get<TranscriptBody>(`${at(id)}/transcript`, page),
    /** A sequence diagram. */
    draw: (id: string, format: (typeof diagramFormats)[number]) => http.text(`${at(id)}/graph`, { format }),
    cancel: (id: string, reason?: string) =>
      http.post<ConversationBody>(`${at(id)}/cancel`, reason === undefined ? {} : { reason }),
    /** Resolves with it once it is over. */
    async end(id: string, signal?: AbortSignal): Promise<ConversationBody> {
      for (;;) {
        signal?.throwIfAborted();
        const found = await http.get<ConversationBody>(at(id), { wait: MAX_WAIT_SECONDS }, { signal });
        if (found.status !== "open") return found;
      }
    },
  };
}

/** What a member may do, with its own token. */
export function membershipOf(http: Connection) {
  const at = (id: string) => `/v1/conversations/${encodeURIComponent(id)}`;
  return {
    ...conversationsOf(http),
    /** Rejects with the code of the rule that refuses it. Under one `id` it is said once. */
    say: (id: string, message: UtteranceBody) => http.post<UtteranceAnswer>(`${at(id)}/messages`, message),
    leave: (id: string) => http.post<ConversationBody>(`${at(id)}/leave`, {}),
  };
}

/** Conversations: started and read by clients, spoken in by agents. */
import { SkeinError } from "../core/errors.ts";
import { isJsonObject, type Json, type JsonObject } from "../core/json.ts";
import type { MessageBody } from "../core/protocol/agent-data.ts";
import { MAX_WAIT_SECONDS } from "../core/protocol/common.ts";
import type {
  ConversationBody,
  diagramFormats,
  TranscriptBody,
  UtteranceAnswer,
  UtteranceBody,
} from "../core/protocol/conversations.ts";
import type { AgentClient } from "./client.ts";
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

/** Something that a conversation, or one of its members, says to a member. */
export interface Turn {
  conversation: string;
  protocol: string;
  /** Null: the conversation itself. */
  from: string | null;
  type: string;
  body: JsonObject;
  /** What may be answered, by when (epoch milliseconds); null: it is only told. */
  expects: { types: string[]; by: number } | null;
}

export type Speech = { type: string; body?: Json };
export type Speak = (turn: Turn) => Speech | Speech[] | undefined | Promise<Speech | Speech[] | undefined>;

export interface ParticipateOptions {
  /** Aborts when the member has had enough: then it leaves the registry, and its conversations go on without it. */
  signal: AbortSignal;
  /** Told of what the rules refused; default: nothing is made of it. */
  onRefused?: (refusal: SkeinError, turn: Turn) => void;
  /** Whatever else comes to the inbox. It is acknowledged once this has resolved; default: it is left there. */
  onMessage?: (message: MessageBody) => void | Promise<void>;
}

/** How often it says that it is there. */
const PRESENCE_MS = 10_000;

/**
 * Takes part in conversations as the agent: whenever something is said to it, it is asked what it says to that. Resolves when
 * the signal aborts. A turn that comes again after a crash is answered under the same id, so nothing is said twice.
 */
export async function participate(agent: AgentClient, speak: Speak, options: ParticipateOptions): Promise<void> {
  const { signal, onRefused, onMessage } = options;
  const presence = setInterval(() => void agent.present().catch(() => {}), PRESENCE_MS);
  try {
    for await (const message of agent.data.inbox.stream(signal)) {
      const turn = turnOf(message);
      if (turn) await answer(agent, message, turn, speak, onRefused);
      else if (onMessage) await onMessage(message);
      if (turn || onMessage) await agent.data.inbox.acknowledge([message.id]);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    clearInterval(presence);
  }
  await agent.leave();
}

async function answer(
  agent: AgentClient,
  { id }: MessageBody,
  turn: Turn,
  speak: Speak,
  onRefused: ParticipateOptions["onRefused"],
): Promise<void> {
  const said = await speak(turn);
  for (const [index, speech] of (said === undefined ? [] : [said].flat()).entries()) {
    try {
      await agent.conversations.say(turn.conversation, { ...speech, id: `${id}.${index}` });
    } catch (error) {
      const isRefused = error instanceof SkeinError && error.code.startsWith("CONVERSATION_");
      if (!isRefused) throw error;
      onRefused?.(error, turn);
    }
  }
}

/** Undefined: it is of no conversation. */
function turnOf({ from, type, body, conversation }: MessageBody): Turn | undefined {
  if (from.kind !== "system" || conversation === null || type === null || !isJsonObject(body)) return undefined;
  const { protocol, from: speaker, body: said, expects } = body as unknown as Omit<Turn, "conversation" | "type">;
  if (typeof protocol !== "string") return undefined;
  return { conversation, protocol, from: speaker, type, body: isJsonObject(said) ? said : {}, expects };
}

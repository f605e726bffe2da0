/** Conversations: started, spoken in, and kept with all that was said. */

import type { ConversationParameters } from "../../core/conversation/parameters.ts";
import type { RefusedMessage } from "../../core/conversation/state.ts";
import type { TranscriptEntry } from "../../core/conversation/transcript.ts";
import type { ConversationState, Outcome } from "../../core/conversation.ts";
import type { Json } from "../../core/json.ts";
import type { Page, PageOf } from "./pages.ts";

export interface NewConversation {
  namespace: string;
  id: string;
  parameters: ConversationParameters;
  by: string;
  /** Under one key of a namespace there is one conversation. */
  key: string | null;
}

export interface Conversation {
  namespace: string;
  id: string;
  parameters: ConversationParameters;
  /** Null: it has not begun yet. */
  state: ConversationState | null;
  status: "open" | Outcome["status"];
  createdBy: string;
  /** Of the task that it is the work of. */
  taskId: string | null;
  createdAt: Date;
  endedAt: Date | null;
}

/** What a member wants to say; under one id of a sender it says it once. */
export interface Utterance {
  from: string;
  id: string;
  type: string;
  body: Json;
}

/** `refused` says why; the conversation remembers it all the same. */
export type Heard = { result: "accepted" | "repeated" } | { result: "refused"; refusal: RefusedMessage };

export interface ConversationStore {
  /** The one there is, when its key had been used. */
  start(conversation: NewConversation): Promise<Conversation>;
  find(namespace: string, id: string): Promise<Conversation | undefined>;
  /** Newest first; of a member, or all. */
  list(
    namespace: string,
    filter: Page & { status?: Conversation["status"] | undefined; member?: string | undefined },
  ): Promise<PageOf<Conversation>>;
  /** In order, from beyond `after`. */
  transcript(namespace: string, id: string, page: { after: number; limit: number }): Promise<TranscriptEntry[]>;
  /** Undefined: there is no such conversation, or who speaks is no member of it. */
  say(namespace: string, id: string, utterance: Utterance): Promise<Heard | undefined>;
  /** The member never comes back. Undefined as with `say`. */
  leave(namespace: string, id: string, member: string): Promise<Conversation | undefined>;
  /** One that is over stays as it is. */
  cancel(namespace: string, id: string, reason: string): Promise<Conversation | undefined>;
  /** Begins those that have not begun, lets time pass in those that are due, and cancels those whose task is over: at most so many. */
  tick(limit: number): Promise<number>;
}

/** What agents keep and tell each other, from the wire to the store: for requests of their own, and for effects of reports. */

import { optionalDuration, parseDuration } from "../core/duration.ts";
import type { NewEntryBody, NewMessageBody } from "../core/protocol/agent-data.ts";
import type { ReportItem } from "../core/protocol/tasks.ts";
import type { DataEffects, NewEntry, NewMessage } from "../store/store.ts";

/** Of messages that say nothing of it; a request is of no use to anybody once its asker has been told of no reply. */
const DEFAULT_MESSAGE_TTL = "7d";

export function newEntryOf({ type, content, ttl }: NewEntryBody): NewEntry {
  return { type, content, ttlMs: optionalDuration(ttl) };
}

export function newMessageOf(message: NewMessageBody): NewMessage {
  const { to, body, type, conversation, reply_to, key, expects_reply, must_route } = message;
  const { ttl = expects_reply ?? DEFAULT_MESSAGE_TTL } = message;
  return {
    to,
    body,
    type: type ?? null,
    conversation: conversation ?? null,
    replyTo: reply_to ?? null,
    key: key ?? null,
    ttlMs: parseDuration(ttl),
    mustRoute: must_route ?? false,
    expectsReplyMs: optionalDuration(expects_reply),
  };
}

/** Undefined where a report has none. */
export function dataEffectsOf({
  state,
  memory,
  messages,
  acknowledge,
}: NonNullable<ReportItem["effects"]>): DataEffects | undefined {
  if (!state && !memory?.length && !messages?.length && !acknowledge?.length) return undefined;
  return {
    ...(state && {
      state: {
        document: state.document,
        ttlMs: optionalDuration(state.ttl),
        ...(state.if_revision !== undefined && { condition: { revision: state.if_revision } }),
      },
    }),
    ...(memory?.length && { memory: memory.map(newEntryOf) }),
    ...(messages?.length && { messages: messages.map(newMessageOf) }),
    ...(acknowledge?.length && { acknowledge }),
  };
}

/** What agents keep and tell each other, as it travels: state, memory, messages; also as effects of a report. */
import { z } from "zod";
import { durationFlaw, isDuration, parseDuration } from "../duration.ts";
import { json, MAX_WAIT_SECONDS, pageQuery, timestamp, uuid } from "./common.ts";

/** Of one request, or of the report of one attempt. */
export const MAX_ENTRIES = 100;
export const MAX_MESSAGES = 100;

export const ttl = z
  .string()
  .refine(isDuration, { error: ({ input }) => durationFlaw(input) })
  .meta({ description: "It is gone after this long, such as 90s or 7d" });

const writer = z
  .object({ task_id: uuid, attempt: z.number().int() })
  .nullable()
  .meta({ description: "The attempt whose report wrote it; null: a request of its own" });

/** An agent as data belongs to it: whoever registers under the name has it. */
export const agentName = z.string().min(1).max(128);

export const topicName = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/, {
  error: "must be letters, digits, `_`, `.` or `-`, beginning with none of the last two, at most 128",
});

/** Whom a message is for. */
const addressee = z
  .union([
    agentName.meta({ description: "An agent, by name or by id" }),
    z.strictObject({ topic: topicName }).meta({ description: "All that are subscribed to the topic" }),
    z.strictObject({ broadcast: z.literal(true) }).meta({ description: "All agents that are there" }),
  ])
  .meta({ id: "Addressee" });
export type Addressee = z.infer<typeof addressee>;

// --- state

export const stateBody = z
  .strictObject({
    document: json,
    ttl: ttl.optional(),
    write_id: uuid.optional().meta({
      description: "Of the writer's choice: the last write, repeated under its id, is answered and not written again",
    }),
  })
  .meta({ id: "WriteState" });
export type StateBody = z.infer<typeof stateBody>;

export const agentState = z
  .object({
    document: json,
    revision: z.number().int().meta({ description: "Grows with every write; also the ETag" }),
    updated_at: timestamp,
    expires_at: timestamp.nullable(),
    writer,
  })
  .meta({ id: "AgentState" });
export type AgentStateBody = z.infer<typeof agentState>;

/** Of working state, and how long it is kept at most. */
export const DEFAULT_WORKING_TTL = "1h";
export const MAX_WORKING_TTL = "1d";
const MIN_WORKING_TTL = "1s";

const workingTtl = ttl.refine(
  (text) =>
    !isDuration(text) ||
    (parseDuration(text) >= parseDuration(MIN_WORKING_TTL) && parseDuration(text) <= parseDuration(MAX_WORKING_TTL)),
  { error: `must be from ${MIN_WORKING_TTL} to ${MAX_WORKING_TTL}; what is to stay is the agent's state` },
);

export const workingBody = z
  .strictObject({
    document: json,
    ttl: workingTtl
      .optional()
      .meta({ description: `Gone after this long, at most ${MAX_WORKING_TTL}; default ${DEFAULT_WORKING_TTL}` }),
    write_id: uuid.optional().meta({
      description: "Of the writer's choice: the last write, repeated under its id, is answered and not written again",
    }),
  })
  .meta({ id: "WriteWorkingState" });
export type WorkingBody = z.infer<typeof workingBody>;

export const workingState = z
  .object({
    document: json,
    revision: z.number().int().meta({ description: "Grows with every write; also the ETag" }),
    updated_at: timestamp,
    expires_at: timestamp,
  })
  .meta({ id: "WorkingState" });
export type WorkingStateBody = z.infer<typeof workingState>;

// --- memory

const entryType = z.string().regex(/^[A-Za-z][A-Za-z0-9_.-]{0,63}$/, {
  error:
    "must be letters, digits, `_`, `.` or `-`, beginning with a letter, at most 64: `message`, `observation`, `thought`, or your own",
});

const newEntry = z.strictObject({ type: entryType, content: json, ttl: ttl.optional() });
export type NewEntryBody = z.infer<typeof newEntry>;

export const entriesBody = z
  .strictObject({ entries: z.array(newEntry).min(1).max(MAX_ENTRIES) })
  .meta({ id: "AddMemory" });
export type EntriesBody = z.infer<typeof entriesBody>;

export const memoryEntry = z
  .object({
    id: uuid,
    type: z.string(),
    content: json,
    created_at: timestamp,
    expires_at: timestamp.nullable(),
    writer,
    similarity: z.number().optional().meta({ description: "To what `similar_to` asks for, from -1 to 1" }),
  })
  .meta({ id: "MemoryEntry" });
export type MemoryEntryBody = z.infer<typeof memoryEntry>;

export const entriesAnswer = z.object({ entries: z.array(memoryEntry) }).meta({ id: "AddedMemory" });
export type EntriesAnswer = z.infer<typeof entriesAnswer>;

const memoryFilter = pageQuery.extend({
  search: z
    .string()
    .min(1)
    .max(1024)
    .optional()
    .meta({ description: 'Words that the content has, as in a web search: `geese "grey goose" -duck`' }),
  similar_to: z.string().min(1).max(8192).optional().meta({
    description:
      "The entries that mean something like this text, the closest first; needs a model (SKEIN_EMBEDDINGS_URL)",
  }),
});

export const memoryQuery = memoryFilter.refine(({ similar_to, cursor }) => !(similar_to && cursor), {
  error: "cannot be given with `similar_to`, whose answer has no next page; ask for more with `limit`",
  path: ["cursor"],
});

export const memoryParams = z.object({ agent: agentName, type: entryType });

export const forgotten = z.object({ deleted: z.number().int() }).meta({ id: "ForgottenMemory" });
export type ForgottenBody = z.infer<typeof forgotten>;

// --- messages

export const newMessage = z.strictObject({
  to: addressee,
  body: json,
  type: entryType.optional(),
  conversation: z.string().min(1).max(128).optional(),
  reply_to: uuid.optional().meta({ description: "The message that this one answers" }),
  key: z.string().min(1).max(128).optional().meta({
    description: "Of the sender's choice: a message is sent once under a key, however often it is asked for",
  }),
  ttl: ttl.optional().meta({ description: "Default 7d, or as long as a reply is expected" }),
  must_route: z.boolean().optional().meta({
    description:
      "Refused unless an agent of that name is there, or, of a topic or broadcast, unless somebody hears it and no inbox is full; default false: it is kept for one that comes",
  }),
  expects_reply: ttl.optional().meta({
    description:
      "How long for: the first message with `reply_to` is the reply; without one the sender is sent a message of type `no_reply`",
  }),
});
export type NewMessageBody = z.infer<typeof newMessage>;

export const messagesBody = z
  .strictObject({ messages: z.array(newMessage).min(1).max(MAX_MESSAGES) })
  .meta({ id: "SendMessages" });
export type MessagesBody = z.infer<typeof messagesBody>;

export const messagesAnswer = z
  .object({
    messages: z.array(
      z.object({
        id: uuid,
        repeated: z.boolean().meta({ description: "Its key had been used" }),
        recipients: z.number().int().optional().meta({ description: "Of a topic or broadcast: inboxes that have it" }),
        missed: z.number().int().optional().meta({ description: "Of a topic or broadcast: inboxes that were full" }),
      }),
    ),
  })
  .meta({ id: "SentMessages", description: "In the order sent" });
export type MessagesAnswer = z.infer<typeof messagesAnswer>;

export const message = z
  .object({
    id: uuid,
    from: z
      .object({ kind: z.enum(["agent", "client", "system"]), name: z.string() })
      .meta({ description: "Who the token says: the name of an agent, or of an API key; `system`: the server" }),
    to: addressee,
    type: z.string().nullable(),
    body: json,
    conversation: z.string().nullable(),
    reply_to: uuid.nullable(),
    created_at: timestamp,
    expires_at: timestamp,
    writer,
  })
  .meta({ id: "Message" });
export type MessageBody = z.infer<typeof message>;

export const inboxQuery = z.strictObject({
  limit: z.coerce.number<string>().int().min(1).max(1000).default(100),
  wait: z.coerce
    .number<string>()
    .min(0)
    .max(MAX_WAIT_SECONDS)
    .default(0)
    .meta({ description: "Seconds to wait for a message" }),
  cursor: z
    .string()
    .regex(/^\d{1,15}$/, { error: "must be the `next_cursor` of an answer" })
    .optional()
    .meta({
      description: "`next_cursor` of an answer: only what came after that, whether that is acknowledged or not",
    }),
});
export const inboxHeaders = z.looseObject({ "last-event-id": z.string().max(20).optional() });

export const replyQuery = inboxQuery.pick({ wait: true });
export const replyAnswer = z
  .object({
    inbox: z.string().meta({ description: "Whose inbox it is in" }),
    message: message.nullable().meta({ description: "The reply, or of type `no_reply`; null: not yet" }),
  })
  .meta({ id: "Reply" });
export type ReplyAnswer = z.infer<typeof replyAnswer>;

export const subscription = z.object({ topic: z.string(), created_at: timestamp }).meta({ id: "Subscription" });
export type SubscriptionBody = z.infer<typeof subscription>;

export const inboxAnswer = z
  .object({
    messages: z.array(message),
    next_cursor: z.string().meta({ description: "To read on after these while they are not acknowledged yet" }),
  })
  .meta({ id: "Inbox" });
export type InboxAnswer = z.infer<typeof inboxAnswer>;

const MAX_ACKNOWLEDGED = 1_000;
export const acknowledgeBody = z
  .strictObject({ ids: z.array(uuid).min(1).max(MAX_ACKNOWLEDGED) })
  .meta({ id: "Acknowledge" });
export type AcknowledgeBody = z.infer<typeof acknowledgeBody>;
export const acknowledgeAnswer = z
  .object({ acknowledged: z.number().int().meta({ description: "Of those that were not before" }) })
  .meta({ id: "Acknowledged" });
export type AcknowledgeAnswer = z.infer<typeof acknowledgeAnswer>;

// --- effects of a report

export const dataEffects = {
  state: z
    .strictObject({
      document: json.optional().meta({ description: "Absent: the state is taken away" }),
      if_revision: z
        .number()
        .int()
        .min(0)
        .optional()
        .meta({ description: "The revision that the state must have; 0: there must be none" }),
      ttl: ttl.optional(),
    })
    .optional(),
  memory: z.array(newEntry).max(MAX_ENTRIES).optional(),
  messages: z.array(newMessage).max(MAX_MESSAGES).optional(),
  acknowledge: z
    .array(uuid)
    .max(MAX_ACKNOWLEDGED)
    .optional()
    .meta({ description: "Messages in the agent's inbox; those that are not there are left out" }),
};

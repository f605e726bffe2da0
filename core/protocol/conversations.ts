/** Conversations as they travel. */
import { z } from "zod";
import { protocolNames } from "../conversation/state.ts";
import { failure, json, jsonObject, MAX_WAIT_SECONDS, pageQuery, timestamp, uuid } from "./common.ts";

const status = z.enum(["open", "completed", "failed", "cancelled"]);

/** What each protocol takes is checked by `readConversation`, with messages that name the flaw. */
export const conversationBody = z
  .looseObject({
    protocol: z.string().meta({ description: `One of ${protocolNames.join(", ")}` }),
  })
  .meta({ id: "StartConversation", description: "A protocol, what it is about, its members, and its terms" });

export const conversation = z
  .object({
    id: uuid,
    protocol: z.enum(protocolNames),
    topic: json,
    status,
    round: z.number().int(),
    members: z.array(
      z.object({
        name: z.string(),
        role: z.string().nullable(),
        weight: z.number(),
        presence: z.enum(["present", "left", "excluded"]),
        strikes: z.number().int().meta({ description: "Breaches of the rules" }),
      }),
    ),
    awaited: z
      .array(z.object({ member: z.string(), types: z.array(z.string()), optional: z.boolean() }))
      .meta({ description: "Who has the floor, and what they may say" }),
    spent: z.object({
      messages: z.number().int(),
      bytes: z.number().int(),
      tokens: z.number(),
      cost: z.number(),
    }),
    result: json.meta({ description: "Of one that completed; of one that failed, what there was" }),
    error: failure.nullable(),
    ended_by: z.enum(["protocol", "rounds", "deadline", "budget", "members"]).nullable(),
    reason: z.string().nullable().meta({ description: "Why it was cancelled" }),
    parameters: jsonObject.meta({ description: "As it was started, with defaults" }),
    created_by: z.string(),
    task_id: uuid.nullable().meta({ description: "The task that it is the work of" }),
    created_at: timestamp,
    turn_ends_at: timestamp.nullable(),
    ends_at: timestamp,
    ended_at: timestamp.nullable(),
  })
  .meta({ id: "Conversation" });
export type ConversationBody = z.infer<typeof conversation>;

export const conversationsQuery = pageQuery.extend({ status: status.optional() });

export const conversationQuery = z.strictObject({
  wait: z.coerce
    .number<string>()
    .min(0)
    .max(MAX_WAIT_SECONDS)
    .default(0)
    .meta({ description: "Seconds to wait for its end" }),
});

export const utteranceBody = z
  .strictObject({
    type: z.string().min(1).max(128),
    body: json.optional(),
    id: z.string().min(1).max(128).optional().meta({
      description: "Of the sender's choice: what is said again under it is not said twice",
    }),
  })
  .meta({ id: "Say" });
export type UtteranceBody = z.input<typeof utteranceBody>;

export const utteranceAnswer = z
  .object({ id: z.string(), repeated: z.boolean() })
  .meta({ id: "Said", description: "`repeated`: it had been said under this id, whatever came of it then" });
export type UtteranceAnswer = z.infer<typeof utteranceAnswer>;

export const cancelConversationBody = z
  .strictObject({ reason: z.string().min(1).max(1_024).optional() })
  .nullish()
  .meta({ id: "CancelConversation" });

export const leaveConversationBody = z.strictObject({}).nullish().meta({ id: "LeaveConversation" });

export const transcriptQuery = z.strictObject({
  after: z.coerce.number<string>().int().min(0).default(0).meta({ description: "Entries beyond this number" }),
  limit: z.coerce.number<string>().int().min(1).max(1_000).default(100),
});

export const transcript = z
  .object({
    data: z.array(
      z.object({
        seq: z.number().int(),
        at: timestamp,
        from: z.string().nullable().meta({ description: "null: the conversation itself" }),
        to: z.array(z.string()),
        type: z.string().nullable(),
        body: json,
        misbehaviour: z
          .string()
          .nullable()
          .meta({ description: "Why it was not accepted; `silent`: nothing was said" }),
        why: z.string().nullable().meta({ description: "What the sender of what was not accepted was told" }),
      }),
    ),
  })
  .meta({ id: "Transcript" });
export type TranscriptBody = z.infer<typeof transcript>;

export const diagramFormats = ["mermaid", "svg"] as const;
export const diagramQuery = z.strictObject({ format: z.enum(diagramFormats).default("mermaid") });

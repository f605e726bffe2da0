/** Contract net: what an agent is asked to bid for, what it answers, and how it came out. */
import { z } from "zod";
import { json, MAX_WAIT_SECONDS, timestamp, uuid } from "./common.ts";
import { MAX_BATCH } from "./tasks.ts";

/** An answer announces no more than this; the rest comes when these have been answered. */
export const MAX_ANNOUNCEMENTS = 100;
/** Far above any cost; what is larger is a mistake. */
export const MAX_BID = 1e15;

export const announcementsQuery = z.strictObject({
  wait: z.coerce
    .number<string>()
    .min(0)
    .max(MAX_WAIT_SECONDS)
    .default(0)
    .meta({ description: "Seconds to wait for announcements" }),
});

export const announcement = z
  .object({
    task_id: uuid,
    run_id: uuid,
    key: z.string(),
    capability: z.string(),
    attempt: z.number().int().meta({ description: "The attempt that the winner would make" }),
    round: z.number().int(),
    window_left_ms: z.number().int().meta({ description: "How long bids still count" }),
    input: json,
  })
  .meta({ id: "Announcement" });
export type AnnouncementBody = z.infer<typeof announcement>;

export const announcementsAnswer = z.object({ announcements: z.array(announcement) }).meta({ id: "Announcements" });
export type AnnouncementsAnswer = z.infer<typeof announcementsAnswer>;

export const bidsBody = z
  .strictObject({
    bids: z
      .array(
        z.strictObject({
          task_id: uuid,
          round: z.int32().min(1),
          bid: z.number().min(0).max(MAX_BID).nullable().meta({ description: "The lowest wins; null declines" }),
        }),
      )
      .min(1)
      .max(MAX_BATCH),
  })
  .refine(({ bids }) => new Set(bids.map(({ task_id, round }) => `${task_id} ${round}`)).size === bids.length, {
    error: "must have no two bids for the same round of a task",
    path: ["bids"],
  })
  .meta({ id: "Bids" });
export type BidsBody = z.infer<typeof bidsBody>;

export const bidsAnswer = z
  .object({
    bids: z.array(
      z.object({
        task_id: uuid,
        round: z.number().int(),
        result: z.enum(["accepted", "late", "unknown"]),
      }),
    ),
  })
  .meta({ id: "BidsAnswer", description: "One answer a bid, in the order sent" });
export type BidsAnswer = z.infer<typeof bidsAnswer>;

export const bidRounds = z
  .object({
    data: z
      .array(
        z.object({
          round: z.number().int(),
          attempt: z.number().int(),
          announced_at: timestamp,
          closes_at: timestamp.meta({ description: "Bids after this are late" }),
          closed_at: timestamp.nullable().meta({ description: "When it was awarded" }),
          awarded_to: uuid.nullable(),
          bids: z
            .array(
              z.object({
                agent_id: uuid,
                agent: z.string().nullable().meta({ description: "The agent's name; null: it has been forgotten" }),
                state: z.enum(["bid", "declined", "silent"]),
                bid: z.number().nullable(),
                answered_at: timestamp.nullable(),
              }),
            )
            .meta({ description: "The lowest first" }),
        }),
      )
      .meta({ description: "Rounds, the newest first; of those that nobody won only the last is kept" }),
  })
  .meta({ id: "BidRounds" });
export type BidRoundsBody = z.infer<typeof bidRounds>;

/** How long finished runs are kept, and what is stored. */
import { z } from "zod";
import { durationFlaw, formatDuration, isDuration, parseDuration } from "../duration.ts";

/** What agents may still repeat of a run (a report, a claim) is repeated within an hour. */
const LEAST_MOVE_AFTER_MS = 3_600_000;

const duration = z.string().refine(isDuration, { error: ({ input }) => durationFlaw(input) });
/** What is no duration is told so, and not that it is too short. */
const isLongEnough = (text: string) => !isDuration(text) || parseDuration(text) >= LEAST_MOVE_AFTER_MS;
const kept = (status: string) =>
  duration
    .optional()
    .meta({ description: `${status} runs are forgotten so long after they have finished; default: never` });

export const retentionBody = z
  .strictObject({
    move_after: duration
      .refine(isLongEnough, {
        error: `must be at least ${formatDuration(LEAST_MOVE_AFTER_MS)}: agents may repeat what they said of a run for so long`,
      })
      .meta({ description: "Runs move to history so long after they have finished, at least 1h" }),
    keep: z
      .strictObject({
        completed: kept("Completed"),
        failed: kept("Failed"),
        cancelled: kept("Cancelled"),
        conversations: duration
          .refine(isLongEnough, { error: `must be at least ${formatDuration(LEAST_MOVE_AFTER_MS)}` })
          .optional()
          .meta({ description: "Conversations are forgotten so long after they have ended; default: never" }),
      })
      .optional(),
  })
  .superRefine(({ move_after, keep = {} }, context) => {
    if (!isDuration(move_after)) return;
    const { conversations: _, ...runs } = keep;
    for (const [status, text] of Object.entries(runs)) {
      if (!isDuration(text) || parseDuration(text) >= parseDuration(move_after)) continue;
      context.addIssue({
        code: "custom",
        message: `is shorter than \`move_after\` (${move_after}), and runs are not forgotten before they have moved; make one of them fit`,
        path: ["keep", status],
      });
    }
  })
  .meta({ id: "RetentionPolicy" });
export type RetentionBody = z.infer<typeof retentionBody>;

const keptFor = z.string().nullable().meta({ description: "null: for ever" });
export const retention = z
  .object({
    move_after: z.string().nullable().meta({ description: "null: there is no policy; nothing moves, all is kept" }),
    keep: z.object({ completed: keptFor, failed: keptFor, cancelled: keptFor, conversations: keptFor }),
  })
  .meta({ id: "Retention" });
export type Retention = z.infer<typeof retention>;

export const storage = z
  .object({
    namespace: z.string(),
    runs: z.number().int().meta({ description: "In the hot tables" }),
    tasks: z.number().int().meta({ description: "Of those runs" }),
    bytes: z.number().int().meta({ description: "Estimate: their share of the tables of runs, by their tasks" }),
    history: z.object({
      runs: z.number().int(),
      tasks: z.number().int(),
      bytes: z.number().int().meta({ description: "Of their JSON, before the database compresses it" }),
    }),
    tables: z
      .array(
        z.object({
          name: z.string(),
          rows: z.number().int().meta({ description: "As the database estimates them" }),
          bytes: z.number().int().meta({ description: "With indexes and large values" }),
        }),
      )
      .nullable()
      .meta({ description: "Of the whole database, the largest first; only for keys of the namespace `default`" }),
  })
  .meta({ id: "Storage" });
export type Storage = z.infer<typeof storage>;

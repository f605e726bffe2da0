import { z } from "zod";
import { letterStates } from "../dead-letter.ts";
import { failure, givenTime, name, pageQuery, timestamp, uuid } from "./common.ts";
import { attempt } from "./runs.ts";

export const deadLetter = z
  .object({
    id: uuid.meta({ description: "The task's" }),
    run_id: uuid,
    workflow: z.string(),
    version: z.number().int().nullable(),
    task: z.string().meta({ description: "The task's key" }),
    capability: z.string(),
    error: failure,
    attempt: z.number().int().meta({ description: "The last one" }),
    failures: z.number().int().meta({ description: "Attempts that failed or timed out" }),
    lost_leases: z.number().int().meta({ description: "Attempts whose executor was lost" }),
    failed_at: timestamp,
    state: z.enum(letterStates).meta({
      description: "redriven: a retry of its run does the work again. discarded: nothing is to be done",
    }),
    settled_by: z.string().nullable().meta({ description: "Who discarded it" }),
    settled_at: timestamp.nullable(),
    reason: z.string().nullable().meta({ description: "Why it was discarded" }),
    redriven_in: uuid.nullable().meta({ description: "The run that does its work again" }),
    input_url: z.string().meta({ description: "Where the task's input, and all else of it, is read" }),
  })
  .meta({ id: "DeadLetter" });
export type DeadLetterBody = z.infer<typeof deadLetter>;

export const deadLetterDetail = deadLetter
  .extend({ attempts: z.array(attempt).meta({ description: "With the agent and the error of each" }) })
  .meta({ id: "DeadLetterDetail" });
export type DeadLetterDetailBody = z.infer<typeof deadLetterDetail>;

const wanted = {
  workflow: name.optional(),
  capability: z.string().min(1).max(128).optional(),
  code: z.string().min(1).max(256).optional().meta({ description: "Of its error, such as executor_crash_loop" }),
  run: uuid.optional(),
  since: givenTime.optional().meta({ description: "Failed then or later" }),
};

export const deadLettersQuery = pageQuery.extend({ ...wanted, state: z.enum(letterStates).default("open") });

/** What is asked of many at once: at least one of the filters, so that nobody means all by accident. */
const many = (verb: string) =>
  z
    .strictObject({
      ...wanted,
      limit: z
        .number()
        .int()
        .min(1)
        .max(1000)
        .default(100)
        .meta({ description: `${verb} at most so many` }),
      reason: z.string().max(1000).optional(),
    })
    .refine((body) => Object.keys(wanted).some((key) => body[key as keyof typeof wanted] !== undefined), {
      error: `needs one of ${Object.keys(wanted)
        .map((key) => `\`${key}\``)
        .join(", ")}`,
    });

export const redriveManyBody = many("Redrives").meta({ id: "RedriveMany" });
export type RedriveManyBody = z.input<typeof redriveManyBody>;
export const discardManyBody = many("Discards").meta({ id: "DiscardMany", description: "What to discard, and why" });
export type DiscardManyBody = z.input<typeof discardManyBody>;

export const redrivenMany = z
  .object({
    redriven: z.array(
      z.object({
        run_id: uuid.meta({ description: "The new run" }),
        retried_from: uuid,
        dead_letters: z.array(uuid).meta({ description: "Those of the filter; all of the run are redriven with them" }),
      }),
    ),
    refused: z.array(z.object({ run_id: uuid, code: z.string(), message: z.string() })).meta({
      description: "Runs that cannot be retried, and why",
    }),
    more: z.boolean().meta({ description: "There are more than `limit`: ask again" }),
  })
  .meta({ id: "Redriven" });
export type RedrivenBody = z.infer<typeof redrivenMany>;

export const discardedMany = z.object({ discarded: z.number().int(), more: z.boolean() }).meta({ id: "Discarded" });
export type DiscardedBody = z.infer<typeof discardedMany>;

export const discardBody = z
  .strictObject({ reason: z.string().max(1000).optional().meta({ description: "Kept with it" }) })
  .nullish()
  .meta({ id: "Discard" });

export const redriveBody = z.strictObject({}).nullish().meta({ id: "Redrive", description: "Nothing to say" });

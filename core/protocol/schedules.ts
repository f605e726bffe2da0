import { z } from "zod";
import { durationFlaw, isDuration, parseDuration } from "../duration.ts";
import { catchUps, overlaps, tickOutcomes } from "../schedule/policies.ts";
import { failure, givenTime, jsonObject, labels, name, pageQuery, timestamp, uuid } from "./common.ts";

const workflowReference = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,127}(@[1-9]\d{0,8})?$/, { error: "must be `name` or `name@version`" });

const MAX_JITTER_MS = 24 * 60 * 60 * 1000;
const duration = z
  .string()
  .max(64)
  .check((context) => {
    const { value, issues } = context;
    if (!isDuration(value)) issues.push({ code: "custom", message: durationFlaw(value), input: value });
    else if (parseDuration(value) > MAX_JITTER_MS)
      issues.push({ code: "custom", message: "must be at most 1d", input: value });
  });

/** A wish that a cron line has no room for is a key of its own; all but the first three have defaults. */
export const scheduleBody = z
  .strictObject({
    name: name.meta({ description: "What the schedule is called" }),
    cron: z.string().min(1).max(256).meta({
      description:
        "Minute, hour, day of month, month, day of week; with seconds before them if there are six; or @daily",
    }),
    workflow: workflowReference.meta({
      description: "`name`, whose newest version each tick starts, or `name@3`",
    }),
    timezone: z.string().min(1).max(64).meta({ description: "An IANA name, such as Europe/Berlin" }).default("UTC"),
    inputs: jsonObject.default({}),
    tick_input: name.optional().meta({ description: "The input that is given the tick's time, RFC 3339" }),
    labels: labels.default({}),
    priority: z
      .number()
      .int()
      .min(0)
      .max(9)
      .meta({ description: "Of its runs, from 0 (last) to 9 (first)" })
      .default(0),
    catch_up: z
      .enum(catchUps)
      .meta({
        description: "Which ticks are made up that nobody was there to fire: none, one for all, or all of them",
      })
      .default("last"),
    catch_up_limit: z
      .number()
      .int()
      .min(1)
      .max(1000)
      .meta({ description: "Of `catch_up: all`: at most so many, the newest" })
      .default(100),
    overlap: z
      .enum(overlaps)
      .meta({
        description:
          "When a tick is due while a run of the schedule goes on: start another, skip the tick, keep one until that run has ended, or cancel that run and start when it has ended",
      })
      .default("skip"),
    jitter: duration.optional().meta({
      description: "Ticks start up to so much later, each tick always by the same",
    }),
    description: z.string().max(1000).meta({ description: "What it is for" }).optional(),
  })
  .meta({ id: "NewSchedule" });
export type ScheduleBody = z.output<typeof scheduleBody>;
/** As clients send it. */
export type NewScheduleBody = z.input<typeof scheduleBody>;

const { cron, workflow, timezone, inputs, tick_input, labels: runLabels, priority } = scheduleBody.shape;
const { catch_up, catch_up_limit, overlap, jitter, description } = scheduleBody.shape;

export const changeScheduleBody = z
  .strictObject({
    cron: cron.optional(),
    workflow: workflow.optional(),
    timezone: timezone.unwrap().optional(),
    inputs: inputs.unwrap().optional().meta({ description: "All of them, in place of those there were" }),
    tick_input: tick_input.nullable().meta({ description: "null: no input is given the tick's time" }),
    labels: runLabels.unwrap().optional().meta({ description: "All of them, in place of those there were" }),
    priority: priority.unwrap().optional(),
    catch_up: catch_up.unwrap().optional(),
    catch_up_limit: catch_up_limit.unwrap().optional(),
    overlap: overlap.unwrap().optional(),
    jitter: jitter.nullable().meta({ description: "null: ticks start at their time" }),
    description: description.nullable().meta({ description: "What it is for; null: nothing is said" }),
  })
  .refine((body) => Object.values(body).some((value) => value !== undefined), {
    error: `changes nothing; give it one of ${Object.keys(scheduleBody.shape)
      .filter((key) => key !== "name")
      .map((key) => `\`${key}\``)
      .join(", ")}`,
  })
  .meta({ id: "ChangeSchedule", description: "What is left out stays as it is" });
export type ChangeScheduleBody = z.infer<typeof changeScheduleBody>;

/** The schedule as it is after a change: null takes away what may be left out. */
export function changedSchedule(spec: ScheduleBody, change: ChangeScheduleBody): ScheduleBody {
  const merged = Object.entries({ ...spec, ...change }).filter(([, value]) => value !== null && value !== undefined);
  return Object.fromEntries(merged) as ScheduleBody;
}

export const schedule = scheduleBody
  .extend({
    next_tick_at: timestamp.nullable().meta({ description: "Null while it is paused" }),
    paused_by: z.string().nullable(),
    pause_reason: z.string().nullable(),
    created_by: z.string(),
    created_at: timestamp,
    revision: z.number().int().meta({ description: "Counts its changes, from 1; also the ETag" }),
    updated_by: z.string().nullable().meta({ description: "Who changed it last; null: nobody has" }),
    updated_at: timestamp.nullable(),
  })
  .meta({ id: "Schedule" });
export type ScheduleRecord = z.infer<typeof schedule>;

export const schedulesQuery = pageQuery.extend({ workflow: workflowReference.optional() });

export const tick = z
  .object({
    tick_at: timestamp,
    outcome: z.enum(tickOutcomes).meta({
      description:
        "fired: it has a run. queued: that comes when another run has ended. skipped: another run went on. missed: nobody was there, and it is not made up. refused: the run could not be started, see `error`",
    }),
    until: timestamp.nullable().meta({ description: "Of `missed`: the last tick of as many as were missed in a row" }),
    run_id: uuid.nullable(),
    backfill: z.boolean().meta({ description: "It was asked for later, by a backfill" }),
    error: failure.nullable(),
    decided_at: timestamp,
  })
  .meta({ id: "Tick" });
export type TickBody = z.infer<typeof tick>;

export const ticksQuery = pageQuery.extend({ outcome: z.enum(tickOutcomes).optional() });

export const previewBody = z
  .strictObject({
    cron: scheduleBody.shape.cron,
    timezone: scheduleBody.shape.timezone,
    from: givenTime.optional().meta({ description: "Default: now" }),
    count: z.number().int().min(1).max(100).meta({ description: "How many ticks" }).default(10),
  })
  .meta({ id: "TickPreview" });
export type PreviewBody = z.input<typeof previewBody>;

export const preview = z.object({ data: z.array(timestamp) }).meta({ id: "NextTicks" });

export const backfillBody = z
  .strictObject({
    from: givenTime.meta({ description: "The first tick is at this time or later" }),
    to: givenTime.optional().meta({ description: "Exclusive; default: now" }),
  })
  .meta({ id: "Backfill" });
export type BackfillBody = z.input<typeof backfillBody>;

export const backfilled = z
  .object({
    queued: z.number().int().meta({ description: "Ticks that will be fired now" }),
    known: z.number().int().meta({ description: "Ticks that had been fired, or were going to be, and are left alone" }),
  })
  .meta({ id: "Backfilled" });
export type Backfilled = z.infer<typeof backfilled>;

import { z } from "zod";
import { goalSchema } from "../planner/goal.ts";
import { runStatuses, taskStatuses } from "../run.ts";
import { budget, rerunBudget, submittedBudget } from "./budgets.ts";
import { failure, givenTime, json, jsonObject, labels, name, pageQuery, timestamp, uuid } from "./common.ts";
import { onFailure, templateName } from "./plans.ts";

const runStatus = z.enum(runStatuses);
const taskStatus = z.enum(taskStatuses);

/** `workflow` names a registered one (`name` or `name@3`); `definition` brings one along, validated by the server. */
export const submitBody = z
  .strictObject({
    workflow: z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,127}(@[1-9]\d{0,8})?$/, { error: "must be `name` or `name@version`" })
      .optional(),
    definition: jsonObject.optional(),
    goal: goalSchema.optional().meta({ description: "Is planned, and what comes out is run" }),
    planner: name.optional().meta({ description: "Of a goal; default `capability`" }),
    template: templateName.optional(),
    plan_review: z
      .enum(["none", "required"])
      .optional()
      .meta({ description: "Of a goal: `required` stores the plan, and its run starts when it is accepted" }),
    on_failure: onFailure.optional().meta({ description: "Of a goal: what happens when a task of its plan fails" }),
    inputs: jsonObject.optional(),
    labels: labels.optional(),
    priority: z.number().int().min(0).max(9).optional(),
    budget: submittedBudget.optional(),
  })
  .refine((body) => [body.workflow, body.definition, body.goal].filter((one) => one !== undefined).length === 1, {
    error:
      "needs one of `workflow`, the name of a registered one, `definition`, a whole one, and `goal`, which is planned",
  })
  .refine((body) => body.goal !== undefined || (body.planner ?? body.plan_review ?? body.on_failure) === undefined, {
    error: "has `planner`, `plan_review` or `on_failure` without a `goal`, which they are about",
  })
  .refine((body) => body.template === undefined || body.planner === "template", {
    error: "has `template` without the planner `template`, which it is for",
  })
  .meta({ id: "Submit" });
export type SubmitBody = z.input<typeof submitBody>;

export const run = z
  .object({
    id: uuid,
    workflow: z.string(),
    version: z.number().int().nullable().meta({ description: "null for an inline definition" }),
    status: runStatus,
    ending: z.boolean().meta({ description: "A cancel or deadline is bringing it down" }),
    inputs: jsonObject,
    error: failure.nullable(),
    paused_by: z.string().nullable().meta({ description: "Who paused it, while it is paused" }),
    labels,
    priority: z.number().int(),
    fair_key: z
      .string()
      .nullable()
      .meta({ description: "Runs with the same key share their turns; null: it has its own" }),
    revision: z.number().int(),
    attempt: z.number().int().meta({ description: "Its place in the chain of retries and forks, from 1" }),
    retried_from: uuid.nullable().meta({ description: "The run that it retries, or is a fork of" }),
    schedule: z.string().nullable().meta({ description: "The schedule that started it, or the run that it retries" }),
    tick_at: timestamp.nullable().meta({ description: "The tick of that schedule" }),
    task_count: z.number().int(),
    counts: z.partialRecord(taskStatus, z.number().int()).meta({ description: "Tasks by status" }),
    created_at: timestamp,
    started_at: timestamp.nullable(),
    finished_at: timestamp.nullable(),
    deadline_at: timestamp.nullable(),
    budget: budget.nullable().meta({ description: "Its own; null: it has none" }),
  })
  .meta({ id: "Run" });
export type RunBody = z.infer<typeof run>;

/** What runs are looked for by, beside their labels. */
const conditions = {
  workflow: name.optional(),
  schedule: name.optional().meta({ description: "Runs that this schedule has started" }),
  name_contains: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .meta({ description: "A part of the workflow's name, in any case" }),
  created_after: givenTime.optional().meta({ description: "At this time or later" }),
  created_before: givenTime.optional(),
  finished_after: givenTime.optional().meta({ description: "At this time or later" }),
  finished_before: givenTime.optional(),
};

const labelPair = z.string().regex(/^[^=]+=/, { error: "must be key=value" });

export const runsQuery = pageQuery.extend({
  status: z
    .union([runStatus, z.array(runStatus)])
    .optional()
    .meta({ description: "Repeat it to ask for any of several" }),
  ...conditions,
  label: z
    .union([labelPair, z.array(labelPair)])
    .optional()
    .meta({ description: "`key=value`; repeat it to ask for several" }),
});

export const runFilter = z
  .strictObject({
    status: z
      .array(runStatus)
      .min(1)
      .optional()
      .meta({ description: "Any of them; default: all that it can be done to" }),
    ...conditions,
    labels: labels.optional().meta({ description: "Labels that a run must have, all of them" }),
  })
  .meta({ id: "RunFilter" });
export type RunFilterBody = z.infer<typeof runFilter>;

export const bulkActions = ["cancel", "retry", "pause", "resume"] as const;
export type BulkAction = (typeof bulkActions)[number];

export const bulkBody = z
  .strictObject({
    action: z.enum(bulkActions),
    filter: runFilter,
    dry_run: z.boolean().optional().meta({ description: "Count and tell, but change nothing" }),
    expected: z
      .number()
      .int()
      .min(0)
      .optional()
      .meta({ description: "How many runs it is about; with another number nothing is done" }),
    all: z.literal(true).optional().meta({ description: "However many there are" }),
    reason: z.string().max(1000).optional(),
    compensate: z.boolean().optional().meta({ description: "Of `cancel`: undo what has completed; default false" }),
    cursor: uuid.optional().meta({ description: "`next_cursor` of the answer before: go on from there" }),
  })
  .refine((body) => body.compensate === undefined || body.action === "cancel", {
    error: "is for `cancel`",
    path: ["compensate"],
  })
  .refine((body) => body.reason === undefined || body.action !== "retry", {
    error: "is kept nowhere by a retry; leave it out",
    path: ["reason"],
  })
  .meta({ id: "Bulk" });
export type BulkBody = z.infer<typeof bulkBody>;

export const bulkAnswer = z
  .object({
    dry_run: z.boolean(),
    matched: z
      .number()
      .int()
      .nullable()
      .meta({ description: "Runs that it is about; null when it goes on by a cursor" }),
    done: z.number().int(),
    skipped: z.number().int().meta({ description: "Runs that had changed meanwhile, or were being cancelled already" }),
    failed: z.array(z.object({ run: uuid, code: z.string(), detail: z.string() })),
    runs: z
      .array(z.object({ run: uuid, new_run: uuid.optional() }))
      .meta({ description: "Those it was done to; of a dry run the newest 20. `new_run` is the retry" }),
    next_cursor: z.string().nullable().meta({ description: "There is more to do: send the same with this `cursor`" }),
  })
  .meta({ id: "BulkAnswer" });
export type BulkAnswer = z.infer<typeof bulkAnswer>;

export const result = z
  .object({ status: runStatus, outputs: json, error: failure.nullable() })
  .meta({ id: "Result", description: "`outputs` and `error` are null until the run has finished" });
export type ResultBody = z.infer<typeof result>;

export const attempt = z
  .object({
    attempt: z.number().int(),
    agent_id: uuid.nullable(),
    outcome: z.enum(["running", "completed", "failed", "lease_expired", "timed_out", "released", "cancelled"]),
    error: failure.nullable(),
    started_at: timestamp.nullable(),
    ended_at: timestamp.nullable(),
  })
  .meta({ id: "Attempt" });

export const task = z
  .object({
    id: uuid,
    run_id: uuid,
    key: z.string(),
    capability: z.string(),
    status: taskStatus,
    needs: z.array(z.string()),
    attempt: z.number().int(),
    failures: z.number().int(),
    lost_leases: z.number().int(),
    agent_id: uuid.nullable(),
    priority: z.number().int(),
    reason: z.string().nullable(),
    error: failure.nullable(),
    output: json,
    progress: json,
    created_at: timestamp,
    ready_at: timestamp.nullable(),
    available_at: timestamp.nullable(),
    started_at: timestamp.nullable(),
    finished_at: timestamp.nullable(),
    kept_from: uuid.nullable().meta({ description: "The task of an older run that it was taken over from, as it was" }),
    superseded_in: z.number().int().nullable().meta({
      description: "The round of planning that put others in its place; null: it stands",
    }),
    cached_from: z
      .object({ run_id: uuid, task_id: uuid, key: z.string() })
      .nullable()
      .meta({ description: "The task whose output it took from the cache" }),
  })
  .meta({ id: "Task" });
export type TaskBody = z.infer<typeof task>;

export const taskDetail = task.extend({ input: json, attempts: z.array(attempt) }).meta({ id: "TaskDetail" });
export type TaskDetailBody = z.infer<typeof taskDetail>;

export const repeats = z
  .object({
    data: z
      .array(
        z.object({
          capability: z.string(),
          tasks: z.array(z.string()).meta({ description: "Keys, the first of them first; at most 20" }),
          count: z.number().int().meta({ description: "How many tasks did it" }),
        }),
      )
      .meta({ description: "The most repeated work first; at most 100" }),
  })
  .meta({
    id: "Repeats",
    description: "Work that several tasks of the run did: the same capability on the same input",
  });
export type RepeatsBody = z.infer<typeof repeats>;

export const why = z
  .object({
    task: z.string().meta({ description: "The task's key" }),
    status: taskStatus,
    reasons: z
      .array(
        z.object({
          code: z.string(),
          message: z.string(),
          tasks: z.array(z.string()).optional().meta({ description: "Keys of the tasks it is about" }),
          until: timestamp.optional().meta({ description: "When that changes by itself" }),
        }),
      )
      .meta({ description: "The decisive one first" }),
  })
  .meta({ id: "Why" });
export type WhyBody = z.infer<typeof why>;

export const tasksQuery = pageQuery.extend({ status: taskStatus.optional() });

export const cancelBody = z
  .strictObject({
    reason: z.string().max(1000).optional(),
    group: name.optional().meta({ description: "Only the tasks of this group; the run goes on" }),
    compensate: z.boolean().optional().meta({ description: "Undo what has completed; default false" }),
  })
  .refine((body) => body.group === undefined || body.compensate !== true, {
    error: "`compensate` is for whole runs; leave out `group` or `compensate`",
    path: ["compensate"],
  })
  .nullish()
  .meta({ id: "Cancel" });
export type CancelBody = z.infer<typeof cancelBody>;

const from = z
  .array(z.string().max(1024))
  .optional()
  .meta({ description: "Keys of tasks to run again, with all that depends on them" });

export const retryBody = z.strictObject({ from, budget: rerunBudget.optional() }).nullish().meta({ id: "Retry" });
export type RetryBody = z.infer<typeof retryBody>;

export const forkBody = z
  .strictObject({
    from,
    inputs: jsonObject.optional().meta({
      description: "Instead of the inputs of the run; then no task is kept, unless `from` says which run again",
    }),
    edits: z.record(z.string(), jsonObject).optional().meta({
      description: "By task id: keys to replace in its definition, null to remove one; edited tasks run again",
    }),
    budget: rerunBudget.optional(),
  })
  .nullish()
  .meta({ id: "Fork" });
export type ForkBody = z.infer<typeof forkBody>;

export const signalBody = z
  .strictObject({ payload: json.optional() })
  .nullish()
  .meta({ id: "Signal", description: "What the task that waits for it completes with" });

export const decisionBody = z
  .strictObject({ comment: z.string().max(8192).optional(), payload: json.optional() })
  .nullish()
  .meta({ id: "Decision" });
export type DecisionBody = z.infer<typeof decisionBody>;

export const patchBody = z
  .strictObject({
    add: z.array(jsonObject).optional().meta({ description: "New tasks, as in a workflow" }),
    replace: z
      .array(jsonObject)
      .optional()
      .meta({ description: "Whole tasks, each in the place of the one with its id" }),
    rewire: z.record(z.string(), z.array(z.string())).optional().meta({ description: "New needs by task" }),
    remove: z.array(z.string()).optional().meta({ description: "Ids of tasks" }),
    reason: z.string().max(1000).optional(),
    dry_run: z.boolean().optional().meta({ description: "Check and tell, but change nothing" }),
  })
  .meta({ id: "GraphPatch" });
export type PatchBody = z.infer<typeof patchBody>;

export const patchAnswer = z
  .object({
    revision: z.number().int(),
    dry_run: z.boolean(),
    added: z.array(z.string()),
    replaced: z.array(z.string()),
    rewired: z.array(z.string()),
    removed: z.array(z.string()),
  })
  .meta({ id: "GraphDiff" });
export type PatchAnswer = z.infer<typeof patchAnswer>;

export const pauseBody = z
  .strictObject({ reason: z.string().max(1000).optional() })
  .nullish()
  .meta({ id: "Pause" });

/** One line of a run's story: the engine's steps and what the handlers logged, in order. */
export const logLine = z
  .object({
    at: timestamp,
    level: z.enum(["debug", "info", "warn", "error"]),
    source: z.enum(["orchestrator", "executor", "handler"]),
    step: z
      .enum([
        "submit",
        "keep",
        "ready",
        "announce",
        "award",
        "publish",
        "deliver",
        "claim",
        "start",
        "log",
        "report",
        "retry",
        "release",
        "cancel",
        "wait",
        "signal",
        "decide",
        "grow",
        "compensate",
        "pause",
        "plan",
        "resume",
        "repair",
        "finish",
      ])
      .meta({ description: "`log` for what a handler wrote" }),
    message: z.string(),
    run_id: uuid,
    task_id: uuid.optional(),
    task: z.string().optional().meta({ description: "The task's key" }),
    attempt: z.number().int().optional(),
    agent_id: uuid.optional(),
    fields: jsonObject.optional(),
  })
  .meta({ id: "LogLine" });
export type LogLineBody = z.infer<typeof logLine>;

/** Facts as streamed; members beyond `type` depend on it. */
export const event = z
  .looseObject({
    id: z.string().meta({ description: "Opaque and ordered; resume with Last-Event-ID or `cursor`" }),
    type: z.string(),
    run_id: uuid,
    at: timestamp,
    task_id: uuid.optional(),
    key: z.string().optional(),
    attempt: z.number().int().optional(),
    agent_id: uuid.optional(),
  })
  .meta({ id: "Event" });
export type EventBody = z.infer<typeof event>;

export const graphFormats = ["json", "mermaid", "dot", "svg", "html"] as const;
export const graphQuery = z.strictObject({ format: z.enum(graphFormats).optional() });
export const timelineFormats = ["json", "svg"] as const;
export const timelineQuery = z.strictObject({ format: z.enum(timelineFormats).optional() });

import { z } from "zod";
import { durationPattern, isDuration } from "../duration.ts";
import { goalSchema } from "../planner/goal.ts";
import { workflowReference } from "../workflow-schema.ts";
import { json, jsonObject, labels, name, pageQuery, timestamp, uuid } from "./common.ts";

export const planners = name.meta({
  description:
    "Default: `capability`, which plans by types alone; `llm` asks a model; `template` takes a registered workflow",
});

export const templateName = z
  .string()
  .regex(workflowReference)
  .meta({ description: "The registered workflow to take, `name` or `name@3`; only with the planner `template`" });

const MAX_ROUNDS = 10;

export const onFailure = z
  .union([
    z.enum(["fail", "replan"]),
    z.strictObject({
      replan: z.strictObject({
        rounds: z
          .number()
          .int()
          .min(1)
          .max(MAX_ROUNDS)
          .optional()
          .meta({ description: "How often, at most; default 3" }),
        missing_after: z.string().refine(isDuration, { error: "must be a duration, such as 30s" }).optional().meta({
          pattern: durationPattern.source,
          description:
            "How long a task waits for an agent that offers its capability before it counts as failed; default 30s",
        }),
      }),
    }),
  ])
  .meta({
    id: "OnFailure",
    description:
      "When a task of the plan fails: the run does, too (default), or what is left of the goal is planned anew",
  });
export type OnFailure = z.input<typeof onFailure>;

export const planBody = z
  .strictObject({
    goal: goalSchema,
    planner: planners.optional(),
    template: templateName.optional(),
    workflow: jsonObject
      .optional()
      .meta({ description: "A plan of one's own, instead of a planner's: it passes the same gate" }),
  })
  .refine((body) => body.planner === undefined || body.workflow === undefined, {
    error: "has both `planner` and `workflow`; a plan is made by one of them",
  })
  .refine((body) => body.template === undefined || body.planner === "template", {
    error: "has `template` without the planner `template`, which it is for",
  })
  .meta({ id: "PlanRequest", description: "What is to be planned; nothing runs" });
export type PlanBody = z.input<typeof planBody>;

const estimate = z
  .object({
    tasks: z.number().int(),
    depth: z.number().int().meta({ description: "Tasks on the longest chain" }),
    cost: z.number().meta({ description: "Of all tasks together" }),
    duration_ms: z.number().meta({ description: "Of the slowest chain of tasks" }),
    reliability: z.number().meta({ description: "That all tasks complete" }),
  })
  .meta({ description: "What the plan should come to, by what its capabilities declare" });

export const planStatuses = ["proposed", "accepted", "rejected"] as const;

export const plan = z
  .object({
    id: uuid,
    planner: z.string(),
    status: z.enum(planStatuses),
    goal: json,
    workflow: jsonObject.meta({ description: "An ordinary workflow definition" }),
    tasks: z.array(z.object({ task: z.string(), capability: z.string(), reason: z.string() })).meta({
      description: "Why each task is there",
    }),
    edges: z.array(z.object({ from: z.string(), to: z.string(), reason: z.string() })).meta({
      description: "Why each task needs another",
    }),
    alternatives: z
      .array(
        z.object({
          task: z.string(),
          capability: z.string(),
          cost: z.number(),
          duration_ms: z.number(),
          reliability: z.number(),
          reason: z.string(),
        }),
      )
      .meta({ description: "Capabilities that could stand in a task's place, and how they differ from the one there" }),
    estimate,
    is_best: z.boolean().meta({
      description:
        "Nothing is better by what the goal prefers; false: the search was broken off, or the planner proves nothing",
    }),
    transcript: z
      .array(
        z.object({
          prompt: z.array(z.object({ role: z.enum(["system", "user"]), content: z.string() })),
          answer: z.string(),
          refused: z.array(z.object({ code: z.string(), message: z.string(), pointer: z.string() })),
          input_tokens: z.number(),
          output_tokens: z.number(),
        }),
      )
      .meta({ description: "What was said to a model and by it, round by round; empty where none was asked" }),
    run_id: uuid.nullable().meta({ description: "Of an accepted plan" }),
    decided_by: z.string().nullable(),
    reason: z.string().nullable().meta({ description: "What was said when it was decided" }),
    created_at: timestamp,
    decided_at: timestamp.nullable(),
  })
  .meta({ id: "Plan" });
export type PlanRecordBody = z.infer<typeof plan>;

const typesByName = z.record(z.string(), z.string());

/** A plan in a list: what it is for and what it comes to, without what is in it. */
export const listedPlan = plan
  .pick({
    id: true,
    planner: true,
    status: true,
    estimate: true,
    is_best: true,
    run_id: true,
    decided_by: true,
    reason: true,
    created_at: true,
    decided_at: true,
  })
  .extend({
    text: z.string().nullable().meta({ description: "What the goal says in words" }),
    have: typesByName.meta({ description: "The type of each value that the goal has" }),
    want: typesByName,
  })
  .meta({ id: "ListedPlan" });
export type ListedPlanBody = z.infer<typeof listedPlan>;

export const plansQuery = pageQuery.extend({
  status: z.enum(planStatuses).default("proposed").meta({ description: "Default: those that wait for a decision" }),
});

export const planFormats = ["json", "mermaid", "svg", "tree"] as const;
export const planQuery = z.strictObject({ format: z.enum(planFormats).default("json") });

const reason = z.string().max(8192).optional();

/** `inputs` are those that the goal has no values for. */
export const acceptBody = z
  .strictObject({
    inputs: jsonObject.optional(),
    labels: labels.optional(),
    priority: z.number().int().min(0).max(9).optional(),
    on_failure: onFailure.optional(),
    reason,
  })
  .nullish()
  .meta({ id: "AcceptPlan" });
export type AcceptBody = z.infer<typeof acceptBody>;

export const rejectBody = z.strictObject({ reason }).nullish().meta({ id: "RejectPlan" });

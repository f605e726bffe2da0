import { z } from "zod";
import { severities } from "../proof/finding.ts";
import { jsonObject, name, timestamp } from "./common.ts";

export const workflowRecord = z
  .object({
    name: z.string(),
    version: z.number().int(),
    hash: z.string(),
    definition: jsonObject,
    created_at: timestamp,
  })
  .meta({ id: "WorkflowRecord" });
export type WorkflowRecord = z.infer<typeof workflowRecord>;

export const workflowQuery = z.strictObject({ version: z.coerce.number<string>().pipe(z.int32().min(1)).optional() });

const issue = z.object({
  code: z.string(),
  message: z.string(),
  pointer: z.string(),
  line: z.number().int().optional(),
  column: z.number().int().optional(),
});

const range = z.object({
  least: z.number(),
  most: z.number().nullable().meta({ description: "Null: there is no bound" }),
});

const bounds = z
  .object({
    tasks: range.meta({
      description: "Rows of the run: tasks, instances of maps, iterations of loops, and what undoes any of them",
    }),
    attempts: range.meta({ description: "Of agents; lost leases, which are no attempts, are not in it" }),
    cost: range.meta({ description: "By what agents that are there say their tasks cost" }),
    duration_ms: z.object({
      least: z.number().meta({ description: "What is waited for by the definition: waits, and rates" }),
      expected: z.number().meta({
        description: "With what agents say their tasks take; loops once, lists of unknown length with one item",
      }),
      most: z.number().nullable().meta({
        description:
          "With every attempt there may be, each as long as it may take; without waiting for agents and for other runs, and undoing",
      }),
      path: z.array(z.string()).meta({ description: "The chain of tasks that `expected` hangs on" }),
      keys: z
        .array(z.object({ key: z.string(), least: z.number(), expected: z.number() }))
        .meta({ description: "Keys of limits before whose times it cannot end, the slowest first; at most 20" }),
    }),
    open: z
      .array(z.object({ pointer: z.string(), message: z.string() }))
      .meta({ description: "Why there is no bound" }),
    unknown: z.array(z.string()).meta({ description: "Capabilities whose duration nobody who is there says" }),
  })
  .meta({
    id: "WorkflowBounds",
    description:
      "Of a run: the least when nothing fails, is cancelled or ends it early, and the most; without what handlers add, and what other runs take",
  });
export type WorkflowBounds = z.infer<typeof bounds>;

export const validation = z
  .object({
    valid: z.boolean(),
    tasks: z.number().int().optional(),
    errors: z.array(issue).meta({ description: "What a submit would be refused for" }),
    findings: z
      .array(issue.extend({ severity: z.enum(severities) }))
      .optional()
      .meta({ description: "All that was found, errors too; absent when the definition cannot be read" }),
    bounds: bounds.optional(),
  })
  .meta({ id: "Validation" });
export type Validation = z.infer<typeof validation>;

const types = z.record(name, name);

export const saveRunBody = z
  .strictObject({
    name: name.meta({ description: "Of the workflow that it becomes" }),
    description: z.string().max(4096).optional().meta({ description: "Default: that of the run's definition" }),
    goal: z
      .strictObject({ have: types.optional(), want: types })
      .optional()
      .meta({ description: "What it is for, by types; default: what its definition says, or the plan that was run" }),
  })
  .meta({ id: "SaveRun" });
export type SaveRunBody = z.input<typeof saveRunBody>;

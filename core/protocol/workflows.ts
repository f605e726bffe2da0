import { z } from "zod";
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

export const validation = z
  .object({
    valid: z.boolean(),
    tasks: z.number().int().optional(),
    errors: z.array(
      z.object({
        code: z.string(),
        message: z.string(),
        pointer: z.string(),
        line: z.number().int().optional(),
        column: z.number().int().optional(),
      }),
    ),
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

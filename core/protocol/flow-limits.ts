import { z } from "zod";
import { isDuration } from "../duration.ts";
import { flowKeyPattern, MAX_FLOW_KEY_LENGTH } from "../flow-limits.ts";
import { timestamp } from "./common.ts";

export const flowKeyParam = z
  .string()
  .max(MAX_FLOW_KEY_LENGTH)
  .regex(flowKeyPattern, { error: "must be a text without control characters" })
  .meta({ description: "The key, as tasks and workflows name it" });

const MAX_INT = 2_147_483_647;

const rate = z
  .strictObject({
    limit: z.number().int().min(1).max(MAX_INT),
    per: z
      .string()
      .refine(isDuration, { error: "must be a whole number with one unit, such as 500ms, 1s or 1m" })
      .meta({ description: "A duration, such as `1m`" }),
  })
  .meta({ description: "At most `limit` starts in each `per`" });

export const flowLimitBody = z
  .strictObject({
    concurrency: z.number().int().min(1).max(MAX_INT).optional().meta({ description: "How many may run at once" }),
    rate: rate.optional(),
  })
  .refine(({ concurrency, rate }) => concurrency !== undefined || rate !== undefined, {
    error: "must say `concurrency`, `rate` or both; DELETE takes a limit away",
  })
  .meta({ id: "SetLimit" });
export type FlowLimitBody = z.infer<typeof flowLimitBody>;

export const flowLimit = z
  .object({
    key: z.string(),
    concurrency: z.number().int().nullable().meta({ description: "Null: what definitions say" }),
    rate: rate.nullable().meta({ description: "Null: what definitions say" }),
    holders: z.number().int().meta({ description: "Running tasks that hold the key" }),
    updated_at: timestamp,
  })
  .meta({ id: "Limit" });
export type FlowLimitRecord = z.infer<typeof flowLimit>;

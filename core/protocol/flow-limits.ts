import { z } from "zod";
import { isDuration } from "../duration.ts";
import { flowKeyPattern, MAX_FLOW_KEY_LENGTH } from "../flow-limits.ts";
import { CAPABILITY_KEY, NAMESPACE_KEY, scopeOf } from "../wide-keys.ts";
import { timestamp } from "./common.ts";

export const flowKeyParam = z
  .string()
  .max(MAX_FLOW_KEY_LENGTH)
  .regex(flowKeyPattern, { error: "must be a text without control characters" })
  .refine((key) => scopeOf(key) !== undefined, {
    error: `begins with @, so it must be ${NAMESPACE_KEY} or ${CAPABILITY_KEY} with the name of a capability`,
  })
  .meta({
    description: `The key, as tasks and workflows name it; ${NAMESPACE_KEY}: all tasks of the namespace; ${CAPABILITY_KEY}name: all of a capability, whether or not anybody offers it yet`,
  });

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

export const resumeLimitBody = z
  .strictObject({})
  .nullish()
  .meta({ id: "ResumeLimit", description: "Nothing to say: limits of the key hold as before" });

export const flowLimit = z
  .object({
    key: z.string(),
    concurrency: z.number().int().nullable().meta({ description: "Null: what definitions say" }),
    rate: rate.nullable().meta({ description: "Null: what definitions say" }),
    holders: z.number().int().meta({ description: "Running tasks that hold the key" }),
    paused_by: z.string().nullable().meta({ description: "Who lets nothing start under it; null: nobody" }),
    paused_at: timestamp.nullable(),
    pause_reason: z.string().nullable(),
    in_force: z.boolean().meta({
      description:
        "False: some tasks of the namespace or capability do not keep to it yet; they are told within seconds",
    }),
    updated_at: timestamp,
  })
  .meta({ id: "Limit" });
export type FlowLimitRecord = z.infer<typeof flowLimit>;

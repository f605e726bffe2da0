/** The cache of outputs, as it is looked at and cleared. */
import { z } from "zod";
import { timestamp, uuid } from "./common.ts";

export const cacheStats = z
  .object({
    data: z.array(
      z.object({
        capability: z.string(),
        version: z.string(),
        outputs: z.number().int().meta({ description: "How many are stored and still good" }),
        bytes: z.number().int().meta({ description: "Of these outputs, as JSON" }),
        hits: z.number().int().meta({
          description: "How many tasks of the capability, of the runs that are kept, took their output from the cache",
        }),
        oldest_at: timestamp.nullable(),
      }),
    ),
  })
  .meta({ id: "CacheStats" });
export type CacheStatsBody = z.infer<typeof cacheStats>;

export const cacheFilter = z.strictObject({
  capability: z.string().min(1).max(128).optional(),
  version: z.string().min(1).max(64).optional(),
  run: uuid.optional().meta({ description: "Outputs of tasks of this run alone" }),
});
export type CacheFilterQuery = z.infer<typeof cacheFilter>;

export const cacheCleared = z
  .object({ cleared: z.number().int().meta({ description: "How many outputs were forgotten" }) })
  .meta({ id: "CacheCleared" });
export type CacheClearedBody = z.infer<typeof cacheCleared>;

/** Shapes that every part of the public contract shares. One zod schema a shape; OpenAPI is generated from them. */
import { z } from "zod";
import type { Json, JsonObject } from "../json.ts";
import { idPattern } from "../workflow-schema.ts";

export const uuid = z.uuid().meta({ description: "UUIDv7" });
export const timestamp = z.string().meta({ format: "date-time", description: "RFC 3339, UTC, milliseconds" });
const END_OF_YEAR_9999 = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** A time that a client tells, with any offset, but one that RFC 3339 can write in UTC. */
export const givenTime = z.iso
  .datetime({ offset: true })
  .max(64)
  .refine((text) => Date.parse(text) >= 0 && Date.parse(text) <= END_OF_YEAR_9999, {
    error: "must be a time from 1970 to 9999",
  });

/** Of a long-poll. */
export const MAX_WAIT_SECONDS = 30;

/** Of a workflow, a task or a capability. */
export const name = z
  .string()
  .regex(idPattern, { error: "must be letters, digits, `_`, `.` or `-`, not beginning with a digit, at most 128" });

/** Any JSON. It is not walked here: bodies are checked for what cannot be stored when they are read. */
export const json = z.unknown().meta({ description: "Any JSON value" }) as unknown as z.ZodType<Json>;
export const jsonObject = z
  .custom<JsonObject>((value) => typeof value === "object" && value !== null && !Array.isArray(value), {
    error: "must be a JSON object",
  })
  .meta({ type: "object", description: "A JSON object" });

/** How many there may be is a limit of the server, which it checks itself. */
export const labels = z
  .record(z.string().min(1).max(63), z.string().max(255))
  .meta({ description: "Labels: at most 64 pairs of strings" });

export const failure = z
  .object({
    code: z.string(),
    message: z.string(),
    retryable: z.boolean().optional(),
    task: z.string().optional().meta({ description: "Key of the task it began with, in a run's error" }),
  })
  .meta({ id: "Failure" });

export const pageQuery = z.strictObject({
  limit: z.coerce.number<string>().int().min(1).max(1000).default(100),
  cursor: z.string().max(1024).optional().meta({ description: "`next_cursor` of the page before" }),
});

export function pageOf<T extends z.ZodType>(item: T) {
  return z.object({ data: z.array(item), next_cursor: z.string().nullable() });
}

export const problem = z
  .object({
    type: z.string().meta({ description: "URI of the problem: /problems/<code>" }),
    title: z.string(),
    status: z.number().int(),
    code: z.string(),
    detail: z.string(),
    instance: z.string().optional(),
    errors: z
      .array(
        z.object({
          code: z.string(),
          message: z.string(),
          pointer: z.string().meta({ description: "RFC 6901 pointer into the request" }),
          line: z.number().int().optional(),
          column: z.number().int().optional(),
        }),
      )
      .optional(),
  })
  .meta({ id: "Problem", description: "RFC 9457 problem details" });
export type Problem = z.infer<typeof problem>;

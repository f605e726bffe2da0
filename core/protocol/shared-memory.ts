/** Keys that agents share, as they travel. */
import { z } from "zod";
import { ttl } from "./agent-data.ts";
import { json, pageQuery, timestamp, uuid } from "./common.ts";

const plainName = (max: number) =>
  z.string().regex(new RegExp(`^[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,${max - 1}}$`), {
    error: `must be letters, digits, \`_\`, \`.\`, \`:\`, \`/\` or \`-\`, beginning with a letter, a digit or \`_\`, at most ${max}`,
  });

export const scopeName = plainName(128);
export const keyName = plainName(256);

export const sharedBody = z
  .strictObject({
    value: json,
    ttl: ttl.optional(),
    write_id: uuid.optional().meta({
      description: "Of the writer's choice: the last write, repeated under its id, is answered and not written again",
    }),
  })
  .meta({ id: "WriteShared" });
export type SharedBody = z.infer<typeof sharedBody>;

const writtenBy = z
  .object({ kind: z.enum(["agent", "client", "system"]), name: z.string() })
  .meta({ description: "Who the token says: the name of an agent, or of an API key; `system`: its time was over" });

export const sharedEntry = z
  .object({
    key: z.string(),
    value: json,
    revision: z.number().int().meta({ description: "Counts the changes of the whole scope; also the ETag" }),
    updated_at: timestamp,
    expires_at: timestamp.nullable(),
    by: writtenBy,
  })
  .meta({ id: "SharedEntry" });
export type SharedEntryBody = z.infer<typeof sharedEntry>;

export const sharedChange = z
  .object({
    key: z.string(),
    revision: z.number().int(),
    removed: z.boolean(),
    value: json.optional().meta({ description: "Absent where it was removed" }),
    updated_at: timestamp,
    expires_at: timestamp.nullable(),
    by: writtenBy,
  })
  .meta({ id: "SharedChange", description: "What a stream tells of a key: the newest that there is of it" });
export type SharedChangeBody = z.infer<typeof sharedChange>;

export const sharedQuery = pageQuery.extend({
  prefix: z.string().max(256).optional().meta({ description: "Only keys that begin so" }),
});
export const sharedHeaders = z.looseObject({ "last-event-id": z.string().max(20).optional() });

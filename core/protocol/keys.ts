import { z } from "zod";
import { givenTime, timestamp, uuid } from "./common.ts";

/** What a key may do. `admin` includes all others. */
export const scopes = ["runs:read", "runs:write", "work", "agents", "memory", "messages", "admin"] as const;
export type Scope = (typeof scopes)[number];

export const namespaceName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,62}$/, { error: "must be lower-case letters, digits and `-`, at most 63" });

const allowedCapability = z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,127}(\.\*)?$/, {
  error: "must be a capability's name, or a beginning of names such as `news.*`",
});

export const createKeyBody = z
  .strictObject({
    name: z.string().min(1).max(128),
    namespace: namespaceName.optional().meta({ description: "Default: the namespace of the key that asks" }),
    scopes: z.array(z.enum(scopes)).min(1),
    expires_at: givenTime.optional(),
    capabilities: z
      .array(allowedCapability)
      .max(1000)
      .optional()
      .meta({ description: "What its runs may use: names, or beginnings such as `news.*`; default everything" }),
  })
  .meta({ id: "CreateKey" });
export type CreateKeyBody = z.infer<typeof createKeyBody>;

export const key = z
  .object({
    id: uuid,
    namespace: z.string(),
    name: z.string(),
    prefix: z.string().meta({ description: "The first characters of the key, to recognise it by" }),
    scopes: z.array(z.enum(scopes)),
    capabilities: z.array(z.string()).nullable().meta({ description: "What its runs may use; null: everything" }),
    created_at: timestamp,
    expires_at: timestamp.nullable(),
  })
  .meta({ id: "Key" });
export type KeyBody = z.infer<typeof key>;

export const createdKey = key
  .extend({ key: z.string().meta({ description: "Shown once" }) })
  .meta({ id: "CreatedKey" });
export type CreatedKey = z.infer<typeof createdKey>;

/**
 * What makes a capability plannable: the semantic types of the fields it takes and gives. A type is a name such as
 * `document.summary`, on which capabilities agree; what its values look like is in their JSON Schemas.
 */
import { z } from "zod";
import type { Issue } from "../errors.ts";
import { isJsonObject, type JsonObject, pointerTo } from "../json.ts";
import { idPattern } from "../workflow-schema.ts";

const MAX_FIELDS = 32;

/** The name of a kind of value, such as `document.summary`: written like the id of a task. */
export const semanticType = z
  .string()
  .regex(idPattern, { error: "must be the name of a type, such as document.text: written like a task's id" });

const fieldTypes = z
  .record(z.string().regex(/^(?!__proto__$)[^\0]{1,128}$/, { error: "must be the name of a field" }), semanticType)
  .refine((fields) => Object.keys(fields).length <= MAX_FIELDS, { error: `must have at most ${MAX_FIELDS} fields` });

/** The part of a capability's contract that planners read. */
export const plannableShape = {
  consumes: fieldTypes
    .optional()
    .meta({ description: "The semantic type of each field of the input, for planners; all of them are needed" }),
  produces: fieldTypes.optional().meta({ description: "The semantic type of each field of the output, for planners" }),
  duration_ms: z
    .number()
    .min(0)
    .max(1e12)
    .optional()
    .meta({ description: "How long a task takes, about, in milliseconds, for planners; default 0" }),
  reliability: z
    .number()
    .gt(0)
    .max(1)
    .optional()
    .meta({ description: "The share of tasks that complete, over 0 to 1, for planners; default 1" }),
};

export type FieldTypes = Readonly<Record<string, string>>;

/** A capability as planners see it. */
export interface PlannableCapability {
  name: string;
  version: string;
  description?: string;
  consumes: FieldTypes;
  produces: FieldTypes;
  cost: number;
  durationMs: number;
  /** From 0, exclusive, to 1. */
  reliability: number;
  inputSchema?: JsonObject;
  outputSchema?: JsonObject;
}

/** What agents have registered of a capability; what they have not said, has its default. */
type Offer = Pick<PlannableCapability, "name"> & Partial<PlannableCapability>;

export function plannable({ name, description, inputSchema, outputSchema, ...offer }: Offer): PlannableCapability {
  return {
    name,
    version: offer.version ?? "1",
    consumes: offer.consumes ?? {},
    produces: offer.produces ?? {},
    cost: offer.cost ?? 0,
    durationMs: offer.durationMs ?? 0,
    reliability: offer.reliability ?? 1,
    ...(description !== undefined && { description }),
    ...(inputSchema && { inputSchema }),
    ...(outputSchema && { outputSchema }),
  };
}

interface Declared {
  consumes?: FieldTypes | undefined;
  produces?: FieldTypes | undefined;
  inputSchema?: JsonObject | undefined;
  outputSchema?: JsonObject | undefined;
}

/** Why a planner could not fill the input, or would wait for an output that never comes; none for what declares no types. */
export function plannableFlaws(capability: string, declared: Declared, pointer = ""): Issue[] {
  const { consumes, produces, inputSchema, outputSchema } = declared;
  if (!consumes && !produces) return [];
  const unfilled = requiredOf(inputSchema).filter((field) => !Object.hasOwn(consumes ?? {}, field));
  return [
    ...unfilled.map((field) => {
      const message = `The input of "${capability}" requires "${field}", which \`consumes\` has no type for; name its type there.`;
      return flaw(message, `${pointer}/consumes`);
    }),
    ...unknownFields(consumes, inputSchema).map((field) =>
      flaw(
        `\`consumes\` names "${field}", which the input schema of "${capability}" does not allow; correct either.`,
        pointerTo(`${pointer}/consumes`, field),
      ),
    ),
    ...unknownFields(produces, outputSchema).map((field) =>
      flaw(
        `\`produces\` names "${field}", which the output schema of "${capability}" does not allow; correct either.`,
        pointerTo(`${pointer}/produces`, field),
      ),
    ),
  ];
}

function flaw(message: string, pointer: string): Issue {
  return { code: "CAPABILITY_INVALID", message, pointer };
}

function requiredOf(schema: JsonObject | undefined): string[] {
  const required = schema?.required;
  return Array.isArray(required) ? required.filter((field) => typeof field === "string") : [];
}

/** Fields that a closed schema has no property for. Patterns and references are not followed: they are believed. */
function unknownFields(fields: FieldTypes = {}, schema: JsonObject | undefined): string[] {
  if (schema?.additionalProperties !== false || schema.patternProperties !== undefined) return [];
  const properties = isJsonObject(schema.properties) ? schema.properties : {};
  return Object.keys(fields).filter((field) => !Object.hasOwn(properties, field));
}

/** The schema of one field, as far as it can be told without following references; undefined: anything. */
export function fieldSchema(schema: JsonObject | undefined, field: string): JsonObject | undefined {
  const properties = schema?.properties;
  if (!isJsonObject(properties) || !Object.hasOwn(properties, field)) return undefined;
  const found = properties[field];
  return isJsonObject(found) ? found : undefined;
}

/** The kinds of JSON that a schema lets pass, where it says so; whole numbers are numbers. */
export function jsonKinds(schema: JsonObject | undefined): Set<string> | undefined {
  const types = [schema?.type].flat().filter((type) => typeof type === "string");
  if (types.length === 0) return undefined;
  return new Set(types.map((type) => (type === "integer" ? "number" : type)));
}

export function fieldKinds(schema: JsonObject | undefined, field: string): Set<string> | undefined {
  return jsonKinds(fieldSchema(schema, field));
}

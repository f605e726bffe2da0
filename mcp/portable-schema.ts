/** JSON Schemas in the part of the language that every client of a model reads. */
import { z } from "zod";
import { isJsonObject, type Json, type JsonObject } from "../core/json.ts";

/**
 * The schema of what a tool takes or answers. Many clients hand schemas on to models that know neither references nor
 * lists of types, so shapes stand where they are used, and what may be null is one of two.
 */
export function portableSchema(schema: z.ZodObject, io: "input" | "output"): JsonObject {
  const { $defs, ...whole } = z.toJSONSchema(schema, { io, unrepresentable: "any" }) as JsonObject;
  return portable(whole, isJsonObject($defs) ? $defs : {}, []) as JsonObject;
}

/** `within`: the shapes that this one is part of. None of ours is part of itself. */
function portable(node: Json, shapes: JsonObject, within: readonly string[]): Json {
  if (Array.isArray(node)) return node.map((item) => portable(item, shapes, within));
  if (!isJsonObject(node)) return node;
  const { $ref, ...rest } = node;
  const name = typeof $ref === "string" ? $ref.replace("#/$defs/", "") : undefined;
  if (name !== undefined) {
    const shape = shapes[name];
    if (!isJsonObject(shape) || within.includes(name)) throw new TypeError(`The schema ${name} cannot be written out.`);
    const { id: _, ...named } = shape;
    return portable({ ...named, ...rest }, shapes, [...within, name]);
  }
  const parts = Object.entries(rest).map(([key, value]) => [key, portable(value, shapes, within)]);
  return eitherOr(Object.fromEntries(parts) as JsonObject);
}

/** `{ type: ["string", "null"] }` as one of two types. */
function eitherOr({ type, ...rest }: JsonObject): JsonObject {
  if (!Array.isArray(type)) return type === undefined ? rest : { type, ...rest };
  const { description, default: preset, ...keywords } = rest;
  return {
    ...(description !== undefined && { description }),
    ...(preset !== undefined && { default: preset }),
    anyOf: type.map((one) => (one === "null" ? { type: one } : { type: one, ...keywords })),
  };
}

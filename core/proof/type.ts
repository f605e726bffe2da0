/**
 * What can be told of a value before it is there: of which kinds it may be, and what is in it. Every answer is wide: a value that
 * a schema lets pass is of its type. So what a type rules out can never be.
 */
import { isJsonObject, type Json, type JsonObject } from "../json.ts";
import { segmentsOf } from "../source.ts";

export type Kind = "null" | "boolean" | "number" | "string" | "list" | "map";
export const allKinds: readonly Kind[] = ["null", "boolean", "number", "string", "list", "map"];

export interface Type {
  kinds: ReadonlySet<Kind>;
  /** Of a map: what its fields are, as far as known. */
  fields?: ReadonlyMap<string, Type>;
  /** It has no fields but these. */
  isClosed?: boolean;
  /** Fields that it always has. */
  required?: ReadonlySet<string>;
  /** Of a list: what each of its items is. */
  items?: Type;
  /** Of a list: how many items it has, at least and at most. */
  least?: number;
  most?: number;
  /** It is this, and nothing else. */
  constant?: boolean;
  /** Who says so, where it is not the definition itself: such as `"http.request"`. */
  by?: string;
}

export const anything: Type = { kinds: new Set(allKinds) };

export function only(...kinds: Kind[]): Type {
  return { kinds: new Set(kinds) };
}

export function listOf(items: Type | undefined, more: Pick<Type, "least" | "most"> = {}): Type {
  return { kinds: new Set(["list"]), ...(items && { items }), ...more };
}

export function mapOf(fields: ReadonlyMap<string, Type>): Type {
  return { kinds: new Set(["map"]), fields, isClosed: true, required: new Set(fields.keys()) };
}

export function orNull(type: Type): Type {
  return { ...type, kinds: new Set([...type.kinds, "null"]) };
}

/** One or the other. */
export function either(a: Type, b: Type): Type {
  const type = ofBoth(a, b);
  const isPlain = ({ kinds }: Type) => !kinds.has("map") && !kinds.has("list");
  if (isPlain(a)) return { ...insideOf(b), ...type };
  if (isPlain(b)) return { ...insideOf(a), ...type };
  if (a.items && b.items) type.items = either(a.items, b.items);
  if (a.isClosed && b.isClosed) {
    const names = new Set([...a.fields!.keys(), ...b.fields!.keys()]);
    const fieldOf = (name: string) => {
      const [left, right] = [a.fields!.get(name), b.fields!.get(name)];
      return left && right ? either(left, right) : (left ?? right)!;
    };
    type.fields = new Map([...names].map((name) => [name, fieldOf(name)]));
    type.isClosed = true;
  }
  return type;
}

function ofBoth(a: Type, b: Type): Type {
  const { constant } = a;
  const by = a.by ?? b.by;
  return {
    kinds: new Set([...a.kinds, ...b.kinds]),
    ...(constant !== undefined && constant === b.constant && { constant }),
    ...(by !== undefined && { by }),
  };
}

function insideOf({ constant: _, ...inside }: Type): Type {
  return inside;
}

/** What is known of a whole is known of its parts by the same. */
export function partOf({ by }: Type, part: Type): Type {
  return by === undefined || part.by !== undefined ? part : { ...part, by };
}

/** The type of a JSON value that is known. */
export function typeOfValue(value: Json): Type {
  if (Array.isArray(value)) {
    const items = value.length > 0 && value.length <= MAX_ITEMS ? value.map(typeOfValue).reduce(either) : undefined;
    return listOf(items, { least: value.length, most: value.length });
  }
  if (isJsonObject(value)) return mapOf(new Map(Object.entries(value).map(([name, one]) => [name, typeOfValue(one)])));
  if (typeof value === "boolean") return { ...only("boolean"), constant: value };
  return only(value === null ? "null" : (typeof value as "number" | "string"));
}

/** Items of a list that are looked at. */
const MAX_ITEMS = 1_000;
/** Subschemas within one another, references included: schemas may refer to themselves. */
const MAX_DEPTH = 16;
/** Subschemas that are looked at in all: references may fan out. */
const MAX_VISITS = 2_000;

/** The type of the values that a JSON Schema (2020-12) lets pass; what of it is not understood is not read, which makes it wider. */
export function typeOfSchema(schema: unknown): Type {
  return read(schema, { root: schema, depth: 0, budget: { visits: MAX_VISITS } });
}

interface Reading {
  root: unknown;
  depth: number;
  budget: { visits: number };
}

function read(schema: unknown, { root, depth, budget }: Reading): Type {
  if (!isJsonObject(schema) || depth > MAX_DEPTH || --budget.visits < 0) return anything;
  const deeper = { root, depth: depth + 1, budget };
  const parts = [own(schema, deeper)];
  if (typeof schema.$ref === "string") parts.push(read(target(root, schema.$ref), deeper));
  for (const word of ["anyOf", "oneOf"] as const) {
    const branches = schema[word];
    if (Array.isArray(branches) && branches.length > 0) {
      parts.push(branches.map((branch) => read(branch, deeper)).reduce(either));
    }
  }
  if (Array.isArray(schema.allOf)) parts.push(...schema.allOf.map((part) => read(part, deeper)));
  return parts.reduce(both);
}

const kindsOfType: Readonly<Record<string, Kind>> = {
  null: "null",
  boolean: "boolean",
  number: "number",
  integer: "number",
  string: "string",
  array: "list",
  object: "map",
};

function own(schema: JsonObject, reading: Reading): Type {
  if (schema.const !== undefined) return typeOfValue(schema.const);
  if (Array.isArray(schema.enum) && schema.enum.length > 0 && schema.enum.length <= MAX_ITEMS) {
    return schema.enum.map(typeOfValue).reduce(either);
  }
  const named = [schema.type].flat().flatMap((name) => (typeof name === "string" ? (kindsOfType[name] ?? []) : []));
  const type: Type = { kinds: named.length > 0 ? new Set(named) : anything.kinds };
  const { properties, additionalProperties, patternProperties, prefixItems, items, minItems, maxItems } = schema;
  if (isJsonObject(properties)) {
    type.fields = new Map(Object.entries(properties).map(([name, one]) => [name, read(one, reading)]));
  }
  if (additionalProperties === false && patternProperties === undefined) {
    type.fields ??= new Map();
    type.isClosed = true;
  }
  if (Array.isArray(schema.required)) {
    type.required = new Set(schema.required.filter((name) => typeof name === "string"));
  }
  if (items !== undefined && prefixItems === undefined) type.items = read(items, reading);
  if (typeof minItems === "number") type.least = minItems;
  if (typeof maxItems === "number") type.most = maxItems;
  return type;
}

/** What a reference within the document leads to; undefined for any other. */
function target(root: unknown, reference: string): unknown {
  if (reference !== "#" && !reference.startsWith("#/")) return undefined;
  let value = root;
  for (const segment of segmentsOf(decodeURIComponentSafe(reference.slice(1)))) {
    value = isJsonObject(value) || Array.isArray(value) ? (value as JsonObject)[segment] : undefined;
  }
  return value;
}

function decodeURIComponentSafe(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What is of both types. Of what both say of fields, the one that says more is taken: as wide as it has to be. */
function both(a: Type, b: Type): Type {
  const common = [...a.kinds].filter((kind) => b.kinds.has(kind));
  // Nothing passes such a schema, and nobody writes one knowingly.
  const kinds = new Set(common.length > 0 ? common : a.kinds);
  const [leading, other] = !a.isClosed && b.isClosed ? [b, a] : [a, b];
  const fields = leading.fields ?? other.fields;
  const merged = fields && !leading.isClosed && other.fields ? new Map([...other.fields, ...fields]) : fields;
  const items = a.items ?? b.items;
  const required = new Set([...(a.required ?? []), ...(b.required ?? [])]);
  const least = Math.max(a.least ?? 0, b.least ?? 0);
  const most = Math.min(a.most ?? Number.POSITIVE_INFINITY, b.most ?? Number.POSITIVE_INFINITY);
  const constant = a.constant ?? b.constant;
  return {
    kinds,
    ...(merged && { fields: merged }),
    ...((leading.isClosed ?? other.isClosed) && { isClosed: true }),
    ...(required.size > 0 && { required }),
    ...(items && { items }),
    ...(least > 0 && { least }),
    ...(Number.isFinite(most) && { most }),
    ...(constant !== undefined && { constant }),
  };
}

/** Whether some value could be of both. */
export function overlaps(a: Type, b: Type): boolean {
  return [...a.kinds].some((kind) => b.kinds.has(kind));
}

const names: Readonly<Record<Kind, string>> = {
  null: "null",
  boolean: "a boolean",
  number: "a number",
  string: "a string",
  list: "a list",
  map: "an object",
};

/** For messages: `a string`, `a list or null`. */
export function describeType({ kinds }: Type): string {
  const said = allKinds.filter((kind) => kinds.has(kind)).map((kind) => names[kind]);
  // Null last: it is what is left when there is nothing.
  return [...said.filter((one) => one !== "null"), ...said.filter((one) => one === "null")].join(" or ");
}

/** What a user's JSON Schema may hold, and the copy of it in which every subschema tells its cost. */
import type { Format } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import { fullFormats } from "ajv-formats/dist/formats.js";
import { type Issue, SkeinError } from "./errors.ts";
import { isJsonObject, type Json, type JsonObject, pointerTo } from "./json.ts";
import { didYouMean } from "./near-miss.ts";
import { compilePattern } from "./pattern.ts";
import { compareAsJson } from "./schema-equality.ts";

export type JsonSchema = boolean | JsonObject;

/** Added to every subschema of the metered copy: the steps of one visit, besides those for the data. */
export const COST_KEYWORD = "x-skein-cost";
/** Compiling takes about 0.3 ms for each (measured), once per process. */
const MAX_SUBSCHEMAS = 1_000;
const MAX_PATTERNS = 100;
/** Formats are ajv's regular expressions; up to this length none takes over 5 ms on the worst texts we found. */
const MAX_FORMAT_LENGTH = 16 * 1024;
const SCHEMA_DIALECT = /^https?:\/\/json-schema\.org\/draft\/2020-12\/schema#?$/;

/** Without `url`, which is quadratic (20 kB: 188 ms) and no part of JSON Schema. */
export const formats: ReadonlyMap<string, Format> = new Map(
  Object.entries(fullFormats)
    .filter(([name]) => name !== "url")
    .map(([name, format]) => [name, limitLength(format)]),
);

function limitLength(format: Format): Format {
  if (typeof format === "object" && "type" in format && format.type === "number") return format;
  const test = textTest(format);
  return (text: string) => text.length <= MAX_FORMAT_LENGTH && test(text);
}

function textTest(format: unknown): (text: string) => boolean {
  if (format instanceof RegExp) return (text) => format.test(text);
  if (typeof format === "function") return format as (text: string) => boolean;
  if (typeof format === "object" && format !== null && "validate" in format) return textTest(format.validate);
  return () => true; // `binary` and `password` describe, they do not restrict
}

type Kind = "value" | "schema" | "schemas" | "schemaMap";

const keywords = new Map<string, Kind>([
  ...kind("value", "$schema $id $anchor $ref $comment type enum const multipleOf maximum exclusiveMaximum minimum"),
  ...kind(
    "value",
    "exclusiveMinimum maxLength minLength pattern maxItems minItems uniqueItems maxContains minContains",
  ),
  ...kind(
    "value",
    "maxProperties minProperties required dependentRequired format title description default deprecated",
  ),
  ...kind("value", "readOnly writeOnly examples contentEncoding contentMediaType"),
  ...kind("schema", "additionalProperties propertyNames items contains not if then else unevaluatedItems"),
  ...kind("schema", "unevaluatedProperties contentSchema"),
  ...kind("schemas", "prefixItems allOf anyOf oneOf"),
  ...kind("schemaMap", "properties patternProperties dependentSchemas $defs definitions"),
]);

function kind(name: Kind, words: string): [string, Kind][] {
  return words.split(" ").map((word) => [word, name]);
}

interface Place {
  schema: unknown;
  pointer: string;
}

/**
 * Every flaw of a schema, as WORKFLOW_SCHEMA_INVALID with pointers into it, and its metered copy. Refused besides what is
 * wrong: references out of the document, nested `$id`, dynamic references, unknown keywords (but `x-…`), unknown formats,
 * unsafe patterns, and more than 1,000 subschemas.
 */
export function examineSchema(schema: JsonSchema): { issues: Issue[]; metered: JsonSchema } {
  const issues: Issue[] = [];
  const metered = structuredClone(schema);
  const places: Place[] = [{ schema: metered, pointer: "" }];
  for (let i = 0; i < places.length && i <= MAX_SUBSCHEMAS; i++) {
    const place = places[i]!;
    if (!isJsonObject(place.schema)) continue; // true and false; anything else is against the meta-schema
    issues.push(...keywordIssues(place.schema, place.pointer));
    places.push(...subschemas(place.schema, place.pointer));
    place.schema[COST_KEYWORD] = costOf(place.schema);
  }
  if (places.length > MAX_SUBSCHEMAS) issues.push(schemaIssue("", `has more than ${MAX_SUBSCHEMAS} subschemas`));
  if (isJsonObject(metered)) delete metered.$id; // nothing can refer to it, and ajv would read it as a URI
  issues.push(...referenceIssues(places), ...patternIssues(places), ...metaSchemaIssues(schema));
  return { issues, metered };
}

/**
 * Takes out of one subschema what examineSchema refuses and what, left out, lets more pass: unknown keywords and formats, and
 * patterns that cannot be matched in linear time.
 */
export function loosen(schema: JsonObject): void {
  for (const keyword of Object.keys(schema)) if (!isKnown(keyword)) delete schema[keyword];
  if (typeof schema.format === "string" && !formats.has(schema.format)) delete schema.format;
  if (typeof schema.pattern === "string" && patternFlaw(schema.pattern)) delete schema.pattern;
}

/** `sentence` goes on after "The schema at …". */
export function schemaIssue(pointer: string, sentence: string): Issue {
  return { code: "WORKFLOW_SCHEMA_INVALID", message: `The schema${pointer && ` at ${pointer}`} ${sentence}`, pointer };
}

function subschemas(schema: JsonObject, pointer: string): Place[] {
  return Object.entries(schema).flatMap(([keyword, value]) => {
    const at = pointerTo(pointer, keyword);
    const kind = keywords.get(keyword);
    if (kind === "schema") return [{ schema: value, pointer: at }];
    const isContainer = (kind === "schemas" && Array.isArray(value)) || (kind === "schemaMap" && isJsonObject(value));
    return isContainer
      ? Object.entries(value).map(([key, child]) => ({ schema: child, pointer: pointerTo(at, key) }))
      : [];
  });
}

/** One visit compares with the values of these keywords, at worst all of them. */
function costOf({ enum: values, const: value, required, dependentRequired }: JsonObject): number {
  const compared = [values, value, required, dependentRequired].filter((one) => one !== undefined);
  return compared.length === 0 ? 0 : Math.ceil(JSON.stringify(compared).length / 16);
}

function isKnown(keyword: string): boolean {
  return keywords.has(keyword) || keyword.startsWith("x-");
}

function keywordIssues(schema: JsonObject, pointer: string): Issue[] {
  const issues: Issue[] = [];
  for (const keyword of Object.keys(schema)) {
    if (isKnown(keyword)) continue;
    const message = `has the unknown keyword "${keyword}".${didYouMean(keyword, keywords.keys())}`;
    issues.push(schemaIssue(pointerTo(pointer, keyword), message));
  }
  const { $schema, $id, format } = schema;
  if (typeof $schema === "string" && !SCHEMA_DIALECT.test($schema)) {
    issues.push(schemaIssue(pointerTo(pointer, "$schema"), "is of another dialect; only JSON Schema 2020-12 is read"));
  }
  if ($id !== undefined && pointer !== "") {
    issues.push(
      schemaIssue(pointerTo(pointer, "$id"), "has a nested $id; put the schema under $defs and refer to it there"),
    );
  }
  if (typeof format === "string" && !formats.has(format)) {
    const hint = format === "url" ? ' Did you mean "uri"?' : didYouMean(format, formats.keys());
    issues.push(schemaIssue(pointerTo(pointer, "format"), `names the unknown format "${format}".${hint}`));
  }
  return issues;
}

/** A reference may only lead to a subschema that was walked, so that nothing is evaluated without paying. */
function referenceIssues(places: readonly Place[]): Issue[] {
  const targets = new Set(places.map(({ pointer }) => `#${pointer}`));
  for (const { schema } of places) if (isJsonObject(schema)) targets.add(`#${schema.$anchor}`);
  return places.flatMap(({ schema, pointer }) => {
    const ref = isJsonObject(schema) ? schema.$ref : undefined;
    if (typeof ref !== "string" || targets.has(decode(ref))) return [];
    const reason = ref.startsWith("#") ? "leads nowhere" : "leads out of the document, which is not followed";
    return [schemaIssue(pointerTo(pointer, "$ref"), `has a $ref that ${reason}: ${JSON.stringify(ref.slice(0, 128))}`)];
  });
}

function decode(ref: string): string {
  try {
    return decodeURIComponent(ref);
  } catch {
    return ref; // not percent-encoded correctly: it matches no target and is reported as such
  }
}

function patternIssues(places: readonly Place[]): Issue[] {
  const patterns = places.flatMap(({ schema, pointer }) => {
    if (!isJsonObject(schema)) return [];
    const keys = isJsonObject(schema.patternProperties) ? Object.keys(schema.patternProperties) : [];
    const keyed = keys.map((key) => ({ source: key, at: pointerTo(pointerTo(pointer, "patternProperties"), key) }));
    return typeof schema.pattern === "string"
      ? [...keyed, { source: schema.pattern, at: pointerTo(pointer, "pattern") }]
      : keyed;
  });
  if (patterns.length > MAX_PATTERNS) return [schemaIssue("", `has more than ${MAX_PATTERNS} patterns`)];
  return patterns.flatMap(({ source, at }) => {
    const flaw = patternFlaw(source);
    return flaw ? [{ code: flaw.code, message: flaw.message, pointer: at }] : [];
  });
}

function patternFlaw(source: string): SkeinError | undefined {
  try {
    compilePattern(source);
    return undefined;
  } catch (error) {
    if (error instanceof SkeinError) return error;
    throw error;
  }
}

let metaSchema: Ajv2020 | undefined; // compiling the meta-schema takes 90 ms, so only when it is needed

function newMetaSchema(): Ajv2020 {
  const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true, verbose: true, logger: false });
  compareAsJson(ajv);
  return ajv;
}

/** One issue for each place: ajv reports every alternative that a value fails. */
function metaSchemaIssues(schema: JsonSchema): Issue[] {
  metaSchema ??= newMetaSchema();
  if (metaSchema.validate("https://json-schema.org/draft/2020-12/schema", schema)) return [];
  const issues = new Map<string, Issue>();
  for (const { instancePath, message, keyword, schema: allowedValues } of metaSchema.errors ?? []) {
    const allowed = keyword === "enum" ? `: ${(allowedValues as Json[]).join(", ")}` : "";
    if (!issues.has(instancePath)) issues.set(instancePath, schemaIssue(instancePath, `${message}${allowed}`));
  }
  return [...issues.values()];
}

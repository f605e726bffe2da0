/**
 * JSON Schema 2020-12 for values from outside. Schemas are written by users, and ajv treats them as trusted code, so what
 * reaches it is checked first (schema-check.ts), matches patterns in linear time, and pays for every subschema it visits:
 * without that, sixty lines of `allOf: [next, next]` would keep the process busy for ever.
 *
 * `default` is not applied: what a run was given is what it sees.
 */
import { Ajv2020, type ErrorObject } from "ajv/dist/2020.js";
import { boundedCache } from "./bounded-cache.ts";
import { type ErrorCode, type Issue, SkeinError } from "./errors.ts";
import { canonicalJson, findJsonFlaw, type Json, pointerTo } from "./json.ts";
import { didYouMean } from "./near-miss.ts";
import { compilePattern } from "./pattern.ts";
import { COST_KEYWORD, examineSchema, formats, type JsonSchema, schemaIssue } from "./schema-check.ts";
import { compareAsJson, type Spend } from "./schema-equality.ts";

export type { JsonSchema } from "./schema-check.ts";

export interface Validator {
  /** What is wrong with `value`; none when it satisfies the schema. */
  findProblems(value: unknown): Problem[];
}

/** One way in which a value does not satisfy its schema. */
interface Problem {
  pointer: string;
  message: string;
}

const MAX_SCHEMA_LENGTH = 64 * 1024;
/** About 30 ns each (measured): a list of a million numbers costs four million, and nothing takes much over 0.5 s. */
const MAX_STEPS = 6_000_000;
/** A visit costs this much besides what it reads: more where it fails, because a problem is then made. */
const STEPS_PER_VISIT = 3;
const STEPS_PER_OBJECT = 6;
/** For the second pass, which collects every problem: each step can make one, of some 300 bytes. */
const MAX_REPORT_STEPS = 50_000;
const MAX_PROBLEMS = 100;
/** Characters of schema kept compiled. Compiled, a schema takes ten to fifty times its text. */
const MAX_CACHED_CHARACTERS = 1024 * 1024;

const validators = boundedCache<Validator>(MAX_CACHED_CHARACTERS);

/** Every reason why `schema`, which stands at `pointer`, cannot be used. */
export function checkSchema(schema: unknown, pointer: string): Issue[] {
  try {
    compileSchema(schema);
    return [];
  } catch (error) {
    if (!(error instanceof SkeinError)) throw error;
    return error.issues.map((issue) => ({ ...issue, pointer: pointer + issue.pointer }));
  }
}

/** A validator, from a cache by content. Throws WORKFLOW_SCHEMA_INVALID with every flaw of the schema in its `issues`. */
export function compileSchema(schema: unknown): Validator {
  const flaw = findJsonFlaw(schema);
  if (flaw) throw unusable([schemaIssue(flaw.pointer, flaw.reason)]);
  if (typeof schema !== "boolean" && (typeof schema !== "object" || schema === null || Array.isArray(schema))) {
    throw unusable([schemaIssue("", "must be an object, true or false")]);
  }
  const text = canonicalJson(schema);
  if (text.length > MAX_SCHEMA_LENGTH) {
    throw unusable([schemaIssue("", `is longer than ${MAX_SCHEMA_LENGTH} characters of JSON`)]);
  }
  return validators.get(text, () => createValidator(schema as JsonSchema));
}

/** The problems of `value`, which stands at `pointer`, as issues with the caller's code. */
export function validate(validator: Validator, value: unknown, code: ErrorCode, pointer = ""): Issue[] {
  return validator.findProblems(value).map((problem) => {
    return {
      code,
      message: `${problem.pointer || "The value"} ${problem.message}`,
      pointer: pointer + problem.pointer,
    };
  });
}

function unusable(issues: Issue[], cause?: unknown): SkeinError {
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : "";
  return new SkeinError("WORKFLOW_SCHEMA_INVALID", `${issues[0]!.message}${more}`, { issues, cause });
}

/** Two passes: a quick one that stops at the first problem, then one that collects them, compiled when first needed. */
function createValidator(schema: JsonSchema): Validator {
  const { issues, metered } = examineSchema(schema);
  if (issues.length > 0) throw unusable(issues);
  const findFirst = compile(metered, false, MAX_STEPS);
  let findAll: Find | undefined;
  return {
    findProblems(value) {
      const first = findFirst(value);
      if (first.problems.length === 0 || first.isCutShort) return first.problems;
      findAll ??= compile(metered, true, MAX_REPORT_STEPS);
      const all = findAll(value);
      return all.isCutShort ? first.problems : all.problems;
    },
  };
}

/** `isCutShort`: the validation was broken off, and its one problem says why. */
type Find = (value: unknown) => { problems: Problem[]; isCutShort?: boolean };

function cutShort(message: string) {
  return { problems: [{ pointer: "", message }], isCutShort: true };
}

/** Thrown through ajv's code when the budget is spent. */
const exhausted = new Error("The budget of a validation is spent");

function compile(schema: JsonSchema, allErrors: boolean, budget: number): Find {
  let stepsLeft = budget;
  const check = compileWithAjv(schema, allErrors, (steps) => {
    stepsLeft -= steps;
    if (stepsLeft < 0) throw exhausted;
  });
  return (value) => {
    stepsLeft = budget;
    try {
      const problems = check(value) ? [] : toProblems(check.errors ?? []);
      check.errors = null; // they refer to the value, which a cached validator must not keep alive
      return { problems };
    } catch (error) {
      if (error === exhausted)
        return cutShort(`takes more than ${budget} steps to validate; make it or its schema simpler`);
      if (error instanceof RangeError) return cutShort("cannot be validated: its schema refers to itself without end");
      throw error;
    }
  };
}

/** A new instance for each schema: an instance keeps everything it ever compiled. */
function compileWithAjv(schema: JsonSchema, allErrors: boolean, spend: Spend) {
  const ajv = new Ajv2020({
    allErrors,
    verbose: true, // problems are explained with the data and the schema at hand
    strict: false, // examineSchema is stricter, and says so in our words
    validateSchema: false,
    meta: false,
    logger: false,
    ownProperties: true,
    inlineRefs: false, // or a chain of references doubles the code at each step
    multipleOfPrecision: 9, // 19.99 is a multiple of 0.01, whatever doubles say
    code: { regExp: regExpEngine(spend), optimize: false }, // optimising takes three times as long (measured)
  });
  for (const [name, format] of formats) ajv.addFormat(name, format);
  ajv.addKeyword({
    keyword: COST_KEYWORD,
    schemaType: "number",
    errors: false,
    validate: (cost: number, data: unknown) => {
      spend(STEPS_PER_VISIT + cost + sizeOf(data));
      return true;
    },
  });
  compareAsJson(ajv, spend);
  try {
    return ajv.compile(schema);
  } catch (error) {
    throw unusable([schemaIssue("", `cannot be compiled: ${(error as Error).message}`)], error);
  }
}

/** What one visit may read of a value besides its children, which are visits of their own. */
function sizeOf(data: unknown): number {
  if (typeof data === "string") return data.length >> 4; // ajv counts code points one by one
  if (typeof data !== "object" || data === null) return 0;
  return Array.isArray(data) ? data.length : STEPS_PER_OBJECT + Object.keys(data).length;
}

function regExpEngine(spend: Spend) {
  const engine = (source: string) => {
    const pattern = compilePattern(source);
    return { test: (text: string) => pattern.test(text, spend), toString: () => source }; // ajv keys patterns by toString
  };
  return Object.assign(engine, { code: "regExpEngine" });
}

function toProblems(errors: readonly ErrorObject[]): Problem[] {
  const problems = errors.slice(0, MAX_PROBLEMS).map(toProblem);
  const more = errors.length - problems.length;
  return more > 0 ? [...problems, { pointer: "", message: `has ${more} more problems` }] : problems;
}

function toProblem(error: ErrorObject): Problem {
  const { instancePath: pointer, keyword, params, parentSchema, data } = error;
  switch (keyword) {
    case "additionalProperties":
    case "unevaluatedProperties": {
      const name = String(params.additionalProperty ?? params.unevaluatedProperty);
      const hint = didYouMean(name, Object.keys(parentSchema?.properties ?? {}));
      return { pointer: pointerTo(pointer, name), message: `is not a property the schema allows.${hint}` };
    }
    case "required":
      return { pointer, message: `must have the property "${params.missingProperty}"` };
    case "type":
      return { pointer, message: `must be ${[params.type].flat().join(" or ")}, but is ${jsonType(data)}` };
    case "enum":
      return {
        pointer,
        message: `must be one of ${brief((parentSchema!.enum as Json[]).map((value) => JSON.stringify(value)).join(", "))}`,
      };
    case "const":
      return { pointer, message: `must be ${brief(JSON.stringify(parentSchema!.const))}` };
    default:
      return { pointer, message: error.message ?? `does not satisfy ${keyword}` };
  }
}

function jsonType(data: unknown): string {
  if (data === null) return "null";
  return Array.isArray(data) ? "array" : typeof data;
}

const MAX_SHOWN = 200;

function brief(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}

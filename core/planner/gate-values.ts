/** The gate's rules about values: where each comes from, whether it is what is asked for, and that none is made up. */
import { type ErrorCode, type Issue, SkeinError } from "../errors.ts";
import { canonicalJson, isJsonObject, type Json, type JsonObject, pointerTo } from "../json.ts";
import { didYouMean } from "../near-miss.ts";
import { compileSchema, type Validator } from "../schema.ts";
import { scanTemplate } from "../template-scan.ts";
import type { TaskDefinition, Workflow } from "../workflow.ts";
import { idPattern } from "../workflow-schema.ts";
import type { Contract } from "./called.ts";
import { fieldSchema, jsonKinds, type PlannableCapability } from "./capability.ts";
import { type Goal, saysNoTypes } from "./goal.ts";
import { readPath } from "./path.ts";

export interface PlanScope {
  goal: Goal;
  /** By task. */
  contracts: ReadonlyMap<string, Contract>;
  /** Every value that the goal has, and every part of one, as canonical JSON. */
  values: ReadonlySet<string>;
}

export function goalValues(goal: Goal): Set<string> {
  const values = new Set<string>();
  const stack: Json[] = Object.values(goal.have).flatMap(({ value }) => (value === undefined ? [] : [value]));
  for (let value = stack.pop(); value !== undefined; value = stack.pop()) {
    values.add(canonicalJson(value));
    if (typeof value === "object" && value !== null) stack.push(...Object.values(value));
  }
  return values;
}

/** What a value in a plan turns out to be. */
type Origin =
  | { kind: "path"; type: string | undefined; schema: JsonObject | undefined; value?: Json; from: string }
  | { kind: "literal"; value: Json }
  | { kind: "list"; items: Json[] }
  | { kind: "refused"; code: ErrorCode; why: string };

export function inputIssues(
  task: TaskDefinition,
  at: string,
  contract: PlannableCapability,
  scope: PlanScope,
): Issue[] {
  const { id, input } = task;
  const refuse = (code: ErrorCode, pointer: string, why: string): Issue => ({
    code,
    message: `Task "${id}": ${why}`,
    pointer,
  });
  if (!isJsonObject(input)) {
    return [refuse("PLAN_INPUT_INVALID", at, "its `input` has to be an object that says where each field comes from.")];
  }
  const fields = Object.keys(input);
  const missing = requiredFields(contract).filter((field) => !Object.hasOwn(input, field));
  return [
    ...missing.map((field) =>
      refuse("PLAN_INPUT_INVALID", `${at}/input`, `"${contract.name}" needs \`${field}\`; fill it.`),
    ),
    ...fields.flatMap((field) => {
      const pointer = pointerTo(`${at}/input`, field);
      const unknown = unknownField(contract, field);
      if (unknown) return [refuse(unknown.code, pointer, unknown.why)];
      const flaw = valueFlaw(input[field]!, contract.consumes[field], fieldSchema(contract.inputSchema, field), scope);
      return flaw ? [refuse(flaw.code, pointer, `\`${field}\` ${flaw.why}`)] : [];
    }),
  ];
}

function requiredFields({ consumes, inputSchema }: PlannableCapability): string[] {
  const required = Array.isArray(inputSchema?.required) ? inputSchema.required : [];
  return [...new Set([...Object.keys(consumes), ...required.filter((field) => typeof field === "string")])];
}

/** A field is known by its type or its schema; where neither is declared, it has at least to look like a field. */
function unknownField({ name, consumes, inputSchema }: PlannableCapability, field: string): Flaw | undefined {
  const known = [
    ...Object.keys(consumes),
    ...Object.keys(isJsonObject(inputSchema?.properties) ? inputSchema.properties : {}),
  ];
  if (known.includes(field)) return undefined;
  const isDeclared = known.length > 0 || inputSchema?.additionalProperties === false;
  if (!isDeclared && idPattern.test(field)) return undefined;
  const why = `"${name}" has no field ${JSON.stringify(field.slice(0, 128))}.${didYouMean(field, known)}`;
  return { code: isDeclared ? "PLAN_INPUT_INVALID" : "PLAN_LITERAL_NOT_ALLOWED", why };
}

interface Flaw {
  code: ErrorCode;
  why: string;
}

/** What is wrong with a value where a type or a schema is expected. Lists are looked into, item by item. */
function valueFlaw(
  value: Json,
  type: string | undefined,
  schema: JsonObject | undefined,
  scope: PlanScope,
): Flaw | undefined {
  const origin = originOf(value, scope);
  switch (origin.kind) {
    case "refused":
      return { code: origin.code, why: origin.why };
    case "literal":
      return literalFlaw(origin.value, schema, scope);
    case "list": {
      if (type !== undefined)
        return { code: "PLAN_TYPE_MISMATCH", why: `wants ${type}, and is a list that the plan made.` };
      const items = isJsonObject(schema?.items) ? schema.items : undefined;
      return origin.items.map((item) => valueFlaw(item, undefined, items, scope)).find((flaw) => flaw !== undefined);
    }
    case "path":
      return pathFlaw(origin, type, schema);
  }
}

function pathFlaw(
  origin: Origin & { kind: "path" },
  type: string | undefined,
  schema: JsonObject | undefined,
): Flaw | undefined {
  if (type !== undefined && origin.type !== undefined && type !== origin.type) {
    return { code: "PLAN_TYPE_MISMATCH", why: `wants ${type}, and ${origin.from} is ${origin.type}.` };
  }
  if (!schema) return undefined;
  if (origin.value !== undefined) {
    const problem = problemOf(origin.value, schema);
    return problem === undefined
      ? undefined
      : { code: "PLAN_INPUT_INVALID", why: `${problem}; ${origin.from} does not fit.` };
  }
  const [wanted, given] = [jsonKinds(schema), jsonKinds(origin.schema)];
  if (!wanted || !given || [...given].some((one) => wanted.has(one))) return undefined;
  const why = `wants ${[...wanted].join(" or ")}, and ${origin.from} is ${[...given].join(" or ")}.`;
  return { code: "PLAN_INPUT_INVALID", why };
}

/** A plan may repeat what the goal says, and choose from what the capability itself lists. */
function literalFlaw(value: Json, schema: JsonObject | undefined, { values }: PlanScope): Flaw | undefined {
  const text = canonicalJson(value);
  const listed = [...(Array.isArray(schema?.enum) ? schema.enum : []), schema?.const, schema?.default];
  const isListed = listed.some((one) => one !== undefined && canonicalJson(one) === text);
  if (!isListed && !values.has(text)) {
    const why = `is ${text.slice(0, 64)}, which is neither a value of the goal nor one that the capability lists; take it from an input.`;
    return { code: "PLAN_LITERAL_NOT_ALLOWED", why };
  }
  const problem = schema && problemOf(value, schema);
  return problem === undefined ? undefined : { code: "PLAN_INPUT_INVALID", why: `${problem}.` };
}

function originOf(value: Json, scope: PlanScope): Origin {
  if (Array.isArray(value))
    return scope.values.has(canonicalJson(value)) ? { kind: "literal", value } : { kind: "list", items: value };
  if (typeof value !== "string") return { kind: "literal", value };
  const segments = scanTemplate(value) ?? [{ literal: value }];
  const [only] = segments;
  if (segments.length === 0) return { kind: "literal", value: "" };
  if (segments.length === 1 && "literal" in only!) return { kind: "literal", value: only.literal };
  if (segments.length > 1) {
    const why = "puts text of the plan's own around an expression; a plan may only say where a value comes from.";
    return { kind: "refused", code: "PLAN_LITERAL_NOT_ALLOWED", why };
  }
  return originOfPath((only as { source: string }).source, scope);
}

function originOfPath(source: string, { goal, contracts }: PlanScope): Origin {
  const path = readPath(source);
  const from = `\`${source.trim().slice(0, 128)}\``;
  if (path?.[0] === "inputs" && path.length > 1) {
    const held = Object.hasOwn(goal.have, path[1]!) ? goal.have[path[1]!] : undefined;
    if (!held) {
      return { kind: "refused", code: "PLAN_INPUT_INVALID", why: `takes ${from}, which the goal does not have.` };
    }
    const isWhole = path.length === 2;
    return {
      kind: "path",
      from,
      type: isWhole ? held.type : undefined,
      schema: isWhole ? held.schema : undefined,
      ...(isWhole && held.value !== undefined && { value: held.value }),
    };
  }
  if (path?.[0] === "tasks" && path[2] === "output") return originOfOutput(path, from, contracts);
  const why = `is computed by ${from}; a plan may only name inputs.<name> and tasks.<id>.output.<field>.`;
  return { kind: "refused", code: "PLAN_EXPRESSION_NOT_ALLOWED", why };
}

function originOfOutput(path: string[], from: string, contracts: PlanScope["contracts"]): Origin {
  const [, task, , field, ...deeper] = path as [string, string, string, string | undefined, ...string[]];
  const contract = contracts.get(task);
  if (!contract || field === undefined) return { kind: "path", from, type: undefined, schema: undefined };
  const { produces, outputSchema } = contract;
  const known = Object.keys(isJsonObject(outputSchema?.properties) ? outputSchema.properties : {});
  const isDeclared = known.length + Object.keys(produces).length > 0 || outputSchema?.additionalProperties === false;
  if (isDeclared && !Object.hasOwn(produces, field) && !known.includes(field)) {
    const why = `takes ${from}, but "${contract.name}" gives no such field.${didYouMean(field, [...Object.keys(produces), ...known])}`;
    return { kind: "refused", code: "PLAN_INPUT_INVALID", why };
  }
  if (deeper.length > 0) return { kind: "path", from, type: undefined, schema: undefined };
  const type = Object.hasOwn(produces, field) ? produces[field] : undefined;
  return { kind: "path", from, type, schema: fieldSchema(outputSchema, field) };
}

/** The outputs are what is wanted, by name and type, and nothing else; of words alone, whatever tasks have made. */
export function outputIssues({ outputs }: Workflow, scope: PlanScope): Issue[] {
  const given = isJsonObject(outputs) ? outputs : {};
  const { want } = scope.goal;
  if (saysNoTypes(scope.goal)) return anyOutputIssues(given, scope);
  const missing = Object.entries(want)
    .filter(([name]) => !Object.hasOwn(given, name))
    .map(([name, type]): Issue => {
      const message = `The plan has no output \`${name}\`, which the goal wants (${type}).`;
      return { code: "PLAN_OUTPUT_MISSING", message, pointer: "/outputs" };
    });
  const wrong = Object.entries(given).flatMap(([name, value]): Issue[] => {
    const pointer = pointerTo("/outputs", name);
    if (!Object.hasOwn(want, name)) {
      const message = `The plan has an output \`${name.slice(0, 128)}\`, which the goal does not want; take it out.`;
      return [{ code: "PLAN_KEY_NOT_ALLOWED", message, pointer }];
    }
    const origin = originOf(value, scope);
    const flaw = outputFlaw(origin, want[name]!);
    return flaw ? [{ code: flaw.code, message: `The output \`${name}\` ${flaw.why}`, pointer }] : [];
  });
  return [...missing, ...wrong];
}

function anyOutputIssues(given: JsonObject, scope: PlanScope): Issue[] {
  if (Object.keys(given).length === 0) {
    const message = "The plan has no outputs, though the goal wants something; say what the run answers with.";
    return [{ code: "PLAN_OUTPUT_MISSING", message, pointer: "/outputs" }];
  }
  return Object.entries(given).flatMap(([name, value]): Issue[] => {
    const pointer = pointerTo("/outputs", name);
    if (!idPattern.test(name)) {
      const message = `The plan has an output ${JSON.stringify(name.slice(0, 128))}, which is no name; write it like a task's id.`;
      return [{ code: "PLAN_KEY_NOT_ALLOWED", message, pointer }];
    }
    const origin = originOf(value, scope);
    const flaw = origin.kind === "path" ? undefined : outputFlaw(origin, "");
    return flaw ? [{ code: flaw.code, message: `The output \`${name}\` ${flaw.why}`, pointer }] : [];
  });
}

/** What a run answers with has been made by its tasks: it has to be known to be what is wanted. */
function outputFlaw(origin: Origin, type: string): Flaw | undefined {
  if (origin.kind === "refused") return origin;
  if (origin.kind !== "path") {
    return {
      code: "PLAN_LITERAL_NOT_ALLOWED",
      why: "is made up by the plan; it has to be the output of a task, or an input.",
    };
  }
  if (origin.type === type) return undefined;
  return {
    code: "PLAN_TYPE_MISMATCH",
    why: `should be ${type}, and ${origin.from} is ${origin.type ?? "of no declared type"}.`,
  };
}

/** The tasks whose outputs a value takes anything from. */
export function sourcesIn(value: unknown): Set<string> {
  const found = new Set<string>();
  const stack = [value];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    if (typeof next === "string") {
      for (const segment of scanTemplate(next) ?? []) {
        const path = "source" in segment ? readPath(segment.source) : undefined;
        if (path?.[0] === "tasks" && path[1] !== undefined) found.add(path[1]);
      }
    } else if (typeof next === "object" && next !== null) stack.push(...Object.values(next));
  }
  return found;
}

function problemOf(value: Json, schema: JsonObject): string | undefined {
  // A reference is to another part of the whole schema, which is checked when the task is run.
  if (canonicalJson(schema).includes('"$ref"')) return undefined;
  const [problem] = usable(schema)?.findProblems(value) ?? [];
  return problem && `${problem.pointer} ${problem.message}`.trim();
}

/** Input schemas are the agent's own affair, and may be none that can be checked here. */
function usable(schema: JsonObject): Validator | undefined {
  try {
    return compileSchema(schema);
  } catch (error) {
    if (error instanceof SkeinError) return undefined;
    throw error;
  }
}

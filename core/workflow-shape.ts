/** Whether a value has the shape of a workflow, and if not, what is wrong with it in sentences. */
import { z } from "zod";
import { durationFlaw } from "./duration.ts";
import type { ErrorCode, Issue } from "./errors.ts";
import { MAX_ISSUES } from "./issues.ts";
import { isJsonObject, pointerTo } from "./json.ts";
import { didYouMean } from "./near-miss.ts";
import { loopSchema, type TaskDefinition, taskSchema, type Workflow, workflowSchema } from "./workflow-schema.ts";

type Path = readonly PropertyKey[];

const envelopeSchema = workflowSchema.extend({ tasks: z.array(z.unknown()).min(1) });

/**
 * The workflow in the value, or every flaw of its shape. Tasks are taken one at a time, so that 100,000 bad ones cost no
 * more than the first hundred.
 */
export function readShape(value: unknown): { workflow?: Workflow; issues: Issue[] } {
  const envelope = envelopeSchema.safeParse(value);
  const issues = (envelope.error?.issues ?? []).flatMap((issue) => describe(issue, issue.path, value));
  const tasks = readTasks(rawTasks(value), ["tasks"], value, issues);
  return envelope.success && issues.length === 0 ? { workflow: { ...envelope.data, tasks }, issues } : { issues };
}

/** A loop's body is read as tasks again; the depth of JSON bounds that. */
function readTasks(raws: readonly unknown[], path: Path, root: unknown, issues: Issue[]): TaskDefinition[] {
  const tasks: TaskDefinition[] = [];
  for (const [index, raw] of raws.entries()) {
    const task = taskSchema.safeParse(raw);
    if (task.success) {
      const { loop, ...rest } = withNeeds(task.data);
      const body = loop && readTasks(loop.body, [...path, index, "loop", "body"], root, issues);
      tasks.push(loop && body ? { ...rest, loop: { ...loop, body } } : rest);
    } else issues.push(...task.error.issues.flatMap((issue) => describe(issue, [...path, index, ...issue.path], root)));
    if (issues.length >= MAX_ISSUES) break;
  }
  return tasks;
}

/** The tasks as they stand in an unchecked value; none when there is no list of them. */
export function rawTasks(value: unknown): readonly unknown[] {
  return isJsonObject(value) && Array.isArray(value.tasks) ? value.tasks : [];
}

/** How messages name a task: by its id where it has one. */
export function taskName(raw: unknown, index: number): string {
  return isJsonObject(raw) && typeof raw.id === "string" ? `Task ${show(raw.id)}` : `Task number ${index + 1}`;
}

function withNeeds({
  depends_on,
  ...task
}: z.infer<typeof taskSchema>): Omit<z.infer<typeof taskSchema>, "depends_on"> {
  return depends_on === undefined ? task : { ...task, needs: depends_on };
}

function describe(issue: z.core.$ZodIssue, path: Path, root: unknown): Issue[] {
  const pointer = path.reduce<string>((parent, segment) => pointerTo(parent, String(segment)), "");
  if (issue.code === "unrecognized_keys") {
    return issue.keys.slice(0, MAX_ISSUES).map((key) => unknownKey(key, pointerTo(pointer, key), path, root));
  }
  if (issue.code === "invalid_union") {
    // The form that was meant is the one whose flaws lie inside the value.
    const meant = issue.errors.find((flaws) => flaws.every(isInside));
    if (meant) return meant.flatMap((inner) => describe(inner, [...path, ...inner.path], root));
  }
  const code: ErrorCode = issue.code === "custom" ? issue.params?.code : "WORKFLOW_INVALID";
  return [{ code, message: sentence(issue, path, root), pointer }];
}

function isInside(issue: z.core.$ZodIssue): boolean {
  return issue.path.length > 0 || issue.code === "unrecognized_keys";
}

function unknownKey(key: string, pointer: string, path: Path, root: unknown): Issue {
  const schema = schemaAt(path);
  const form = schema instanceof z.ZodUnion ? objectIn(schema) : schema;
  const known = form instanceof z.ZodObject ? Object.keys(form.shape) : [];
  const remedy =
    key === "<<"
      ? " YAML merge keys are not supported; repeat what they would merge."
      : didYouMean(key, known) || ` It may have ${known.join(", ")}.`;
  const message = `${subject(path, root)} has an unknown key ${show(key)}.${remedy}`;
  return { code: "WORKFLOW_KEY_UNKNOWN", message, pointer };
}

function sentence(issue: z.core.$ZodIssue, path: Path, root: unknown): string {
  const value = valueAt(root, path);
  const about = subject(path, root);
  const meaning = meaningAt(path);
  if (issue.code === "custom") return `${about} ${durationFlaw(value)}. ${meaning}`;
  if (issue.code === "invalid_key") return `${about} is a key of the wrong form. ${meaning}`;
  if (issue.code === "invalid_format") return `${about} is ${show(value)}, which has the wrong form. ${meaning}`;
  if (value === undefined) {
    return `${subject(path.slice(0, -1), root)} has no \`${String(path.at(-1))}\`; add it. ${meaning}`;
  }
  const guess = issue.code === "invalid_value" ? didYouMean(String(value), issue.values.map(String)) : "";
  return `${about} is ${show(value)}, but must be ${expected(issue, schemaAt(path))}.${guess} ${meaning}`.trimEnd();
}

const typeNames: Record<string, string> = {
  string: "a string",
  array: "a list",
  object: "an object",
  record: "an object",
  int: "a whole number",
  number: "a whole number",
  boolean: "true or false",
};

function expected(issue: z.core.$ZodIssue, schema?: z.ZodType): string {
  if (schema instanceof z.ZodNumber && !(schema instanceof z.ZodNumberFormat) && issue.code === "invalid_type") {
    return "a number";
  }
  if (issue.code === "invalid_type") return typeNames[issue.expected] ?? issue.expected;
  if (issue.code === "invalid_value") {
    return issue.values.length === 1 ? `"${String(issue.values[0])}"` : `one of ${issue.values.join(", ")}`;
  }
  if (issue.code === "invalid_union")
    return issue.errors.flatMap(([flaw]) => (flaw ? expected(flaw) : [])).join(" or ");
  if (issue.code === "too_small")
    return issue.origin === "array" ? `a list of at least ${issue.minimum}` : `at least ${issue.minimum}`;
  if (issue.code === "too_big") return `at most ${issue.maximum}${issue.origin === "string" ? " characters long" : ""}`;
  return "of another form";
}

function subject(path: Path, root: unknown): string {
  const isInTask = path[0] === "tasks" && typeof path[1] === "number";
  const owner = isInTask ? taskName(rawTasks(root)[path[1] as number], path[1] as number) : "The workflow";
  const field = path.slice(isInTask ? 2 : 0).map(String);
  return field.length > 0 ? `${owner}: \`${shorten(field.join("."))}\`` : owner;
}

/** What the field at a path is for, from the description nearest to it in the schema. */
function meaningAt(path: Path): string {
  for (let length = path.length; length >= 0; length--) {
    const description = schemaAt(path.slice(0, length))?.description;
    if (description) return description;
  }
  return "";
}

function schemaAt(path: Path): z.ZodType | undefined {
  let schema: z.core.$ZodType | undefined = workflowSchema;
  for (const segment of path) {
    if (schema instanceof z.ZodObject) schema = schema.shape[segment as string];
    else if (schema === loopSchema.shape.body) schema = taskSchema;
    else if (schema instanceof z.ZodArray) schema = schema.element;
    else if (schema instanceof z.ZodUnion) schema = objectIn(schema)?.shape[segment as string];
    else if (schema instanceof z.ZodRecord) schema = schema.valueType;
    else return undefined;
    if (schema instanceof z.ZodOptional) schema = schema.unwrap();
  }
  return (schema instanceof z.ZodUnion && !schema.description ? objectIn(schema) : schema) as z.ZodType | undefined;
}

/** Of the forms of a union, the one that has keys. */
function objectIn(schema: z.ZodUnion): z.ZodObject | undefined {
  return schema.options.find((option) => option instanceof z.ZodObject);
}

function valueAt(root: unknown, path: Path): unknown {
  let value: unknown = root;
  for (const segment of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, segment)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[segment];
  }
  return value;
}

const MAX_SHOWN = 60;

function show(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (isJsonObject(value)) return "an object";
  return typeof value === "string" ? JSON.stringify(shorten(value)) : String(value);
}

function shorten(text: string): string {
  return text.length <= MAX_SHOWN ? text : `${text.slice(0, MAX_SHOWN)}…`;
}

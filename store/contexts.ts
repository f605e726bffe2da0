/** What expressions see: the inputs of the run, and what the tasks that they name have come to. */
import type { Activation } from "../core/activation.ts";
import type { ExpressionContext } from "../core/expression.ts";
import type { Json, JsonObject } from "../core/json.ts";
import { mapOutputs } from "../core/map.ts";
import { defineLazy, type Ref, withNames } from "../core/payload.ts";
import type { TaskStatus } from "../core/run.ts";
import { wholes } from "./blobs.ts";
import type { Queryable } from "./sql.ts";
import type { Undecided } from "./transitions.ts";

interface RunInputs {
  id: string;
  inputs: JsonObject;
  refs: Ref[] | null;
  attempt: number;
}

/** What is read from where: names that stand in the same scope of the same run mean the same. */
interface Reading {
  runId: string;
  scope: string;
  tasks: ReadonlySet<string>;
  readsPrevious: boolean;
}

/** What each task's condition and templates can see: the run's inputs, and only those tasks that they name. */
export async function loadContexts(
  tx: Queryable,
  starting: { task: Undecided; activation: Activation }[],
): Promise<(task: Undecided) => ScopeContext> {
  const readings = new Map<string, Reading & { tasks: Set<string> }>();
  for (const { task, activation } of starting) {
    const { run_id: runId, scope } = task;
    const group = `${runId} ${scope}`;
    const reading = readings.get(group) ?? { runId, scope, tasks: new Set(), readsPrevious: false };
    for (const id of activation.tasks) reading.tasks.add(id);
    reading.readsPrevious ||= activation.readsPrevious;
    readings.set(group, reading);
  }
  const contexts = await readScopes(tx, [...readings.values()]);
  const byGroup = new Map([...readings.keys()].map((group, n) => [group, contexts[n]!]));
  return (task) => {
    const scoped = byGroup.get(`${task.run_id} ${task.scope}`)!;
    return task.ordinal === null ? scoped : ofInstance(scoped, { ...task, ordinal: task.ordinal });
  };
}

/** What is large in a context is read from `contents`, by whoever evaluates (`evaluating`). */
export interface ScopeContext {
  context: ExpressionContext;
  contents: Map<string, Json>;
}

/** What an instance of a map, or an iteration, sees beside its scope: its place, and its item. */
export function ofInstance(
  { context, contents }: ScopeContext,
  { ordinal, item, item_refs }: { ordinal: number; item: Json; item_refs: Ref[] | null },
): ScopeContext {
  const named = withNames(context, { index: ordinal, item });
  if (item_refs) defineLazy(named, "item", { value: item, refs: item_refs }, contents);
  return { context: named, contents };
}

/** The context of each reading. A name means the task nearest to it: in its own scope, else in the one around that. */
export async function readScopes(tx: Queryable, readings: Reading[]): Promise<ScopeContext[]> {
  if (readings.length === 0) return [];
  const runIds = [...new Set(readings.map((reading) => reading.runId))];
  const keys = new Map<string, Set<string>>(runIds.map((id) => [id, new Set()]));
  for (const { runId, scope, tasks } of readings) {
    for (const id of tasks) for (const around of scopesAround(scope)) keys.get(runId)!.add(around + id);
  }
  const rows = await tx.query<RunInputs>(
    "select id, inputs, attempt, refs -> 'inputs' as refs from run where id = any($1::uuid[])",
    [runIds],
  );
  const runs = new Map(rows.map((run) => [run.id, run]));
  const contents = new Map<string, Json>();
  const results = await loadResults(tx, keys, contents);
  const previous = await loadPrevious(tx, readings);
  return readings.map(({ runId, scope, tasks }, n) => {
    const { inputs, attempt, refs } = runs.get(runId)!;
    const found = results.get(runId) ?? {};
    const named: Record<string, TaskResult> = Object.create(null);
    for (const id of tasks) {
      const around = scopesAround(scope).find((prefix) => prefix + id in found);
      if (around !== undefined) named[id] = found[around + id]!;
    }
    const context: ExpressionContext = { inputs, tasks: named, run: { id: runId, attempt } };
    if (refs) defineLazy(context, "inputs", { value: inputs, refs }, contents);
    if (scope !== "") context.previous = previous[n] ?? null;
    return { context, contents };
  });
}

/** `a[1]/b[0]/` → itself, `a[1]/` and the empty one. */
export function scopesAround(scope: string): string[] {
  const scopes = [scope];
  for (let inner = scope; inner !== ""; ) {
    inner = inner.slice(0, inner.lastIndexOf("/", inner.length - 2) + 1);
    scopes.push(inner);
  }
  return scopes;
}

/** In `refine[2]/`: what iteration 1 of the loop gave, by the id of its tasks. */
async function loadPrevious(tx: Queryable, readings: Reading[]): Promise<(JsonObject | undefined)[]> {
  const asked = readings.flatMap(({ runId, scope, readsPrevious }, n) => {
    const match = readsPrevious ? /^(.*)\[(\d+)\]\/$/.exec(scope) : null;
    return match && match[2] !== "0" ? [{ n, run_id: runId, key: match[1]!, iteration: Number(match[2]) - 1 }] : [];
  });
  if (asked.length === 0) return [];
  const rows = await tx.query<{ n: number; key: string; output: Json; refs: Ref[] | null }>(
    `select a.n, t.key, t.output, t.refs -> 'output' as refs
     from json_to_recordset($1) as a(n int, run_id uuid, key text, iteration int)
     join task c on c.run_id = a.run_id and c.key = a.key
     join task t on t.parent_id = c.id and t.ordinal = a.iteration`,
    [JSON.stringify(asked)],
  );
  const outputs = await wholes(
    tx,
    rows.map(({ output, refs }) => ({ value: output, refs })),
  );
  for (const [n, row] of rows.entries()) row.output = outputs[n]!;
  const previous: JsonObject[] = [];
  for (const { n } of asked) previous[n] = outputsById(rows.filter((row) => row.n === n));
  return previous;
}

/** Outputs of the tasks of one iteration, by the ids they have in the body. */
export function outputsById(rows: readonly { key: string; output: Json }[]): JsonObject {
  return Object.fromEntries(rows.map(({ key, output }) => [idInBody(key), output]));
}

/** `refine[2]/draft` → `draft`. */
export function idInBody(key: string): string {
  return key.slice(key.lastIndexOf("/") + 1);
}

export interface TaskResult {
  status: TaskStatus;
  output: Json;
  /** Of a map: those of its items, in order. */
  outputs?: Json[];
  error: Json;
}

/** Results of the named tasks, by run and key; what is large in them is read from `contents`. */
export async function loadResults(
  tx: Queryable,
  keysByRun: Map<string, Set<string>>,
  contents: Map<string, Json>,
): Promise<Map<string, Record<string, TaskResult>>> {
  const results = new Map<string, Record<string, TaskResult>>();
  const rows = await readByKey<{ is_map: boolean; refs: Ref[] | null } & TaskResult>(
    tx,
    keysByRun,
    "t.status, t.output, t.error, t.refs -> 'output' as refs, coalesce(t.spec -> 'engine' ->> 'kind' = 'map', false) as is_map",
  );
  for (const { run_id, key, status, output, error, is_map, refs } of rows) {
    // A task may be called __proto__.
    const byKey = results.get(run_id) ?? (Object.create(null) as Record<string, TaskResult>);
    const result: TaskResult = { status, output, error };
    if (is_map) result.outputs = refs ? [] : (mapOutputs(output) ?? []);
    if (refs) {
      const payload = { value: output, refs };
      defineLazy(result, "output", payload, contents);
      if (is_map) defineLazy(result, "outputs", payload, contents, (whole) => mapOutputs(whole) ?? []);
    }
    byKey[key] = result;
    results.set(run_id, byKey);
  }
  return results;
}

/** By run and key. */
export async function loadStatuses(
  tx: Queryable,
  keysByRun: Map<string, Set<string>>,
): Promise<Map<string, TaskStatus>> {
  const rows = await readByKey<{ status: TaskStatus }>(tx, keysByRun, "t.status");
  return new Map(rows.map(({ run_id, key, status }) => [`${run_id} ${key}`, status]));
}

/** Columns of the tasks of these keys. */
async function readByKey<R>(
  tx: Queryable,
  keysByRun: Map<string, Set<string>>,
  columns: string,
): Promise<(R & { run_id: string; key: string })[]> {
  const pairs = [...keysByRun].flatMap(([runId, keys]) => [...keys].map((key) => ({ runId, key })));
  if (pairs.length === 0) return [];
  return tx.query(
    `select t.run_id, t.key, ${columns}
     from unnest($1::uuid[], $2::text[]) as n(run_id, key)
     join task t on t.run_id = n.run_id and t.key = n.key`,
    [pairs.map((pair) => pair.runId), pairs.map((pair) => pair.key)],
  );
}

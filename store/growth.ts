/** What a running task adds to its run: items of open maps, and tasks that it spawns. */

import { type Failure, failureKinds } from "../core/errors.ts";
import type { Json } from "../core/json.ts";
import type { Limits } from "../core/limits.ts";
import type { MapSpec } from "../core/map.ts";
import { workHash } from "../core/repeats.ts";
import type { TaskSeed, TaskStatus } from "../core/run.ts";
import { type KnownCapability, seedSpawned, unfitSpawn } from "../core/spawn.ts";
import { scopesAround } from "./contexts.ts";
import type { FactLog } from "./facts.ts";
import { addItems } from "./maps.ts";
import { addTasks, type NewTaskRow, newRows } from "./new-tasks.ts";
import { unplannedGrowth } from "./planned-growth.ts";
import type { Queryable, Transaction } from "./sql.ts";
import { loadRows, loadRun, tooMany } from "./step.ts";
import { finishSteps, stepRun } from "./steps.ts";
import type { Emission } from "./store.ts";
import { type LoadedTask, lockTasks } from "./transitions.ts";

interface OpenMap {
  id: string;
  status: TaskStatus;
  kind: string | null;
}

/**
 * Items that a running task emits into a map of its run. The caller holds the run exclusively and has the task locked.
 * Answers why, when they cannot be taken.
 */
export async function emitItems(
  tx: Transaction,
  log: FactLog,
  from: Pick<LoadedTask, "runId" | "namespace" | "scope">,
  { map, items, close }: Pick<Emission, "map" | "items" | "close">,
  limits: Limits,
): Promise<{ added: number; repeated: number } | Failure> {
  const ref = { runId: from.runId, namespace: from.namespace };
  const [found] = await tx.query<OpenMap>(
    `select id, status, spec -> 'engine' ->> 'kind' as kind from task where run_id = $1 and key = any($2)
     order by length(key) desc limit 1`,
    [from.runId, scopesAround(from.scope).map((scope) => scope + map)],
  );
  if (found?.kind !== "map")
    return refused(`There is no map "${map}" where the task stands; name a task with \`for_each\`.`);
  if (found.status !== "waiting")
    return refused(`The map "${map}" is ${found.status}; items can be added while it waits.`);
  // One that has only just started has not looked at its first items yet.
  await stepRun(tx, log, ref, Number.MAX_SAFE_INTEGER, limits);
  const [task] = await lockTasks(tx, [found.id]);
  const row = (await loadRows(tx, [task!])).get(found.id)!;
  const spec = task!.spec.engine as MapSpec;
  if (!spec.open || !row.tally || row.tally.isClosed)
    return refused(`The map "${map}" is closed; give it \`open\`, or emit before it is closed.`);
  const known = await tx.query<{ item_key: string }>(
    "select item_key from task where parent_id = $1 and item_key = any($2)",
    [found.id, items.flatMap(({ key }) => key ?? [])],
  );
  const seen = new Set(known.map((one) => one.item_key));
  const fresh = items.filter(({ key }) => key === null || (!seen.has(key) && seen.add(key)));
  const run = await loadRun(tx, ref, limits);
  const step = { task: task!, row, run };
  const excess = tooMany(run, fresh.length);
  if (excess) return excess;
  const result = await addItems(tx, log, step, spec, { ...row.tally, isClosed: close }, fresh);
  await finishSteps(tx, log, [step], new Map([[found.id, result]]));
  return { added: fresh.length, repeated: items.length - fresh.length };
}

function refused(message: string): Failure {
  return { code: failureKinds.emitRefused, message, retryable: false };
}

/**
 * Adds tasks to the run of the task that spawned them, to be started once that has completed. The caller holds the run
 * exclusively. Answers why it cannot.
 */
export async function spawnTasks(
  tx: Transaction,
  log: FactLog,
  from: Pick<LoadedTask, "id" | "runId" | "namespace" | "key" | "capability" | "budget">,
  tasks: Json[],
  limits: Limits,
): Promise<NewTaskRow[] | Failure> {
  const ref = { runId: from.runId, namespace: from.namespace };
  const run = await loadRun(tx, ref, limits);
  const seeds = seedSpawned(tasks, from.key, limits, run.allowedCapabilities);
  if ("code" in seeds) return seeds;
  const excess =
    tooMany(run, seeds.length) ??
    (await unfit(tx, from.namespace, seeds)) ??
    (await unplannedGrowth(tx, run, from, { tasks, seeds }));
  if (excess) return excess;
  const rows = newRows(seeds, { ...ref, priority: run.priority, scope: `${from.key}/`, budget: from.budget });
  for (const [index, row] of rows.entries()) row.work_hash = workHash(seeds[index]!);
  const repeats = await repeatsIn(tx, run.runId, rows);
  await addTasks(tx, log, [], rows);
  tx.send("update run set task_count = task_count + $2, revision = revision + 1 where id = $1", [
    run.runId,
    seeds.length,
  ]);
  log.add(ref, { type: "run.grown", tasks: seeds.length, by: from.key });
  for (const { row, of } of repeats) {
    log.add(ref, { type: "task.repeated", task_id: row.id, key: row.key, attempt: 0, of });
  }
  return rows;
}

async function unfit(tx: Queryable, namespace: string, seeds: readonly TaskSeed[]): Promise<Failure | undefined> {
  const known = await tx.query<KnownCapability>(
    `select name, version, input_schema as "inputSchema" from capability
     where namespace = $1 and name = any($2) order by name, version`,
    [namespace, [...new Set(seeds.map(({ capability }) => capability))]],
  );
  const failure = unfitSpawn(seeds, known, []);
  if (!failure) return undefined;
  const names = await tx.query<{ name: string }>(
    "select distinct name from capability where namespace = $1 order by name",
    [namespace],
  );
  return unfitSpawn(
    seeds,
    known,
    names.map(({ name }) => name),
  );
}

/** The new tasks that ask the same as one before, each with the first that does. */
async function repeatsIn(
  tx: Queryable,
  runId: string,
  rows: readonly NewTaskRow[],
): Promise<{ row: NewTaskRow; of: string }[]> {
  const hashes = rows.flatMap(({ work_hash }) => work_hash ?? []);
  if (hashes.length === 0) return [];
  const before = await tx.query<{ work_hash: string; key: string }>(
    `select distinct on (work_hash) work_hash::text, key from task
     where run_id = $1 and work_hash = any($2::bigint[]) and work_hash is not null
     order by work_hash, id`,
    [runId, hashes],
  );
  const first = new Map(before.map(({ work_hash, key }) => [work_hash, key]));
  return rows.flatMap((row) => {
    if (row.work_hash === null) return [];
    const of = first.get(row.work_hash);
    if (of === undefined) first.set(row.work_hash, row.key);
    return of === undefined ? [] : [{ row, of }];
  });
}

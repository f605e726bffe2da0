/** Writes a patch of a run's graph: rows that have not started are taken away and written anew. */
import { rewritten } from "../core/patch.ts";
import { isTerminalRun, isTerminalTask, type RunStatus, type TaskStatus } from "../core/run.ts";
import { budgetOfRun } from "./budgets.ts";
import { type FactLog, type RunRef, recording, type StoreContext } from "./facts.ts";
import { addTasks, dependantsOf, type NewTaskRow, newRows, startHeld } from "./new-tasks.ts";
import { inChunks, type Queryable, type Transaction } from "./sql.ts";
import type { Patching, PatchOutcome, PatchStore } from "./store.ts";
import { tellUntold } from "./transitions.ts";
import { storeDefinitions } from "./workflows.ts";

/** Settled tasks told of by one statement. */
const TOLD_AT_ONCE = 1_000;

interface Row {
  id: string;
  key: string;
  status: TaskStatus;
  attempt: number;
  needs: string[];
  dependants: string[];
}

export function patchStore(store: StoreContext): PatchStore {
  return { patch: (patching) => patchGraph(store, patching) };
}

async function patchGraph(store: StoreContext, patching: Patching): Promise<PatchOutcome> {
  return recording(store, (tx, log) => patchIn(tx, log, patching));
}

/** Of a patch by a planner: what goes into the event beside the rest. */
interface PlannedPatch {
  round?: number;
  planId?: string;
  superseded?: string[];
}

export async function patchIn(tx: Transaction, log: FactLog, patching: Patching & PlannedPatch): Promise<PatchOutcome> {
  const { namespace, runId, revision: expected, ofHash, dryRun, diff } = patching;
  const ref: RunRef = { runId, namespace };
  const [run] = await tx.query<{
    status: RunStatus;
    revision: number;
    hash: string;
    priority: number;
    ending: boolean;
    awaits_start: boolean;
  }>(
    `select status, revision, definition_hash as hash, priority, ending is not null as ending, awaits_start
       from run where namespace = $1 and id = $2 for update`,
    [namespace, runId],
  );
  if (!run) return { outcome: "no_run" };
  if (isTerminalRun(run.status) || run.ending) return { outcome: "finished" };
  const { revision } = run;
  const isStale = expected === undefined ? run.hash !== ofHash : revision !== expected;
  if (isStale) return { outcome: "stale", revision };
  // What has settled is told first: then the counters of those that wait say all there is to say.
  while ((await tellUntold(tx, log, [ref], TOLD_AT_ONCE)) > 0);
  const rows = await lockTop(tx, runId);
  const byKey = new Map(rows.map((row) => [row.key, row]));
  const started = rewritten(diff).find((key) => !isUnstarted(byKey.get(key)!));
  if (started !== undefined) return { outcome: "started", task: started, status: byKey.get(started)!.status };
  if (dryRun) return { outcome: "patched", revision };
  const gone = new Set(rewritten(diff).map((key) => byKey.get(key)!.id));
  const fresh = await rewrite(tx, log, patching, run.priority, byKey, gone);
  storeDefinitions(tx, [{ namespace, hash: patching.hash, body: patching.workflow }]);
  tx.send("update run set revision = revision + 1, definition_hash = $2, task_count = task_count + $3 where id = $1", [
    runId,
    patching.hash,
    diff.added.length - diff.removed.length,
  ]);
  const { by, reason, round, planId, superseded } = patching;
  log.add(ref, {
    type: "run.patched",
    by,
    changes: { ...diff, ...(superseded && { superseded }) },
    ...(reason !== undefined && { reason }),
    ...(round !== undefined && { round }),
    ...(planId !== undefined && { plan: planId }),
  });
  for (const key of diff.removed) {
    const { id, attempt } = byKey.get(key)!;
    log.add(ref, { type: "task.cancelled", task_id: id, key, attempt, reason: "removed_by_patch" });
  }
  // A run that waits for its limits starts with all of its tasks.
  if (!run.awaits_start) await startHeld(tx, log, fresh);
  log.mayBeFinished(ref);
  return { outcome: "patched", revision: revision + 1 };
}

/** The tasks of the definition, locked. */
function lockTop(tx: Queryable, runId: string): Promise<Row[]> {
  return tx.query<Row>(
    `select id, key, status, attempt, to_json(needs) as needs, to_json(dependants) as dependants
     from task
     where run_id = $1 and scope = '' and parent_id is null and compensates is null
     order by id for no key update`,
    [runId],
  );
}

function isUnstarted({ status, attempt }: Row): boolean {
  return status === "pending" || (status === "ready" && attempt === 0);
}

/** Rows for what is added, replaced or rewired, in the place of those that go; edges and counters around them. */
async function rewrite(
  tx: Transaction,
  log: FactLog,
  { namespace, runId, tasks, diff }: Patching,
  priority: number,
  byKey: Map<string, Row>,
  gone: Set<string>,
): Promise<NewTaskRow[]> {
  const written = new Set([...diff.added, ...diff.replaced, ...diff.rewired]);
  const seeds = tasks.filter((task) => written.has(task.key));
  const fresh = newRows(
    seeds.map((seed) => ({ ...seed, needs: [] })),
    { namespace, runId, priority, budget: await budgetOfRun(tx, runId) },
  );
  const ids = new Map([...byKey].map(([key, row]) => [key, row.id]));
  for (const row of fresh) ids.set(row.key, row.id);
  const dependants = dependantsOf(tasks, ids);
  for (const [n, row] of fresh.entries()) {
    const { needs } = seeds[n]!;
    const statuses = needs
      .map((need) => byKey.get(need))
      .map((need) => (need && !gone.has(need.id) ? need.status : "pending"));
    row.needs = needs.map((need) => ids.get(need)!);
    row.need_count = needs.length;
    row.needs_left = statuses.filter((status) => !isTerminalTask(status)).length;
    row.needs_skipped = statuses.filter((status) => status === "skipped").length;
    row.needs_failed = statuses.filter((status) => status === "failed" || status === "cancelled").length;
    row.dependants = dependants.get(row.key) ?? [];
    row.tells_plain = false;
  }
  const edges = tasks.flatMap((task) => {
    const row = byKey.get(task.key);
    if (!row || gone.has(row.id)) return [];
    const needs = task.needs.map((need) => ids.get(need)!);
    const told = dependants.get(task.key) ?? [];
    const isSame = sameIds(needs, row.needs) && sameIds(told, row.dependants);
    return isSame ? [] : [{ id: row.id, needs, dependants: told }];
  });
  await tx.query("delete from task where id = any($1::uuid[])", [[...gone]]);
  tx.send("delete from budget where id = any($1::uuid[])", [[...gone]]);
  await inChunks(edges, (chunk) =>
    tx.query(
      `update task t set needs = u.needs, dependants = u.dependants, tells_plain = false
       from json_to_recordset($1) as u(id uuid, needs uuid[], dependants uuid[])
       where t.id = u.id`,
      [JSON.stringify(chunk)],
    ),
  );
  await addTasks(tx, log, [], fresh);
  return fresh;
}

function sameIds(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && new Set([...a, ...b]).size === a.length;
}

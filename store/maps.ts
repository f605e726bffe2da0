/** The steps of maps: instances that are added, started and counted. */
import { failureKinds } from "../core/errors.ts";
import type { Json } from "../core/json.ts";
import type { TaskEvent } from "../core/lifecycle.ts";
import { limitSentence } from "../core/limits.ts";
import {
  decideMap,
  emptyTally,
  type InstanceResult,
  type MapSpec,
  mapOutput,
  settledIn,
  type Tally,
} from "../core/map.ts";
import { payloadBytes, type Ref, refsAt } from "../core/payload.ts";
import { apart } from "./blobs.ts";
import type { FactLog } from "./facts.ts";
import { addTasks, type NewTaskRow, newRow } from "./new-tasks.ts";
import type { Queryable, Transaction } from "./sql.ts";
import { doomed, inputOf, type Step, type StepResult, tooMany } from "./step.ts";
import { moveOn, type Undecided, undecidedColumns } from "./transitions.ts";

export async function stepMap(tx: Transaction, log: FactLog, step: Step, spec: MapSpec): Promise<StepResult> {
  const { task, row } = step;
  if (row.tally === null) {
    const items = inputOf(step);
    if (!Array.isArray(items)) {
      const shown = JSON.stringify(items).slice(0, 64);
      return doomed("EXPRESSION_TYPE", `\`for_each\` of ${task.key} must be a list, not ${shown}.`);
    }
    const tally = { ...emptyTally, isClosed: spec.open === undefined };
    return addItems(
      tx,
      log,
      step,
      spec,
      tally,
      items.map((item) => ({ item, key: null })),
    );
  }
  return goOn(tx, log, step, spec, row.tally);
}

/** More instances, of which some start at once. */
export async function addItems(
  tx: Transaction,
  log: FactLog,
  step: Step,
  spec: MapSpec,
  tally: Tally,
  items: { item: Json; key: string | null }[],
): Promise<StepResult> {
  const { task, run } = step;
  const excess = tooMany(run, items.length);
  if (excess) return { event: { type: "doomed", failure: excess } };
  const stored = await apart(
    tx,
    items.map(({ item }) => ({ value: item })),
  );
  const rows = items.map(({ key }, n): NewTaskRow => {
    const ordinal = tally.total + n;
    const place = { ...run, scope: task.scope, parentId: task.id, ordinal, item: stored[n]!, budget: task.budget };
    return { ...newRow(spec.each, place, `${task.key}[${ordinal}]`), item_key: key };
  });
  if (spec.maxConcurrency === undefined) await addTasks(tx, log, rows);
  else await addTasks(tx, log, [], rows);
  run.added += rows.length;
  return goOn(tx, log, step, spec, { ...tally, total: tally.total + items.length });
}

async function goOn(tx: Transaction, log: FactLog, step: Step, spec: MapSpec, tally: Tally): Promise<StepResult> {
  const unlimited = tally.total - settledIn(tally);
  const active = spec.maxConcurrency === undefined ? unlimited : await countActive(tx, step.task.id);
  const verdict = decideMap(spec, tally, active);
  if (verdict.type === "failed") return { event: { type: "doomed", failure: verdict.failure } };
  if (verdict.type === "completed") return { event: await mapCompleted(tx, step) };
  if (verdict.start > 0) await startInstances(tx, log, step.task.id, verdict.start);
  return { tally };
}

async function countActive(tx: Queryable, mapId: string): Promise<number> {
  const [row] = await tx.query<{ active: number }>(
    "select count(*)::int as active from task where parent_id = $1 and status in ('ready', 'running', 'waiting')",
    [mapId],
  );
  return row!.active;
}

async function mapCompleted(tx: Transaction, { task, run }: Step): Promise<TaskEvent> {
  const results = await tx.query<InstanceResult & { refs: Ref[] | null }>(
    `select ordinal as index, status, output, error, refs -> 'output' as refs from task where parent_id = $1 order by ordinal`,
    [task.id],
  );
  // What is large in an item's output is large in the map's, and stands apart already.
  const refs = results.flatMap((result, n) => refsAt(`/items/${n}/output`, result.refs));
  const payload = { value: mapOutput(results) as Json, refs };
  if (payloadBytes(payload) <= run.limits.outputBytes) {
    const [stored] = await apart(tx, [payload]);
    return { type: "completed", output: stored!.value, ...(stored!.refs?.length && { outputRefs: stored!.refs }) };
  }
  const message = `The outputs of all items together are too large; ${limitSentence("outputBytes", run.limits)}. Let each store its result elsewhere and return where.`;
  return { type: "doomed", failure: { code: failureKinds.outputTooLarge, message, retryable: false } };
}

/** Instances start in the order of their items. */
async function startInstances(tx: Transaction, log: FactLog, mapId: string, count: number): Promise<void> {
  const pending = await tx.query<Undecided>(
    `select ${undecidedColumns} from task t
     where t.parent_id = $1 and t.status = 'pending'
     order by t.ordinal
     limit $2
     for no key update of t`,
    [mapId, count],
  );
  await moveOn(tx, log, pending);
}

/** Undoes what has completed in a run that ends badly, before the run ends. */
import { type Compensable, compensationInput, compensationOrder, compensationReads } from "../core/compensation.ts";
import { SkeinError } from "../core/errors.ts";
import type { Json } from "../core/json.ts";
import { type Ref, withNames } from "../core/payload.ts";
import type { RunEnding, TaskSeed, TaskSpec } from "../core/run.ts";
import { seedTask } from "../core/seed.ts";
import { apart, evaluating, whole } from "./blobs.ts";
import { ofInstance, readScopes } from "./contexts.ts";
import type { FactLog, RunRef } from "./facts.ts";
import { addTasks, type NewTaskRow, newRows } from "./new-tasks.ts";
import type { Transaction } from "./sql.ts";
import { lockTasks, settle } from "./transitions.ts";

interface CompletedRow {
  id: string;
  key: string;
  scope: string;
  ordinal: number | null;
  item: Json;
  item_refs: Ref[] | null;
  output: Json;
  refs: Ref[] | null;
  finished_ms: number;
  compensate: NonNullable<TaskSpec["compensate"]>;
}

/**
 * Adds the compensations of the run, and its ending, under which it is to finish when they have settled. The caller holds
 * the run exclusively. False: there is nothing to undo.
 */
export async function beginCompensation(
  tx: Transaction,
  log: FactLog,
  run: RunRef,
  ending: RunEnding,
): Promise<boolean> {
  const rows = await tx.query<CompletedRow>(
    `select t.id, t.key, t.scope, t.ordinal, t.item, t.refs -> 'item' as item_refs, t.output,
       t.refs -> 'output' as refs, t.spec -> 'compensate' as compensate,
       (extract(epoch from coalesce(o.finished_at, t.finished_at)) * 1000)::float8 as finished_ms
     from task t left join task o on o.id = t.kept_from
     where t.run_id = $1 and t.status = 'completed' and t.spec -> 'compensate' is not null
     order by t.id`,
    [run.runId],
  );
  if (rows.length === 0) return false;
  const order = compensationOrder(rows.map((row) => ({ ...row, finishedAt: row.finished_ms })));
  const compensations = newRows(order.map(seedOf), { ...run, priority: 0 });
  const flawed = await fillIn(tx, run, order, compensations);
  await addTasks(tx, log, compensations);
  tx.send("update run set compensated = true, ending = $2, task_count = task_count + $3 where id = $1", [
    run.runId,
    JSON.stringify(ending),
    order.length,
  ]);
  log.add(run, { type: "run.compensating", tasks: order.length });
  if (flawed.size > 0) {
    const locked = await lockTasks(tx, [...flawed.keys()]);
    await settle(tx, log, locked, (task) => flawed.get(task.id));
  }
  return true;
}

/** Each after the one before it, however that ended. What it receives is written with its row. */
function seedOf({ key, compensate }: Compensable, index: number, order: readonly Compensable[]): TaskSeed {
  const before = order[index - 1];
  const task = { id: compensationKey(key), capability: compensate.capability, input: null };
  if (!before) return seedTask(task, {});
  return seedTask({ ...task, needs: [compensationKey(before.key)], trigger_rule: "all_done" }, {});
}

function compensationKey(key: string): string {
  return `${key}/compensate`;
}

/** Their inputs. Answers which of them cannot be evaluated, with why. */
async function fillIn(tx: Transaction, run: RunRef, order: (Compensable & CompletedRow)[], rows: NewTaskRow[]) {
  const contexts = await readScopes(
    tx,
    order.map((task) => ({
      runId: run.runId,
      scope: task.scope,
      tasks: compensationReads(task),
      readsPrevious: false,
    })),
  );
  const flawed = new Map<string, { type: "doomed"; failure: { code: string; message: string; retryable: false } }>();
  for (const [n, task] of order.entries()) {
    const row = rows[n]!;
    row.compensates = task.id;
    const { ordinal } = task;
    const output = await whole(tx, { value: task.output, refs: task.refs });
    const { context, contents } = ordinal === null ? contexts[n]! : ofInstance(contexts[n]!, { ...task, ordinal });
    const named = withNames(context, { output });
    try {
      const value = await evaluating(tx, contents, () => compensationInput(task, named));
      const [stored] = await apart(tx, [{ value }]);
      row.input = stored!.value;
      row.input_refs = stored!.refs ?? null;
    } catch (error) {
      if (!(error instanceof SkeinError)) throw error;
      flawed.set(row.id, { type: "doomed", failure: { code: error.code, message: error.message, retryable: false } });
    }
  }
  return flawed;
}

/** The steps of loops: one iteration after the other, as rows of its own. */
import type { Failure } from "../core/errors.ts";
import { firstUnhandled } from "../core/handled.ts";
import { type Json, pointerTo } from "../core/json.ts";
import { decideLoop, type LoopSpec, readByUntil } from "../core/loop.ts";
import { emptyTally, settledIn } from "../core/map.ts";
import { type Ref, refsAt } from "../core/payload.ts";
import type { TaskStatus } from "../core/run.ts";
import { apart, evaluating } from "./blobs.ts";
import { idInBody, ofInstance, outputsById, readScopes } from "./contexts.ts";
import type { FactLog } from "./facts.ts";
import { addTasks, newRows } from "./new-tasks.ts";
import type { Transaction } from "./sql.ts";
import { type Step, type StepResult, tooMany } from "./step.ts";

export async function stepLoop(tx: Transaction, log: FactLog, step: Step, spec: LoopSpec): Promise<StepResult> {
  const { task: loop, row } = step;
  if (row.tally === null) return iterate(tx, log, step, spec, 0);
  const { tally } = row;
  const iteration = tally.iteration!;
  if (settledIn(tally) < tally.total) return { tally };
  const scope = `${loop.key}[${iteration}]/`;
  const tasks = await tx.query<BodyRow>(
    `select id, key, status, reason, error, output, refs -> 'output' as refs, to_json(dependants) as dependants
     from task where parent_id = $1 and ordinal = $2 order by finished_at, id`,
    [loop.id, iteration],
  );
  const first = firstUnhandled(tasks.filter((task) => task.status !== "completed"));
  const failure = first && { ...first.error!, task: first.key, retryable: false };
  const [scoped] = await readScopes(tx, [
    { runId: step.run.runId, scope, tasks: readByUntil(spec), readsPrevious: true },
  ]);
  const { context, contents } = ofInstance(scoped!, { ...row, ordinal: iteration });
  const verdict = await evaluating(tx, contents, () => decideLoop(spec, iteration, failure, context));
  if (verdict.type === "again") return iterate(tx, log, step, spec, iteration + 1);
  if (verdict.type === "failed") return { event: { type: "doomed", failure: verdict.failure } };
  const value: Json = { iterations: iteration + 1, outputs: outputsById(tasks) };
  const refs = tasks.flatMap((one) => refsAt(pointerTo("/outputs", idInBody(one.key)), one.refs));
  const [stored] = await apart(tx, [{ value, refs }]);
  return {
    event: { type: "completed", output: stored!.value, ...(stored!.refs?.length && { outputRefs: stored!.refs }) },
  };
}

interface BodyRow {
  id: string;
  key: string;
  status: TaskStatus;
  reason: string | null;
  error: Failure | null;
  output: Json;
  refs: Ref[] | null;
  dependants: string[];
}

async function iterate(
  tx: Transaction,
  log: FactLog,
  step: Step,
  spec: LoopSpec,
  iteration: number,
): Promise<StepResult> {
  const { task, row, run } = step;
  const excess = tooMany(run, spec.body.length);
  if (excess) return { event: { type: "doomed", failure: excess } };
  const scope = `${task.key}[${iteration}]/`;
  const item = { value: row.item, refs: row.item_refs };
  const place = { ...run, scope, parentId: task.id, ordinal: iteration, item, budget: task.budget };
  await addTasks(tx, log, newRows(spec.body, place));
  run.added += spec.body.length;
  const total = spec.body.length;
  return { tally: { ...emptyTally, total, isClosed: true, iteration } };
}

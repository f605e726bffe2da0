/** Starts runs that wait for their limits, and cancels those that make room, or find none. */
import { failureKinds } from "../core/errors.ts";
import type { KeyLimit, KeyState } from "../core/flow-limits.ts";
import { admitRuns, type GoingRun, type OnConflict, type RunAdmission } from "../core/run-admission.ts";
import { type FactLog, type RunRef, recording, type StoreContext } from "./facts.ts";
import { lockKeys, saveUse, statesOf } from "./flow-keys.ts";
import type { Queryable, Transaction } from "./sql.ts";
import { beginEnding } from "./steering.ts";
import { moveOn, type Undecided, undecidedColumns } from "./transitions.ts";

/** Runs of the same keys that are looked at in one transaction; the others are for the next call. */
const RUNS_PER_LANE = 20;

/** Runs with the same keys. */
interface Lane {
  namespace: string;
  limit_keys: string[];
}

interface QueuedRow {
  id: string;
  limits: KeyLimit[];
  on_conflict: OnConflict;
}

export const isQueuedRun = "awaits_start and status = 'pending' and finished_at is null";

/** Told when a rate lets the next run start, in milliseconds. */
export type OpensIn = (run: RunRef, ms: number) => void;

/** Looks at the runs of at most `limit` lanes. Answers how many it moved. */
export async function startRuns(store: StoreContext, limit: number, opensIn: OpensIn): Promise<number> {
  const next = (beyond: string) => `
    (select namespace, limit_keys from run
     where ${isQueuedRun} ${beyond}
     order by namespace, limit_keys
     limit 1)`;
  const lanes = await store.query<Lane>(
    `with recursive lane as (${next("")}
       union all
       select n.* from lane l cross join lateral ${next("and (namespace, limit_keys) > (l.namespace, l.limit_keys)")} n)
     select namespace, to_json(limit_keys) as limit_keys from lane limit $1`,
    [limit],
  );
  let moved = 0;
  for (const lane of lanes) {
    const seen = await look(store, lane);
    const isDue = seen.start.length + seen.cancel.length > 0;
    const { start, cancel, opens } = isDue ? await recording(store, (tx, log) => startLane(tx, log, lane)) : seen;
    moved += start.length + cancel.length;
    if (opens) opensIn({ runId: opens.runId, namespace: lane.namespace }, opens.inMs);
  }
  return moved;
}

async function startLane(tx: Transaction, log: FactLog, lane: Lane): Promise<Look> {
  const { namespace, limit_keys } = lane;
  await lockKeys(tx, namespace, limit_keys);
  const seen = await look(tx, lane, "for update skip locked");
  const { start, cancel, states, before } = seen;
  saveUse(tx, namespace, states, before);
  for (const id of start) await startRun(tx, log, { runId: id, namespace });
  const ids = cancel.map(({ id }) => id);
  await tx.query("select id from run where id = any($1::uuid[]) order by id for update", [ids]);
  for (const { id, block } of cancel) {
    const message = `At most ${block.limit} of ${block.key} go on at once, and by the workflow's \`on_conflict\` this is not one of them.`;
    const error = { code: failureKinds.concurrencyLimit, message };
    await beginEnding(tx, log, { runId: id, namespace }, { status: "cancelled", error });
  }
  return seen;
}

interface Look extends RunAdmission {
  /** The run that a rate holds back. */
  opens?: { runId: string; inMs: number };
  states: Map<string, KeyState>;
  before: Map<string, number | null>;
}

async function look(db: Queryable, { namespace, limit_keys }: Lane, lock = ""): Promise<Look> {
  const queued = await db.query<QueuedRow>(
    `select id, limits, on_conflict from run
     where namespace = $1 and limit_keys = $2::text[] and ${isQueuedRun}
     order by priority desc, id
     limit ${RUNS_PER_LANE}
     ${lock}`,
    [namespace, limit_keys],
  );
  const { states, now } = await statesOf(db, namespace, limit_keys, "runs");
  const before = new Map([...states].map(([key, { usedUntil }]) => [key, usedUntil]));
  const isReplacing = queued.some(({ on_conflict }) => on_conflict === "cancel_running");
  const going = isReplacing ? await goingRuns(db, namespace, limit_keys) : [];
  const runs = queued.map(({ id, limits, on_conflict }) => ({ id, limits, onConflict: on_conflict }));
  const admission = admitRuns(runs, going, states, now);
  const { start, cancel, lookAgainAt } = admission;
  const settled = new Set([...start, ...cancel.map(({ id }) => id)]);
  const held = lookAgainAt === undefined ? undefined : runs.find(({ id }) => !settled.has(id));
  return {
    ...admission,
    states,
    before,
    ...(held && lookAgainAt !== undefined && { opens: { runId: held.id, inMs: Math.max(0, lookAgainAt - now) } }),
  };
}

/** Not those that another run waits for, which would fail by it. */
function goingRuns(db: Queryable, namespace: string, keys: readonly string[]): Promise<GoingRun[]> {
  return db.query<GoingRun>(
    `select id, ending is not null as "isEnding" from run
     where namespace = $1 and limit_keys is not null and not awaits_start and finished_at is null
       and limit_keys && $2::text[] and (parent_task_id is null or is_detached)
     order by started_at, id`,
    [namespace, keys],
  );
}

/** With the tasks that nothing holds back. */
async function startRun(tx: Transaction, log: FactLog, run: RunRef): Promise<void> {
  tx.send(
    `update run set status = 'running', awaits_start = false, started_at = clock_timestamp()
     where id = $1 and status = 'pending' and awaits_start`,
    [run.runId],
  );
  log.add(run, { type: "run.started" });
  const roots = await tx.query<Undecided>(
    `select ${undecidedColumns} from task t
     where t.run_id = $1 and t.status = 'pending' and t.parent_id is null
       and (t.needs_left = 0 or t.spec -> 'join' is not null or t.needs_failed + t.needs_skipped > 0)
     order by t.id
     for no key update of t`,
    [run.runId],
  );
  await moveOn(tx, log, roots);
  log.mayBeFinished(run);
}

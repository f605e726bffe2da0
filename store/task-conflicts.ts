/** Ready tasks that would rather not wait for their limits: they are cancelled, or what they would wait for is. */
import { failureKinds } from "../core/errors.ts";
import type { KeyLimit } from "../core/flow-limits.ts";
import { admitRuns, type GoingRun, type OnConflict, type RunAdmission } from "../core/run-admission.ts";
import { isReservedKey } from "../core/wide-keys.ts";
import { inTurn, isLimited } from "./admission.ts";
import { type FactLog, recording, type StoreContext } from "./facts.ts";
import { limitsWith, lockKeys, statesOf } from "./flow-keys.ts";
import type { Queryable, Transaction } from "./sql.ts";
import { lockRuns, lockTasks, settle } from "./transitions.ts";

/** Tasks of the same keys that are looked at in one transaction; the others are for the next call. */
const TASKS_PER_LANE = 100;

/** Tasks with the same keys. */
interface Lane {
  namespace: string;
  limit_keys: string[];
}

/** What a task says about conflicts is about the keys that it names itself. */
function ownKeys({ limit_keys }: Lane): string[] {
  return limit_keys.filter((key) => !isReservedKey(key));
}

interface ReadyRow {
  id: string;
  limits: KeyLimit[];
  on_conflict: OnConflict;
}

/** Of a task `t`. */
export const mayConflict = "t.status = 'ready' and t.on_conflict is not null and not t.held";

/** Looks at the tasks of at most `limit` lanes. Answers how many it cancelled. */
export async function settleConflicts(store: StoreContext, limit: number): Promise<number> {
  const lanes = await store.query<Lane>(
    `select distinct t.namespace, to_jsonb(t.limit_keys) as limit_keys from task t where ${mayConflict} limit $1`,
    [limit],
  );
  let cancelled = 0;
  for (const lane of lanes) {
    if ((await look(store, lane)).cancel.length === 0) continue;
    cancelled += await recording(store, (tx, log) => settleLane(tx, log, lane));
  }
  return cancelled;
}

async function settleLane(tx: Transaction, log: FactLog, lane: Lane): Promise<number> {
  await lockKeys(tx, lane.namespace, ownKeys(lane));
  const { cancel } = await look(tx, lane);
  const ids = cancel.map(({ id }) => id);
  lockRuns(tx, ids, "key share");
  const reasons = new Map(cancel.map(({ id, block }) => [id, `${failureKinds.concurrencyLimit} ${block.key}`]));
  const tasks = await lockTasks(tx, ids);
  const settled = await settle(tx, log, tasks, ({ id, status }) =>
    status === "ready" || status === "running" ? { type: "cancelled", reason: reasons.get(id)! } : undefined,
  );
  return settled.length;
}

/** As with runs (core/run-admission.ts): what could start is left to whoever claims it. */
async function look(db: Queryable, lane: Lane): Promise<RunAdmission> {
  const { namespace, limit_keys } = lane;
  const keys = ownKeys(lane);
  const [ready, going, { states, now }] = await Promise.all([
    db.query<ReadyRow>(
      `select t.id, t.spec -> 'limits' as limits, coalesce(t.on_conflict, 'queue') as on_conflict from task t
       where t.namespace = $1 and t.limit_keys = $2::text[] and ${isLimited("t")}
       order by ${inTurn("t")}
       limit ${TASKS_PER_LANE}`,
      [namespace, limit_keys],
    ),
    db.query<GoingRun>(
      `select t.id, false as "isEnding" from task t
       where t.namespace = $1 and t.status = 'running' and t.is_limited and t.limit_keys && $2::text[]
       order by t.started_at, t.id`,
      [namespace, keys],
    ),
    statesOf(db, namespace, keys),
  ]);
  const waiting = ready.map(({ id, limits, on_conflict }) => ({
    id,
    limits: limitsWith(limits, keys),
    onConflict: on_conflict,
  }));
  return admitRuns(waiting, going, states, now);
}

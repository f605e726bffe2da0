/** Runs of plans that are planned anew when a task of theirs fails. A row of `replanning` is the lock of whoever plans. */
import type { Failure } from "../core/errors.ts";
import type { RunStatus } from "../core/run.ts";
import { type RunRef, recording, type StoreContext } from "./facts.ts";
import { patchIn } from "./patch.ts";
import { insertPlan } from "./plans.ts";
import type { Queryable, Transaction } from "./sql.ts";
import type { DueReplan, PatchOutcome, Replanned, ReplanPolicy, ReplanStore } from "./store.ts";
import { lockTasks, settle } from "./transitions.ts";

export function replanStore(store: StoreContext): ReplanStore {
  return {
    claim: (options) => claim(store, options),
    apply: (replanned) => apply(store, replanned),
    giveUp: (due, why, retryInMs) => giveUp(store, due, why, retryInMs),
  };
}

/** With the rows of their runs. */
export function insertPolicies(tx: Transaction, runs: readonly { runId: string; replan?: ReplanPolicy }[]): void {
  const rows = runs.flatMap(({ runId, replan }) =>
    replan ? [{ run_id: runId, plan_id: replan.planId, rounds: replan.rounds }] : [],
  );
  if (rows.length === 0) return;
  tx.send(
    `insert into replanning (run_id, plan_id, rounds)
     select run_id, plan_id, rounds from json_to_recordset($1) as r(run_id uuid, plan_id uuid, rounds int)`,
    [JSON.stringify(rows)],
  );
}

/** A retry of the run is planned anew as often as the run was to be. */
export function copyPolicy(tx: Transaction, from: string, to: string): void {
  tx.send(
    "insert into replanning (run_id, plan_id, rounds) select $2, plan_id, rounds from replanning where run_id = $1",
    [from, to],
  );
}

/** Of a row `t`: a task of the definition that has failed, and that none has taken the place of. */
const hasFailed =
  "t.status = 'failed' and t.superseded_in is null and t.scope = '' and t.parent_id is null and t.compensates is null";

/** Of a row `r`: somebody plans, or may. */
const hasRoundsLeft = "(r.state = 'planning' or (r.state = 'idle' and r.round < r.rounds))";

async function claim(
  store: StoreContext,
  { runIds, forMs, limit }: { runIds?: string[]; forMs: number; limit: number },
): Promise<DueReplan[]> {
  const due = await store.query<{ run_id: string }>(
    `select r.run_id from replanning r
     where ($1::uuid[] is null or r.run_id = any($1)) and ${hasRoundsLeft} and r.state <> 'over'
       and r.not_before < clock_timestamp() and exists (select from task t where t.run_id = r.run_id and ${hasFailed})
     order by r.run_id
     limit $2`,
    [runIds ?? null, limit],
  );
  const claimed: DueReplan[] = [];
  for (const { run_id } of due) {
    const one = await claimRun(store, run_id, forMs);
    if (one) claimed.push(one);
  }
  return claimed;
}

interface ClaimedRow {
  plan_id: string;
  rounds: number;
  round: number;
  excluded: string[];
}

function claimRun(store: StoreContext, runId: string, forMs: number): Promise<DueReplan | undefined> {
  return recording(store, async (tx, log) => {
    const [run] = await tx.query<{ namespace: string; status: RunStatus }>(
      `select namespace, status from run
       where id = $1 and finished_at is null and ending is null and status <> 'paused' for update`,
      [runId],
    );
    if (!run) return undefined;
    // A round that somebody began and did not end goes on under its number.
    const [row] = await tx.query<ClaimedRow>(
      `update replanning r
       set round = round + (state = 'idle')::int, state = 'planning',
         not_before = clock_timestamp() + $2 * interval '1 millisecond'
       where run_id = $1 and ${hasRoundsLeft} and not_before < clock_timestamp()
       returning plan_id, rounds, round, to_json(excluded) as excluded`,
      [runId, forMs],
    );
    if (!row) return undefined;
    const { plan_id: planId, rounds, round, excluded } = row;
    // Whoever is about to finish the run looks again: this event may be younger than theirs.
    tx.send("update run set revision = revision where id = $1", [runId]);
    log.add({ runId, namespace: run.namespace }, { type: "run.replanning", round, rounds });
    return { namespace: run.namespace, runId, planId, rounds, round, excluded };
  });
}

async function apply(
  store: StoreContext,
  { due, patching, superseded, excluded, plan }: Replanned,
): Promise<PatchOutcome> {
  const { namespace, runId, round, rounds } = due;
  const ref: RunRef = { runId, namespace };
  return recording(store, async (tx, log) => {
    const outcome = await patchIn(tx, log, {
      ...patching,
      namespace,
      runId,
      revision: undefined,
      dryRun: false,
      by: plan ? `planner ${plan.planner}` : "skein",
      reason: `Round ${round} of ${rounds}.`,
      round,
      superseded,
      ...(plan && { planId: plan.id }),
    });
    await tx.query(
      // A round that was made for another definition has not been one.
      `update replanning
       set state = 'idle', not_before = '-infinity', round = round - (not $3)::int,
         gave_up = case when $3 then null else gave_up end, excluded = case when $3 then $2::text[] else excluded end
       where run_id = $1 and state = 'planning' and round = $4`,
      [runId, excluded, outcome.outcome === "patched", round],
    );
    if (outcome.outcome !== "patched") return outcome;
    if (plan) await insertPlan(tx, plan);
    const rows = await tx.query<{ id: string; status: string }>(
      `update task t set superseded_in = $3
       where run_id = $1 and key = any($2) and scope = '' and parent_id is null
       returning id, status`,
      [runId, superseded, round],
    );
    const open = rows.filter(({ status }) => ["pending", "ready", "running", "waiting"].includes(status));
    const tasks = await lockTasks(
      tx,
      open.map(({ id }) => id),
    );
    await settle(tx, log, tasks, () => ({ type: "cancelled", reason: "superseded" }));
    log.mayBeFinished(ref);
    return outcome;
  });
}

async function giveUp(store: StoreContext, due: DueReplan, why: Failure, retryInMs?: number): Promise<void> {
  const { namespace, runId, round } = due;
  await recording(store, async (tx, log) => {
    const [run] = await tx.query<{ finished: boolean }>(
      "select finished_at is not null as finished from run where id = $1 for update",
      [runId],
    );
    const [ended] = await tx.query<{ state: string }>(
      `update replanning
       set state = case when $3::float8 is null or round >= rounds then 'over' else 'idle' end, gave_up = $2,
         not_before = case when $3::float8 is null then '-infinity'
                      else clock_timestamp() + $3 * interval '1 millisecond' end
       where run_id = $1 and state = 'planning' and round = $4
       returning state`,
      [runId, JSON.stringify(why), retryInMs ?? null, round],
    );
    if (!ended || !run || run.finished) return;
    tx.send("update run set revision = revision where id = $1", [runId]);
    log.add({ runId, namespace }, { type: "run.replan_failed", round, error: why });
    if (ended.state === "over") log.mayBeFinished({ runId, namespace });
  });
}

export interface Replan {
  /** It may yet be planned anew. */
  isOpen: boolean;
  /** Why there is no other plan. */
  gaveUp: Failure | null;
  round: number;
  rounds: number;
}

/** Of runs that are about to fail. */
export async function replansOf(db: Queryable, runIds: readonly string[]): Promise<Map<string, Replan>> {
  if (runIds.length === 0) return new Map();
  const rows = await db.query<{
    run_id: string;
    is_open: boolean;
    gave_up: Failure | null;
    round: number;
    rounds: number;
  }>(
    `select r.run_id, r.gave_up, r.round, r.rounds,
       ${hasRoundsLeft} and exists (select from task t where t.run_id = r.run_id and ${hasFailed}) as is_open
     from replanning r where r.run_id = any($1::uuid[])`,
    [runIds],
  );
  return new Map(
    rows.map(({ run_id, is_open, gave_up, round, rounds }) => [
      run_id,
      { isOpen: is_open, gaveUp: gave_up, round, rounds },
    ]),
  );
}

/** Those of runs that have finished are not looked at any more. */
export async function closeReplans(db: Queryable): Promise<void> {
  await db.query(
    `update replanning set state = 'over'
     where run_id in (
       select r.run_id from replanning r
       cross join lateral (select from run where id = r.run_id and finished_at is not null limit 1) finished
       where r.state <> 'over')`,
  );
}

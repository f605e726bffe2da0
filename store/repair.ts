/** Heals what the audit finds, where that is safe: each by the transition that should have done it, in a transaction of its own. */
import { findViolations, type Healing } from "./audit.ts";
import { type FactLog, type RunRef, recording, type StoreContext } from "./facts.ts";
import { finishRuns } from "./run-ends.ts";
import type { Transaction } from "./sql.ts";
import { alignHeld, holdRun } from "./steering.ts";
import type { Repair } from "./store.ts";
import { moveOn, type Undecided, undecidedColumns } from "./transitions.ts";
import { takeBack } from "./upkeep.ts";

const actions: Record<Healing, string> = {
  recount: "count its needs anew, and decide whether it starts",
  finish: "end the run as its tasks have ended",
  hold: "hold it, or hand it out, as its run says",
  "take back": "take the lease back, which counts as lost",
};

export async function repair(store: StoreContext, { apply }: { apply: boolean }): Promise<Repair[]> {
  const repairs: Repair[] = [];
  for (const { repair: how, ...violation } of await findViolations(store)) {
    if (typeof how !== "string") repairs.push({ ...violation, outcome: "left", action: how.leave });
    else if (!apply) repairs.push({ ...violation, outcome: "would be healed", action: actions[how] });
    else {
      const reason = `${violation.invariant}: ${violation.subject} ${violation.detail}`;
      const healed = await heal(store, how, violation.subject, reason);
      repairs.push({ ...violation, outcome: healed ? "healed" : "unchanged", action: actions[how] });
    }
  }
  return repairs;
}

/** False where somebody else was at it meanwhile. */
async function heal(store: StoreContext, how: Healing, subject: string, reason: string): Promise<boolean> {
  const healed = await recording(store, async (tx, log) => {
    const run = await runOf(tx, how === "finish" ? "run" : "task", subject);
    const status = run && (await holdRun(tx, run.namespace, run.runId));
    if (!run || !status) return false;
    // The end of a run is its last event, so this comes first.
    log.add(run, { type: "run.repaired", by: "doctor", reason });
    if (how === "hold") await alignHeld(tx, run, status);
    if (how === "take back") await takeBack(tx, log, [subject]);
    if (how === "recount") await recount(tx, log, subject);
    return true;
  });
  return healed && (how !== "finish" || (await finishRuns(store, [subject])) > 0);
}

async function runOf(tx: Transaction, noun: "run" | "task", id: string): Promise<RunRef | undefined> {
  const [row] = await tx.query<{ run_id: string; namespace: string }>(
    noun === "run"
      ? "select id as run_id, namespace from run where id = $1"
      : "select run_id, namespace from task where id = $1",
    [id],
  );
  return row && { runId: row.run_id, namespace: row.namespace };
}

/** Whoever settles a need has to ask for the run first, which is held: so the needs stand still. */
async function recount(tx: Transaction, log: FactLog, taskId: string): Promise<void> {
  const [task] = await tx.query<Undecided>(
    `with locked as (
       select id, needs from task where id = $1 and (status = 'pending') is not false for no key update
     ), counted as (
       select l.id, count(*) filter (where n.finished_at is null or n.untold) as needs_left,
         count(*) filter (where n.status in ('failed', 'cancelled') and not n.untold) as needs_failed,
         count(*) filter (where n.status = 'skipped' and not n.untold) as needs_skipped
       from locked l cross join lateral (select * from task where id = any(l.needs)) n
       group by l.id
     )
     update task t set needs_left = c.needs_left, needs_failed = c.needs_failed, needs_skipped = c.needs_skipped
     from counted c
     where t.id = c.id
     returning ${undecidedColumns}`,
    [taskId],
  );
  if (!task) return;
  // Of a run that has yet to start they stand ready for that.
  const [run] = await tx.query<{ awaits_start: boolean }>("select awaits_start from run where id = $1", [task.run_id]);
  if (!run!.awaits_start) await moveOn(tx, log, [task]);
}

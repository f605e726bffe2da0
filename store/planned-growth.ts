/** What a task adds to the run of a plan has to pass the gate, as the plan had to. */
import { isAllowed } from "../core/allowed-capabilities.ts";
import { type Failure, failureKinds } from "../core/errors.ts";
import type { Json } from "../core/json.ts";
import { plannable } from "../core/planner/capability.ts";
import { judgeSpawned } from "../core/planner/gate-spawned.ts";
import type { Goal } from "../core/planner/goal.ts";
import { uuid } from "../core/protocol/common.ts";
import type { TaskSeed } from "../core/run.ts";
import { idIn } from "../core/spawn.ts";
import { namedCapabilities } from "./agents.ts";
import type { Transaction } from "./sql.ts";
import type { StepRun } from "./step.ts";
import type { LoadedTask } from "./transitions.ts";

/** Why the tasks may not be added; undefined: they may, or the run is not one of a plan. */
export async function unplannedGrowth(
  tx: Transaction,
  run: StepRun,
  from: Pick<LoadedTask, "key" | "capability">,
  { tasks, seeds }: { tasks: readonly Json[]; seeds: readonly TaskSeed[] },
): Promise<Failure | undefined> {
  const goal = await goalOf(tx, run);
  if (!goal) return undefined;
  const names = [from, ...seeds].map(({ capability }) => capability);
  const offers = await namedCapabilities(tx, run.namespace, [...new Set(names)]);
  const issues = judgeSpawned(tasks, {
    goal,
    capabilities: offers
      .filter(({ name, agents }) => agents > 0 && isAllowed(name, run.allowedCapabilities))
      .map(plannable),
    limits: run.limits,
    parent: { id: idIn(from.key), capability: from.capability },
    there: { tasks: run.taskCount, cost: goal.budget === undefined ? 0 : await costOf(tx, run) },
  });
  const [first] = issues;
  if (!first) return undefined;
  const message = `Spawned tasks do not keep to the plan's rules: ${first.message} (${first.code})`;
  return { code: failureKinds.spawnInvalid, message, retryable: false };
}

/** Anybody may set the label of a run: what is no plan's id names none. */
async function goalOf(tx: Transaction, { namespace, planId }: StepRun): Promise<Goal | undefined> {
  if (planId === null || !uuid.safeParse(planId).success) return undefined;
  const [plan] = await tx.query<{ goal: Goal }>("select goal from plan where namespace = $1 and id = $2", [
    namespace,
    planId,
  ]);
  return plan?.goal;
}

/** By what capabilities declare, of all tasks that have begun or may. */
async function costOf(tx: Transaction, { namespace, runId }: StepRun): Promise<number> {
  const [row] = await tx.query<{ cost: number }>(
    `select coalesce(sum(c.cost), 0)::float8 as cost
     from task t cross join lateral (
       select k.cost from capability k where k.namespace = $1 and k.name = t.capability
       order by k.updated_at desc limit 1
     ) c
     where t.run_id = $2 and t.status not in ('skipped', 'cancelled')`,
    [namespace, runId],
  );
  return row!.cost;
}

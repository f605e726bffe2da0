import { SkeinError } from "../core/errors.ts";
import type { PlannableCapability } from "../core/planner/capability.ts";
import { capabilityPlanner } from "../core/planner/capability-planner.ts";
import { fittingPlan } from "../core/planner/fitting.ts";
import type { Goal } from "../core/planner/goal.ts";
import type { Planner, PlanOutcome } from "../core/planner/planner.ts";
import { WorkerQueue } from "./worker-queue.ts";

/** The search ends by itself after a second or two, on any machine that is not overloaded. */
const TIMEOUT_MS = 30_000;
/** With the usual 20 ms each, less than a second. */
const MAX_WAITING = 32;

/** The planner that needs no model, on a thread: its search would stop claims and heartbeats for up to a second. */
export function threadedPlanner(): Planner {
  const queue = new WorkerQueue<{ goal: Goal; capabilities: readonly PlannableCapability[] }, PlanOutcome>({
    file: new URL("./planner.worker.js", import.meta.url),
    workerData: { isSource: import.meta.url.endsWith(".ts") },
    timeoutMs: TIMEOUT_MS,
    maxWaiting: MAX_WAITING,
    errors: {
      busy: (most) =>
        new SkeinError("RATE_LIMITED", `${most} goals are waiting to be planned; retry in a few seconds.`),
      tooLong: (seconds) =>
        new SkeinError(
          "PLAN_TOO_HARD",
          `No plan was found within ${seconds} s; name capabilities in must_use, or allow fewer.`,
        ),
      died: (error) => new SkeinError("INTERNAL", `The thread that plans died: ${error.message}`, { cause: error }),
    },
  });
  return {
    name: capabilityPlanner.name,
    plan: (goal, capabilities, { flawsOf, signal }) =>
      fittingPlan(capabilities, (left) => queue.perform({ goal, capabilities: left }, signal), flawsOf),
  };
}

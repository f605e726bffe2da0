/** Runs the handler of one attempt: what it sees, and what that came to. */
import type { ExecutorContext } from "../../../sdk/executor.ts";
import { agentDataOf, type DataBackend } from "./agent-data.ts";
import { type Attempt, addUsage, logOf, signalOf } from "./attempt.ts";
import { growthOf } from "./growth.ts";
import { completed, failed, type Outcome } from "./outcome.ts";

export interface Performed {
  outcome: Outcome;
  /** What the handler, or a check of its input or output, threw. */
  thrown?: unknown;
  /** For the process log. */
  stack?: string | undefined;
}

/** What the handler reaches beyond its own attempt. */
export type Surroundings = Pick<ExecutorContext, "progress" | "executors" | "artifacts"> & {
  /** Where the agent's state and memory are. */
  data: DataBackend;
};

/** Resolves when the handler has returned and what it emitted has arrived. Never rejects. */
export async function perform(attempt: Attempt, surroundings: Surroundings): Promise<Performed> {
  const { executor, lease } = attempt;
  try {
    const result = await executor.run(contextOf(attempt, executor.parseInput(lease.input), surroundings));
    await attempt.growth?.settled();
    return { outcome: completed(executor, result) };
  } catch (thrown) {
    const dropped = attempt.growth?.spawned.tasks.length ?? 0;
    if (dropped > 0) logOf(attempt).warn(`the attempt failed, so what it spawned is dropped: ${dropped} task(s)`);
    return { ...failed(thrown), thrown };
  }
}

/** Most handlers look at neither log nor signal, and add nothing to their run. */
function contextOf<Input>(
  attempt: Attempt,
  input: Input,
  { data, ...surroundings }: Surroundings,
): ExecutorContext<Input> {
  const { lease, fields } = attempt;
  return {
    input,
    get log() {
      return logOf(attempt);
    },
    get signal() {
      return signalOf(attempt);
    },
    ...surroundings,
    usage: (more) => addUsage(attempt, more),
    emit: (map, items, options) => growthOf(attempt).emit(map, items, options),
    spawn: (tasks) => growthOf(attempt).spawn(tasks),
    get state() {
      return agentDataOf(attempt, data).state;
    },
    get memory() {
      return agentDataOf(attempt, data).memory;
    },
    get inbox() {
      return agentDataOf(attempt, data).inbox;
    },
    send: (to, body, options) => agentDataOf(attempt, data).send(to, body, options),
    ask: (to, body, options) => agentDataOf(attempt, data).ask(to, body, options),
    idempotencyKey: lease.idempotency_key,
    taskId: lease.task_id,
    key: lease.key,
    runId: lease.run_id,
    attempt: lease.attempt,
    agentId: fields.agent_id,
    capability: lease.capability,
    ...(lease.traceparent !== null && { traceparent: lease.traceparent }),
    timeoutMs: lease.timeout_ms,
  };
}

/** Runs an executor on a wire input as the runtime does, for tests. */

import type { Json } from "../../core/json.ts";
import type { Executor, ExecutorContext, TaskLogger } from "../../sdk/executor.ts";

export async function perform(executor: Executor, input: Json, rest: Partial<ExecutorContext> = {}): Promise<Json> {
  const context: ExecutorContext = {
    input: executor.parseInput(input),
    signal: new AbortController().signal,
    log: collectLog().log,
    heartbeat: () => {},
    usage: () => {},
    executors: new Map(),
    idempotencyKey: "idempotency-1",
    taskId: "task-1",
    key: "a",
    runId: "run-1",
    attempt: 1,
    agentId: "agent-1",
    capability: executor.capability,
    ...rest,
  };
  return executor.parseOutput(await executor.run(context));
}

/** A log to pass along, and the lines written to it so far. */
export function collectLog(): { log: TaskLogger; lines: string[] } {
  const lines: string[] = [];
  const at = (level: string) => (message: string) => void lines.push(`${level} ${message}`);
  return { log: { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") }, lines };
}

/** Runs an executor on a wire input as the runtime does, for tests that want the output, or what was thrown. */
import type { Json } from "../../core/json.ts";
import type { Executor, ExecutorContext, TaskLogger } from "../../sdk/executor.ts";
import { performTask } from "./perform-task.ts";

/** The handler sees `rest` in the place of the runtime's own. */
export async function perform(executor: Executor, input: Json, rest: Partial<ExecutorContext> = {}): Promise<Json> {
  const run = (context: ExecutorContext) => executor.run({ ...context, ...rest });
  const { output = null, outcome, thrown } = await performTask({ ...executor, run }, input);
  if (outcome === "completed") return output;
  throw thrown;
}

/** A log to pass along, and the lines written to it so far. */
export function collectLog(): { log: TaskLogger; lines: string[] } {
  const lines: string[] = [];
  const at = (level: string) => (message: string) => void lines.push(`${level} ${message}`);
  return { log: { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") }, lines };
}

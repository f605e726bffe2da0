/** How the tools speak about a task. */
import { z } from "zod";
import { task } from "../core/protocol/runs.ts";
import { runId } from "./run-summary.ts";

/** Which task of which run. */
export const taskOfRun = {
  run_id: runId,
  task: z.string().min(1).max(1024).describe("The task's key, such as `read` or `read[7]`, or its id"),
};

/** A task without its output and progress, which may be large. */
export const taskSummary = task.pick({
  id: true,
  key: true,
  capability: true,
  status: true,
  needs: true,
  attempt: true,
  agent_id: true,
  error: true,
  started_at: true,
  finished_at: true,
});
type TaskSummary = z.infer<typeof taskSummary>;

/** `read[7] (http.request): failed in attempt 3, HTTP_STATUS: …` */
export function taskLine({ key, capability, status, attempt, error }: TaskSummary): string {
  const tried = attempt > 1 ? ` in attempt ${attempt}` : "";
  return `${key} (${capability}): ${status}${tried}${error ? `, ${error.code}: ${error.message}` : ""}`;
}

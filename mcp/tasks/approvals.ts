/** What a run waits for somebody to decide, also in the runs that it waits for. */
import { isJsonObject, type Json, type JsonObject } from "../../core/json.ts";
import type { RunBody, TaskDetailBody } from "../../core/protocol/runs.ts";
import type { Client } from "../../sdk/client.ts";
import { approvalIn } from "./question.ts";

export interface Asking {
  /** Of the run that the task belongs to. */
  workflow: string;
  task: TaskDetailBody;
  approval: JsonObject;
}

/** Questions of one run shown at a time; when some are answered, others come. */
const MAX_QUESTIONS = 20;
/** Waiting tasks looked at to find them: what each waits for is in its input, which lists do not have. */
const MAX_LOOKED_AT = 100;
/** Runs looked at: this one, and those that it waits for at any depth. */
const MAX_RUNS = 50;
/** What the engine calls tasks that may wait for a decision, and those that wait for a run. */
const askingCapabilities = ["wait", "human.task"];
const CHILD_RUN = "workflow";

/** The questions of the run come before those of its child runs. */
export async function approvalsIn(client: Client, run: RunBody): Promise<Asking[]> {
  const found: Asking[] = [];
  const queue = [run];
  let looks = MAX_LOOKED_AT;
  for (let runs = MAX_RUNS; queue.length > 0 && runs > 0; runs--) {
    const { id, workflow } = queue.shift()!;
    const { data } = await client.runs.tasks(id, { status: "waiting", limit: 1_000 });
    for (const waiting of data.filter(({ capability }) => askingCapabilities.includes(capability))) {
      if (found.length === MAX_QUESTIONS || looks-- === 0) return found;
      const task = await client.runs.task(id, waiting.id);
      const approval = approvalIn(task.input);
      if (approval && task.status === "waiting") found.push({ workflow, task, approval });
    }
    const children = data.flatMap(({ capability, progress }) => (capability === CHILD_RUN ? childIn(progress) : []));
    for (const child of children.slice(0, runs)) queue.push(await client.runs.get(child));
  }
  return found;
}

function childIn(progress: Json): string[] {
  return isJsonObject(progress) && typeof progress.run_id === "string" ? [progress.run_id] : [];
}

import { z } from "zod";
import { SkeinError } from "../../core/errors.ts";
import { runLine, runSummary } from "../run-summary.ts";
import { taskOfRun } from "../task-summary.ts";
import { approvalIn, decisionOf, questionOf } from "../tasks/question.ts";
import { defineTool, InputNeeded, settling } from "../tool.ts";

const meaning = {
  approved: "The user approved it.",
  rejected: "The user rejected it.",
  open: "The user did not decide; it still waits.",
  cannot_ask: "This client cannot ask its user. Ask them yourself, then decide with task_approve or task_reject.",
};

export const taskAskUser = defineTool({
  name: "task_ask_user",
  title: "Ask the user to decide a task",
  description:
    "Lets the user decide a task that waits for an approval: the client shows them who should decide, what about, and the form, and what they answer approves or rejects the task. Prefer it to task_approve and task_reject, which decide in the user's place.",
  annotations: settling,
  input: z.strictObject(taskOfRun),
  output: z.object({ decision: z.enum(["approved", "rejected", "open", "cannot_ask"]), run: runSummary }),
  async call(client, { run_id, task: key }, { canAsk, answerTo }) {
    const task = await client.runs.task(run_id, key);
    const approval = approvalIn(task.input);
    if (!approval || task.status !== "waiting") {
      throw new SkeinError("TASK_NOT_WAITING", `Task "${key}" is ${task.status} and does not wait for an approval.`);
    }
    const run = await client.runs.get(run_id);
    if (!canAsk) return { decision: "cannot_ask" as const, run };
    const answer = answerTo(task.id);
    if (answer === undefined) throw new InputNeeded(task.id, questionOf(run.workflow, task.key, approval));
    const decision = decisionOf(approval, answer);
    if (!decision) return { decision: "open" as const, run };
    const { approved, ...told } = decision;
    if (approved) return { decision: "approved" as const, run: await client.runs.approve(run_id, task.id, told) };
    return { decision: "rejected" as const, run: await client.runs.reject(run_id, task.id, told) };
  },
  text: ({ decision, run }) => `${meaning[decision]}\n${runLine(run)}`,
});

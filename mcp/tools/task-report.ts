import { z } from "zod";
import { SkeinError } from "../../core/errors.ts";
import { reportAnswer, reportItem } from "../../core/protocol/tasks.ts";
import { agentToken, heldLease } from "../acting.ts";
import { defineTool, settling } from "../tool.ts";

const { output, error, effects, logs, usage } = reportItem.shape;
const { result, message } = reportAnswer.shape.reports.element.shape;

const meaning = {
  accepted: "Accepted.",
  duplicate: "This had been reported already; nothing has changed.",
  stale: "Too late: the lease was lost, or the task has settled. Nothing has changed.",
  invalid: "Refused; the attempt counts as failed.",
};

export const taskReport = defineTool({
  name: "task_report",
  title: "Report a task's result",
  description:
    "Ends a task you hold: `completed` with its output, or `failed` with an error; a failed task is tried again unless error.retryable is false or its attempts are used up. `effects` are written in the same transaction, exactly once: your state and memory, messages to other agents, tasks to add to the run. Answers `accepted`, or why nothing has changed. Repeating a report is safe.",
  annotations: settling,
  input: z.strictObject({
    agent_token: agentToken,
    ...heldLease,
    outcome: z.enum(["completed", "failed"]).describe("`failed` needs an `error`"),
    output: output.describe("What the task gives: JSON that fits the capability's output schema"),
    error: error.describe('Why it failed: { "code": "PAGE_GONE", "message": "…", "retryable": false }'),
    effects: effects.describe(
      'Such as { "memory": [{ "type": "observation", "content": "…" }], "messages": [{ "to": "ann", "body": "…" }] }',
    ),
    logs: logs.describe(
      'What happened, for run_logs: [{ "at": "2026-01-31T08:00:00Z", "level": "info", "message": "…" }]',
    ),
    usage: usage.describe("What it took: { tokens, cost }, for the run's budget"),
  }),
  output: z.object({ result, message }),
  async call(_client, { agent_token, ...report }, { agent }) {
    const given = Object.fromEntries(Object.entries(report).filter(([, value]) => value !== undefined));
    const checked = reportItem.safeParse(given);
    if (!checked.success) {
      throw new SkeinError("REQUEST_INVALID", checked.error.issues.map(({ message }) => message).join("; "));
    }
    const { reports } = await agent(agent_token).report({ request_id: crypto.randomUUID(), reports: [checked.data] });
    const [answer] = reports;
    if (!answer) throw new SkeinError("INTERNAL", "The server answered a report with nothing.");
    return { result: answer.result, ...(answer.message !== undefined && { message: answer.message }) };
  },
  text: ({ result, message }) => [meaning[result], ...(message ? [message] : [])].join(" "),
});

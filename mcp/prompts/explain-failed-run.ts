import { completable, type McpServer } from "@modelcontextprotocol/server";
import { z } from "zod";
import type { LogLineBody, TaskBody, TaskDetailBody } from "../../core/protocol/runs.ts";
import { isTerminalRun } from "../../core/run.ts";
import type { Client } from "../../sdk/client.ts";
import { protocolError } from "../protocol-error.ts";
import { recentRuns, runLine } from "../run-summary.ts";
import { taskLine } from "../task-summary.ts";
import { userText } from "./message.ts";

/** Of each, so that the prompt stays readable; the tools tell the rest. */
const MAX_TASKS = 20;
const MAX_LOG_LINES = 40;
const MAX_VALUE_LENGTH = 2_000;

export function explainFailedRunPrompt(server: McpServer, client: Client): void {
  const runId = completable(z.uuid().describe("The run"), (value) => recentRuns(client, value, "failed"));
  server.registerPrompt(
    "explain_failed_run",
    {
      title: "Explain a failed run",
      description: "Gathers what is known of a run that failed, and asks for the cause and what to do about it",
      argsSchema: z.object({ run_id: runId }),
    },
    async ({ run_id }) => {
      const lines = await storyOf(client, run_id).catch((error) => {
        throw protocolError(error);
      });
      const uri = `skein://runs/${run_id}/graph`;
      const text = await client.runs.graph(run_id, "mermaid").catch(() => undefined);
      return {
        description: "Explain why a run failed",
        messages: [
          userText(lines.join("\n")),
          ...(text === undefined
            ? []
            : [
                {
                  role: "user" as const,
                  content: { type: "resource" as const, resource: { uri, mimeType: "text/vnd.mermaid", text } },
                },
              ]),
        ],
      };
    },
  );
}

async function storyOf(client: Client, id: string): Promise<string[]> {
  const run = await client.runs.get(id);
  const [failed, skipped] = await Promise.all([
    client.runs.tasks(id, { status: "failed", limit: MAX_TASKS }),
    client.runs.tasks(id, { status: "skipped", limit: MAX_TASKS }),
  ]);
  const culprit = run.error?.task ?? failed.data[0]?.key;
  const task = culprit === undefined ? undefined : await client.runs.task(id, culprit).catch(() => undefined);
  const logs = task === undefined ? [] : await logsOf(client, id, task);
  const question =
    run.status === "failed"
      ? "Explain to me why this run failed: what happened first, what followed from it, and what to do about it."
      : `This run has not failed${isTerminalRun(run.status) ? "" : " (yet)"}: tell me what became of it.`;
  return [
    `${question} Say what you conclude and what you only suppose. run_logs, task_get and task_why tell more.`,
    "",
    runLine(run),
    `Inputs: ${shortened(run.inputs)}`,
    ...(task ? ["", "The task it began with:", ...taskLines(task)] : []),
    ...(logs.length > 0 ? ["", "What was logged about it, the last lines:", ...logs] : []),
    ...listed("Tasks that failed:", failed.data),
    ...listed("Tasks that were skipped, because of what they needed:", skipped.data),
  ];
}

function taskLines(task: TaskDetailBody): string[] {
  return [
    taskLine(task),
    `Input: ${shortened(task.input)}`,
    ...task.attempts.map(({ attempt, outcome, error, started_at, ended_at }) => {
      const why = error ? `, ${error.code}: ${error.message}` : "";
      return `Attempt ${attempt}, ${started_at} to ${ended_at}: ${outcome}${why}`;
    }),
  ];
}

/** Logs come from the beginning, page by page; those of the task are few. */
async function logsOf(client: Client, id: string, { key }: TaskDetailBody): Promise<string[]> {
  const lines: LogLineBody[] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page = await client.runs.logs(id, { limit: 1_000, ...(cursor !== undefined && { cursor }) });
    lines.push(...page.data.filter((line) => line.task === key));
    lines.splice(0, lines.length - MAX_LOG_LINES);
    cursor = page.next_cursor;
  }
  return lines.map(({ at, level, step, message, fields }) => {
    return `${at} ${level} ${step}: ${message}${fields ? ` ${shortened(fields)}` : ""}`;
  });
}

function listed(heading: string, tasks: TaskBody[]): string[] {
  return tasks.length === 0 ? [] : ["", heading, ...tasks.map((task) => `- ${taskLine(task)}`)];
}

function shortened(value: unknown): string {
  const text = JSON.stringify(value) ?? "null";
  return text.length <= MAX_VALUE_LENGTH ? text : `${text.slice(0, MAX_VALUE_LENGTH)}… (${text.length} characters)`;
}

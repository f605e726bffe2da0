/** What is said about a run that has ended, or that somebody asks about. */
import type { RunBody } from "../core/protocol/runs.ts";
import type { Client } from "../sdk/client.ts";
import type { Context } from "./context.ts";
import { statusGlyph } from "./frame.ts";
import { counted, formatSpan, printJson, toJson, visible } from "./output.ts";
import { exitCodes } from "./problem.ts";

/** A run with its tasks and its result, as `--json` prints it. */
export async function runReport(client: Client, runId: string) {
  const [run, { outputs }, graph] = await Promise.all([
    client.runs.get(runId),
    client.runs.result(runId),
    client.runs.graph(runId, "json"),
  ]);
  const { nodes } = JSON.parse(graph) as { nodes: ReportedTask[] };
  const tasks = nodes.map(({ key, status, started_at, finished_at, needs }) => ({
    key,
    status,
    started_at,
    finished_at,
    needs,
  }));
  return { ...run, outputs, tasks };
}

interface ReportedTask {
  key: string;
  status: string;
  started_at: string | null;
  finished_at: string | null;
  needs: string[];
}

/** Says how the run ended and prints its outputs. Answers the exit code. */
export async function reportEnd(context: Context, client: Client, runId: string): Promise<number> {
  if (context.json) {
    const report = await runReport(client, runId);
    printJson(context, report);
    return exitCodeOf(report);
  }
  const run = await client.runs.get(runId);
  context.stdout.write(`\n${endLine(context, run)}\n`);
  if (run.status === "failed") await printFailures(context, client, run);
  if (run.status === "completed") printOutputs(context, (await client.runs.result(runId)).outputs);
  return exitCodeOf(run);
}

export function exitCodeOf(run: Pick<RunBody, "status">): number {
  return run.status === "failed" || run.status === "cancelled" ? exitCodes.runFailed : exitCodes.ok;
}

function endLine({ paint }: Context, run: RunBody): string {
  const took = formatSpan(run.created_at, run.finished_at);
  const words = `${visible(run.workflow)} ${run.status} after ${took}, ${counted(run.task_count, "task")}`;
  return `${statusGlyph(paint, run.status)} ${run.status === "failed" ? paint.red(words) : words}`;
}

/** Nothing for a workflow that has no outputs. */
export function printOutputs(context: Context, outputs: unknown): void {
  if (outputs !== null) context.stdout.write(`${toJson(outputs)}\n`);
}

/** Failed tasks shown; the rest are counted. */
const FAILURES_SHOWN = 10;

async function printFailures(context: Context, client: Client, run: RunBody): Promise<void> {
  const { data } = await client.runs.tasks(run.id, { status: "failed", limit: FAILURES_SHOWN });
  for (const { key, attempt, error } of data) {
    const attempts = attempt > 1 ? ` after ${attempt} attempts` : "";
    context.stdout.write(`  ${context.paint.bold(key)}${attempts}: ${failureText(error)}\n`);
  }
  if (data.length === 0) context.stdout.write(`  ${failureText(run.error)}\n`);
  const more = (run.counts.failed ?? 0) - data.length;
  if (more > 0) context.stdout.write(`  … and ${counted(more, "more failed task")}\n`);
}

export function failureText(error: RunBody["error"]): string {
  return error ? visible(`${error.code}: ${error.message}`) : "";
}

/** `skein runs …`: looks at runs, and steers them. */
import { writeFile } from "node:fs/promises";
import { extname } from "node:path";
import { SkeinError } from "../core/errors.ts";
import type { Json } from "../core/json.ts";
import type { LogLineBody, PatchBody } from "../core/protocol/runs.ts";
import { isTerminalRun } from "../core/run.ts";
import type { GraphFormat, TimelineFormat } from "../sdk/client.ts";
import type { Context } from "./context.ts";
import { statusGlyph } from "./frame.ts";
import { formatSpan, printAnswer, printJson, printTable, visible } from "./output.ts";
import { eachItem, firstItems } from "./pages.ts";
import { readObject } from "./read-file.ts";
import { watchRun } from "./run.ts";
import { exitCodeOf, failureText, printOutputs, runReport } from "./run-report.ts";

export async function getRun(context: Context, id: string): Promise<void> {
  const client = await context.client();
  if (context.json) return printJson(context, await runReport(client, id));
  const run = await client.runs.get(id);
  const tasks = await firstItems((page) => client.runs.tasks(id, page));
  const { stdout, paint } = context;
  stdout.write(`${statusGlyph(paint, run.status)} ${paint.bold(visible(run.workflow))} ${run.status}\n`);
  stdout.write(`${paint.dim(`run ${run.id}, created ${run.created_at}`)}\n`);
  if (run.error) stdout.write(`${paint.red(failureText(run.error))}\n`);
  else if (run.budget?.exhausted) stdout.write(`${paint.yellow(visible(run.budget.exhausted))}\n`);
  stdout.write("\n");
  printTable(
    context,
    ["TASK", "STATUS", "CAPABILITY", "ATTEMPT", "TOOK", "NOTE"],
    tasks.map((task) => [
      task.key,
      task.status,
      task.capability,
      String(task.attempt),
      formatSpan(task.started_at, task.finished_at),
      failureText(task.error) || (task.reason ?? ""),
    ]),
  );
}

/** With `--json` a line of JSON for each event. */
export async function watch(context: Context, id: string): Promise<number> {
  return watchRun(context, await context.client(), id, { jsonEvents: context.json });
}

/** Exits with 1 when the run failed. Throws RUN_NOT_FINISHED while it has no result. */
export async function result(context: Context, id: string): Promise<number> {
  const client = await context.client();
  const found = await client.runs.result(id);
  if (!isTerminalRun(found.status)) {
    throw new SkeinError("RUN_NOT_FINISHED", `Run ${id} is ${found.status}; \`skein runs watch ${id}\` waits for it.`);
  }
  if (context.json) printJson(context, found);
  else if (found.error) context.note(`The run ${found.status}: ${failureText(found.error)}`);
  else printOutputs(context, found.outputs);
  return exitCodeOf(found);
}

interface CancelOptions {
  reason?: string;
  group?: string;
  compensate?: boolean;
}

export async function cancel(context: Context, id: string, { reason, ...options }: CancelOptions): Promise<void> {
  const client = await context.client();
  const run = await client.runs.cancel(id, reason, options);
  const words = isTerminalRun(run.status) ? `is ${run.status}` : "is being cancelled";
  const sentence =
    options.group === undefined
      ? `Run ${run.id} ${words}.`
      : `The tasks of group ${visible(options.group)} are cancelled; run ${run.id} goes on.`;
  printAnswer(context, run, sentence);
}

export async function signal(context: Context, id: string, name: string, options: { payload?: string }): Promise<void> {
  const client = await context.client();
  const run = await client.runs.signal(id, name, payloadOf(options.payload));
  printAnswer(context, run, `Signal ${visible(name)} sent to run ${run.id}.`);
}

export async function why(context: Context, id: string, task: string): Promise<void> {
  const client = await context.client();
  const answer = await client.runs.why(id, task);
  if (context.json) return printJson(context, answer);
  const { stdout, paint } = context;
  stdout.write(`${statusGlyph(paint, answer.status)} ${paint.bold(visible(answer.task))} ${answer.status}\n`);
  for (const { message } of answer.reasons) stdout.write(`  ${visible(message)}\n`);
}

export async function repeats(context: Context, id: string): Promise<void> {
  const client = await context.client();
  const { data } = await client.runs.repeats(id);
  if (context.json) return printJson(context, data);
  const more = (count: number) => (count > 0 ? ` and ${count} more` : "");
  printTable(
    context,
    ["TIMES", "CAPABILITY", "TASKS"],
    data.map(({ capability, tasks, count }) => [
      String(count),
      capability,
      tasks.join(" ") + more(count - tasks.length),
    ]),
  );
}

export async function bids(context: Context, id: string, task: string): Promise<void> {
  const client = await context.client();
  const { data } = await client.runs.bids(id, task);
  if (context.json) return printJson(context, data);
  printTable(
    context,
    ["ROUND", "ATTEMPT", "AGENT", "BID", "AWARDED"],
    data.flatMap(({ round, attempt, awarded_to, bids }) =>
      bids.map(({ agent_id, agent, state, bid }) => [
        String(round),
        String(attempt),
        agent ?? agent_id,
        state === "bid" ? String(bid) : state,
        agent_id === awarded_to ? "yes" : "",
      ]),
    ),
  );
}

interface PatchOptions {
  revision?: string;
  dryRun?: boolean;
  reason?: string;
}

export async function patch(context: Context, id: string, file: string, options: PatchOptions): Promise<void> {
  const client = await context.client();
  const body = (await readObject(context, file)) as PatchBody;
  const revision = options.revision === undefined ? (await client.runs.get(id)).revision : Number(options.revision);
  const answer = await client.runs.patchGraph(id, revision, {
    ...body,
    ...(options.dryRun && { dry_run: true }),
    ...(options.reason !== undefined && { reason: options.reason }),
  });
  if (context.json) return printJson(context, answer);
  const verb = answer.dry_run ? "would be" : "is";
  context.stdout.write(`The graph ${verb} at revision ${answer.revision}.\n`);
  for (const kind of ["added", "replaced", "rewired", "removed"] as const) {
    if (answer[kind].length > 0) context.stdout.write(`  ${kind}: ${visible(answer[kind].join(", "))}\n`);
  }
}

export async function pause(context: Context, id: string, { reason }: { reason?: string }): Promise<void> {
  const client = await context.client();
  const run = await client.runs.pause(id, reason);
  printAnswer(context, run, `Run ${run.id} is ${run.status}.`);
}

export async function resume(context: Context, id: string, { reason }: { reason?: string }): Promise<void> {
  const client = await context.client();
  const run = await client.runs.resume(id, reason);
  printAnswer(context, run, `Run ${run.id} is ${run.status}.`);
}

interface DecisionOptions {
  comment?: string;
  payload?: string;
}

export async function approve(context: Context, id: string, task: string, options: DecisionOptions): Promise<void> {
  const client = await context.client();
  const { payload, comment } = options;
  const body = {
    ...(comment !== undefined && { comment }),
    ...(payload !== undefined && { payload: payloadOf(payload)! }),
  };
  const run = await client.runs.approve(id, task, body);
  printAnswer(context, run, `Task ${visible(task)} of run ${run.id} is approved.`);
}

export async function reject(context: Context, id: string, task: string, { comment }: DecisionOptions): Promise<void> {
  const client = await context.client();
  const run = await client.runs.reject(id, task, comment === undefined ? {} : { comment });
  printAnswer(context, run, `Task ${visible(task)} of run ${run.id} is rejected.`);
}

/** `--payload` is JSON; what is none is taken for a text. */
function payloadOf(text: string | undefined): Json | undefined {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

/** A line for each step of the engine and each line that a handler logged. With `--json` a line of JSON each. */
export async function logs(context: Context, id: string): Promise<void> {
  const client = await context.client();
  for await (const line of eachItem((page) => client.runs.logs(id, page))) {
    context.stdout.write(`${context.json ? JSON.stringify(line) : logText(context, line)}\n`);
  }
}

const LEVEL_WIDTH = "error".length;

function logText({ paint }: Context, line: LogLineBody): string {
  const task = line.task === undefined ? [] : [line.attempt ? `${line.task}#${line.attempt}` : line.task];
  const fields = line.fields ? [paint.dim(visible(JSON.stringify(line.fields)))] : [];
  const colour = { debug: paint.dim, info: String, warn: paint.yellow, error: paint.red }[line.level];
  const message = colour(visible(line.message));
  return [paint.dim(line.at), line.level.padEnd(LEVEL_WIDTH), line.source, ...task, message, ...fields].join(" ");
}

export interface PictureOptions<Format> {
  format?: Format;
  output?: string;
}

const byExtension: Record<string, GraphFormat> = {
  ".json": "json",
  ".mmd": "mermaid",
  ".mermaid": "mermaid",
  ".dot": "dot",
  ".gv": "dot",
  ".svg": "svg",
  ".html": "html",
};

/** The format is that of `--format`, else that of the file's extension, else Mermaid (JSON with `--json`). */
export async function graph(context: Context, id: string, options: PictureOptions<GraphFormat>): Promise<void> {
  const format = options.format ?? byExtension[extname(options.output ?? "")] ?? (context.json ? "json" : "mermaid");
  const client = await context.client();
  await putPicture(context, await client.runs.graph(id, format), options.output);
}

/** The format is that of `--format`, else SVG for a file called so, else JSON. */
export async function timeline(context: Context, id: string, options: PictureOptions<TimelineFormat>): Promise<void> {
  const format = options.format ?? (extname(options.output ?? "") === ".svg" ? "svg" : "json");
  const client = await context.client();
  await putPicture(context, await client.runs.timeline(id, format), options.output);
}

async function putPicture(context: Context, text: string, file: string | undefined): Promise<void> {
  if (file === undefined || file === "-") {
    context.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
    return;
  }
  await writeFile(file, text);
  context.note(`Written to ${file}.`);
}

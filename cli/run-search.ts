/** `skein runs list` and `skein runs bulk`: runs that are looked for by what they are, and what is done to all of them. */
import { isDuration, parseDuration } from "../core/duration.ts";
import type { BulkAction, BulkAnswer, RunBody } from "../core/protocol/runs.ts";
import type { RunStatus } from "../core/run.ts";
import type { Context } from "./context.ts";
import { counted, formatSpan, printJson, printTable, visible } from "./output.ts";
import { firstItems } from "./pages.ts";
import { exitCodes, UsageError } from "./problem.ts";

interface FilterOptions {
  status?: string[];
  workflow?: string;
  schedule?: string;
  name?: string;
  label?: string[];
  since?: string;
  until?: string;
  finishedSince?: string;
  finishedUntil?: string;
}

export async function listRuns(context: Context, { limit, ...options }: FilterOptions & { limit: number }) {
  const search = searchOf(options);
  const client = await context.client();
  const runs = await firstItems((page) => client.runs.list({ ...search, ...page }), limit);
  if (context.json) return printJson(context, runs);
  printTable(context, ["RUN", "WORKFLOW", "STATUS", "TASKS", "CREATED", "TOOK"], runs.map(runRow));
}

function runRow(run: RunBody): string[] {
  const { completed = 0, failed = 0, skipped = 0, cancelled = 0 } = run.counts;
  return [
    run.id,
    run.version === null ? run.workflow : `${run.workflow}@${run.version}`,
    run.status,
    `${completed + failed + skipped + cancelled}/${run.task_count}`,
    run.created_at,
    formatSpan(run.created_at, run.finished_at),
  ];
}

interface BulkOptions extends FilterOptions {
  dryRun?: boolean;
  expect?: number;
  all?: boolean;
  reason?: string;
  compensate?: boolean;
}

const past: Record<BulkAction, string> = {
  cancel: "being cancelled",
  retry: "retried",
  pause: "paused",
  resume: "resumed",
};

/** Exits with 1 when it was refused for one of them. */
export async function bulkRuns(context: Context, action: BulkAction, options: BulkOptions): Promise<number> {
  const { dryRun, expect, all, reason, compensate, ...filter } = options;
  const { label, status, ...search } = searchOf(filter);
  const client = await context.client();
  const body = {
    action,
    filter: {
      ...search,
      ...(status && { status: status as RunStatus[] }),
      ...(label && { labels: Object.fromEntries(label.map(readLabel)) }),
    },
    ...(dryRun && { dry_run: true }),
    ...(expect !== undefined && { expected: expect }),
    ...(all && { all: true as const }),
    ...(reason !== undefined && { reason }),
    ...(compensate && { compensate }),
  };
  const answer = await client.runs.bulkAll(body, ({ done, matched }) => context.note(`${done} of ${matched} …`));
  if (context.json) printJson(context, answer);
  else context.stdout.write(sentence(action, answer));
  for (const { run, detail } of answer.failed) context.note(visible(`${run}: ${detail}`));
  return answer.failed.length === 0 ? exitCodes.ok : exitCodes.runFailed;
}

function sentence(action: BulkAction, { dry_run, matched, done, skipped, failed }: BulkAnswer): string {
  if (dry_run) return `${counted(matched ?? 0, "run")}; to ${action} them: --expect ${matched}\n`;
  const rest = [
    skipped > 0 ? `${skipped} had changed meanwhile` : [],
    failed.length > 0 ? `${failed.length} failed` : [],
  ];
  return `${[`${counted(done, "run")} ${past[action]}`, ...rest.flat()].join(", ")}\n`;
}

/** What the server is asked for; `status` and `label` as they were given. */
function searchOf({ since, until, finishedSince, finishedUntil, name, ...same }: FilterOptions) {
  return {
    ...same,
    ...(name !== undefined && { name_contains: name }),
    ...(since !== undefined && { created_after: timeOf(since) }),
    ...(until !== undefined && { created_before: timeOf(until) }),
    ...(finishedSince !== undefined && { finished_after: timeOf(finishedSince) }),
    ...(finishedUntil !== undefined && { finished_before: timeOf(finishedUntil) }),
  };
}

/** A time, or how long ago it is by this computer's clock. */
function timeOf(text: string): string {
  if (isDuration(text)) return new Date(Date.now() - parseDuration(text)).toISOString();
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) {
    throw new UsageError(
      `"${text}" is no time; write one such as 2030-01-31T00:00:00Z, or how long ago it is, such as 1d.`,
    );
  }
  return time.toISOString();
}

function readLabel(pair: string): [string, string] {
  const equals = pair.indexOf("=");
  if (equals < 1) throw new UsageError(`--label must be key=value, not "${pair}".`);
  return [pair.slice(0, equals), pair.slice(equals + 1)];
}

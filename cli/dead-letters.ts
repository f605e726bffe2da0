/** `skein dead-letters`: tasks that failed for good though an agent was at them; run again, or let be. */
import type { LetterState } from "../core/dead-letter.ts";
import type { Context } from "./context.ts";
import { counted, printAnswer, printJson, printTable, visible } from "./output.ts";
import { firstItems } from "./pages.ts";
import { exitCodes, UsageError } from "./problem.ts";

export interface LetterOptions {
  workflow?: string;
  capability?: string;
  code?: string;
  run?: string;
  since?: string;
  limit: number;
}

export async function listLetters(
  context: Context,
  { limit, ...filter }: LetterOptions & { state?: LetterState },
): Promise<void> {
  const client = await context.client();
  const found = await firstItems((page) => client.deadLetters.list({ ...filter, ...page }), limit);
  if (context.json) return printJson(context, found);
  printTable(
    context,
    ["DEAD LETTER", "FAILED", "WORKFLOW", "TASK", "CAPABILITY", "TRIES", "ERROR"],
    found.map(({ id, failed_at, workflow, task, capability, attempt, error }) => [
      id,
      failed_at,
      workflow,
      task,
      capability,
      String(attempt),
      `${error.code}: ${error.message}`,
    ]),
  );
}

export async function getLetter(context: Context, id: string): Promise<void> {
  const client = await context.client();
  const found = await client.deadLetters.get(id);
  if (context.json) return printJson(context, found);
  const { stdout, paint } = context;
  stdout.write(`${paint.bold(`dead letter ${found.id}`)} ${found.state}\n`);
  stdout.write(`  task ${visible(found.task)} of run ${found.run_id} (${visible(found.workflow)})\n`);
  stdout.write(`  ${visible(`${found.error.code}: ${found.error.message}`)}\n`);
  if (found.redriven_in) stdout.write(`  redriven in run ${found.redriven_in}\n`);
  if (found.settled_by) stdout.write(visible(`  discarded by ${found.settled_by}: ${found.reason ?? "no reason"}`));
  printTable(
    context,
    ["ATTEMPT", "OUTCOME", "AGENT", "ENDED", "ERROR"],
    found.attempts.map(({ attempt, outcome, agent_id, ended_at, error }) => [
      String(attempt),
      outcome,
      agent_id ?? "",
      ended_at ?? "",
      error ? `${error.code}: ${error.message}` : "",
    ]),
  );
}

/** One, or with filters many; exits with 1 when a run could not be retried. */
export async function redriveLetters(
  context: Context,
  id: string | undefined,
  options: LetterOptions,
): Promise<number> {
  const client = await context.client();
  if (id !== undefined) {
    const run = await client.deadLetters.redrive(id);
    printAnswer(context, run, `Run ${run.id} does its work again.`);
    return exitCodes.ok;
  }
  const answer = await client.deadLetters.redriveMany(filtered(options));
  if (context.json) printJson(context, answer);
  for (const { run_id, retried_from, dead_letters } of context.json ? [] : answer.redriven) {
    context.stdout.write(`Run ${run_id} retries ${retried_from}: ${counted(dead_letters.length, "dead letter")}.\n`);
  }
  for (const { run_id, message } of answer.refused) context.note(visible(`Run ${run_id} was not retried: ${message}`));
  if (answer.more) context.note("There are more; ask again.");
  return answer.refused.length > 0 ? exitCodes.runFailed : exitCodes.ok;
}

export async function discardLetters(
  context: Context,
  id: string | undefined,
  { reason, ...options }: LetterOptions & { reason?: string },
): Promise<void> {
  const client = await context.client();
  if (id !== undefined) {
    printAnswer(context, await client.deadLetters.discard(id, reason), `Dead letter ${id} is discarded.`);
    return;
  }
  const answer = await client.deadLetters.discardMany({
    ...filtered(options),
    ...(reason !== undefined && { reason }),
  });
  printAnswer(
    context,
    answer,
    `${counted(answer.discarded, "dead letter")} discarded${answer.more ? "; there are more" : ""}.`,
  );
}

/** Nobody means all of them by leaving out what was to be said. */
function filtered(options: LetterOptions): LetterOptions {
  const { limit: _, ...filter } = options;
  if (Object.values(filter).some((value) => value !== undefined)) return options;
  throw new UsageError("Name a dead letter, or say which: --workflow, --capability, --code, --run or --since.");
}

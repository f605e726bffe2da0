/** `skein run`: submits a workflow, follows the run and prints its result; without a server, in a system of its own. */
import { existsSync } from "node:fs";
import { SkeinError } from "../core/errors.ts";
import type { SubmitBody } from "../core/protocol/runs.ts";
import type { Client } from "../sdk/client.ts";
import { budgetIn } from "./budgets.ts";
import type { Context } from "./context.ts";
import { followRun } from "./follow.ts";
import { readInputs } from "./inputs.ts";
import { withLocalSystem } from "./local-system.ts";
import { printJson } from "./output.ts";
import { exitCodes, UsageError } from "./problem.ts";
import { readWorkflow } from "./read-file.ts";
import { exitCodeOf, reportEnd } from "./run-report.ts";

export interface RunOptions {
  /** `k=v` pairs. */
  input?: string[];
  inputs?: string;
  label?: string[];
  priority?: number;
  /** `unit=most` pairs. */
  budget?: string[];
  idempotencyKey?: string;
  watch?: boolean;
  detach?: boolean;
  inMemory?: boolean;
  dataDir?: string;
  executors?: string[];
  verbose?: boolean;
}

/** Exits with 0 when the run completed, or was handed over with `--detach`. */
export async function run(context: Context, target: string, options: RunOptions): Promise<number> {
  refuseContradictions(context, target, options);
  const body = await submission(context, target, options);
  return context.server === undefined ? runHere(context, body, options) : runThere(context, body, options);
}

function refuseContradictions({ server }: Context, target: string, options: RunOptions): void {
  if (target === "-" && options.inputs === "-")
    throw new UsageError("Only one of the workflow and --inputs can be stdin.");
  if (server === undefined && options.detach) {
    throw new UsageError("--detach needs a server that goes on: give --server, or set SKEIN_URL.");
  }
  const local = (["inMemory", "dataDir", "executors", "verbose"] as const).find((name) => options[name] !== undefined);
  if (server === undefined || local === undefined) return;
  const flag = `--${local.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  throw new UsageError(`${flag} is for the embedded system, but the run goes to ${server}; leave one of them out.`);
}

async function submission(context: Context, target: string, options: RunOptions): Promise<SubmitBody> {
  const inputs = await readInputs(context, options);
  return {
    ...(isFile(target)
      ? { definition: (await readWorkflow(context, target)) as unknown as NonNullable<SubmitBody["definition"]> }
      : { workflow: target }),
    ...(inputs && { inputs }),
    ...(options.label && { labels: Object.fromEntries(options.label.map(labelOf)) }),
    ...(options.priority !== undefined && { priority: options.priority }),
    ...(options.budget && { budget: budgetIn(options.budget) }),
  };
}

/** Whatever has the looks of a file is one, so that a slip in its name is not taken for the name of a workflow. */
function isFile(target: string): boolean {
  return target === "-" || /[/\\]|\.(ya?ml|json)$/.test(target) || existsSync(target);
}

function labelOf(pair: string): [string, string] {
  const equals = pair.indexOf("=");
  if (equals < 1) throw new UsageError(`--label must be key=value, not "${pair}".`);
  return [pair.slice(0, equals), pair.slice(equals + 1)];
}

async function runThere(context: Context, body: SubmitBody, options: RunOptions): Promise<number> {
  const client = await context.client();
  const { id, ...submitted } = await submit(client, body, options);
  if (options.detach) {
    if (context.json) printJson(context, { id, ...submitted });
    else context.stdout.write(`${id}\n`);
    return exitCodes.ok;
  }
  return watchRun(context, client, id);
}

/** Follows a run until its end. Ctrl-C ends the watching, never the run. */
export async function watchRun(
  context: Context,
  client: Client,
  runId: string,
  options: { jsonEvents?: boolean } = {},
): Promise<number> {
  const signal = context.interrupt();
  const hint = "Ctrl-C stops watching, not the run";
  const progress = await followRun(context, client, runId, { ...options, signal, hint });
  if (signal.aborted) {
    const where = context.server === undefined || context.env.SKEIN_URL ? "" : ` --server ${context.server}`;
    context.note(`\nThe run goes on. To watch it again: skein runs watch ${runId}${where}`);
    return exitCodes.ok;
  }
  return options.jsonEvents ? exitCodeOf(progress) : reportEnd(context, client, runId);
}

async function runHere(context: Context, body: SubmitBody, options: RunOptions): Promise<number> {
  const signal = context.interrupt();
  // Nobody else needs to reach it, and it must not be in the way of one that runs already.
  const env = { HOST: "127.0.0.1", PORT: "0" };
  return withLocalSystem(context, { ...options, env }, ({ client }) =>
    runAndReport(context, client, () => submit(client, body, options), signal),
  );
}

/** Follows a run that nobody but this process keeps going: Ctrl-C cancels it. */
export async function runAndReport(
  context: Context,
  client: Client,
  start: () => Promise<{ id: string }>,
  signal: AbortSignal,
): Promise<number> {
  const { id } = await start();
  const cancel = () => {
    client.runs.cancel(id, "cancelled from the keyboard").catch((error: Error) => context.note(error.message));
  };
  if (signal.aborted) cancel();
  signal.addEventListener("abort", cancel);
  await followRun(context, client, id, { hint: "Ctrl-C cancels" });
  signal.removeEventListener("abort", cancel);
  return reportEnd(context, client, id);
}

async function submit(client: Client, body: SubmitBody, { idempotencyKey }: RunOptions) {
  try {
    return await client.runs.submit(body, { ...(idempotencyKey !== undefined && { idempotencyKey }) });
  } catch (error) {
    if (!(error instanceof SkeinError) || error.code !== "WORKFLOW_NOT_FOUND") throw error;
    throw new SkeinError(error.code, `There is neither a file nor a registered workflow ${body.workflow}.`, {
      cause: error,
    });
  }
}

/** `skein runs retry` and `skein runs fork`: new runs from old ones. */
import type { JsonObject } from "../core/json.ts";
import type { ForkBody, RunBody } from "../core/protocol/runs.ts";
import type { Client } from "../sdk/client.ts";
import { budgetIn } from "./budgets.ts";
import type { Context } from "./context.ts";
import { readInputs } from "./inputs.ts";
import { printAnswer } from "./output.ts";
import { UsageError } from "./problem.ts";
import { readObject } from "./read-file.ts";
import { watchRun } from "./run.ts";

interface RerunOptions {
  from?: string[];
  budget?: string[];
  idempotencyKey?: string;
  watch?: boolean;
}

export interface ForkOptions extends RerunOptions {
  /** `k=v` pairs, over the inputs of the file, else over those of the run. */
  input?: string[];
  inputs?: string;
  edits?: string;
}

export async function retry(context: Context, id: string, options: RerunOptions): Promise<number | undefined> {
  const client = await context.client();
  const run = await client.runs.retry(id, common(options), keyOf(options));
  return told(context, client, run, `Run ${run.id} retries run ${id}.`, options);
}

export async function fork(context: Context, id: string, options: ForkOptions): Promise<number | undefined> {
  if (options.inputs === "-" && options.edits === "-") {
    throw new UsageError("Only one of --inputs and --edits can be stdin.");
  }
  const client = await context.client();
  const inputs = await changedInputs(context, client, id, options);
  const edits = options.edits === undefined ? undefined : await readObject(context, options.edits);
  const body = {
    ...common(options),
    ...(inputs && { inputs }),
    ...(edits && { edits: edits as NonNullable<NonNullable<ForkBody>["edits"]> }),
  };
  const run = await client.runs.fork(id, body, keyOf(options));
  return told(context, client, run, `Run ${run.id} is a fork of run ${id}.`, options);
}

/** Single inputs change those of the run; a file takes the place of all of them. */
async function changedInputs(
  context: Context,
  client: Client,
  id: string,
  options: ForkOptions,
): Promise<JsonObject | undefined> {
  const given = await readInputs(context, options);
  if (!given || options.inputs !== undefined) return given;
  return { ...(await client.runs.get(id)).inputs, ...given };
}

function common({ from, budget }: RerunOptions) {
  return { ...(from && { from }), ...(budget && { budget: budgetIn(budget) }) };
}

function keyOf({ idempotencyKey }: RerunOptions): { idempotencyKey?: string } {
  return idempotencyKey === undefined ? {} : { idempotencyKey };
}

/** With `--watch` the exit code is that of the new run. */
async function told(
  context: Context,
  client: Client,
  run: RunBody,
  words: string,
  { watch }: RerunOptions,
): Promise<number | undefined> {
  if (watch) return watchRun(context, client, run.id);
  printAnswer(context, run, words);
  return undefined;
}

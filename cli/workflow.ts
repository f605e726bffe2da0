/** `skein workflow …`: checks definitions, and keeps them on the server. */
import { stringify } from "yaml";
import type { Issue } from "../core/errors.ts";
import type { WorkflowRecord } from "../core/protocol/workflows.ts";
import type { Context } from "./context.ts";
import { counted, printJson, printTable, visible } from "./output.ts";
import { firstItems } from "./pages.ts";
import { exitCodes, explain, FileError, UsageError } from "./problem.ts";
import { readWorkflow } from "./read-file.ts";

interface Verdict {
  file: string;
  valid: boolean;
  tasks?: number;
  errors: readonly Issue[];
}

/** Checks files on this machine; no server is asked. Exits with 2 when one of them is not valid. */
export async function validate(context: Context, files: string[]): Promise<number> {
  const verdicts: Verdict[] = [];
  for (const file of files) verdicts.push(await judge(context, file));
  if (context.json) printJson(context, verdicts.length === 1 ? verdicts[0] : verdicts);
  return verdicts.every(({ valid }) => valid) ? exitCodes.ok : exitCodes.usage;
}

async function judge(context: Context, file: string): Promise<Verdict> {
  const { stdout, stderr, paint, json } = context;
  try {
    const { name, tasks } = await readWorkflow(context, file);
    if (!json) stdout.write(`${paint.green("✔")} ${visible(file)}: ${name}, ${counted(tasks.length, "task")}\n`);
    return { file, valid: true, tasks: tasks.length, errors: [] };
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    if (!json) stderr.write(`${explain(error).text}\n`);
    const { code, message, issues } = error.cause;
    return { file, valid: false, errors: issues.length > 0 ? issues : [{ code, message, pointer: "" }] };
  }
}

export async function register(context: Context, file: string): Promise<void> {
  const definition = await readWorkflow(context, file);
  const client = await context.client();
  const record = await client.workflows.register(definition);
  if (context.json) return printJson(context, record);
  context.stdout.write(`Registered ${nameOf(record)}. To run it: skein run ${record.name}\n`);
}

export async function saveFromRun(
  context: Context,
  run: string,
  { name, description }: { name: string; description?: string },
): Promise<void> {
  const client = await context.client();
  const record = await client.workflows.saveFromRun(run, {
    name,
    ...(description !== undefined && { description }),
  });
  if (context.json) return printJson(context, record);
  context.stdout.write(`Registered ${nameOf(record)}. To run it: skein run ${record.name}\n`);
}

export async function listWorkflows(context: Context, { limit }: { limit: number }): Promise<void> {
  const client = await context.client();
  const records = await firstItems((page) => client.workflows.list(page), limit);
  if (context.json) return printJson(context, records);
  printTable(
    context,
    ["WORKFLOW", "TASKS", "REGISTERED", "DESCRIPTION"],
    records.map((record) => {
      const { tasks, description } = record.definition as { tasks: unknown[]; description?: string };
      return [nameOf(record), String(tasks.length), record.created_at, description ?? ""];
    }),
  );
}

/** The definition as a YAML file; with `--json` the record. `name@3` is version 3, else it is the newest. */
export async function getWorkflow(context: Context, reference: string): Promise<void> {
  const match = /^([^@]+)(?:@([1-9]\d*))?$/.exec(reference);
  if (!match) throw new UsageError(`"${reference}" is not a workflow; write name or name@3.`);
  const client = await context.client();
  const record = await client.workflows.get(match[1]!, match[2] === undefined ? undefined : Number(match[2]));
  if (context.json) return printJson(context, record);
  context.stdout.write(stringify(record.definition));
}

function nameOf({ name, version }: WorkflowRecord): string {
  return `${name}@${version}`;
}

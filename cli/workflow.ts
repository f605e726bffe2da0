/** `skein workflow …`: checks definitions, and keeps them on the server. */
import { stringify } from "yaml";
import { defaultLimits } from "../core/limits.ts";
import { proveText } from "../core/proof/prove-text.ts";
import type { Validation, WorkflowRecord } from "../core/protocol/workflows.ts";
import type { Context } from "./context.ts";
import { printJson, printTable } from "./output.ts";
import { firstItems } from "./pages.ts";
import { exitCodes, explain, FileError, UsageError } from "./problem.ts";
import { readWorkflow, readWorkflowText } from "./read-file.ts";
import { printVerdict } from "./verdict.ts";

type Verdict = Validation & { file: string };

export interface ValidateOptions {
  /** Warnings fail, too. */
  strict?: boolean;
  /** Ask no server, even where one is named. */
  offline?: boolean;
}

/**
 * Checks files, and says of sound ones what they come to. Where a server is named it is asked, which knows the agents there are;
 * else no server is. Exits with 2 when one of them is not valid, or, with `--strict`, is warned of.
 */
export async function validate(context: Context, files: string[], options: ValidateOptions = {}): Promise<number> {
  const verdicts: Verdict[] = [];
  for (const file of files) verdicts.push(await judge(context, file, options));
  if (context.json) printJson(context, verdicts.length === 1 ? verdicts[0] : verdicts);
  const isGood = ({ valid, findings = [] }: Verdict) =>
    valid && !(options.strict && findings.some(({ severity }) => severity === "warning"));
  return verdicts.every(isGood) ? exitCodes.ok : exitCodes.usage;
}

async function judge(context: Context, file: string, { offline }: ValidateOptions): Promise<Verdict> {
  const { stderr, json, server } = context;
  try {
    const { workflow, text, format } = await readWorkflowText(context, file);
    const verdict =
      server === undefined || offline
        ? proveText(text, { format, limits: defaultLimits })
        : await (await context.client()).workflows.validate(text);
    if (!json) printVerdict(context, file, workflow.name, verdict);
    return { file, ...verdict };
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    if (!json) stderr.write(`${explain(error).text}\n`);
    const { code, message, issues } = error.cause;
    return { file, valid: false, errors: issues.length > 0 ? [...issues] : [{ code, message, pointer: "" }] };
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

/** `skein dev`: the whole system in this process, until Ctrl-C. */
import type { Client } from "../sdk/client.ts";
import type { Context } from "./context.ts";
import { describeSystem, exampleFile, withLocalSystem } from "./local-system.ts";
import { printJson } from "./output.ts";
import { exitCodes } from "./problem.ts";
import { readWorkflow } from "./read-file.ts";
import { runAndReport } from "./run.ts";

export interface DevOptions {
  port?: number;
  host?: string;
  dataDir?: string;
  inMemory?: boolean;
  example?: boolean;
  executors?: string[];
  verbose?: boolean;
}

const EXAMPLE = "hello.yaml";

/** Runs until Ctrl-C or SIGTERM. */
export async function dev(context: Context, options: DevOptions): Promise<number> {
  const signal = context.interrupt();
  const { port, host } = options;
  const env = {
    ...(port !== undefined && { PORT: String(port) }),
    ...(host !== undefined && { HOST: host }),
  };
  const say = (text: string) => context.json || context.stdout.write(text);
  await withLocalSystem(context, { ...options, hotReload: true, env }, async ({ url, client }) => {
    if (context.json) printJson(context, { url, pid: process.pid });
    say(heading(context, url, options));
    if (options.example && !signal.aborted) await runExample(context, client, signal);
    if (!signal.aborted) say(addresses(context, url));
    await aborted(signal);
    say("Stopping …\n");
  });
  return exitCodes.ok;
}

function heading(context: Context, url: string, options: DevOptions): string {
  const { paint } = context;
  return `${paint.bold("Skein")} is running at ${paint.cyan(url)}\n${paint.dim(describeSystem(context, options))}\n`;
}

function addresses({ paint }: Context, url: string): string {
  const body = '{"definition":{"name":"try","tasks":[{"id":"a","capability":"core.echo","input":"honk"}]}}';
  return [
    "",
    `  API   ${paint.cyan(`${url}/v1`)}`,
    `  Docs  ${paint.cyan(`${url}/docs`)}`,
    `  Try   curl -s ${url}/v1/runs -H 'content-type: application/json' -d '${body}'`,
    "",
    paint.dim("Ctrl-C stops it."),
    "",
  ].join("\n");
}

async function runExample(context: Context, client: Client, signal: AbortSignal): Promise<void> {
  const definition = await readWorkflow(context, exampleFile(EXAMPLE));
  if (!context.json) context.stdout.write("\n");
  await runAndReport(context, client, () => client.runs.submit({ definition: { ...definition } }), signal);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

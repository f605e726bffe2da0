/** `skein executor`: an executor process, with the built-in executors and your own. */
import { pino } from "pino";
import { loadConfig } from "../config.ts";
import type { Context } from "./context.ts";
import { exitCodes } from "./problem.ts";
import { survivingStrays } from "./strays.ts";

export interface ExecutorOptions {
  /** Names, alone or with commas between them. */
  capability?: string[];
  slots?: number;
  name?: string;
  import?: string[];
}

/** Runs until SIGTERM or Ctrl-C, and waits for a server that is not there yet. */
export async function executor(context: Context, options: ExecutorOptions): Promise<number> {
  const config = loadConfig(environmentOf(context, options));
  const { runExecutor } = await import("../agents/executor_agents/main.ts");
  // Lines that come while others are being written go together: one write each would cost more than the tasks.
  const output = pino.destination({ dest: 1, sync: false });
  const log = pino({ level: config.logLevel }, output);
  const broken = new AbortController();
  const run = () =>
    runExecutor({
      config,
      capabilities: options.capability?.flatMap((names) => names.split(",")),
      modules: options.import ?? [],
      log,
      signal: AbortSignal.any([context.interrupt(), broken.signal]),
    });
  try {
    await survivingStrays(run, {
      rejected: (reason) => log.error({ reason }, "a handler left a rejected promise behind"),
      // What it has broken is unknown: the tasks at work may end, new ones go elsewhere.
      thrown: (reason) => {
        log.fatal({ reason }, "an exception nobody caught: draining");
        broken.abort();
      },
    });
  } finally {
    output.flushSync();
  }
  return broken.signal.aborted ? exitCodes.bug : exitCodes.ok;
}

function environmentOf({ server, apiKey, env }: Context, { slots, name }: ExecutorOptions) {
  return {
    ...env,
    ...(server !== undefined && { SKEIN_URL: server }),
    ...(apiKey !== undefined && { SKEIN_API_KEY: apiKey }),
    ...(slots !== undefined && { SKEIN_SLOTS: String(slots) }),
    ...(name !== undefined && { SKEIN_AGENT_NAME: name }),
  };
}

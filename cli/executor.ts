/** `skein executor`: an executor process, with the built-in executors and your own. */
import { pino } from "pino";
import { loadConfig } from "../config.ts";
import type { Context } from "./context.ts";
import { exitCodes } from "./problem.ts";

export interface ExecutorOptions {
  capability?: string[];
  slots?: number;
  name?: string;
  import?: string[];
}

/** Runs until SIGTERM or Ctrl-C, and waits for a server that is not there yet. */
export async function executor(context: Context, options: ExecutorOptions): Promise<number> {
  const { server, apiKey, env } = context;
  const config = loadConfig({
    ...env,
    ...(server !== undefined && { SKEIN_URL: server }),
    ...(apiKey !== undefined && { SKEIN_API_KEY: apiKey }),
    ...(options.slots !== undefined && { SKEIN_SLOTS: String(options.slots) }),
    ...(options.name !== undefined && { SKEIN_AGENT_NAME: options.name }),
  });
  const { runExecutor } = await import("../agents/executor_agents/main.ts");
  // Lines that come while others are being written go together: one write each would cost more than the tasks.
  const output = pino.destination({ dest: 1, sync: false });
  try {
    await runExecutor({
      config,
      capabilities: options.capability?.flatMap((names) => names.split(",")),
      modules: options.import ?? [],
      log: pino({ level: config.logLevel }, output),
      signal: context.interrupt(),
    });
  } finally {
    output.flushSync();
  }
  return exitCodes.ok;
}

/** `skein executor`: an executor process, with the built-in executors and your own. */
import { pino } from "pino";
import { loadConfig } from "../config.ts";
import type { Context } from "./context.ts";
import type { Order, Word } from "./hot-executors.ts";
import { exitCodes } from "./problem.ts";
import { survivingStrays } from "./strays.ts";

export interface ExecutorOptions {
  /** Names, alone or with commas between them. */
  capability?: string[];
  slots?: number;
  label?: string[];
  name?: string;
  import?: string[];
  /** Started by hot-executors.ts, to be told over IPC when to stop. */
  supervised?: boolean;
}

/** Runs until SIGTERM or Ctrl-C, and waits for a server that is not there yet. */
export async function executor(context: Context, options: ExecutorOptions): Promise<number> {
  const config = loadConfig(environmentOf(context, options));
  const { runExecutor } = await import("../agents/executor_agents/main.ts");
  // Lines that come while others are being written go together: one write each would cost more than the tasks.
  const output = pino.destination({ dest: 1, sync: false });
  const log = pino({ level: config.logLevel }, output);
  const broken = new AbortController();
  const orphaned = new AbortController();
  if (options.supervised) process.on("disconnect", () => orphaned.abort());
  const run = () =>
    runExecutor({
      config,
      capabilities: options.capability?.flatMap((names) => names.split(",")),
      modules: options.import ?? [],
      log,
      signal: AbortSignal.any([context.interrupt(), broken.signal, orphaned.signal]),
      ...(options.supervised && { onStarted: obeySupervisor }),
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
  } catch (error) {
    if (!options.supervised) throw error;
    await tellSupervisor({ type: "failed", message: messageOf(error) });
    return exitCodes.bug;
  } finally {
    output.flushSync();
  }
  return broken.signal.aborted ? exitCodes.bug : exitCodes.ok;
}

function environmentOf({ server, apiKey, env }: Context, { slots, label, name }: ExecutorOptions) {
  return {
    ...env,
    ...(server !== undefined && { SKEIN_URL: server }),
    ...(apiKey !== undefined && { SKEIN_API_KEY: apiKey }),
    ...(slots !== undefined && { SKEIN_SLOTS: String(slots) }),
    ...(label && { SKEIN_LABELS: label.join(",") }),
    ...(name !== undefined && { SKEIN_AGENT_NAME: name }),
  };
}

/** A replaced executor has all the time its tasks need; one whose supervisor is gone has none. */
function obeySupervisor(running: { stop(drainMs?: number): Promise<void> }): void {
  process.on("message", (order: Order) => {
    void running.stop(order === "retire" ? Number.POSITIVE_INFINITY : undefined);
    // From here on it takes no work.
    void tellSupervisor({ type: "stopping" });
  });
  process.on("disconnect", () => void running.stop(0));
  void tellSupervisor({ type: "started" });
}

/** Resolves when it has been sent, or cannot be. */
function tellSupervisor(word: Word): Promise<void> {
  return new Promise((resolve) => {
    if (process.send) process.send(word, () => resolve());
    else resolve();
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The executor process: the built-in executors and those of the modules given, against the server at SKEIN_URL. */

import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { pino } from "pino";
import { type Config, loadConfig } from "../../config.ts";
import { SkeinError } from "../../core/errors.ts";
import type { Executor } from "../../sdk/executor.ts";
import { loadExecutors } from "../../sdk/load-executors.ts";
import { isTransient, messageOf, pauseAfter } from "../../sdk/repeat.ts";
import { connectRabbitMq } from "../../transport/rabbitmq.ts";
import type { Logger } from "../../transport/transport.ts";
import { neededSetting, withBuiltin } from "./builtin.ts";
import { type ExecutorOptions, type RunningExecutor, startExecutor } from "./executor.ts";
import { connectEventually } from "./runtime/eventual-transport.ts";

export interface RunExecutorOptions {
  config: Config;
  /** Default: those of the config; without them, all. */
  capabilities?: readonly string[] | undefined;
  /** Modules (paths or package names) whose exported executors are run beside the built-in ones, or in their place. */
  modules?: readonly string[];
  log: Logger;
  /** Aborted, the executor drains. */
  signal: AbortSignal;
  /** Is told once it takes work. */
  onStarted?: (running: RunningExecutor) => void;
}

/** Longest pause between attempts to reach the server at the start. */
const MAX_PAUSE_MS = 5_000;

/**
 * Runs an executor until `signal` aborts. Waits for the server, and for the broker, to come up. Rejects with
 * CONFIG_INVALID or CAPABILITY_INVALID for what waiting cannot cure, UNAUTHENTICATED and the like when refused.
 */
export async function runExecutor(options: RunExecutorOptions): Promise<void> {
  const { config, log } = options;
  const executors = chosen(await allExecutors(options), options.capabilities ?? config.executor.capabilities);
  const failed = new AbortController();
  const signal = AbortSignal.any([options.signal, failed.signal]);
  const { amqpUrl } = config;
  const transport =
    amqpUrl === undefined
      ? undefined
      : connectEventually(() => connectRabbitMq(amqpUrl, { name: config.executor.name, publishes: false, log }), {
          log,
          onUseless: (error) => failed.abort(error),
        });
  try {
    const running = await startWhenReachable(
      {
        client: {
          url: config.serverUrl ?? `http://127.0.0.1:${config.port}`,
          ...(config.apiKey !== undefined && { apiKey: config.apiKey }),
        },
        executors,
        name: config.executor.name,
        labels: config.executor.labels,
        slots: config.executor.slots,
        drainMs: config.executor.drainMs,
        ...(config.executor.healthFile !== undefined && { healthFile: config.executor.healthFile }),
        logger: log,
        ...(transport && { transport, handOff: config.executor.handOff }),
      },
      signal,
    );
    if (!running) return;
    options.onStarted?.(running);
    await Promise.race([aborted(signal), running.closed]);
    await running.stop();
    failed.signal.throwIfAborted();
  } finally {
    await transport?.close();
  }
}

async function startWhenReachable(options: ExecutorOptions, signal: AbortSignal): Promise<RunningExecutor | undefined> {
  for (let failures = 1; !signal.aborted; failures++) {
    try {
      return await startExecutor(options);
    } catch (error) {
      if (!(error instanceof SkeinError && isTransient(error))) throw error;
      options.logger.warn({ step: "register", failures }, `waiting for the server: ${messageOf(error)}`);
      await delay(pauseAfter(failures, MAX_PAUSE_MS), undefined, { signal }).catch(() => {});
    }
  }
  return undefined;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve());
  });
}

async function allExecutors({ config, modules = [], log }: RunExecutorOptions): Promise<Executor[]> {
  const own: Executor[] = [];
  for (const name of modules) own.push(...(await loadExecutors(name)));
  return withBuiltin(own, config.executor, log);
}

function chosen(executors: Executor[], capabilities: readonly string[] | undefined): Executor[] {
  if (!capabilities) return executors;
  const names = executors.map((executor) => executor.capability);
  const unknown = capabilities.filter((name) => !names.includes(name));
  if (unknown.length === 0) return executors.filter((executor) => capabilities.includes(executor.capability));
  const missing = unknown.map((name) => {
    const setting = neededSetting.get(name);
    return setting ? `${name} (it needs ${setting})` : name;
  });
  throw new SkeinError(
    "CONFIG_INVALID",
    `There is no executor for ${missing.join(", ")}; there are ${names.join(", ")}. Give more with --import <module>.`,
  );
}

/** Runs the process: drains at the first SIGTERM or SIGINT, exits at once at the second. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { capability: { type: "string", multiple: true }, import: { type: "string", multiple: true } },
  });
  const config = loadConfig(process.env);
  // Lines that come while others are being written go together: one write each would cost more than the tasks.
  const output = pino.destination({ dest: 1, sync: false });
  const log = pino({ level: config.logLevel }, output);
  const stop = new AbortController();
  let exitCode = 0;
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    process.on(name, () => (stop.signal.aborted ? process.exit(1) : stop.abort()));
  }
  process.on("unhandledRejection", (reason) => {
    log.error({ reason: stackOf(reason) }, "a handler left a rejected promise behind");
  });
  process.on("uncaughtException", (error) => {
    log.fatal({ reason: stackOf(error) }, "an exception nobody caught: draining");
    exitCode = 1;
    stop.abort();
  });
  try {
    const capabilities = values.capability?.flatMap((names) => names.split(","));
    await runExecutor({ config, capabilities, modules: values.import ?? [], log, signal: stop.signal });
  } catch (error) {
    log.fatal({ code: error instanceof SkeinError ? error.code : undefined }, messageOf(error));
    exitCode = 1;
  }
  output.flushSync();
  // Handlers that do not heed their signal must not keep the process.
  process.exit(exitCode);
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main();

/** The whole system started inside this command. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { type Config, loadConfig } from "../config.ts";
import { SkeinError } from "../core/errors.ts";
import { type Client, createClient } from "../sdk/client.ts";
import { loadExecutors } from "../sdk/load-executors.ts";
import { type Context, type Environment, isLive } from "./context.ts";
import { startHotExecutors } from "./hot-executors.ts";
import { visible } from "./output.ts";
import { UsageError } from "./problem.ts";
import { survivingStrays } from "./strays.ts";

export interface LocalSystemOptions {
  /** Beside, and before, those of the process. */
  env?: Environment;
  /** Where to keep the database; comes before SKEIN_DATA_DIR, and before DATABASE_URL. */
  dataDir?: string;
  /** Keep nothing. */
  inMemory?: boolean;
  /** Modules that export executors. */
  executors?: readonly string[];
  /** Load them again whenever their files change. */
  hotReload?: boolean;
  /** Every log line, as JSON, on stderr. Default: warnings and errors, as people read them. */
  verbose?: boolean;
}

export interface LocalSystem {
  url: string;
  client: Client;
}

/** Starts the system, does the work with it, and stops it. Errors say which option or variable to change. */
export async function withLocalSystem<T>(
  context: Context,
  options: LocalSystemOptions,
  work: (system: LocalSystem) => Promise<T>,
): Promise<T> {
  const { client, stop } = await start(context, options);
  const rejected = (reason: string) => context.note(visible(`! a handler left a rejected promise behind: ${reason}`));
  try {
    return await survivingStrays(() => work({ url: client.url, client }), { rejected });
  } finally {
    await stop();
  }
}

async function start(context: Context, options: LocalSystemOptions) {
  const config = loadConfig(environmentOf(context, options));
  const isHot = options.hotReload === true && options.executors !== undefined;
  const executors = isHot ? [] : (await Promise.all((options.executors ?? []).map(loadExecutors))).flat();
  const started = announceStart(context);
  try {
    const { startEmbedded } = await import("../embedded.ts");
    const { url, stop } = await startEmbedded({
      config,
      executors,
      withoutExecutor: isHot,
      logger: createLogger(context, options.verbose ? config.logLevel : undefined),
      ...(options.inMemory && { inMemory: true }),
    });
    const client = createClient({ url, ...(config.adminKey && { apiKey: config.adminKey }) });
    if (!isHot) return { client, stop };
    return { client, stop: await withHotExecutors(context, options, config, { url, stop }) };
  } catch (error) {
    throw clearer(error);
  } finally {
    started();
  }
}

/** Adds them to the system that runs. Answers with how to stop both. */
async function withHotExecutors(
  context: Context,
  { executors = [], verbose }: LocalSystemOptions,
  config: Config,
  system: { url: string; stop(): Promise<void> },
): Promise<() => Promise<void>> {
  const { note, stdout, stderr, paint, json } = context;
  try {
    const hot = await startHotExecutors({
      modules: executors,
      // Empty means unset, also where a file .env would set it.
      env: {
        SKEIN_URL: system.url,
        SKEIN_API_KEY: config.adminKey ?? "",
        AMQP_URL: config.amqpUrl ?? "",
        SKEIN_CAPABILITIES: "",
        LOG_LEVEL: verbose ? config.logLevel : "warn",
      },
      drainMs: config.executor.drainMs,
      onLine: (line, stream) => {
        if (!isLogLine(line)) (stream === "stdout" && !json ? stdout : stderr).write(`${line}\n`);
        else if (verbose) stderr.write(`${line}\n`);
        else noteLine(context, line);
      },
      tell: (line) => note(paint.yellow(visible(`! ${line}`))),
    });
    return async () => {
      await hot.stop();
      await system.stop();
    };
  } catch (error) {
    await system.stop();
    throw error;
  }
}

/** Of ours; handlers write what they like. */
function isLogLine(line: string): boolean {
  return /^\{"level":\d+,"time":.*\}$/.test(line);
}

/** With a folder named there is no server of the environment's to look for, so its broker is not one either. */
function environmentOf({ env }: Context, { env: own, dataDir, inMemory }: LocalSystemOptions): Environment {
  if (inMemory && dataDir) {
    throw new UsageError("--in-memory keeps nothing, so it needs no --data-dir; leave one of them out.");
  }
  const embedded = { DATABASE_URL: undefined, AMQP_URL: undefined };
  return {
    ...env,
    ...((inMemory || dataDir) && embedded),
    ...(dataDir && { SKEIN_DATA_DIR: dataDir }),
    ...own,
  };
}

/** Where this system keeps its facts and by what its parts reach each other, for people. */
export function describeSystem({ env }: Context, options: LocalSystemOptions): string {
  const { DATABASE_URL, AMQP_URL, SKEIN_DATA_DIR } = !options.dataDir && !options.inMemory ? env : {};
  const folder = options.dataDir || SKEIN_DATA_DIR || ".skein";
  const kept = options.inMemory
    ? "everything is forgotten when it stops"
    : DATABASE_URL
      ? `data in PostgreSQL at ${serverOf(DATABASE_URL)}`
      : `data in ${folder} survives a killed process, not a power cut`;
  const broker = AMQP_URL && `; tasks go over RabbitMQ at ${serverOf(AMQP_URL)}`;
  return `${DATABASE_URL || AMQP_URL ? "single process" : "embedded mode, single process"}; ${kept}${broker ?? ""}`;
}

/** Never the name and the password in it. */
function serverOf(url: string): string {
  const { host, pathname } = new URL(url);
  return host + pathname;
}

const CLEAR_LINE = "\r\u001b[2K";

/** The start takes seconds: somebody at a terminal is told, until it is done. */
function announceStart({ stderr, env }: Context): () => void {
  if (!isLive(stderr, env)) return () => {};
  stderr.write("Starting the embedded system …");
  return () => stderr.write(CLEAR_LINE);
}

/** Without a level: warnings and errors, each as one sentence. */
function createLogger(context: Context, level: string | undefined) {
  if (level) return pino({ level }, pino.destination({ dest: 2, sync: true }));
  return pino({ level: "warn" }, { write: (line: string) => noteLine(context, line) });
}

interface LogLine {
  level: number;
  msg?: string;
  err?: { message?: string };
  run_id?: string;
}

const ERROR_LEVEL = 50;

/** Lines about a run stand in the run's own log, and whoever follows it sees them there. */
function noteLine({ note, paint }: Context, line: string): void {
  const { level, msg, err, run_id } = JSON.parse(line) as LogLine;
  if (run_id !== undefined) return;
  const text = visible([...new Set([msg, err?.message].filter(Boolean))].join(": "));
  note(level >= ERROR_LEVEL ? paint.red(`✘ ${text}`) : paint.yellow(`! ${text}`));
}

function clearer(error: unknown): unknown {
  if (!(error instanceof SkeinError) || error.code !== "DATA_DIR_LOCKED") return error;
  const hint = "If that is `skein dev`, use it: give --server with the address it has printed.";
  return new SkeinError("DATA_DIR_LOCKED", `${error.message} ${hint}`, { cause: error });
}

/** Where the workflows of the documentation stand, beside the sources and in the build alike. */
export function exampleFile(name: string): string {
  const path = fileURLToPath(new URL(`../examples/${name}`, import.meta.url));
  if (existsSync(path)) return path;
  throw new SkeinError("INTERNAL", `The example ${name} is missing from this installation; install Skein again.`);
}

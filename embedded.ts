/**
 * The whole system in this process: an orchestrator and an executor, over PGlite and the in-process transport, or over
 * the servers that DATABASE_URL, AMQP_URL and REDIS_URL name.
 */
import type { Logger } from "pino";
import { withBuiltin } from "./agents/executor_agents/builtin.ts";
import { startExecutor } from "./agents/executor_agents/executor.ts";
import { serve } from "./agents/orchestrator_agent/main.ts";
import type { Config } from "./config.ts";
import { SkeinError } from "./core/errors.ts";
import type { Memory } from "./memory/memory.ts";
import { connectRedis } from "./memory/redis.ts";
import type { Executor } from "./sdk/executor.ts";
import { openPglite } from "./store/pglite.ts";
import { openPostgres } from "./store/postgres.ts";
import { s3Objects } from "./store/s3.ts";
import type { Store } from "./store/store.ts";
import { memoryBroker } from "./transport/memory.ts";
import { connectRabbitMq } from "./transport/rabbitmq.ts";
import type { Transport } from "./transport/transport.ts";

export interface EmbeddedOptions {
  config: Config;
  logger: Logger;
  /** Executors beside the built-in ones; one of the same capability takes the built-in's place. */
  executors?: readonly Executor[];
  /** Start no executor: agents come from elsewhere. */
  withoutExecutor?: boolean;
  /** Keep the database in memory instead of at `config.databaseUrl` or in `config.dataDir`. */
  inMemory?: boolean;
}

export interface Embedded {
  url: string;
  stop(): Promise<void>;
}

const loopbackHosts = new Set(["127.0.0.1", "localhost", "::1"]);

/**
 * Starts everything and resolves once it serves. On loopback no key is needed; on any other host SKEIN_ADMIN_KEY is. A
 * server that does not answer is an error, never a fall-back.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const { config, logger, executors = [], inMemory } = options;
  const requireKey = !loopbackHosts.has(config.host);
  if (requireKey && !config.adminKey) {
    throw new SkeinError(
      "CONFIG_INVALID",
      `HOST=${config.host} can be reached by others, so SKEIN_ADMIN_KEY must be set (at least 16 characters).`,
    );
  }
  const dial = dialer(config, logger);
  const opened: (() => Promise<void>)[] = [];
  const closeAll = async () => {
    for (const close of opened.reverse()) await close();
  };
  try {
    const store = await openStore(config, logger, inMemory);
    opened.push(() => store.close());
    const connect = async () => {
      const transport = await dial();
      opened.push(() => transport.close());
      return transport;
    };
    const transport = await connect();
    const memory = config.redisUrl === undefined ? undefined : await openRedis(config.redisUrl, config, logger);
    if (memory) opened.push(() => memory.close());
    const served = await serve({ store, transport, memory, config, logger, requireKey });
    opened.push(() => served.stop());
    if (options.withoutExecutor) return { url: served.url, stop: closeAll };
    const executor = await startExecutor({
      client: { url: served.url, ...(config.adminKey && { apiKey: config.adminKey }) },
      transport: await connect(),
      executors: await withBuiltin(executors, config.executor, logger),
      name: config.executor.name,
      labels: config.executor.labels,
      slots: config.executor.slots,
      drainMs: config.executor.drainMs,
      logger,
    });
    opened.push(() => executor.stop());
    return { url: served.url, stop: closeAll };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

async function openStore(config: Config, logger: Logger, inMemory = false): Promise<Store> {
  const { limits } = config;
  const objects = config.blobs && s3Objects(config.blobs);
  await objects?.check();
  if (inMemory || !config.databaseUrl) {
    return openPglite(inMemory ? undefined : config.dataDir, { limits, objects });
  }
  return openPostgres(config.databaseUrl, {
    connections: config.databaseConnections,
    limits,
    objects,
    onError: (error) => logger.warn({ err: error }, "a database connection was lost"),
  });
}

function openRedis(url: string, { limits }: Config, logger: Logger): Promise<Memory> {
  return connectRedis(url, {
    limits,
    onLost: (reason) => logger.warn({ err: reason }, "the connection to Redis was lost"),
  });
}

function dialer({ amqpUrl }: Config, logger: Logger): () => Promise<Transport> {
  if (amqpUrl) return () => connectRabbitMq(amqpUrl, { log: logger });
  const broker = memoryBroker();
  return async () => broker.connect(logger);
}

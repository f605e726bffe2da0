/** The orchestrator process: the API and the loops over PostgreSQL and RabbitMQ. */
import type { AddressInfo } from "node:net";
import { type Logger, pino } from "pino";
import { createDefinitions } from "../../api/definitions/definitions.ts";
import { createMetrics } from "../../api/metrics.ts";
import { replan } from "../../api/replan.ts";
import { buildServer } from "../../api/server.ts";
import { createStreams } from "../../api/streams.ts";
import { threadedPlanner } from "../../api/threaded-planner.ts";
import { createWakeups, newsFor, newsOf } from "../../api/wakeups.ts";
import { type Config, loadConfig } from "../../config.ts";
import { SkeinError } from "../../core/errors.ts";
import type { Json, JsonObject } from "../../core/json.ts";
import { capabilityPlanner } from "../../core/planner/capability-planner.ts";
import type { Planner } from "../../core/planner/planner.ts";
import { templatePlanner } from "../../core/planner/template-planner.ts";
import { endWithCaller, mountMcp } from "../../mcp/main.ts";
import type { Memory } from "../../memory/memory.ts";
import { postgresMemory } from "../../memory/postgres.ts";
import { connectRedis, type RedisOptions } from "../../memory/redis.ts";
import { openPostgres } from "../../store/postgres.ts";
import { s3Objects } from "../../store/s3.ts";
import type { Store } from "../../store/store.ts";
import { connectRabbitMq } from "../../transport/rabbitmq.ts";
import { agentQueue, capabilityQueue, type Transport } from "../../transport/transport.ts";
import { version } from "../../version.ts";
import { stopOnSignals } from "../stop-on-signals.ts";
import { embedderAt } from "./embeddings.ts";
import { cassetteFetch } from "./model-planner/cassettes.ts";
import { modelAt } from "./model-planner/endpoint.ts";
import { modelPlanner } from "./model-planner/model-planner.ts";
import { changeNoticesOf, inboxesOf, newsIn, noticesOf } from "./notices.ts";
import { startOrchestrator } from "./orchestrator.ts";

/** Beside the planner: what reading how a run stands and changing it may take. */
const REPLAN_MARGIN_MS = 30_000;

export interface ServeOptions {
  store: Store;
  transport: Transport | undefined;
  /** Default: what the store does of it. */
  memory?: Memory | undefined;
  config: Config;
  logger: Logger;
  /** False only where nobody but this machine can reach the server. */
  requireKey: boolean;
}

export interface Served {
  /** Where it listens, such as http://127.0.0.1:8080. */
  url: string;
  /** Stops taking work, finishes what is in hand, and closes store, transport and memory. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Serves the API and runs the loops, over whatever store and transport it is given. Throws CONFIG_INVALID when it cannot
 * listen where it should; store, transport and memory are then left to the caller.
 */
export async function serve({ store, transport, config, logger, requireKey, ...rest }: ServeOptions): Promise<Served> {
  const { limits } = config;
  const memory = rest.memory ?? postgresMemory(store, limits);
  const planners = [threadedPlanner(), configuredModelPlanner(config), templatePlanner];
  const planning = { store, planners, limits, definitions: createDefinitions(limits) };
  const metrics = createMetrics(store);
  const orchestrator = await startOrchestrator({
    store,
    transport,
    replan: {
      perform: (due, signal) => replan(planning, due, signal),
      roundMs: config.planning.timeMs + REPLAN_MARGIN_MS,
    },
    countTicks: metrics.countTicks,
    logger,
  });
  const wakeups = createWakeups();
  store.onCommit((committed) => {
    metrics.count(committed);
    for (const entry of committed) wakeups.announce(newsOf(entry));
  });
  store.onMessages((messages) => {
    const spoken = [...new Set(messages.flatMap(({ conversation }) => conversation ?? []))];
    for (const [namespace, inboxes] of inboxesOf(messages)) {
      wakeups.announce(newsFor(namespace, { inboxes, conversations: spoken }));
    }
    transport?.publishEvents(noticesOf(messages), "agents");
  });
  store.onChange((changes) => {
    for (const { kind, namespace, name } of changes) {
      wakeups.announce(newsFor(namespace, kind === "memory" ? { scopes: [name] } : { registry: true }));
    }
    transport?.publishEvents(changeNoticesOf(changes), "agents");
  });
  const hearOthers = (_key: string, body: Json) => {
    const { run_id, namespace, facts } = body as unknown as { run_id: string; namespace: string; facts: [] };
    wakeups.announce(newsOf({ runId: run_id, namespace, facts }));
  };
  const hearNotices = (_key: string, body: Json) => {
    const { namespace, ...news } = newsIn(body);
    wakeups.announce(newsFor(namespace, news));
  };
  const replicas = await transport?.subscribeEvents("run.#", hearOthers, { own: false });
  const notices = await transport?.subscribeEvents("#", hearNotices, { own: false, about: "agents" });
  let isStopping = false;
  const app = await buildServer({
    context: {
      ...planning,
      memory,
      embedder: config.embeddings && embedderAt(config.embeddings),
      wakeups,
      streams: createStreams(config.maxStreams),
      queueNames: transport && { ofCapability: capabilityQueue, ofAgent: agentQueue },
      declareQueues: async (queues) => {
        await transport?.declareQueues(queues);
      },
      agentsChanged: orchestrator.agentsChanged,
      bidsDecided: orchestrator.bidsDecided,
      schedulesChanged: orchestrator.schedulesChanged,
      limitsChanged: orchestrator.limitsChanged,
      checks: {
        process: async () => {
          if (isStopping) throw new Error("stopping");
        },
        database: store.ping,
        ...(memory.name === "redis" && { redis: memory.ping }),
        ...(transport && {
          broker: async () => {
            if (transport.state !== "connected") throw new Error(transport.state);
          },
        }),
      },
      metrics: metrics.text,
    },
    auth: { agents: store.agents, keys: store.keys, adminKey: config.adminKey, requireKey },
    allowedHosts: config.allowedHosts,
    logger,
    version,
    instrument: (app) => {
      metrics.time(app);
      endWithCaller(app);
    },
  });
  async function stopServing(): Promise<void> {
    isStopping = true;
    wakeups.close();
    await app.close();
    await replicas?.cancel();
    await notices?.cancel();
    await orchestrator.stop();
  }

  await mountMcp(app, {
    fixtures: config.mcpFixtures,
    onRunChange: (hear) =>
      wakeups.subscribe(
        ({ runId }) => runId && hear(runId),
        () => {},
      ),
  });
  await app.listen({ host: config.host, port: config.port }).catch(async (error) => {
    await stopServing();
    throw cannotListen(config, error);
  });
  let stopping: Promise<void> | undefined;
  async function stop(): Promise<void> {
    await stopServing();
    await transport?.close();
    await memory.close();
    await store.close();
  }
  return {
    url: addressOf(app.server.address() as AddressInfo),
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
  };
}

/** Refuses to plan where no model is configured. */
function configuredModelPlanner({ planning, executor }: Config): Planner {
  const { baseUrl, apiKey, model } = executor.llm ?? {};
  const { cassettes, ...budget } = planning;
  const fetch = cassettes && cassetteFetch(cassettes.folder, cassettes.mode);
  const ask = baseUrl !== undefined && model !== undefined ? modelAt({ baseUrl, apiKey, model, fetch }) : undefined;
  return modelPlanner({ ask, others: [capabilityPlanner.name, templatePlanner.name], budget });
}

function cannotListen({ host, port }: Config, error: NodeJS.ErrnoException): SkeinError {
  const reason = error.code === "EADDRINUSE" ? "something else does" : error.message;
  return new SkeinError("CONFIG_INVALID", `Cannot listen on ${host}:${port}: ${reason}. Set PORT or HOST.`, {
    cause: error,
  });
}

function addressOf({ address, family, port }: AddressInfo): string {
  const host = address === "0.0.0.0" || address === "::" ? "127.0.0.1" : family === "IPv6" ? `[${address}]` : address;
  return `http://${host}:${port}`;
}

/** Runs until SIGTERM or SIGINT. A URL that does not work is an error at once, never a fall-back. */
export async function runOrchestrator(env: Record<string, string | undefined>): Promise<void> {
  const config = loadConfig(env);
  const logger = pino({ level: config.logLevel, base: { process: "orchestrator", pid: process.pid } });
  if (!config.databaseUrl) {
    throw new SkeinError("CONFIG_INVALID", "DATABASE_URL is not set; without a server of your own, use `skein dev`.");
  }
  if (!config.adminKey) {
    throw new SkeinError("CONFIG_INVALID", "SKEIN_ADMIN_KEY is not set; choose one of at least 16 characters.");
  }
  const objects = config.blobs && s3Objects(config.blobs);
  await objects?.check();
  const store = await openPostgres(config.databaseUrl, {
    connections: config.databaseConnections,
    limits: config.limits,
    objects,
    onError: (error) => logger.warn({ err: error }, "a database connection was lost"),
  });
  const opened: { close(): Promise<void> }[] = [store];
  try {
    const memory =
      config.redisUrl === undefined ? undefined : await connectRedis(config.redisUrl, redisOptions(config, logger));
    if (memory) opened.push(memory);
    const transport = await connectTransport(config, logger);
    if (transport) opened.push(transport);
    const served = await serve({ store, transport, memory, config, logger, requireKey: true });
    logger.info(
      {
        url: served.url,
        broker: transport?.name ?? "none",
        memory: memory?.name ?? "postgres",
        version,
      } satisfies JsonObject,
      "orchestrator ready",
    );
    await stopOnSignals(logger, served.stop);
  } catch (error) {
    for (const one of opened.reverse()) await one.close();
    throw error;
  }
}

function redisOptions({ limits }: Config, logger: Logger): RedisOptions {
  return { limits, onLost: (reason) => logger.warn({ err: reason }, "the connection to Redis was lost") };
}

async function connectTransport(config: Config, logger: Logger): Promise<Transport | undefined> {
  if (config.amqpUrl) return connectRabbitMq(config.amqpUrl, { log: logger });
  logger.warn("AMQP_URL is not set: executors get their tasks by long-poll");
  return undefined;
}

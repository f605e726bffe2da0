/** The whole system in this process: PGlite, the in-process transport, the orchestrator and an executor. */
import type { Logger } from "pino";
import { builtinExecutors } from "./agents/executor_agents/builtin.ts";
import { startExecutor } from "./agents/executor_agents/executor.ts";
import { serve } from "./agents/orchestrator_agent/main.ts";
import type { Config } from "./config.ts";
import { SkeinError } from "./core/errors.ts";
import type { Executor } from "./sdk/executor.ts";
import { openPglite } from "./store/pglite.ts";
import { memoryBroker } from "./transport/memory.ts";

export interface EmbeddedOptions {
  config: Config;
  logger: Logger;
  /** Executors beside the built-in ones; one of the same capability takes the built-in's place. */
  executors?: readonly Executor[];
  /** Keep the database in memory instead of in `config.dataDir`. */
  inMemory?: boolean;
}

export interface Embedded {
  url: string;
  stop(): Promise<void>;
}

const loopbackHosts = new Set(["127.0.0.1", "localhost", "::1"]);

/** Starts everything and resolves once it serves. On loopback no key is needed; on any other host SKEIN_ADMIN_KEY is. */
export async function startEmbedded({ config, logger, executors = [], inMemory }: EmbeddedOptions): Promise<Embedded> {
  const requireKey = !loopbackHosts.has(config.host);
  if (requireKey && !config.adminKey) {
    throw new SkeinError(
      "CONFIG_INVALID",
      `HOST=${config.host} can be reached by others, so SKEIN_ADMIN_KEY must be set (at least 16 characters).`,
    );
  }
  const store = await openPglite(inMemory ? undefined : config.dataDir);
  const broker = memoryBroker();
  const served = await serve({ store, transport: broker.connect(logger), config, logger, requireKey }).catch(
    async (error) => {
      await store.close();
      throw error;
    },
  );
  const builtin = builtinExecutors({ httpAllow: config.executor.httpAllow });
  const own = new Set(executors.map((executor) => executor.capability));
  const starting = startExecutor({
    client: { url: served.url, ...(config.adminKey && { apiKey: config.adminKey }) },
    transport: broker.connect(logger),
    executors: [...builtin.filter(({ capability }) => !own.has(capability)), ...executors],
    name: config.executor.name,
    slots: config.executor.slots,
    drainMs: config.executor.drainMs,
    logger,
  });
  const executor = await starting.catch(async (error) => {
    await served.stop();
    throw error;
  });
  return {
    url: served.url,
    stop: async () => {
      await executor.stop();
      await served.stop();
    },
  };
}

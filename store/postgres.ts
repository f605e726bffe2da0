/** Opens the store on a PostgreSQL server (15 or newer). */
import pg from "pg";
import { SkeinError } from "../core/errors.ts";
import { defaultLimits, type Limits } from "../core/limits.ts";
import { agentDataStore } from "./agent-data.ts";
import { agentStore } from "./agents.ts";
import { artifactStore } from "./artifacts.ts";
import { audit } from "./audit.ts";
import { budgetStore } from "./budgets.ts";
import { cacheStore } from "./cache.ts";
import { conversationStore } from "./conversations.ts";
import { deadLetterStore } from "./dead-letters.ts";
import { eventStore } from "./events.ts";
import type { StoreContext } from "./facts.ts";
import { flowLimitStore } from "./flow-limits.ts";
import { historyStore } from "./history.ts";
import { keyStore } from "./keys.ts";
import { leaseStore } from "./leases.ts";
import { migrate } from "./migrate.ts";
import { patchStore } from "./patch.ts";
import { planStore } from "./plans.ts";
import type { ObjectStore } from "./port/objects.ts";
import { recalling } from "./recalling.ts";
import { repair } from "./repair.ts";
import { replanStore } from "./replans.ts";
import { rerunStore } from "./reruns.ts";
import { candidatesIn } from "./routing.ts";
import { runStore } from "./runs.ts";
import { scheduleStore } from "./schedules.ts";
import { sharedMemoryStore } from "./shared-memory.ts";
import { signalStore } from "./signals.ts";
import { columnTypes, retryCounts, sessionSettings, sqlOver } from "./sql.ts";
import { steeringStore } from "./steering.ts";
import { storageStore } from "./storage.ts";
import type { ChangeListener, CommitListener, MessageListener, Store } from "./store.ts";
import { upkeepStore } from "./upkeep.ts";
import { createMarker } from "./wide-keys.ts";
import { workflowStore } from "./workflows.ts";
import { workingStateStore } from "./working-state.ts";

export interface StoreOptions {
  /** Default `defaultLimits`. */
  limits?: Limits;
  /** Where large contents go; default: into the database. */
  objects?: ObjectStore | undefined;
}

export interface PostgresOptions extends StoreOptions {
  /** Connections of the pool; default 10. */
  connections?: number;
  /** Problems of idle connections, which nobody is waiting to hear of. */
  onError?: (error: Error) => void;
}

const DEFAULT_CONNECTIONS = 10;
const CONNECT_TIMEOUT_MS = 10_000;
const OLDEST_SERVER = 150_000;

/** Connects, migrates and answers the store. Throws DATABASE_UNAVAILABLE, naming the server but never the password. */
export async function openPostgres(url: string, options: PostgresOptions = {}): Promise<Store> {
  const pool = new pg.Pool({
    connectionString: url,
    max: options.connections ?? DEFAULT_CONNECTIONS,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    application_name: "skein",
    types: columnTypes,
    // What a transaction sends without waiting goes out at once.
    pipeline: true,
    options: Object.entries(sessionSettings)
      .map(([name, value]) => `-c ${name}=${value}`)
      .join(" "),
  });
  pool.on("error", (error) => options.onError?.(error));
  try {
    await requireVersion(pool);
    await migrate(pool);
  } catch (error) {
    await pool.end().catch(() => {});
    if (error instanceof SkeinError) throw error;
    throw new SkeinError("DATABASE_UNAVAILABLE", `${describe(url)}: ${(error as Error).message}. Check DATABASE_URL.`, {
      cause: error,
    });
  }
  return storeOver(pool, options);
}

async function requireVersion(pool: pg.Pool): Promise<void> {
  const { rows } = await pool.query<{ server_version_num: string; server_version: string }>(
    "select current_setting('server_version_num') as server_version_num, current_setting('server_version') as server_version",
  );
  const { server_version_num, server_version } = rows[0]!;
  if (Number(server_version_num) < OLDEST_SERVER) {
    throw new SkeinError(
      "DATABASE_UNAVAILABLE",
      `The server runs PostgreSQL ${server_version}; Skein needs 15 or newer.`,
    );
  }
}

function describe(url: string): string {
  try {
    const { hostname, port, pathname } = new URL(url);
    return `PostgreSQL at ${hostname}:${port || 5432}${pathname}`;
  } catch {
    return "DATABASE_URL is not a URL";
  }
}

/** The store over any pool that speaks to a migrated database. `afterClose` runs once the pool has ended. */
export function storeOver(
  pool: pg.Pool,
  {
    limits = defaultLimits,
    objects,
    afterClose = async () => {},
  }: StoreOptions & { afterClose?: () => Promise<void> } = {},
): Store {
  const listeners = new Set<CommitListener>();
  const messageListeners = new Set<MessageListener>();
  const changeListeners = new Set<ChangeListener>();
  const sql = sqlOver(pool, objects);
  const context: StoreContext = {
    ...sql,
    limits,
    emit: (committed) => {
      for (const listener of listeners) listener(committed);
    },
    deliver: (messages) => {
      for (const listener of messageListeners) listener(messages);
    },
    tellChange: (changes) => {
      for (const listener of changeListeners) listener(changes);
    },
  };
  const marker = createMarker(context);
  let closing: Promise<void> | undefined;
  return {
    ...recalling(context, {
      workflows: workflowStore(context),
      runs: {
        ...runStore(context),
        ...steeringStore(context),
        ...rerunStore(context),
        ...signalStore(context),
        ...patchStore(context),
      },
      artifacts: artifactStore(context),
      events: eventStore(context),
      budgets: budgetStore(context),
    }),
    cache: cacheStore(context),
    history: historyStore(context),
    storage: storageStore(context),
    leases: leaseStore(context),
    upkeep: upkeepStore(context, marker),
    agents: { ...agentStore(context), candidates: (namespace) => candidatesIn(context, namespace) },
    agentData: agentDataStore(context),
    sharedMemory: sharedMemoryStore(context),
    working: workingStateStore(context),
    keys: keyStore(context),
    flowLimits: flowLimitStore(context, marker),
    conversations: conversationStore(context),
    plans: planStore(context),
    replans: replanStore(context),
    schedules: scheduleStore(context),
    deadLetters: deadLetterStore(context),
    audit: () => audit(context),
    repair: (options) => repair(context, options),
    retryCounts,
    onCommit: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    onMessages: (listener) => {
      messageListeners.add(listener);
      return () => messageListeners.delete(listener);
    },
    onChange: (listener) => {
      changeListeners.add(listener);
      return () => changeListeners.delete(listener);
    },
    ping: async () => {
      await sql.query("select 1");
    },
    close: () => {
      closing ??= sql.close().then(afterClose);
      return closing;
    },
  };
}

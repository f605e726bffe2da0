/**
 * PostgreSQL, RabbitMQ and Redis for tests and benchmarks.
 *
 * In a `*.services.test.ts` file they are already up (see vitest.config.ts), and each file takes its own piece of them:
 *
 *     const { databaseUrl } = await freshDatabase();
 *     const url = await amqpUrl();
 *
 * `startServices` gives servers of one's own: to kill them, or outside Vitest.
 */

import { randomUUID } from "node:crypto";
import { tmpdir } from "node:os";
import { SkeinError } from "../core/errors.ts";
import { containerServer } from "./services/container.ts";
import { type Guarded, guardedFolder } from "./services/guardian.ts";
import { createDatabase, dropDatabases } from "./services/postgres.ts";
import { createVirtualHost } from "./services/rabbitmq.ts";
import { claimDatabase } from "./services/redis.ts";
import { externalServer, processServer } from "./services/server.ts";
import { type Command, type Server, type ServiceName, serviceNames } from "./services/service.ts";
import { findSources, type Sources, services } from "./services/source.ts";

export interface StartOptions {
  postgres?: boolean;
  rabbitmq?: boolean;
  redis?: boolean;
  /** Survive a power cut, as in production; benchmarks want it. Default false: PostgreSQL without fsync. */
  durable?: boolean;
  /** An existing folder for the data, which disappears again. Default: the system's temporary folder. */
  folder?: string;
  /** Called once, with the URL of an empty database that every `freshDatabase` is then a copy of. Must disconnect. */
  migrate?: (databaseUrl: string) => Promise<void>;
  /** Default `process.env`; a server whose URL is in it is used, not started. */
  env?: Readonly<Record<string, string | undefined>>;
  /** Told what takes long or did not work. Default: standard error. */
  log?: (line: string) => void;
}

export interface Services {
  /** For `freshDatabase`, `amqpUrl` and `redisUrl`. Plain data, so it can be sent to other processes. */
  readonly access: Access;
  readonly databaseUrl: string;
  readonly amqpUrl: string;
  readonly redisUrl: string;
  /** The server's process ids, itself first; empty while it is down or when it is not ours. */
  pids(name: ServiceName): Promise<number[]>;
  /** Ends one server with SIGKILL. Its port and what it wrote stay for `start`. */
  kill(name: ServiceName): Promise<void>;
  /** Starts a killed server again; resolves when it does real work. */
  start(name: ServiceName): Promise<void>;
  /** Ends and deletes everything that was started. The end of this process, by whatever cause, does the same. */
  stop(): Promise<void>;
}

export interface Access {
  databaseUrl?: string;
  /** Begins the name of every database this run creates. */
  databasePrefix: string;
  databaseTemplate?: string;
  amqpUrl?: string;
  /** How to run the rabbitmqctl of a broker that is ours. */
  rabbitmqctl?: Command;
  redisUrl?: string;
  /** Ours alone, so that its numbered databases can be given out. */
  isPrivateRedis: boolean;
}

/**
 * Starts the services that are set to true, in parallel, and waits until they do real work.
 * @throws FEATURE_UNAVAILABLE when one cannot be had on this machine or does not start; CONFIG_INVALID when a URL does not work
 */
export async function startServices(options: StartOptions): Promise<Services> {
  const names = serviceNames.filter((name) => options[name]);
  const sources = await findSources(names, options.env ?? process.env, options.log ?? console.warn);
  const missing = names.filter((name) => !sources[name]);
  if (missing.length > 0) throw new SkeinError("FEATURE_UNAVAILABLE", howToGet(missing));
  return startFrom(sources, options);
}

/** As `startServices`, from sources already found. */
export async function startFrom(
  sources: Sources,
  { durable = false, folder = tmpdir(), migrate }: Pick<StartOptions, "durable" | "folder" | "migrate">,
): Promise<Services> {
  const guarded = await guardedFolder(folder);
  const servers = new Map<ServiceName, Server>();
  const databasePrefix = `skein_test_${randomUUID().slice(0, 8)}_`;

  const stop = once(async () => {
    const postgres = servers.get("postgres");
    if (postgres && sources.postgres?.from === "url") await dropDatabases(postgres.url, databasePrefix);
    await Promise.all([...servers.values()].map((server) => server.stop()));
    await guarded.close();
  });
  try {
    const starts = serviceNames.map(async (name) => {
      const server = await serverFrom(sources, name, durable, guarded);
      if (!server) return;
      servers.set(name, server);
      await server.start();
    });
    // Every start has to come to its end before `stop` can know what there is to stop.
    const failure = (await Promise.allSettled(starts)).find((result) => result.status === "rejected");
    if (failure) throw failure.reason;
    const access = await accessTo(servers, sources, databasePrefix, migrate);
    return asServices(servers, access, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

/** An empty (or migrated) PostgreSQL database of one's own. */
export async function freshDatabase(access?: Access): Promise<{ databaseUrl: string }> {
  const { databaseUrl, databasePrefix, databaseTemplate } = access ?? (await injected());
  const adminUrl = present("postgres", databaseUrl);
  return { databaseUrl: await createDatabase(adminUrl, databasePrefix, databaseTemplate) };
}

/**
 * The URL of a RabbitMQ virtual host of one's own. A broker given by AMQP_URL is used as it is, shared: names that must not
 * meet those of other test files, such as the namespace, have to be random.
 */
export async function amqpUrl(access?: Access): Promise<string> {
  const { amqpUrl: url, rabbitmqctl } = access ?? (await injected());
  return rabbitmqctl ? createVirtualHost(present("rabbitmq", url), rabbitmqctl) : present("rabbitmq", url);
}

/** The URL of a Redis database of one's own. A server given by REDIS_URL is shared, as with `amqpUrl`, and never flushed. */
export async function redisUrl(access?: Access): Promise<string> {
  const { redisUrl: url, isPrivateRedis } = access ?? (await injected());
  return isPrivateRedis ? claimDatabase(present("redis", url)) : present("redis", url);
}

/** Why these services cannot be had, and every way to have them. */
export function howToGet(missing: readonly ServiceName[]): string {
  const variables = missing.map((name) => services[name].urlVariable).join(", ");
  const packages = missing.map((name) => services[name].aptPackage).join(" ");
  return (
    `no ${missing.join(", ")} on this machine: set ${variables}, or install ${packages}, ` +
    "or run as root on Debian, or start Docker"
  );
}

async function serverFrom(
  sources: Sources,
  name: ServiceName,
  durable: boolean,
  guarded: Guarded,
): Promise<Server | undefined> {
  const source = sources[name];
  const service = services[name];
  switch (source?.from) {
    case undefined:
      return undefined;
    case "url":
      return externalServer(name, service, source.url);
    case "binary":
      return processServer(name, service, { binary: source.path, durable, guarded });
    case "docker":
      return containerServer(name, service, { durable, guarded });
  }
}

async function accessTo(
  servers: ReadonlyMap<ServiceName, Server>,
  sources: Sources,
  databasePrefix: string,
  migrate: StartOptions["migrate"],
): Promise<Access> {
  const access: Access = { databasePrefix, isPrivateRedis: sources.redis?.from !== "url" };
  const postgres = servers.get("postgres");
  const rabbitmq = servers.get("rabbitmq");
  const redis = servers.get("redis");
  if (postgres) access.databaseUrl = postgres.url;
  if (rabbitmq) access.amqpUrl = rabbitmq.url;
  if (rabbitmq?.control) access.rabbitmqctl = rabbitmq.control;
  if (redis) access.redisUrl = redis.url;
  if (postgres && migrate) {
    const template = await createDatabase(postgres.url, databasePrefix);
    await migrate(template);
    access.databaseTemplate = new URL(template).pathname.slice(1);
  }
  return access;
}

function asServices(servers: ReadonlyMap<ServiceName, Server>, access: Access, stop: Services["stop"]): Services {
  const server = (name: ServiceName) => present(name, servers.get(name));
  return {
    access,
    get databaseUrl() {
      return server("postgres").url;
    },
    get amqpUrl() {
      return server("rabbitmq").url;
    },
    get redisUrl() {
      return server("redis").url;
    },
    pids: (name) => server(name).pids(),
    kill: (name) => server(name).kill(),
    start: (name) => server(name).start(),
    stop,
  };
}

function present<T>(name: ServiceName, value: T | undefined): T {
  if (value !== undefined) return value;
  throw new SkeinError(
    "FEATURE_UNAVAILABLE",
    `${name} was not asked for: name it in startServices or in SKEIN_TEST_SERVICES`,
  );
}

/** Imported late, because outside Vitest (benchmarks) there is nothing to import. */
async function injected(): Promise<Access> {
  const { inject } = await import("vitest");
  const access = inject("services");
  if (access) return access;
  throw new SkeinError(
    "FEATURE_UNAVAILABLE",
    "No services here: call this file `*.services.test.ts`, see vitest.config.ts",
  );
}

function once<T>(action: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => {
    result ??= action();
    return result;
  };
}

declare module "vitest" {
  interface ProvidedContext {
    /** Absent in the unit project; null when the services cannot be had and their test files are skipped. */
    services: Access | null;
  }
}

/** The system under measurement, as users run it: built processes on a durable PostgreSQL and RabbitMQ of our own. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Client, createClient } from "../sdk/client.ts";
import { freePort } from "../test/services/free-port.ts";
import { amqpUrl, freshDatabase, type Services, startServices } from "../test/services.ts";
import type { Trees } from "./processes.ts";

export const root = fileURLToPath(new URL("..", import.meta.url));

/** `poll`: without a broker, executors claim by long-poll. */
export type Mode = "queue" | "poll";

export interface SystemOptions {
  mode: Mode;
  executors: number;
  /** Of each executor. */
  slots: number;
  /** Reports take new work with their answer. */
  handOff: boolean;
  /** A folder for V8 CPU profiles of our processes, written when they stop. */
  profile?: string;
}

export interface System {
  client: Client;
  url: string;
  apiKey: string;
  /** Of mode `queue`. */
  amqpUrl: string | undefined;
  databaseUrl: string;
  /** The roots of all process trees. `client` is this process. */
  trees: Trees;
  stop(): Promise<void>;
}

const adminKey = "skk_key-of-a-private-benchmark";
/** A start takes one or two seconds on a quiet machine. */
const READY_WITHIN_MS = 60_000;
const LOOK_AGAIN_MS = 50;

/** Compiles what is measured to dist/. */
export function build(): void {
  execFileSync(process.execPath, [join(root, "scripts/build.mjs")], { stdio: "inherit" });
}

/** Servers for any number of systems, with everything on that a power cut asks for. */
export function startDurableServices(mode: Mode): Promise<Services> {
  return startServices({ postgres: true, rabbitmq: mode === "queue", durable: true });
}

/** Starts an orchestrator and executors on an empty database; resolves when all executors have registered. */
export async function startSystem(services: Services, options: SystemOptions): Promise<System> {
  const { databaseUrl } = await freshDatabase(services.access);
  const broker = options.mode === "queue" ? await amqpUrl(services.access) : undefined;
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const env = {
    PATH: process.env.PATH ?? "",
    HOME: process.env.HOME ?? "",
    LOG_LEVEL: "warn",
    SKEIN_ADMIN_KEY: adminKey,
    SKEIN_API_KEY: adminKey,
    SKEIN_URL: url,
    SKEIN_SLOTS: String(options.slots),
    SKEIN_HANDOFF: options.handOff ? "1" : "0",
    ...(broker !== undefined && { AMQP_URL: broker }),
  };
  const orchestrator = start("orchestrator", { ...env, DATABASE_URL: databaseUrl, PORT: String(port) }, options);
  const executors = Array.from({ length: options.executors }, (_, n) =>
    start("executor", { ...env, SKEIN_AGENT_NAME: `executor-${n}` }, options),
  );
  const client = createClient({ url, apiKey: adminKey });
  await ready(client, [orchestrator, ...executors]);
  return {
    client,
    url,
    apiKey: adminKey,
    amqpUrl: broker,
    databaseUrl,
    trees: {
      orchestrator: [orchestrator.pid!],
      executor: executors.map((child) => child.pid!),
      postgres: await services.pids("postgres"),
      rabbitmq: options.mode === "queue" ? await services.pids("rabbitmq") : [],
      client: [process.pid],
    },
    stop: async () => {
      await Promise.all(executors.map(stop));
      await stop(orchestrator);
    },
  };
}

function start(
  command: "orchestrator" | "executor",
  env: Record<string, string>,
  options: SystemOptions,
): ChildProcess {
  const flags: string[] = [];
  if (options.profile) {
    const folder = join(options.profile, command);
    mkdirSync(folder, { recursive: true });
    flags.push("--cpu-prof", `--cpu-prof-dir=${folder}`);
  }
  const child = spawn(process.execPath, [...flags, join(root, "dist/cli/main.js"), command], {
    cwd: root,
    env,
    stdio: ["ignore", "ignore", "inherit"],
  });
  const kill = () => child.kill("SIGKILL");
  // Whatever ends the benchmark must not leave it behind.
  process.once("exit", kill);
  child.once("exit", () => process.off("exit", kill));
  return child;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGTERM");
  await gone;
}

async function ready(client: Client, members: readonly ChildProcess[]): Promise<void> {
  const deadline = Date.now() + READY_WITHIN_MS;
  while (!(await isReady(client, members.length - 1))) {
    const dead = members.find((child) => child.exitCode !== null);
    if (dead) throw new Error(`${dead.spawnargs.join(" ")} has ended with ${dead.exitCode}; see its output above.`);
    if (Date.now() > deadline) throw new Error(`The system was not ready within ${READY_WITHIN_MS} ms.`);
    await delay(LOOK_AGAIN_MS);
  }
}

async function isReady(client: Client, executors: number): Promise<boolean> {
  try {
    await client.ready();
    const { data } = await client.agents.list();
    return data.filter((agent) => agent.status === "live").length >= executors;
  } catch {
    return false;
  }
}

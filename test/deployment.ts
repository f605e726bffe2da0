/** A deployment as users run it, from the build: orchestrators and executors as separate processes, on servers the test brings. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { type Client, createClient } from "../sdk/client.ts";
import { freePort } from "./services/free-port.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

export const adminKey = "skk_test-admin-key-of-a-private-deployment";

export interface DeploymentOptions {
  databaseUrl: string;
  /** Absent: executors claim by long-poll. */
  amqpUrl?: string;
  orchestrators?: number;
  executors?: number;
  /** Variables of every process, or of the n-th executor. */
  env?: Record<string, string>;
  executorEnv?: (n: number) => Record<string, string>;
  /** Arguments of the n-th executor, such as `--import`. */
  executorArgs?: (n: number) => string[];
}

export interface Member {
  name: string;
  readonly pid: number;
  /** Log lines so far, parsed; of all incarnations. */
  readonly lines: Record<string, unknown>[];
  /** SIGKILL, and wait until it is gone. */
  kill(): Promise<void>;
  /** Start it again under the same name and, for an orchestrator, the same port. */
  start(): Promise<void>;
  /** SIGTERM, and its exit code. */
  stop(): Promise<number | null>;
}

export interface Deployment {
  orchestrators: (Member & { url: string })[];
  executors: Member[];
  /** A client of the n-th orchestrator, by default the first. */
  client(n?: number): Client;
  /** Everything that every process has logged. */
  logs(): Record<string, unknown>[];
  stop(): Promise<void>;
}

/** Starts all processes and resolves when the orchestrators serve and the executors have registered. */
export async function startDeployment(options: DeploymentOptions): Promise<Deployment> {
  const { orchestrators = 1, executors = 1 } = options;
  const common = {
    ...inherited(),
    LOG_LEVEL: "info",
    DATABASE_URL: options.databaseUrl,
    ...(options.amqpUrl && { AMQP_URL: options.amqpUrl }),
    SKEIN_ADMIN_KEY: adminKey,
    SKEIN_API_KEY: adminKey,
    ...options.env,
  };
  const ports = await Promise.all(Array.from({ length: orchestrators }, () => freePort()));
  const urls = ports.map((port) => `http://127.0.0.1:${port}`);
  const orchestratorMembers = ports.map((port, n) => ({
    ...member(`orchestrator-${n}`, ["orchestrator"], { ...common, PORT: String(port) }),
    url: urls[n]!,
  }));
  const executorMembers = Array.from({ length: executors }, (_, n) =>
    member(`executor-${n}`, ["executor", ...(options.executorArgs?.(n) ?? [])], {
      ...common,
      SKEIN_URL: urls[n % urls.length]!,
      SKEIN_AGENT_NAME: `executor-${n}`,
      ...options.executorEnv?.(n),
    }),
  );
  const members: Member[] = [...orchestratorMembers, ...executorMembers];
  await Promise.all(members.map((one) => one.start()));
  const client = (n = 0) => createClient({ url: urls[n]!, apiKey: adminKey });
  await Promise.all(urls.map((_, n) => until(() => client(n).ready(), `orchestrator-${n} is ready`)));
  await until(async () => {
    const { data } = await client().agents.list();
    if (data.filter((agent) => agent.status === "live").length < executors) throw new Error("not all have registered");
  }, "all executors have registered");
  return {
    orchestrators: orchestratorMembers,
    executors: executorMembers,
    client,
    logs: () => members.flatMap((one) => one.lines),
    stop: async () => {
      await Promise.all(executorMembers.map((one) => one.stop()));
      await Promise.all(orchestratorMembers.map((one) => one.stop()));
    },
  };
}

/** What a process needs of ours, and nothing that would configure it. */
function inherited(): Record<string, string> {
  return { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "", NODE_ENV: "test" };
}

/** Whatever ends the tests must not leave any behind. */
const children = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

function member(name: string, args: string[], env: Record<string, string>): Member {
  const lines: Record<string, unknown>[] = [];
  let child: ChildProcess | undefined;

  async function end(signal: NodeJS.Signals): Promise<number | null> {
    const ending = child;
    if (!ending || ending.exitCode !== null || ending.signalCode !== null) return ending?.exitCode ?? null;
    const exited = once(ending, "exit");
    ending.kill(signal);
    const [code] = (await exited) as [number | null];
    return code;
  }

  return {
    name,
    lines,
    get pid() {
      return child?.pid ?? 0;
    },
    start: async () => {
      child = spawn(process.execPath, ["dist/cli/main.js", ...args], {
        cwd: root,
        env,
        stdio: ["ignore", "pipe", "pipe"],
      });
      collect(child, lines, name);
      children.add(child);
      await once(child, "spawn");
    },
    kill: async () => {
      await end("SIGKILL");
    },
    stop: () => end("SIGTERM"),
  };
}

function collect(child: ChildProcess, lines: Record<string, unknown>[], name: string): void {
  for (const stream of [child.stdout!, child.stderr!]) {
    let rest = "";
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      const parts = (rest + chunk).split("\n");
      rest = parts.pop()!;
      for (const text of parts) if (text !== "") lines.push(parsed(text, name));
    });
  }
}

function parsed(text: string, name: string): Record<string, unknown> {
  try {
    return { member: name, ...(JSON.parse(text) as object), text };
  } catch {
    return { member: name, text };
  }
}

const PATIENCE_MS = 60_000;
const LOOK_AGAIN_MS = 50;

/** Repeats `attempt` until it does not throw; gives up with its last error. */
export async function until<T>(attempt: () => Promise<T> | T, what: string, patienceMs = PATIENCE_MS): Promise<T> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`Waited in vain until ${what}`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
    }
  }
}

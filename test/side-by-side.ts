/**
 * An older version and this one on one database and one broker: `npm run test:side-by-side [commit]`, by default the one
 * before the newest migration. The older one begins, this one comes and migrates while runs go on, both take runs and work, an older
 * executor is killed, an older orchestrator starts anew. Every run has to complete, and every invariant to hold.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createClient } from "../sdk/client.ts";
import { openPostgres } from "../store/postgres.ts";
import { until } from "./deployment.ts";
import { freePort } from "./services/free-port.ts";
import { amqpUrl, freshDatabase, startServices } from "./services.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const git = (...args: string[]) => execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim();
const adminKey = "skk_admin-key-of-two-versions";
const RUNS = 20;

const newest = readdirSync(join(root, "store/migrations")).sort().at(-1)!;
const added = git("log", "--diff-filter=A", "--format=%H", "-1", "--", `store/migrations/${newest}`);
const commit = process.argv[2] ?? git("rev-parse", `${added}^`);
const folder = mkdtempSync(join(tmpdir(), "skein-older-"));
git("worktree", "add", "--detach", folder, commit);
symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));

const services = await startServices({ postgres: true, rabbitmq: true });
const children: ChildProcess[] = [];
try {
  await play();
} finally {
  for (const child of children) child.kill("SIGKILL");
  await services.stop();
  git("worktree", "remove", "--force", folder);
  rmSync(folder, { recursive: true, force: true });
}

async function play(): Promise<void> {
  const { databaseUrl } = await freshDatabase(services.access);
  const broker = await amqpUrl(services.access);
  const [olderPort, ownPort] = [await freePort(), await freePort()];
  const clientOf = (port: number) => createClient({ url: `http://127.0.0.1:${port}`, apiKey: adminKey });
  const [older, own] = [clientOf(olderPort), clientOf(ownPort)];
  const start = (version: string, what: string, port: number, more: Record<string, string> = {}) => {
    const child = spawn(
      process.execPath,
      ["--import", import.meta.resolve("tsx"), join(version, "cli/main.ts"), what],
      {
        cwd: version,
        stdio: ["ignore", "inherit", "inherit"],
        env: {
          PATH: process.env.PATH,
          HOME: process.env.HOME,
          LOG_LEVEL: "warn",
          DATABASE_URL: databaseUrl,
          AMQP_URL: broker,
          SKEIN_ADMIN_KEY: adminKey,
          SKEIN_API_KEY: adminKey,
          SKEIN_URL: `http://127.0.0.1:${port}`,
          PORT: String(port),
          ...more,
        },
      },
    );
    children.push(child);
    return child;
  };
  const serving = (client: typeof own, what: string) => until(() => client.ready(), `${what} serves`);
  const present = (count: number) =>
    until(async () => {
      const { data } = await own.agents.list();
      if (data.filter(({ status }) => status === "live").length < count) throw new Error("not all are there");
    }, "executors are there");

  console.log(`${commit.slice(0, 10)} begins`);
  start(folder, "orchestrator", olderPort);
  await serving(older, "the older orchestrator");
  const olderExecutor = start(folder, "executor", olderPort, { SKEIN_AGENT_NAME: "older" });
  const ids = await submit(older);

  console.log(`this version comes, and migrates to ${newest}`);
  start(root, "orchestrator", ownPort);
  await serving(own, "this version's orchestrator");
  start(root, "executor", ownPort, { SKEIN_AGENT_NAME: "own" });
  start(folder, "executor", ownPort, { SKEIN_AGENT_NAME: "older-by-own" });
  await present(3);
  ids.push(...(await submit(older)), ...(await submit(own)));
  olderExecutor.kill("SIGKILL");
  await ended(ids);

  console.log("an older orchestrator starts anew on what this one has made of the database");
  const again = await freePort();
  start(folder, "orchestrator", again);
  await serving(clientOf(again), "the older orchestrator, again,");
  ids.push(...(await submit(clientOf(again))));
  await ended(ids);

  const store = await openPostgres(databaseUrl, { connections: 1 });
  const violations = await store.audit();
  await store.close();
  const agents = new Map((await own.agents.list()).data.map(({ id, name }) => [id, name]));
  const work = new Map<string, number>();
  for (const id of ids) {
    for (const { agent_id } of (await own.runs.tasks(id, { limit: 100 })).data) {
      const name = agents.get(agent_id ?? "") ?? "the engine";
      work.set(name, (work.get(name) ?? 0) + 1);
    }
  }
  console.log({ runs: ids.length, tasks: Object.fromEntries(work), violations });
  if (violations.length > 0) process.exitCode = 1;

  async function ended(runs: string[]): Promise<void> {
    for (const id of runs) {
      await until(async () => {
        const { status, error } = await own.runs.get(id);
        if (status !== "completed") throw new Error(`run ${id} is ${status} ${error?.message ?? ""}`);
      }, `${id} has completed`);
    }
  }
}

async function submit({ runs }: ReturnType<typeof createClient>): Promise<string[]> {
  const nap = { capability: "core.sleep", input: { duration: "100ms" }, heartbeat: "2s" };
  const tasks = [
    { id: "a", ...nap },
    { id: "each", needs: ["a"], for_each: [1, 2, 3, 4], ...nap },
    { id: "odd", needs: ["a"], when: "false", ...nap },
    { id: "pause", needs: ["a"], wait: { for: "500ms" } },
    { id: "b", needs: ["each", "pause"], capability: "core.echo", input: "{{ tasks.each.outputs }}" },
  ];
  const definition = { name: "two-versions", tasks };
  const made = await Promise.all(
    Array.from({ length: RUNS }, (_, n) => runs.submit({ definition, labels: { n: String(n) } })),
  );
  return made.map(({ id }) => id);
}

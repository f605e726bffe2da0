/**
 * What limits of whole capabilities cost the store: tasks claimed and reported in a second by several claimers on two replicas, and
 * how long it takes to set one, pause it and end it over many open tasks. `npm run bench:limits [tasks] [open tasks]`.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { openPostgres } from "../store/postgres.ts";
import type { Store } from "../store/store.ts";
import { newTeam, type Team } from "../store/suite/team.ts";
import { freshDatabase } from "../test/services.ts";
import { table } from "./report.ts";
import { percentiles } from "./statistics.ts";
import { startDurableServices } from "./system.ts";

const count = Number(process.argv[2] ?? 4_000);
const openTasks = Number(process.argv[3] ?? 100_000);
const CLAIMERS = 8;
const PER_CLAIM = 10;
const RUNS = 20;
const WHOLE = "@capability:work";
const NEVER = 1_000_000;

type Prepare = (team: Team) => Promise<unknown>;
const limit =
  (key: string, concurrency: number): Prepare =>
  ({ store, namespace }) =>
    store.flowLimits.set(namespace, key, { concurrency, rate: null });

const cases: Record<string, Prepare> = {
  none: async () => {},
  "of the capability, never reached": limit(WHOLE, NEVER),
  "of capability and namespace, never reached": async (team) => {
    await limit(WHOLE, NEVER)(team);
    await limit("@namespace", NEVER)(team);
  },
  [`of the capability, ${2 * PER_CLAIM}`]: limit(WHOLE, 2 * PER_CLAIM),
};

const services = await startDurableServices("poll");
try {
  const rows: string[][] = [];
  for (const [name, prepare] of Object.entries(cases)) rows.push([name, ...(await throughput(prepare))]);
  console.log(`\n${count} tasks, ${CLAIMERS} claimers, ${PER_CLAIM} a claim\n`);
  console.log(table([["limit", "tasks/s", "claim p50 ms", "claim p99 ms", "report p50 ms"], ...rows]));
  console.log(`\n${openTasks} open tasks in ${RUNS} runs\n`);
  console.log(table([["what", "ms"], ...(await changes())]));
} finally {
  await services.stop();
}

async function opened(): Promise<{ team: Team; stores: Store[] }> {
  const { databaseUrl } = await freshDatabase(services.access);
  const stores = await Promise.all([0, 1].map(() => openPostgres(databaseUrl, { connections: CLAIMERS })));
  const [store] = stores as [Store];
  return { team: await newTeam({ store, sql: { query: async () => [] }, close: store.close }), stores };
}

async function submitAll(team: Team, tasks: number): Promise<void> {
  const of = Object.fromEntries(Array.from({ length: tasks / RUNS }, (_, n) => [`t${n}`, {}]));
  for (let n = 0; n < RUNS; n++) await team.submit(of);
}

async function throughput(prepare: Prepare): Promise<string[]> {
  const { team, stores } = await opened();
  await prepare(team);
  await submitAll(team, count);
  const times = { claim: [] as number[], report: [] as number[] };
  let done = 0;
  const start = performance.now();
  await Promise.all(
    Array.from({ length: CLAIMERS }, async (_, n) => {
      const { leases } = stores[n % 2]!;
      const request = { namespace: team.namespace, agentId: team.agent.id, capabilities: ["work"], taskIds: [] };
      while (done < count) {
        const asked = performance.now();
        const tasks = await leases.claim({ ...request, requestId: randomUUID(), max: PER_CLAIM, door: "poll" });
        times.claim.push(performance.now() - asked);
        // As many as may are at work elsewhere.
        if (tasks.length === 0) {
          await sleep(1);
          continue;
        }
        const begun = performance.now();
        await leases.report(tasks.map((task) => team.completion(task)));
        times.report.push(performance.now() - begun);
        done += tasks.length;
      }
    }),
  );
  const seconds = (performance.now() - start) / 1_000;
  await Promise.all(stores.map((one) => one.close()));
  const claims = percentiles(times.claim);
  return [count / seconds, claims.p50, claims.p99, percentiles(times.report).p50].map((x) => x.toFixed(1));
}

async function changes(): Promise<string[][]> {
  const { team, stores } = await opened();
  const { namespace, store } = team;
  await submitAll(team, openTasks);
  const rows: string[][] = [];
  const time = async (name: string, work: () => Promise<unknown>) => {
    const start = performance.now();
    await work();
    rows.push([name, (performance.now() - start).toFixed(0)]);
  };
  const { flowLimits, upkeep } = store;
  await time("paused, answered once all are marked", () => flowLimits.pause(namespace, WHOLE, "bench", null));
  while (!(await flowLimits.find(namespace, WHOLE))!.isInForce) await upkeep.cascade(1_000);
  await time("a claim while it is paused", () => team.claim());
  await time("resumed", () => flowLimits.resume(namespace, WHOLE));
  await time("a claim of 100", () => team.claim());
  await time("all marks taken off, in the background", async () => {
    while ((await upkeep.cascade(1_000)) > 0);
  });
  await Promise.all(stores.map((one) => one.close()));
  return rows;
}

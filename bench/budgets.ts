/**
 * What budgets cost the store: tasks claimed and reported in a second by several claimers on two replicas, without a budget,
 * with one for all tasks, and with one for each of several runs. `npm run bench:budgets [tasks]`.
 */
import { randomUUID } from "node:crypto";
import { type BudgetSpec, budgetSpec } from "../core/budget.ts";
import { openPostgres } from "../store/postgres.ts";
import type { Store } from "../store/store.ts";
import { newTeam, type Team } from "../store/suite/team.ts";
import { freshDatabase } from "../test/services.ts";
import { table } from "./report.ts";
import { percentiles } from "./statistics.ts";
import { startDurableServices } from "./system.ts";

const count = Number(process.argv[2] ?? 4_000);
const CLAIMERS = 8;
const PER_CLAIM = 10;
const RUNS = 20;

const cases: Record<string, { runs: number; budget?: BudgetSpec; usage?: boolean }> = {
  "no budget": { runs: RUNS },
  "no budget, usage reported": { runs: RUNS, usage: true },
  [`a budget for each of ${RUNS} runs`]: { runs: RUNS, budget: budgetSpec({ tokens: 1e9 }), usage: true },
  "one budget for all": { runs: 1, budget: budgetSpec({ tokens: 1e9 }), usage: true },
};

const services = await startDurableServices("poll");
try {
  const rows: string[][] = [];
  for (const [name, options] of Object.entries(cases)) rows.push([name, ...(await measure(options))]);
  console.log(`\n${count} tasks, ${CLAIMERS} claimers, ${PER_CLAIM} a claim\n`);
  console.log(table([["budgets", "tasks/s", "claim p50 ms", "claim p99 ms", "report p50 ms"], ...rows]));
} finally {
  await services.stop();
}

async function measure({ runs, budget, usage }: (typeof cases)[string]): Promise<string[]> {
  const { databaseUrl } = await freshDatabase(services.access);
  const stores = await Promise.all([0, 1].map(() => openPostgres(databaseUrl, { connections: CLAIMERS })));
  const [store] = stores as [Store];
  const team = await newTeam({ store, sql: { query: async () => [] }, close: store.close });
  const tasks = Object.fromEntries(
    Array.from({ length: count / runs }, (_, n) => [`t${n}`, { estimate: { tokens: 10 } }]),
  );
  for (let n = 0; n < runs; n++) await team.submit(tasks, budget ? { budget } : {});
  const times = { claim: [] as number[], report: [] as number[] };
  const start = performance.now();
  await Promise.all(Array.from({ length: CLAIMERS }, (_, n) => work(stores[n % 2]!, team, times, usage === true)));
  const seconds = (performance.now() - start) / 1_000;
  await Promise.all(stores.map((one) => one.close()));
  const claims = percentiles(times.claim);
  return [count / seconds, claims.p50, claims.p99, percentiles(times.report).p50].map((x) => x.toFixed(1));
}

async function work(
  from: Store,
  team: Team,
  times: { claim: number[]; report: number[] },
  hasUsage: boolean,
): Promise<void> {
  const request = { namespace: team.namespace, agentId: team.agent.id, capabilities: ["work"], taskIds: [] };
  for (;;) {
    const asked = performance.now();
    const tasks = await from.leases.claim({ ...request, requestId: randomUUID(), max: PER_CLAIM, door: "poll" });
    times.claim.push(performance.now() - asked);
    if (tasks.length === 0) return;
    const done = performance.now();
    await from.leases.report(
      tasks.map((task) => ({ ...team.completion(task), ...(hasUsage && { usage: { tokens: 7 } }) })),
    );
    times.report.push(performance.now() - done);
  }
}

/**
 * The allocation policies on one workload: agents of different speed and price, tasks of mixed size, all in one process on
 * the embedded database. `npm run bench:policies [tasks]` prints, by policy, how long the run took, what it cost, and how
 * evenly the agents were busy.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { startExecutor } from "../agents/executor_agents/executor.ts";
import { loadConfig } from "../config.ts";
import { type AllocationPolicy, allocationPolicies } from "../core/routing.ts";
import { startEmbedded } from "../embedded.ts";
import { type Client, createClient } from "../sdk/client.ts";
import { defineExecutor, type Executor } from "../sdk/executor.ts";
import { table } from "./report.ts";

const CAPABILITY = "bench.work";
const TASKS = Number(process.argv[2] ?? 500);
/** The work in a task, in milliseconds of an agent of speed 1; from many small ones to few that are large. */
const sizesMs = [50, 50, 50, 100, 100, 200, 400, 1_000];
/** What a second until the end of a task is worth to those that bid, in units of `price`. */
const PRICE_OF_A_SECOND = 1;

interface Profile {
  name: string;
  slots: number;
  speed: number;
  /** Of a second of work at speed 1, however fast it is done. */
  price: number;
  /** Before it begins with a task. */
  setUpMs: number;
}

const profiles: Profile[] = [
  { name: "fast", slots: 4, speed: 4, price: 4, setUpMs: 0 },
  { name: "even", slots: 4, speed: 2, price: 2, setUpMs: 0 },
  { name: "cheap", slots: 8, speed: 1, price: 1, setUpMs: 0 },
  // Good at what is large, which no constant cost can say.
  { name: "heavy", slots: 4, speed: 8, price: 1.5, setUpMs: 200 },
];

interface Task {
  ms: number;
}

const lastsMs = ({ speed, setUpMs }: Profile, { ms }: Task) => setUpMs + ms / speed;
const costs = ({ price }: Profile, { ms }: Task) => (price * ms) / 1_000;

function worker(profile: Profile): Executor {
  return defineExecutor({
    capability: CAPABILITY,
    cost: profile.price,
    bid: ({ input }) =>
      costs(profile, input as unknown as Task) +
      (PRICE_OF_A_SECOND * lastsMs(profile, input as unknown as Task)) / 1_000,
    run: async ({ input }) => {
      await sleep(lastsMs(profile, input as unknown as Task));
      return profile.name;
    },
  }) as Executor;
}

interface Outcome {
  makespanMs: number;
  cost: number;
  /** Busy time a slot, by agent. */
  busyMs: Map<string, number>;
}

const logger = pino({ level: "silent" });
const system = await startEmbedded({
  config: loadConfig({ PORT: "0" }),
  logger,
  inMemory: true,
  withoutExecutor: true,
});
const executors = await Promise.all(
  profiles.map((profile) =>
    startExecutor({
      client: { url: system.url },
      executors: [worker(profile)],
      name: profile.name,
      slots: profile.slots,
      logger,
    }),
  ),
);
try {
  const client = createClient({ url: system.url });
  await measure(client, "push"); // Warms everything up.
  const rows: string[][] = [];
  for (const policy of allocationPolicies) {
    // All tasks of a run go to one agent by it: there is nothing to compare.
    if (policy !== "sticky") rows.push(rowOf(policy, await measure(client, policy)));
  }
  console.log(`${TASKS} tasks; imbalance: the busiest slots by the average\n`);
  console.log(table([["policy", "makespan s", "cost", "imbalance", ...profiles.map(({ name }) => name)], ...rows]));
} finally {
  await Promise.all(executors.map((executor) => executor.stop()));
  await system.stop();
}

async function measure(client: Client, policy: AllocationPolicy): Promise<Outcome> {
  await client.allocate(CAPABILITY, policy);
  const works = Array.from({ length: TASKS }, (_, n): Task => ({ ms: sizesMs[n % sizesMs.length]! }));
  const tasks = works.map((input, n) => ({ id: `t${n}`, capability: CAPABILITY, input: { ...input } }));
  const { id } = await client.runs.submit({ definition: { name: `by-${policy}`, tasks } });
  for await (const event of client.runs.events(id)) void event;
  const run = await client.runs.get(id);
  if (run.status !== "completed") throw new Error(`By ${policy} the run is ${run.status}.`);
  const { outputs } = await client.runs.result(id);
  const busyMs = new Map(profiles.map(({ name }) => [name, 0]));
  let cost = 0;
  for (const [n, work] of works.entries()) {
    const profile = profiles.find(({ name }) => name === (outputs as Record<string, string>)[`t${n}`])!;
    cost += costs(profile, work);
    busyMs.set(profile.name, busyMs.get(profile.name)! + lastsMs(profile, work) / profile.slots);
  }
  return { makespanMs: Date.parse(run.finished_at!) - Date.parse(run.created_at), cost, busyMs };
}

function rowOf(policy: AllocationPolicy, { makespanMs, cost, busyMs }: Outcome): string[] {
  const busy = [...busyMs.values()];
  const mean = busy.reduce((sum, ms) => sum + ms, 0) / busy.length;
  return [
    policy,
    (makespanMs / 1_000).toFixed(1),
    cost.toFixed(1),
    (Math.max(...busy) / mean).toFixed(2),
    ...busy.map((ms) => `${Math.round((100 * ms) / makespanMs)} %`),
  ];
}

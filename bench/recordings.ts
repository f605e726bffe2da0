/**
 * Recorded executions of real workflows (WfFormat) with unlimited slots: how much longer than its critical path each one
 * takes, by the median of three on a warm system. `npm run bench:recordings [folder] [time scale]`; by default those beside
 * the repository, at 0.01.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { importInstance } from "../cli/wfcommons.ts";
import { criticalPath } from "../core/graph.ts";
import type { Workflow } from "../core/workflow.ts";
import type { Client } from "../sdk/client.ts";
import { table } from "./report.ts";
import { build, root, startDurableServices, startSystem } from "./system.ts";

const [folder = join(root, "../shared/data/wfinstances"), scale = "0.01"] = process.argv.slice(2);

/** More than any recording has tasks. */
const SLOTS = 1_024;
/** Of the critical path, for recordings of less than 200 tasks. */
const TARGET = 1.1;

const REPETITIONS = 3;
/** Some 1,500 tasks that hardly sleep, which is when the processes' code has been compiled. */
const WARM_UP_ROUNDS = 2;
const WARM_UP_SCALE = 0.0001;

interface Row {
  name: string;
  tasks: number;
  criticalMs: number;
  makespanMs: number;
}

build();
const services = await startDurableServices("queue");
try {
  const system = await startSystem(services, { mode: "queue", executors: 1, slots: SLOTS, handOff: false });
  const names = readdirSync(folder).filter((name) => name.endsWith(".json"));
  for (let round = 0; round < WARM_UP_ROUNDS; round++) {
    for (const name of names) await measure(system.client, name, WARM_UP_SCALE);
  }
  const rows: Row[] = [];
  // One after another: they must not wait for each other's processor time.
  for (const name of names) {
    const repetitions: Row[] = [];
    while (repetitions.length < REPETITIONS) repetitions.push(await measure(system.client, name, Number(scale)));
    rows.push(median(repetitions));
  }
  await system.stop();
  print(rows);
} finally {
  await services.stop();
}

async function measure(client: Client, name: string, timeScale: number): Promise<Row> {
  const { workflow } = importInstance(JSON.parse(readFileSync(join(folder, name), "utf8")), timeScale);
  const run = await client.runs.submit({ definition: workflow as never });
  for await (const event of client.runs.events(run.id)) void event;
  const { created_at, finished_at, status } = await client.runs.get(run.id);
  if (status !== "completed") throw new Error(`${name} is ${status}`);
  return {
    name,
    tasks: workflow.tasks.length,
    criticalMs: criticalMsOf(workflow),
    makespanMs: Date.parse(finished_at!) - Date.parse(created_at),
  };
}

function median(rows: Row[]): Row {
  return rows.sort((a, b) => a.makespanMs - b.makespanMs)[Math.floor(rows.length / 2)]!;
}

function criticalMsOf({ tasks }: Workflow): number {
  const ms = new Map(tasks.map(({ id, input }) => [id, (input as { ms: number }).ms]));
  return criticalPath(
    tasks.map(({ id, needs = [] }) => ({ id, needs })),
    (id) => ms.get(id)!,
  ).lengthMs;
}

function print(rows: readonly Row[]): void {
  const lines = rows.map(({ name, tasks, criticalMs, makespanMs }) => {
    const ratio = makespanMs / criticalMs;
    const verdict = tasks < 200 && ratio > TARGET ? "over" : "";
    return [name, String(tasks), String(Math.round(criticalMs)), String(makespanMs), ratio.toFixed(3), verdict];
  });
  console.log(table([["recording", "tasks", "critical path ms", "makespan ms", "ratio", ""], ...lines]));
}

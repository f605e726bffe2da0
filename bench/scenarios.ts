/** The workloads: the same that other engines were measured with. Every task is `core.echo` of about 100 bytes of JSON. */
import { setTimeout as delay } from "node:timers/promises";
import type { RunBody, TaskBody } from "../core/protocol/runs.ts";
import type { TaskDefinition } from "../core/workflow.ts";
import type { Client } from "../sdk/client.ts";
import { workflow } from "../sdk/workflow.ts";

export interface Scenario {
  name: string;
  /** Of one repetition. */
  tasks: number;
  /** What the latencies are of. */
  latencyOf: string;
  /** Hops one after the other, where that is what counts. */
  hops?: number;
  /** Only measured when it is named. */
  isExtra?: boolean;
  /** Once, before the clock runs. */
  prepare(client: Client): Promise<void>;
  /** Resolves when the client has seen the end. What it answers is asked for when nothing is measured any more. */
  run(client: Client, label: string): Promise<() => Promise<Reading>>;
}

export interface Reading {
  /** By the clock of the database, from the first run's `created_at` to the last one's `finished_at`. */
  serverMs: number;
  latenciesMs: number[];
}

/** Requests of the client under way at once, where it submits many runs. */
const SUBMITTED_AT_ONCE = 64;

const payload = { ok: true, note: "x".repeat(70), n: 1 };
const WAIT_SECONDS = 30;
const GIVE_UP_AFTER_MS = 180_000;
/** How often the client looks whether the end has come: the client-side times are late by half of it on average. */
const LOOK_AGAIN_MS = 100;
const PAGE = 1_000;

const scenarios: readonly Scenario[] = [
  fanOut(1_000),
  fanOut(10_000),
  chain(500),
  diamonds(2_000),
  closedLoop(200),
  map(10_000),
  layers(1, 1_000),
  layers(10, 10_000),
];

/** A little of everything, to have code compiled and connections open. */
export const warmUp: Scenario = diamonds(1_000);

/** `names`: what scenarios are called or begin with, separated by commas; none chooses all but the extra ones. Throws when nothing matches. */
export function chooseScenarios(names: string): Scenario[] {
  const wanted = names.split(",");
  const chosen = scenarios.filter(({ name, isExtra }) =>
    wanted.some((one) => (one === "" ? !isExtra : `${name}-`.startsWith(`${one}-`))),
  );
  if (chosen.length > 0) return chosen;
  throw new Error(`--only ${names} chooses nothing of ${scenarios.map(({ name }) => name).join(", ")}.`);
}

function fanOut(width: number): Scenario {
  const leaves = Array.from({ length: width }, (_, i) => echo(`leaf-${i}`, ["root"]));
  const join = leaves.map((leaf) => leaf.id);
  return {
    ...ofOneRun(`fan-${width}`, [echo("root"), ...leaves, echo("join", join)]),
    latencyOf: "task, claimed to committed",
  };
}

/** As `fanOut`, but the leaves come into being while the run goes on. */
function map(width: number): Scenario {
  const items = Array.from({ length: width }, (_, i) => i);
  const leaf = { ...echo("leaf", ["root"]), for_each: items } as TaskDefinition;
  return {
    ...ofOneRun(`map-${width}`, [echo("root"), leaf, echo("join", ["leaf"])]),
    tasks: width + 2,
    latencyOf: "task, claimed to committed",
    isExtra: true,
  };
}

/** Layers of equal width, each task needing one of the layer before. */
function layers(count: number, width: number): Scenario {
  const tasks = Array.from({ length: count * width }, (_, i) => echo(`t-${i}`, i < width ? [] : [`t-${i - width}`]));
  return {
    ...ofOneRun(`layers-${count * width}`, tasks),
    latencyOf: "task, claimed to committed",
    isExtra: true,
  };
}

function chain(length: number): Scenario {
  const tasks = Array.from({ length }, (_, i) => echo(`t-${i}`, i === 0 ? [] : [`t-${i - 1}`]));
  return {
    ...ofOneRun(`chain-${length}`, tasks, (all) =>
      all.slice(1).map((task, i) => betweenMs(all[i]!.finished_at, task.finished_at)),
    ),
    latencyOf: "hop, committed to committed",
    hops: length,
  };
}

function diamonds(count: number): Scenario {
  const tasks = [echo("top"), echo("left", ["top"]), echo("right", ["top"]), echo("bottom", ["left", "right"])];
  const name = `diamonds-${count}`;
  return {
    name,
    tasks: count * tasks.length,
    latencyOf: "run, created to finished",
    prepare: (client) => register(client, name, tasks),
    async run(client, label) {
      await inParallel(count, SUBMITTED_AT_ONCE, () =>
        client.runs.submit({ workflow: name, labels: { bench: label } }),
      );
      await until(async () => (await listed(client, label, "running", 1)).length === 0, name);
      return () => readingOf(client, label, count);
    },
  };
}

/** A client that submits, waits for the result, and only then submits the next. */
function closedLoop(count: number): Scenario {
  const name = `loop-${count}`;
  return {
    name,
    tasks: count,
    latencyOf: "request with Prefer: wait",
    prepare: (client) => register(client, name, [echo("only")]),
    async run(client, label) {
      const latenciesMs: number[] = [];
      for (let i = 0; i < count; i++) {
        const startedAt = performance.now();
        const run = await client.runs.submit({ workflow: name, labels: { bench: label } }, { wait: WAIT_SECONDS });
        if (run.status !== "completed") throw new Error(`Run ${run.id} is ${run.status} after ${WAIT_SECONDS} s.`);
        latenciesMs.push(performance.now() - startedAt);
      }
      return async () => ({ ...(await readingOf(client, label, count)), latenciesMs });
    },
  };
}

function ofOneRun(
  name: string,
  tasks: TaskDefinition[],
  latenciesMs = (all: TaskBody[]) => all.map((task) => betweenMs(task.started_at, task.finished_at)),
): Omit<Scenario, "latencyOf"> {
  return {
    name,
    tasks: tasks.length,
    prepare: (client) => register(client, name, tasks),
    async run(client, label) {
      const { id } = await client.runs.submit({ workflow: name, labels: { bench: label } });
      await until(async () => (await listed(client, label, "completed", 1)).length === 1, name);
      return async () => ({
        ...(await readingOf(client, label, 1)),
        latenciesMs: latenciesMs(await allTasks(client, id)),
      });
    },
  };
}

function echo(id: string, needs: string[] = []): TaskDefinition {
  return { id, capability: "core.echo", input: payload, ...(needs.length > 0 && { needs }) } as TaskDefinition;
}

async function register(client: Client, name: string, tasks: TaskDefinition[]): Promise<void> {
  const builder = workflow(name);
  for (const { id, ...options } of tasks) builder.task(id, options);
  await client.workflows.register(builder.build());
}

/** From the runs' own times: all must have completed. */
async function readingOf(client: Client, label: string, count: number): Promise<Reading> {
  const runs = await listed(client, label, "completed", Number.POSITIVE_INFINITY);
  if (runs.length !== count) throw new Error(`${runs.length} of ${count} runs have completed.`);
  const created = runs.map((run) => Date.parse(run.created_at));
  const finished = runs.map((run) => Date.parse(run.finished_at!));
  return {
    serverMs: finished.reduce((a, b) => Math.max(a, b)) - created.reduce((a, b) => Math.min(a, b)),
    latenciesMs: runs.map((run) => betweenMs(run.created_at, run.finished_at)),
  };
}

async function listed(client: Client, label: string, status: string, atMost: number): Promise<RunBody[]> {
  const filter = { status, label: [`bench=${label}`], limit: Math.min(atMost, PAGE) };
  return allPages(atMost, (cursor) => client.runs.list({ ...filter, ...cursor }));
}

function allTasks(client: Client, runId: string): Promise<TaskBody[]> {
  return allPages(Number.POSITIVE_INFINITY, (cursor) => client.runs.tasks(runId, { limit: PAGE, ...cursor }));
}

async function allPages<T>(
  atMost: number,
  page: (cursor: { cursor?: string }) => Promise<{ data: T[]; next_cursor: string | null }>,
): Promise<T[]> {
  const all: T[] = [];
  for (let cursor: string | null | undefined; cursor !== null && all.length < atMost; ) {
    const { data, next_cursor } = await page(cursor === undefined ? {} : { cursor });
    all.push(...data);
    cursor = next_cursor;
  }
  return all;
}

function betweenMs(from: string | null, to: string | null): number {
  return Date.parse(to!) - Date.parse(from!);
}

async function inParallel(count: number, atOnce: number, work: () => Promise<unknown>): Promise<void> {
  let begun = 0;
  const lane = async () => {
    while (begun++ < count) await work();
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, lane));
}

async function until(isSo: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + GIVE_UP_AFTER_MS;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`${what} did not finish within ${GIVE_UP_AFTER_MS / 1000} s.`);
    await delay(LOOK_AGAIN_MS);
  }
}

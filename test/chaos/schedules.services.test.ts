/**
 * 100 schedules that are changed meanwhile, 3 replicas that are killed with SIGKILL at random, at a simulated clock: every tick is decided
 * exactly once, each fired one has exactly one run, no runs overlap that must not, and no change is lost. The full size, ten minutes in which 20 hours pass:
 * SKEIN_CHAOS_SECONDS=600 SKEIN_CHAOS_FACTOR=120 npx vitest run test/chaos/schedules.services.test.ts
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { afterAll, describe, expect, it } from "vitest";
import { parseDuration } from "../../core/duration.ts";
import { type ScheduleBody, scheduleBody } from "../../core/protocol/schedules.ts";
import { ticksBetween } from "../../core/schedule/calendar.ts";
import { dueAt } from "../../core/schedule/firing.ts";
import { overlaps } from "../../core/schedule/policies.ts";
import { openPostgres } from "../../store/postgres.ts";
import type { Store } from "../../store/store.ts";
import { until } from "../deployment.ts";
import { freshDatabase } from "../services.ts";
import { randomOf } from "./mixed-dags.ts";
import { type Clock, timeOf } from "./simulated-clock.ts";

const SECONDS = Number(process.env.SKEIN_CHAOS_SECONDS ?? 12);
const FACTOR = Number(process.env.SKEIN_CHAOS_FACTOR ?? 300);
const SEED = Number(process.env.SKEIN_CHAOS_SEED ?? Date.now() % 1_000_000);
const SCHEDULES = 100;
const REPLICAS = 3;
/** Its clocks are set back five hours later in Europe/Berlin, and an hour before the full size ends in New York's fall. */
const BASE = Date.parse("2050-10-29T20:00:30Z");
const NAMESPACE = "default";

const crons = ["*/5 * * * *", "*/12 * * * *", "7,37 * * * *", "*/20 0-6 * * *", "30 1,2,3 * * *", "15 * * * *"];
const zones = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"];

function specOf(index: number): ScheduleBody {
  const pick = <T>(from: readonly T[], step: number) => from[Math.floor(index / step) % from.length]!;
  return scheduleBody.parse({
    name: `s${index}`,
    cron: pick(crons, 1),
    timezone: pick(zones, 6),
    workflow: "nap",
    overlap: pick(overlaps, 1),
    catch_up: pick(["all", "last", "none"] as const, 2),
    catch_up_limit: 1_000,
    ...(index % 5 === 0 && { jitter: "3m" }),
  });
}

describe(`kill -9 (seed ${SEED}, ${SECONDS} s at ${FACTOR} times the pace)`, () => {
  const children = new Set<ChildProcess>();
  afterAll(() => {
    for (const child of children) child.kill("SIGKILL");
  });

  async function start(databaseUrl: string, clock: Clock): Promise<ChildProcess> {
    const script = fileURLToPath(new URL("./schedule-replica.ts", import.meta.url));
    const child = spawn(process.execPath, ["--import", "tsx", script, databaseUrl, JSON.stringify(clock)], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    children.add(child);
    await once(child, "spawn");
    return child;
  }

  async function kill(child: ChildProcess): Promise<void> {
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
    children.delete(child);
  }

  it(
    "decides every tick of 100 schedules exactly once",
    async () => {
      const { databaseUrl } = await freshDatabase();
      const store = await openPostgres(databaseUrl);
      const db = new pg.Client(databaseUrl);
      await db.connect();
      const nap = { name: "nap", tasks: [{ id: "a", wait: { for: "300ms" } }] };
      await store.workflows.register(NAMESPACE, nap);
      const specs = Array.from({ length: SCHEDULES }, (_, index) => specOf(index));
      for (const spec of specs) {
        await store.schedules.create({ namespace: NAMESPACE, spec, allowedCapabilities: null, by: "test" });
        await beginAt(db, spec, BASE);
      }
      const clock: Clock = { startedAt: Date.now(), base: BASE, factor: FACTOR, lastsMs: SECONDS * 1_000 };
      const replicas = await Promise.all(Array.from({ length: REPLICAS }, () => start(databaseUrl, clock)));
      const random = randomOf(SEED);
      let kills = 0;
      const end = clock.startedAt + clock.lastsMs;
      const changing = Promise.all([1, 2].map((n) => changeUntil(store, specs, end, randomOf(SEED + n))));
      while (Date.now() < clock.startedAt + clock.lastsMs) {
        await sleep(300 + random() * 2_500);
        const victim = Math.floor(random() * REPLICAS);
        await kill(replicas[victim]!);
        replicas[victim] = await start(databaseUrl, clock);
        kills++;
      }
      const changes = (await changing).reduce((sum, count) => sum + count, 0);
      await until(() => expectSettled(store, db, timeOf(clock)), "what is due has been decided", 120_000);
      for (const replica of replicas) await kill(replica);
      const told = await audit(db, specs, timeOf(clock).getTime());
      process.stderr.write(`${JSON.stringify({ seed: SEED, kills, changes, ...told })}\n`);
      expect(await store.audit()).toEqual([]);
      expect(kills).toBeGreaterThan(1);
      const { rows } = await db.query("select sum(revision - 1)::int as changes from schedule");
      expect([rows[0].changes, changes > SCHEDULES]).toEqual([changes, true]);
      await db.end();
      await store.close();
    },
    SECONDS * 1_000 + 240_000,
  );
});

const CHANGE_EVERY_MS = 20;

/** Changes what schedules start, not when: so what is due stays due, also while somebody decides it. */
async function changeUntil(store: Store, specs: readonly ScheduleBody[], end: number, random: () => number) {
  let changes = 0;
  for (; Date.now() < end; changes++) {
    const { name } = specs[Math.floor(random() * specs.length)]!;
    for (let there = await store.schedules.find(NAMESPACE, name); there; ) {
      const spec = { ...there.spec, priority: changes % 10, inputs: { changes } };
      const { revision } = there;
      const next = { namespace: NAMESPACE, spec, allowedCapabilities: null, by: "test", revision };
      const answer = await store.schedules.change(next);
      there = answer?.outcome === "stale" ? answer.schedule : undefined;
    }
    await sleep(CHANGE_EVERY_MS);
  }
  return changes;
}

/** Its first tick is the first one after `base`, as if it had been created then. */
async function beginAt(db: pg.Client, spec: ScheduleBody, base: number): Promise<void> {
  const [first] = ticksBetween(spec, base + 1, Number.POSITIVE_INFINITY, 1);
  await db.query("update schedule set next_tick_at = $2, due_at = $3 where name = $1", [
    spec.name,
    new Date(first!),
    new Date(dueAtOf(spec, first!)),
  ]);
}

const dueAtOf = (spec: ScheduleBody, tick: number) =>
  dueAt({ jitterMs: spec.jitter ? parseDuration(spec.jitter) : 0, seed: `${NAMESPACE} ${spec.name}` }, tick);

async function expectSettled(store: Store, db: pg.Client, now: Date): Promise<void> {
  const { nextInMs, areQueued } = await store.schedules.fire({ limit: 0, now });
  const { rows } = await db.query("select count(*)::int as open from run where finished_at is null");
  expect([areQueued, nextInMs === null || nextInMs > 0, rows[0].open]).toEqual([false, true, 0]);
}

interface TickRow {
  schedule: string;
  tick_at: Date;
  outcome: string;
  until_at: Date | null;
  run_id: string | null;
}
interface RunRow {
  id: string;
  schedule: string;
  tick_at: Date;
  created_at: Date;
  finished_at: Date;
}

/** By the calendar, the rows of ticks and the rows of runs; nothing that the product says of itself. */
async function audit(db: pg.Client, specs: ScheduleBody[], now: number) {
  const ticks = (await db.query<TickRow>("select * from schedule_tick order by schedule, tick_at")).rows;
  const runs = (await db.query<RunRow>("select * from run order by schedule, created_at")).rows;
  const tally: Record<string, number> = {};
  for (const spec of specs) {
    const own = ticks.filter(({ schedule }) => schedule === spec.name);
    const decided = own.flatMap(({ tick_at, until_at }) =>
      until_at ? ticksBetween(spec, tick_at.getTime(), until_at.getTime() + 1, 10_000) : [tick_at.getTime()],
    );
    const due = ticksBetween(spec, BASE + 1, now + 1, 10_000).filter((tick) => dueAtOf(spec, tick) <= now);
    expect(decided, spec.name).toEqual(due);
    const fired = own.filter(({ outcome }) => outcome === "fired");
    const started = runs.filter(({ schedule }) => schedule === spec.name);
    const pairs = (rows: { tick_at: Date; id: string | null }[]) =>
      rows.map(({ tick_at, id }) => `${tick_at.toISOString()} ${id}`).sort();
    expect(pairs(started), spec.name).toEqual(pairs(fired.map(({ tick_at, run_id }) => ({ tick_at, id: run_id }))));
    if (spec.overlap === "allow" && spec.catch_up === "all") expect(fired.length, spec.name).toBe(due.length);
    if (spec.overlap !== "allow") {
      for (const [index, run] of started.entries()) {
        const before = started[index - 1];
        if (before) expect(before.finished_at.getTime(), spec.name).toBeLessThanOrEqual(run.created_at.getTime());
      }
    }
    for (const { outcome } of own) tally[outcome] = (tally[outcome] ?? 0) + 1;
    tally.ticks = (tally.ticks ?? 0) + due.length;
  }
  return tally;
}

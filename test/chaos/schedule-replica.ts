/**
 * A replica of the orchestrator as far as schedules go: the product's loop, store and upkeep over PostgreSQL, at a clock that is
 * simulated. Arguments: the URL of the database, and the clock as JSON.
 */
import { startLoop } from "../../agents/orchestrator_agent/loop.ts";
import { createScheduler } from "../../agents/orchestrator_agent/schedules.ts";
import { openPostgres } from "../../store/postgres.ts";
import { type Clock, timeOf } from "./simulated-clock.ts";

const LOOK_EVERY_MS = 50;
const BATCH = 1_000;

const [databaseUrl, clockText] = process.argv.slice(2) as [string, string];
const clock = JSON.parse(clockText) as Clock;
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: console.error };
const store = await openPostgres(databaseUrl, { connections: 4 });
const { cascade, endRuns, finishRuns } = store.upkeep;

const scheduler = createScheduler({
  schedules: store.schedules,
  logger: silent,
  wake: () => firing.wake(),
  now: () => timeOf(clock),
});
const firing = startLoop({ name: "schedules", everyMs: LOOK_EVERY_MS, work: scheduler.fire, logger: silent });
startLoop({
  name: "upkeep",
  everyMs: LOOK_EVERY_MS,
  work: async () => (await cascade(BATCH)) + (await endRuns(BATCH)) + (await finishRuns()) > 0,
  logger: silent,
});

/**
 * The real scheduler against the model: random workflows of every construct, to which random things are done; after each,
 * every task and the run must stand as the model says. `SKEIN_MODEL_RUNS` sets how many (default 500), `SKEIN_MODEL_SEED`
 * the seed; a divergence is told with both, shrunk unless `SKEIN_MODEL_SHRINK=0`.
 */
import fc from "fast-check";
import pg from "pg";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openPostgres } from "../../store/postgres.ts";
import { type Sql, sqlOver } from "../../store/sql.ts";
import type { Store } from "../../store/store.ts";
import { newTeam } from "../../store/suite/team.ts";
import { freshDatabase } from "../services.ts";
import { play, registerWorkflows } from "./play.ts";
import { actions, workflows } from "./workflows.ts";

const RUNS = Number(process.env.SKEIN_MODEL_RUNS ?? 500);
const SEED = Number(process.env.SKEIN_MODEL_SEED ?? 20261126);
/** One run took 150 ms on a busy 2-core machine. */
const MAX_RUN_MS = 2_000;

let store: Store;
let sql: Sql;

beforeAll(async () => {
  const { databaseUrl } = await freshDatabase();
  store = await openPostgres(databaseUrl);
  sql = sqlOver(new pg.Pool({ connectionString: databaseUrl, max: 1 }));
});
afterAll(async () => {
  await store.close();
  await sql.close();
});

it(
  `does in ${RUNS} random runs what the model does`,
  async () => {
    const team = await newTeam({ store, sql, close: store.close });
    await registerWorkflows(team);
    await fc.assert(
      fc.asyncProperty(workflows, actions, async (tasks, chosen) => {
        expect(await play(team, tasks, chosen)).toBeUndefined();
      }),
      { numRuns: RUNS, seed: SEED, endOnFailure: process.env.SKEIN_MODEL_SHRINK === "0" },
    );
    expect(await store.audit()).toEqual([]);
  },
  RUNS * MAX_RUN_MS + 60_000,
);

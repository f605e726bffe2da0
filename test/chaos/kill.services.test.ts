/**
 * Two orchestrators and three executors finish mixed DAGs while one of each is killed with SIGKILL, again and again. The
 * full size: SKEIN_CHAOS_RUNS=400 SKEIN_CHAOS_KILLS=20 npx vitest run test/chaos
 */
import { appendFileSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, describe, expect, it } from "vitest";
import { openPostgres } from "../../store/postgres.ts";
import { type Deployment, startDeployment, until } from "../deployment.ts";
import { amqpUrl, freshDatabase } from "../services.ts";
import { mixedDag, randomOf } from "./mixed-dags.ts";

const RUNS = Number(process.env.SKEIN_CHAOS_RUNS ?? 60);
const KILLS = Number(process.env.SKEIN_CHAOS_KILLS ?? 3);
const SEED = Number(process.env.SKEIN_CHAOS_SEED ?? Date.now() % 1_000_000);
const TIMEOUT_MS = 120_000 + KILLS * 30_000 + RUNS * 1_000;

describe(`kill -9 (seed ${SEED}, ${RUNS} runs, ${KILLS} kills of each kind)`, () => {
  let deployment: Deployment | undefined;
  afterAll(() => deployment?.stop());

  it(
    "loses no acknowledged run, gives every run its right outputs, and breaks no invariant",
    async () => {
      const { databaseUrl } = await freshDatabase();
      deployment = await startDeployment({ databaseUrl, amqpUrl: await amqpUrl(), orchestrators: 2, executors: 3 });
      const ledger = join(mkdtempSync(join(tmpdir(), "skein-ledger-")), "acknowledged.jsonl");
      await Promise.all([submitAll(deployment, ledger), killAround(deployment)]);
      await audit(databaseUrl, ledger);
    },
    TIMEOUT_MS,
  );
});

/** Each submit is repeated under its key until it is acknowledged, on whichever orchestrator answers. */
async function submitAll(deployment: Deployment, ledger: string): Promise<void> {
  const seeds = Array.from({ length: RUNS }, (_, i) => SEED * 1_000 + i);
  await Promise.all(
    Array.from({ length: 4 }, async (_, lane) => {
      for (const seed of seeds.filter((_, i) => i % 4 === lane)) {
        const { definition, inputs, expected } = mixedDag(seed);
        let turn = seed;
        const run = await until(
          () =>
            deployment
              .client(turn++ % 2)
              .runs.submit({ definition: definition as never, inputs }, { idempotencyKey: `dag-${seed}` }),
          `dag ${seed} is acknowledged`,
        );
        appendFileSync(ledger, `${JSON.stringify({ runId: run.id, expected })}\n`);
      }
    }),
  );
}

async function killAround({ orchestrators, executors }: Deployment): Promise<void> {
  const random = randomOf(SEED);
  for (let i = 0; i < KILLS; i++) {
    for (const members of [orchestrators, executors]) {
      const victim = members[Math.floor(random() * members.length)]!;
      await new Promise((resolve) => setTimeout(resolve, 200 + random() * 1_500));
      await victim.kill();
      await new Promise((resolve) => setTimeout(resolve, random() * 500));
      await victim.start();
    }
  }
}

/** The auditor trusts nothing the product says of itself: it compares its own ledger with the rows. */
async function audit(databaseUrl: string, ledger: string): Promise<void> {
  const acknowledged = readFileSync(ledger, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { runId: string; expected: unknown });
  expect(acknowledged).toHaveLength(RUNS);
  expect(new Set(acknowledged.map((entry) => entry.runId)).size).toBe(RUNS);
  const db = new pg.Client(databaseUrl);
  await db.connect();
  try {
    await until(
      async () => {
        const { rows } = await db.query("select count(*)::int as open from run where finished_at is null");
        if (rows[0].open > 0) throw new Error(`${rows[0].open} runs are open`);
      },
      "every run has ended",
      TIMEOUT_MS,
    );
    const { rows } = await db.query<{ id: string; status: string; outputs: unknown; error: unknown }>(
      "select id, status, outputs, error from run",
    );
    const stored = new Map(rows.map((row) => [row.id, row]));
    expect(stored.size).toBe(RUNS);
    for (const { runId, expected } of acknowledged) {
      expect(stored.get(runId)).toEqual({ id: runId, status: "completed", outputs: expected, error: null });
    }
  } finally {
    await db.end();
  }
  const store = await openPostgres(databaseUrl);
  expect(await store.audit()).toEqual([]);
  await store.close();
}

/** A backup taken while runs go on, restored on another server: every run that was acknowledged before comes to its end. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { pino } from "pino";
import { afterAll, beforeAll, expect, it } from "vitest";
import { loadConfig } from "../../config.ts";
import { type Embedded, startEmbedded } from "../../embedded.ts";
import { createClient } from "../../sdk/client.ts";
import { openPostgres } from "../../store/postgres.ts";
import { until } from "../deployment.ts";
import { findOnPath } from "../services/service.ts";
import { freshDatabase, type Services, startServices } from "../services.ts";

const RUNS = 12;
/** On the server that is left: far beyond where a new one begins. */
const TRANSACTIONS = 5_000;

const run = promisify(execFile);
const [dump, restore] = [findOnPath("pg_dump"), findOnPath("pg_restore")];
const tools = dump && restore;

let folder: string;
let other: Services;
beforeAll(async () => {
  if (!tools) return;
  folder = await mkdtemp(join(tmpdir(), "skein-backup-"));
  other = await startServices({ postgres: true });
});
afterAll(async () => {
  await other?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});

function start(databaseUrl: string): Promise<Embedded> {
  const config = loadConfig({ DATABASE_URL: databaseUrl, PORT: "0" });
  return startEmbedded({ config, logger: pino({ level: "silent" }) });
}

async function query(databaseUrl: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

const nap = { capability: "core.sleep", input: { duration: "200ms" }, heartbeat: "2s" };
const definition = {
  name: "through-a-backup",
  tasks: [
    { id: "a", ...nap },
    { id: "each", needs: ["a"], for_each: [1, 2, 3], ...nap },
    { id: "pause", needs: ["each"], wait: { for: "1s" } },
    { id: "b", needs: ["pause"], ...nap },
  ],
};

it.skipIf(!tools)("a backup taken in the middle of everything restores to where it was, and goes on", async () => {
  const { databaseUrl } = await freshDatabase();
  const before = await start(databaseUrl);
  const client = createClient({ url: before.url });
  await query(
    databaseUrl,
    `create temp table burnt (n int);
     do $$ begin for n in 1..${TRANSACTIONS} loop
       begin insert into burnt values (n); exception when others then null; end;
     end loop; end $$`,
  );
  const runs = await Promise.all(
    Array.from({ length: RUNS }, () => client.runs.submit({ definition, labels: { kept: "yes" } })),
  );
  const signalled = await client.runs.submit({
    definition: { name: "waits", tasks: [{ id: "s", wait: { signal: "go" } }] },
  });
  const ids = [...runs.map(({ id }) => id), signalled.id];
  await until(async () => {
    const { data } = await client.runs.list({ limit: 100 });
    expect(data.some(({ counts }) => (counts.completed ?? 0) > 0 && (counts.running ?? 0) > 0)).toBe(true);
  }, "some have begun");
  const seen = await client.runs.eventPage(ids[0]!, { limit: 1_000 });

  const file = join(folder, "backup");
  await run(dump!, ["--format=custom", "--file", file, databaseUrl]);
  await before.stop();

  const restored = (await freshDatabase(other.access)).databaseUrl;
  await run(restore!, ["--no-owner", "--exit-on-error", "--dbname", restored, file]);
  const lastXid = async (url: string) => Number((await query(url, "select pg_current_xact_id()::text as xid"))[0]!.xid);
  expect(await lastXid(restored)).toBeLessThan((await lastXid(databaseUrl)) - TRANSACTIONS / 2);

  const after = await start(restored);
  const again = createClient({ url: after.url });
  await again.runs.signal(signalled.id, "go");
  for (const id of ids) {
    await until(async () => expect((await again.runs.get(id)).status).toBe("completed"), `${id} has completed`);
  }
  // Whoever had read some of the events reads on, and misses and repeats nothing.
  const rest = [];
  for await (const event of again.runs.events(ids[0]!, seen.data.at(-1)!.id)) rest.push(event);
  const whole = (await again.runs.eventPage(ids[0]!, { limit: 1_000 })).data;
  const known = whole.findIndex(({ id }) => id === seen.data.at(-1)!.id);
  expect(whole.slice(0, known + 1)).toEqual(seen.data);
  expect(rest.map(({ id }) => id)).toEqual(whole.slice(known + 1).map(({ id }) => id));
  expect(rest.at(-1)!.type).toBe("run.completed");
  expect((await again.runs.list({ label: ["kept=yes"] })).data).toHaveLength(RUNS);
  await after.stop();
  const store = await openPostgres(restored, { connections: 1 });
  expect(await store.audit()).toEqual([]);
  await store.close();
});

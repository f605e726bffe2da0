import pg from "pg";
import { describe, expect, it } from "vitest";
import { freshDatabase } from "../test/services.ts";
import { openPostgres } from "./postgres.ts";
import { preparedStatements, sqlOver } from "./sql.ts";
import { storeSuite } from "./store.suite.ts";
import { broadScans } from "./suite/plans.ts";
import { newTeam } from "./suite/team.ts";

storeSuite({
  name: "PostgreSQL",
  open: async () => {
    const { databaseUrl } = await freshDatabase();
    const store = await openPostgres(databaseUrl);
    const sql = sqlOver(new pg.Pool({ connectionString: databaseUrl, max: 2 }));
    return {
      store,
      sql,
      close: async () => {
        await store.close();
        await sql.close();
      },
    };
  },
});

// Plans are kept while tables grow: those of an empty table, and those of one that has grown since it was analysed.
describe("every statement of the suite above", () => {
  it.each([0, 1_000])("reaches its rows by key where there are %i runs", async (count) => {
    expect(preparedStatements().length, "statements; run the whole suite").toBeGreaterThan(100);
    const { databaseUrl } = await freshDatabase();
    const store = await openPostgres(databaseUrl);
    const sql = sqlOver(new pg.Pool({ connectionString: databaseUrl, max: 1 }));
    const team = await newTeam({ store, sql, close: store.close });
    await store.runs.submit(Array.from({ length: count }, () => team.submission({ a: {} })));
    expect(await broadScans(databaseUrl, preparedStatements())).toEqual([]);
    await store.close();
    await sql.close();
  });
});

describe("openPostgres", () => {
  it("names the server, but never the password, when it cannot connect", async () => {
    const opening = openPostgres("postgres://someone:secret-word@127.0.0.1:1/nowhere");
    await expect(opening).rejects.toMatchObject({ code: "DATABASE_UNAVAILABLE" });
    await expect(opening).rejects.toThrow(/127\.0\.0\.1:1\/nowhere.*DATABASE_URL/s);
    await expect(opening).rejects.not.toThrow(/secret-word/);
  });

  it("says when DATABASE_URL is not a URL", async () => {
    await expect(openPostgres("nonsense")).rejects.toMatchObject({ code: "DATABASE_UNAVAILABLE" });
  });

  it("migrates once, however often and however many open it", async () => {
    const { databaseUrl } = await freshDatabase();
    const stores = await Promise.all(Array.from({ length: 5 }, () => openPostgres(databaseUrl, { connections: 1 })));
    await Promise.all(stores.map((store) => store.close()));
    const store = await openPostgres(databaseUrl, { connections: 1 });
    await store.ping();
    await store.close();
    const sql = sqlOver(new pg.Pool({ connectionString: databaseUrl, max: 1 }));
    const [once] = await sql.query<{ applied: boolean }>(
      "select count(*) > 0 and count(*) = count(distinct name) as applied from skein_migration",
    );
    await sql.close();
    expect(once!.applied).toBe(true);
  });
});

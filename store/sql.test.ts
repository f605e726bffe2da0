import { PGlite } from "@electric-sql/pglite";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { poolOver } from "./pglite.ts";
import { isTransient, type Sql, sqlOver } from "./sql.ts";

describe("sqlOver", () => {
  let database: PGlite;
  let sql: Sql;
  beforeAll(async () => {
    database = await PGlite.create();
    sql = sqlOver(await poolOver(database));
    await sql.query("create table note (text text primary key)");
  });
  afterAll(async () => {
    await sql.close();
    await database.close();
  });
  beforeEach(() => sql.query("delete from note"));

  const notes = () => sql.query("select text from note order by text");
  const deadlock = () => Object.assign(new Error("deadlock detected"), { code: "40P01" });

  it("commits what a transaction did and answers its result", async () => {
    const answer = await sql.transaction(async (tx) => {
      await tx.query("insert into note values ($1)", ["a"]);
      return 42;
    });
    expect(answer).toBe(42);
    expect(await notes()).toEqual([{ text: "a" }]);
  });

  it("leaves nothing of a transaction that throws, and its connection clean", async () => {
    const failing = sql.transaction(async (tx) => {
      await tx.query("insert into note values ('a')");
      throw new Error("no");
    });
    await expect(failing).rejects.toThrow("no");
    const wrong = sql.transaction((tx) => tx.query("select * from nothing"));
    await expect(wrong).rejects.toMatchObject({ code: "42P01" });
    expect(await notes()).toEqual([]);
  });

  it("repeats a transaction whole after a deadlock", async () => {
    let tries = 0;
    await sql.transaction(async (tx) => {
      await tx.query("insert into note values ($1)", [`try ${++tries}`]);
      if (tries < 3) throw deadlock();
    });
    expect(await notes()).toEqual([{ text: "try 3" }]);
  });

  it("does not repeat what would fail again", async () => {
    let tries = 0;
    const failing = sql.transaction(async () => {
      tries++;
      throw new TypeError("a defect");
    });
    await expect(failing).rejects.toThrow(TypeError);
    expect(tries).toBe(1);
  });

  it("gives up in the end, with the cause", async () => {
    const failing = sql.transaction(async () => {
      throw deadlock();
    });
    await expect(failing).rejects.toMatchObject({ code: "DATABASE_UNAVAILABLE", cause: { code: "40P01" } });
  });

  it("keeps going when a connection breaks between two statements", async () => {
    const pool = new pg.Pool({ max: 1 });
    const client = Object.assign(new pg.Client(), {
      release: () => {},
      query: async () => ({ rows: [] }),
    });
    pool.connect = (async () => client) as never;
    let tries = 0;
    await sqlOver(pool).transaction(async () => {
      if (++tries > 1) return;
      client.emit("error", new Error("unheard, this would end the process"));
      throw Object.assign(new Error("Connection terminated unexpectedly"));
    });
    expect(tries).toBe(2);
  });
});

describe("isTransient", () => {
  it.each([
    { code: "40P01" },
    { code: "40001" },
    { code: "57P01" },
    { code: "08006" },
    { code: "ECONNRESET" },
    { message: "Connection terminated unexpectedly" },
    { message: "Client has encountered a connection error and is not queryable" },
  ])("is true of %j", (error) => expect(isTransient(error)).toBe(true));

  it.each([{ code: "23505" }, { code: "42601" }, { code: "57014" }, { message: "no" }, new Error("x")])(
    "is false of %j",
    (error) => expect(isTransient(error)).toBe(false),
  );
});

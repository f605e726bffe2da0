import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Json } from "../../../core/json.ts";
import { freshDatabase } from "../../../test/services.ts";
import { perform } from "../perform.suite.ts";
import { sqlQuery } from "./sql-query.ts";

let admin: pg.Pool;
let adminUrl: string;
let executor: ReturnType<typeof sqlQuery>;
/** A role with the rights that the documentation recommends. */
const role = `skein_worker_${process.pid}_${Date.now()}`;
const PASSWORD = "worker's-secret";
/** What a program started by the server would leave behind. */
const trace = join(tmpdir(), `${role}.trace`);

beforeAll(async () => {
  const { databaseUrl } = await freshDatabase();
  adminUrl = databaseUrl;
  admin = new pg.Pool({ connectionString: databaseUrl });
  const isDblinkThere =
    (await admin.query("select from pg_available_extensions where name = 'dblink'")).rows.length > 0;
  await admin.query(`
    create role ${role} login password '${PASSWORD.replace("'", "''")}';
    create table bird (id bigint primary key, name text not null check (name <> 'dodo'), seen timestamptz default now());
    insert into bird (id, name) values (1, 'swan'), (2, 'goose');
    create sequence tally;
    create function write_bird() returns int language sql volatile as
      $$ insert into bird (id, name) values (99, 'heron'); select 1 $$;
    create function write_stably() returns int language plpgsql stable as
      $$ begin execute 'delete from bird'; return 1; end $$;
    create function write_with_owner_rights() returns int language plpgsql security definer as
      $$ begin perform set_config('transaction_read_only', 'off', false); delete from bird; return 1; end $$;
    ${isDblinkThere ? "create extension dblink;" : ""}
    grant usage, create on schema public to ${role};
    grant all on bird to ${role};
    grant all on sequence tally to ${role}`);
  const url = new URL(databaseUrl);
  url.username = role;
  url.password = PASSWORD;
  const database = { url: url.href, write: false, privileged: false };
  executor = sqlQuery({
    birds: database,
    writable: { ...database, write: true },
    as_superuser: { ...database, url: adminUrl },
    as_allowed_superuser: { ...database, url: adminUrl, privileged: true },
    nobody: { ...database, url: new URL("/no_such_database", url).href },
    refused: { ...database, url: adminUrl.replace(/\/\/[^@]*@/, "//no_such_role@") },
  });
});

afterAll(async () => {
  await admin?.query(`drop owned by ${role} cascade`);
  await admin?.query(`drop role ${role}`);
  await admin?.end();
});

const query = (sql: string, more: Record<string, Json> = {}, rest = {}) =>
  perform(executor, { database: "birds", sql, ...more }, rest) as Promise<Record<string, Json>>;
const valueFrom = async (expression: string, params: Json[] = []) =>
  ((await query(`select ${expression} as value`, { params })).rows as { value: Json }[])[0]!.value;
const write = (sql: string, more: Record<string, Json> = {}, rest = {}) =>
  query(sql, { database: "writable", write: true, ...more }, rest);
const birds = async () => (await admin.query("select id::int, name from bird order by id")).rows;
/** Backends of the worker's role that are still there. */
const backends = async () =>
  (await admin.query("select count(*)::int as n from pg_stat_activity where usename = $1", [role])).rows[0].n;

describe("a query", () => {
  it("answers with rows, columns and counts", async () => {
    expect(await query("select name, id from bird where id >= $1 order by id", { params: [1] })).toEqual({
      rows: [
        { name: "swan", id: "1" },
        { name: "goose", id: "2" },
      ],
      columns: ["name", "id"],
      row_count: 2,
      truncated: false,
    });
    expect(await query("select id from bird where false")).toMatchObject({ rows: [], columns: ["id"], row_count: 0 });
  });

  it.each([
    "values (1), (2)",
    "table bird",
    "with b as (select 1) select * from b",
    "select 1 -- a comment",
    "select 1;",
  ])("may be %j", async (sql) => {
    expect((await query(sql)).row_count).toBeGreaterThan(0);
  });

  it.each([
    ["true", true],
    ["1::int2", 1],
    ["-2147483648", -2147483648],
    ["9007199254740993::int8", "9007199254740993"],
    ["12345678901234567890.10::numeric", "12345678901234567890.10"],
    ["1.5::float8", 1.5],
    ["'NaN'::float8", "NaN"],
    ["'-Infinity'::float4", "-Infinity"],
    ["null::int", null],
    ["'ü'::text", "ü"],
    [`'{"a": [1, null]}'::jsonb`, { a: [1, null] }],
    ["'null'::json", null],
    ["'\\x00ff'::bytea", "AP8="],
    ["'2026-02-03 04:05:06.123456+02'::timestamptz", "2026-02-03T02:05:06.123456Z"],
    ["'2026-02-03 04:05:06'::timestamp", "2026-02-03T04:05:06"],
    ["'infinity'::timestamptz", "infinity"],
    ["'0044-03-15 BC'::date", "0044-03-15 BC"],
    ["'2026-02-03'::date", "2026-02-03"],
    ["'04:05'::time", "04:05:00"],
    ["'1 day 2 hours'::interval", "P1DT2H"],
    ["'6f9619ff-8b86-d011-b42d-00cf4fc964ff'::uuid", "6f9619ff-8b86-d011-b42d-00cf4fc964ff"],
    ["array[1, null, 3]", [1, null, 3]],
    ["array[array[1], array[2]]", [[1], [2]]],
    ["array[9007199254740993]::int8[]", ["9007199254740993"]],
    ["array['a,\"b', 'NULL', null]", ['a,"b', "NULL", null]],
    ["array['\\x00'::bytea]", ["AA=="]],
    ["'{}'::jsonb[]", []],
    ["'(1,2)'::point", "(1,2)"],
  ])("maps %s to JSON without loss", async (expression, json) => {
    expect(await valueFrom(expression)).toEqual(json);
  });

  it("refuses rows that no task can have as its output", async () => {
    await expect(valueFrom(`'{"__proto__": 1}'::json`)).rejects.toMatchObject({ code: "OUTPUT_UNSTORABLE" });
  });

  it.each<[string, Json]>([
    ["$1::int", 7],
    ["$1::float8", 0.1],
    ["$1::bool", false],
    ["$1::text", "'; drop table bird; --"],
    ["$1::int", null],
    ["$1::jsonb", { a: ["x"] }],
    ["$1::text[]", ["a", null, 'b"']],
  ])("takes %s as %j", async (expression, param) => {
    expect(await valueFrom(expression, [param])).toEqual(param);
  });

  it("leaves out what is beyond max_rows, and says so", async () => {
    const sql = "select generate_series(1, 1000000000) as n";
    expect(await query(sql, { max_rows: 2 })).toMatchObject({
      rows: [{ n: 1 }, { n: 2 }],
      row_count: 2,
      truncated: true,
    });
    expect(await query("table bird", { max_rows: 2 })).toMatchObject({ row_count: 2, truncated: false });
    expect(await query("table bird", { max_rows: 0 })).toMatchObject({ rows: [], truncated: true });
  });

  it.each([
    ["one huge value", "select repeat('x', 100000000) as x"],
    ["many rows", "select repeat('x', 1000) as x from generate_series(1, 100000)"],
  ])("does not take in more than max_bytes: %s", async (_title, sql) => {
    const before = process.memoryUsage().rss;
    await expect(query(sql, { max_rows: 100_000, max_bytes: 100_000 })).rejects.toMatchObject({
      name: "NonRetryableError",
      code: "SQL_RESULT_TOO_LARGE",
    });
    expect(process.memoryUsage().rss - before).toBeLessThan(80_000_000);
    await expect.poll(backends).toBe(0);
  });

  it("refuses columns that would hide each other", async () => {
    await expect(query("select 1 as a, 2 as a")).rejects.toMatchObject({ code: "SQL_COLUMNS_AMBIGUOUS" });
  });

  it("keeps the connection for nobody: what it sets is gone", async () => {
    await query("select set_config('skein.mark', 'x', false)");
    expect(await valueFrom("current_setting('skein.mark', true)")).toBeNull();
    expect(await backends()).toBe(0);
  });
});

/** What must not work. None of them may change anything; most are no query at all. */
const attempts = [
  "insert into bird (id, name) values (3, 'duck')",
  "update bird set name = 'x'",
  "delete from bird",
  "truncate bird",
  "drop table bird",
  "alter table bird add column x int",
  "create table mine (id int)",
  "create temp table mine (id int)",
  "select 1; drop table bird",
  "select 1; commit; delete from bird",
  "; delete from bird",
  "select 1) to stdout; drop table bird; --",
  "with gone as (delete from bird returning *) select * from gone",
  "select * into mine from bird",
  "select * from bird for update",
  "select * from bird for share",
  "table bird for no key update",
  "explain analyze delete from bird",
  "set transaction read write",
  "set session characteristics as transaction read write",
  "set default_transaction_read_only = off",
  "reset all",
  "commit",
  "end",
  "rollback",
  "begin read write",
  "savepoint s",
  "prepare transaction 'stays'",
  "select set_config('transaction_read_only', 'off', true)",
  "select set_config('transaction_read_only', 'off', false), write_bird()",
  "select write_bird()",
  "select write_stably()",
  "select write_with_owner_rights()",
  "select nextval('tally')",
  "select setval('tally', 5)",
  "do $$ begin delete from bird; end $$",
  "do $$ begin set transaction read write; delete from bird; end $$",
  "call write_bird()",
  "copy bird from stdin",
  "copy bird to stdout",
  `copy (select 1) to program 'touch ${trace}'`,
  `copy (select 1) to '${trace}'`,
  `do $$ begin execute 'copy (select 1) to program ''touch ${trace}'''; end $$`,
  "select pg_read_file('/etc/passwd')",
  "select pg_ls_dir('/')",
  "select lo_import('/etc/passwd')",
  `select lo_export(1, '${trace}')`,
  "select pg_reload_conf()",
  "select pg_terminate_backend(pid) from pg_stat_activity where usename <> current_user",
  "select pg_switch_wal()",
  "select query_to_xml('delete from bird', true, true, '')",
  "select query_to_xml('copy bird to stdout', true, true, '')",
  "select set_config('role', 'skein', true)",
  "select set_config('session_authorization', 'skein', true)",
  "set role skein",
  "create extension dblink",
  "select dblink_exec('host=127.0.0.1 dbname=postgres', 'create table mine (id int)')",
  "select dblink_connect('')",
  "alter role current_user superuser",
  "grant all on bird to public",
  "lock table bird in access exclusive mode",
  "notify canary",
  "listen canary",
  "vacuum",
  "prepare p as delete from bird",
  "execute p",
  "discard all",
  "close skein_rows",
  "fetch all from skein_rows",
  "",
  "-- nothing",
  "select",
];

describe("without write", () => {
  it.each(attempts.filter((sql) => sql !== "select" && sql !== ""))(
    "%j neither works nor changes anything",
    async (sql) => {
      await expect(query(sql)).rejects.toMatchObject({ name: "NonRetryableError" });
      expect(await birds()).toEqual([
        { id: 1, name: "swan" },
        { id: 2, name: "goose" },
      ]);
      expect((await admin.query("select to_regclass('mine') as mine, last_value::int from tally")).rows).toEqual([
        { mine: null, last_value: 1 },
      ]);
      expect(existsSync(trace)).toBe(false);
    },
  );

  it("large objects are gone with the transaction, where the server lets them be made at all", async () => {
    await query("select lo_create(4711)").catch((error) => expect(error.code).toBe("SQL_READ_ONLY"));
    const { rows } = await admin.query("select count(*)::int as n from pg_largeobject_metadata");
    expect(rows).toEqual([{ n: 0 }]);
  });

  it("a lock taken in a query is given back", async () => {
    await query("select pg_advisory_lock(4711)");
    expect((await admin.query("select pg_try_advisory_lock(4711) as free")).rows).toEqual([{ free: true }]);
  });
});

describe("a write", () => {
  it("is committed, and tells how many rows it wrote", async () => {
    expect(await write("insert into bird (id, name) values ($1, $2)", { params: [10, "crane"] })).toEqual({
      rows: [],
      columns: [],
      row_count: 1,
      truncated: false,
    });
    const returning = "insert into bird (id, name) values (11, 'a'), (12, 'b') returning id";
    expect(await write(returning, { max_rows: 1 })).toEqual({
      rows: [{ id: "11" }],
      columns: ["id"],
      row_count: 2,
      truncated: true,
    });
    expect(await write("delete from bird where id >= 10")).toMatchObject({ row_count: 3 });
  });

  it("can tell that it is a repetition by the task's key", async () => {
    const key = (await write("select current_setting('skein.idempotency_key') as key")).rows;
    expect(key).toEqual([{ key: "idempotency-1" }]);
  });

  it("is one statement, too", async () => {
    await expect(write("delete from bird where id = 77; delete from bird")).rejects.toMatchObject({
      code: "SQL_STATEMENT_INVALID",
    });
    expect(await birds()).toHaveLength(2);
  });

  it.each(["copy bird from stdin", "copy bird (id, name) from stdin with (format csv)"])(
    "%s fails without a stream to copy from",
    async (sql) => {
      await expect(write(sql)).rejects.toMatchObject({ name: "NonRetryableError" });
    },
  );

  it.each(["rollback", "commit"])("of %j ends its transaction and has no other effect", async (sql) => {
    expect(await write(sql)).toMatchObject({ row_count: 0 });
    expect(await birds()).toHaveLength(2);
  });

  it("is refused where the database is not writable", async () => {
    await expect(query("delete from bird", { write: true })).rejects.toMatchObject({
      code: "SQL_WRITE_REFUSED",
      message: expect.stringContaining("SKEIN_SQL_DATABASES"),
    });
    expect(await birds()).toHaveLength(2);
  });

  it("beyond the limits is rolled back", async () => {
    const sql = "with gone as (delete from bird returning *) select repeat(name, 100000) from gone";
    await expect(write(sql, { max_bytes: 1_000 })).rejects.toMatchObject({ code: "SQL_RESULT_TOO_LARGE" });
    await expect.poll(backends).toBe(0);
    expect(await birds()).toHaveLength(2);
  });
});

describe("a role that reaches beyond the database", () => {
  it.each([`copy (select 1) to program 'touch ${trace}'`, "select 1"])("is refused before %j runs", async (sql) => {
    await expect(query(sql, { database: "as_superuser" })).rejects.toMatchObject({
      name: "NonRetryableError",
      code: "SQL_ROLE_PRIVILEGED",
      message: expect.stringContaining("SKEIN_SQL_DATABASES"),
    });
    expect(existsSync(trace)).toBe(false);
  });

  it("is refused also if it could only become one", async () => {
    await admin.query(`grant pg_read_server_files to ${role}`);
    try {
      await expect(query("select 1")).rejects.toMatchObject({ code: "SQL_ROLE_PRIVILEGED" });
    } finally {
      await admin.query(`revoke pg_read_server_files from ${role}`);
    }
  });

  it("can be allowed", async () => {
    expect(await query("select 1 as one", { database: "as_allowed_superuser" })).toMatchObject({ rows: [{ one: 1 }] });
    const copy = `copy (select 1) to program 'touch ${trace}'`;
    await expect(query(copy, { database: "as_allowed_superuser" })).rejects.toMatchObject({
      name: "NonRetryableError",
    });
    expect(existsSync(trace)).toBe(false);
  });
});

/** Catches being cancelled, by whomever. */
const stubborn = `do $$ begin
  loop begin perform pg_sleep(60); exception when query_canceled then null; end; end loop;
end $$`;

describe("time", () => {
  it.each([
    ["select pg_sleep(60)"],
    ["select set_config('statement_timeout', '0', false), pg_sleep(60)"],
    ["select count(*) from generate_series(1, 100000000000)"],
  ])("%s is ended at its limit, on the server, too", async (sql) => {
    await expect(query(sql, { timeout_ms: 100 })).rejects.toMatchObject({ name: "TaskError", code: "SQL_TIMEOUT" });
    await expect.poll(backends).toBe(0);
  });

  it("a statement that catches its cancellation is ended, too", async () => {
    await expect(write(stubborn, { timeout_ms: 100 })).rejects.toMatchObject({ code: "SQL_TIMEOUT" });
    await expect.poll(backends).toBe(0);
  });

  it.each([
    ["select pg_sleep(60)", false],
    [stubborn, true],
  ])("an abort ends %s with the reason of the abort, on the server, too", async (sql, isWrite) => {
    const abort = new AbortController();
    const run = isWrite ? write : query;
    const failure = expect(run(sql, {}, { signal: abort.signal })).rejects.toThrow("lease lost");
    const sleeping = "select count(*)::int as n from pg_stat_activity where usename = $1 and wait_event = 'PgSleep'";
    await expect.poll(async () => (await admin.query(sleeping, [role])).rows[0].n).toBe(1);
    abort.abort(new Error("lease lost"));
    await failure;
    await expect.poll(backends).toBe(0);
  });

  it("an attempt that was aborted before begins nothing", async () => {
    await expect(query("select 1", {}, { signal: AbortSignal.abort(new Error("over")) })).rejects.toThrow("over");
  });
});

describe("a failure", () => {
  it.each([
    ["a mistake", "selekt 1", {}, "SQL_STATEMENT_INVALID"],
    ["an unknown table", "select * from nowhere", {}, "SQL_STATEMENT_INVALID"],
    ["a value that does not fit", "select $1::int", { params: ["x"] }, "SQL_STATEMENT_INVALID"],
    ["a missing parameter", "select $1::int", {}, "SQL_STATEMENT_INVALID"],
    ["a division by zero", "select 1 / 0", {}, "SQL_STATEMENT_INVALID"],
    ["a text with U+0000", "select $1::text", { params: ["\u0000"] }, "SQL_STATEMENT_INVALID"],
    ["a missing right", "select * from pg_authid", {}, "SQL_DENIED"],
    ["a role that does not exist", "select 1", { database: "refused" }, "SQL_DENIED"],
    ["an unknown name", "select 1", { database: "constructor" }, "SQL_DATABASE_UNKNOWN"],
  ])("by %s is final", async (_title, sql, more, code) => {
    await expect(query(sql, more)).rejects.toMatchObject({ name: "NonRetryableError", code });
  });

  it("of a constraint is final, and does not tell the values", async () => {
    const insert = write("insert into bird (id, name) values (1, 'my secret')");
    await expect(insert).rejects.toMatchObject({
      code: "SQL_CONSTRAINT",
      message: expect.not.stringContaining("secret"),
    });
    await expect(write("insert into bird (id, name) values (5, 'dodo')")).rejects.toMatchObject({
      code: "SQL_CONSTRAINT",
    });
  });

  it.each(["40001", "40P01", "55P03", "57P01", "53300", "08006", "57014"])(
    "with SQLSTATE %s may be retried",
    async (state) => {
      const raise = `do $$ begin raise exception using errcode = '${state}'; end $$`;
      const code = state === "57014" ? "SQL_TIMEOUT" : /^(40|55)/.test(state) ? "SQL_CONFLICT" : "SQL_UNAVAILABLE";
      await expect(write(raise)).rejects.toMatchObject({ name: "TaskError", code });
    },
  );

  it("with a SQLSTATE nobody knows is final", async () => {
    const raise = "do $$ begin raise exception 'mine' using errcode = 'ZZ001'; end $$";
    await expect(write(raise)).rejects.toMatchObject({ name: "NonRetryableError", code: "SQL_FAILED" });
  });

  it("of a connection that ends amid the statement may be retried", async () => {
    const failure = expect(query("select pg_sleep(60)")).rejects.toMatchObject({
      name: "TaskError",
      code: "SQL_UNAVAILABLE",
    });
    const end = "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1 and wait_event = 'PgSleep'";
    await expect.poll(async () => (await admin.query(end, [role])).rows.length).toBe(1);
    await failure;
  });

  it("to connect may be retried, and names neither address nor password", async () => {
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const url = `postgres://someone:hush@127.0.0.1:${port}/x`;
    const closed = sqlQuery({ gone: { url, write: false, privileged: false } });
    const failure = await perform(closed, { database: "gone", sql: "select 1" }).catch((error) => error);
    expect(failure).toMatchObject({ name: "TaskError", code: "SQL_UNAVAILABLE" });
    expect(failure.message).not.toMatch(/hush|someone/);
    server.close();
  });

  it.each([
    [{ database: "birds", sql: "" }, "/sql"],
    [{ database: "birds", sql: "select 1", params: "x" }, "/params"],
    [{ database: "birds", sql: "select 1", max_rows: -1 }, "/max_rows"],
    [{ database: "birds", sql: "select 1", max_bytes: 9 * 1024 * 1024 }, "/max_bytes"],
    [{ database: "birds", sql: "select 1", timeout_ms: 0 }, "/timeout_ms"],
    [{ url: "postgres://x", sql: "select 1" }, "url"],
  ])("of the input is found before anything is sent: %j", async (bad, hint) => {
    expect(() => executor.parseInput(bad)).toThrow(
      expect.objectContaining({ code: "INPUT_INVALID", message: expect.stringContaining(hint) }),
    );
  });
});

/**
 * `sql.query` — one statement on a PostgreSQL database that the operator has named, with parameters.
 *
 * Reads by default: the statement is the query of a cursor, which nothing but a query can be, in a read-only transaction
 * that is rolled back. `write: true` runs any one statement and commits it, on databases that allow it. Each attempt has
 * a connection of its own, so nothing it sets outlives it; roles that reach beyond the database are refused.
 * Docs, limits and errors: docs/executors/sql.query.md.
 */

import { z } from "zod";
import { defineExecutor, type ExecutorContext, NonRetryableError, TaskError } from "../../../sdk/executor.ts";
import { type ArrayResult, Connection } from "./connection.ts";
import { failureOf } from "./failure.ts";

/** A database that tasks may name. */
export interface SqlDatabase {
  url: string;
  /** Whether tasks may ask for `write: true`. */
  write: boolean;
  /** Whether the role may be a superuser, or one that runs programs and reads and writes files on the server. */
  privileged: boolean;
}

const DEFAULT_ROWS = 1_000;
const MAX_ROWS = 100_000;
const DEFAULT_BYTES = 1024 * 1024;
/** The engine's limit for one output. */
const MAX_BYTES = 8 * 1024 * 1024;
const DEFAULT_TIMEOUT_MS = 30_000;
const MAX_TIMEOUT_MS = 600_000;
/** The server ends the statement by itself; a statement that evades that is ended from here this much later. */
const GRACE_MS = 1_000;
const MAX_SQL_CHARS = 100_000;
/** PostgreSQL counts parameters in 16 bits. */
const MAX_PARAMS = 65_535;

const input = z.strictObject({
  database: z.string().min(1).describe("One of the names in SKEIN_SQL_DATABASES"),
  sql: z.string().min(1).max(MAX_SQL_CHARS).describe("One statement; values go into `params`, as $1, $2, …"),
  params: z.array(z.json()).max(MAX_PARAMS).default([]).describe("A list becomes an array, an object JSON"),
  write: z.boolean().default(false).describe("Run any statement and commit it, where the database allows it"),
  max_rows: z.int().min(0).max(MAX_ROWS).default(DEFAULT_ROWS).describe("More rows are left out, `truncated` says so"),
  max_bytes: z.int().min(1).max(MAX_BYTES).default(DEFAULT_BYTES).describe("What the database may send at most"),
  timeout_ms: z.int().min(1).max(MAX_TIMEOUT_MS).default(DEFAULT_TIMEOUT_MS).describe("For everything"),
});

const output = z.strictObject({
  rows: z.array(z.record(z.string(), z.unknown())),
  columns: z.array(z.string()),
  row_count: z.int().describe("Rows in the answer; of a write, the rows it wrote"),
  truncated: z.boolean().describe("There were more rows than max_rows"),
});

type SqlInput = z.output<typeof input>;
type SqlOutput = z.input<typeof output>;

/** The executor, for the databases of SKEIN_SQL_DATABASES. */
export function sqlQuery(databases: Readonly<Record<string, SqlDatabase>>) {
  return defineExecutor({
    capability: "sql.query",
    description: `Runs one SQL statement on a PostgreSQL database: ${Object.keys(databases).join(", ")}`,
    input,
    output,
    run: (context) => perform(context, databaseFor(context.input, databases)),
  });
}

function databaseFor({ database: name, write }: SqlInput, databases: Readonly<Record<string, SqlDatabase>>) {
  const database = Object.hasOwn(databases, name) ? databases[name] : undefined;
  if (!database) {
    throw new NonRetryableError(
      `There is no database "${name}"; SKEIN_SQL_DATABASES has ${Object.keys(databases).join(", ")}`,
      { code: "SQL_DATABASE_UNKNOWN" },
    );
  }
  if (!write || database.write) return database;
  throw new NonRetryableError(
    `The database "${name}" is read-only; the operator can set "write": true for it in SKEIN_SQL_DATABASES`,
    { code: "SQL_WRITE_REFUSED" },
  );
}

async function perform(context: ExecutorContext<SqlInput>, database: SqlDatabase): Promise<SqlOutput> {
  const { input, signal } = context;
  signal.throwIfAborted();
  const deadline = AbortSignal.timeout(input.timeout_ms + GRACE_MS);
  const connection = new Connection(database.url, AbortSignal.any([signal, deadline]));
  try {
    await connection.open();
    await begin(connection, context, database);
    const result = input.write ? await write(connection, input) : await read(connection, input);
    return outputOf(result, input);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (deadline.aborted) throw new TaskError(`No answer within ${input.timeout_ms} ms`, { code: "SQL_TIMEOUT" });
    if (!connection.isOverfull) throw failureOf(error, input);
    throw new NonRetryableError(
      `The answer is longer than ${input.max_bytes} bytes; ask for fewer rows or columns, or raise max_bytes`,
      { code: "SQL_RESULT_TOO_LARGE" },
    );
  } finally {
    await connection.close();
  }
}

/** Who can do more on the server than what the database grants: read-only or not would make no difference to them. */
const privilegedRole = `exists (
  select from pg_roles
  where (rolsuper or rolname in ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files'))
    and pg_has_role(session_user, oid, 'member'))`;

/** The first query of the transaction; from then on the transaction cannot become one that writes. */
const prepareTransaction = `
  select pg_backend_pid() as pid, ${privilegedRole} as is_privileged, count(set_config(name, value, true))
  from unnest($1::text[], $2::text[]) as setting (name, value)`;

async function begin(
  connection: Connection,
  { input, idempotencyKey }: ExecutorContext<SqlInput>,
  { privileged }: SqlDatabase,
): Promise<void> {
  const settings = {
    statement_timeout: `${input.timeout_ms}ms`,
    // If this process or the network dies, the server must not keep the transaction.
    idle_in_transaction_session_timeout: `${input.timeout_ms + GRACE_MS}ms`,
    // The forms in which values are read.
    timezone: "UTC",
    datestyle: "ISO",
    intervalstyle: "iso_8601",
    bytea_output: "hex",
    client_min_messages: "warning",
    "skein.idempotency_key": idempotencyKey,
    ...(!input.write && { default_transaction_read_only: "on" }),
  };
  await connection.query(input.write ? "begin read write" : "begin read only");
  const { rows } = await connection.query(prepareTransaction, [Object.keys(settings), Object.values(settings)]);
  const [pid, isPrivileged] = rows[0] as [number, boolean];
  connection.pid = pid;
  if (privileged || !isPrivileged) return;
  throw new NonRetryableError(
    `The role of database "${input.database}" is a superuser or may use files and programs of the server; ` +
      'name a role with fewer rights in SKEIN_SQL_DATABASES, or set "privileged": true for it',
    { code: "SQL_ROLE_PRIVILEGED" },
  );
}

async function read(connection: Connection, { sql, params, max_rows, max_bytes }: SqlInput): Promise<ArrayResult> {
  await connection.query(`declare skein_rows no scroll cursor for ${sql}`, params);
  connection.limit(max_bytes);
  const result = await connection.query(`fetch ${max_rows + 1} from skein_rows`);
  connection.unlimit();
  await connection.query("rollback");
  return result;
}

async function write(connection: Connection, { sql, params, max_bytes }: SqlInput): Promise<ArrayResult> {
  connection.limit(max_bytes);
  const result = await connection.query(sql, params);
  connection.unlimit();
  // Deferred constraints have their say here.
  await connection.query("commit");
  return result;
}

function outputOf({ fields, rows, rowCount }: ArrayResult, { write, max_rows }: SqlInput): SqlOutput {
  const columns = fields.map(({ name }) => name);
  const twice = columns.find((name, index) => columns.indexOf(name) !== index);
  if (twice !== undefined) {
    throw new NonRetryableError(`Two columns are called "${twice}"; name them apart with "as"`, {
      code: "SQL_COLUMNS_AMBIGUOUS",
    });
  }
  const kept = rows.slice(0, max_rows).map((row) => Object.fromEntries(columns.map((name, i) => [name, row[i]!])));
  return {
    rows: kept,
    columns,
    row_count: write ? (rowCount ?? 0) : kept.length,
    truncated: rows.length > max_rows,
  };
}

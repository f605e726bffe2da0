/** The seam to the SQL driver: a pool of `pg`, over a server or over PGlite, with transactions that clean up and retry. */
import { setImmediate as othersFirst, setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { SkeinError } from "../core/errors.ts";
import type { ObjectStore } from "./port/objects.ts";

export interface Queryable {
  query<R>(text: string, params?: unknown[]): Promise<R[]>;
  /** Where large contents are, if not in the database. */
  objects?: ObjectStore | undefined;
}

export interface Transaction extends Queryable {
  /** Sends a statement without waiting for its answer. If it fails, so does the transaction, at the latest at its end. */
  send(text: string, params?: unknown[]): void;
}

export interface Sql extends Queryable {
  /**
   * Runs `work` in a transaction of READ COMMITTED and retries it whole on deadlock, serialization failure and lost
   * connection, so `work` must be repeatable: a lost connection may mean that it was committed.
   */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/**
 * Session settings of every connection. Our tables grow from empty to 10⁵ rows between two ANALYZEs, and prepared plans
 * are kept; each hot statement reaches its rows by key, so plans that read whole tables are told to look expensive. That
 * is not enough for a list given as JSON, of which the planner expects 100 rows: while a table has fewer it goes through all
 * of it. So such a list looks its rows up in a `cross join lateral` (in order of id if it locks them), or an update by it
 * names the ids a second time, as an array. `suite/plans.ts` looks at the plans of all statements.
 */
export const sessionSettings: Record<string, string> = {
  enable_seqscan: "off",
  enable_hashjoin: "off",
  enable_mergejoin: "off",
  jit: "off",
  plan_cache_mode: "force_generic_plan",
  statement_timeout: "60s",
  idle_in_transaction_session_timeout: "60s",
};

const INT8 = 20;

/** Our bigints are durations in milliseconds, which a double holds exactly; the driver would give them as text. */
export const columnTypes: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: "text" | "binary") =>
    oid === INT8 ? Number : pg.types.getTypeParser(oid, format as "text"),
};

/** Rows written by one statement: on the embedded database nothing else happens meanwhile, and 1,000 take about 50 ms. */
const ROWS_PER_STATEMENT = 1_000;

/** Runs a statement over many rows in chunks, one after the other, and answers what all of them returned. */
export async function inChunks<T, R>(rows: T[], write: (chunk: T[]) => Promise<R[]>): Promise<R[]> {
  if (rows.length <= ROWS_PER_STATEMENT) return rows.length === 0 ? [] : write(rows);
  const written: R[][] = [];
  for (let start = 0; start < rows.length; start += ROWS_PER_STATEMENT) {
    written.push(await write(rows.slice(start, start + ROWS_PER_STATEMENT)));
  }
  return written.flat();
}

const MAX_TRIES = 8;
const FIRST_BACKOFF_MS = 10;
const MAX_BACKOFF_MS = 1_000;

/** deadlock_detected, serialization_failure, admin_shutdown, crash_shutdown, cannot_connect_now, too_many_connections. */
const transientStates = new Set(["40P01", "40001", "57P01", "57P02", "57P03", "53300"]);
const transientSystemErrors = new Set(["ECONNRESET", "ECONNREFUSED", "EPIPE", "ETIMEDOUT"]);

export function isTransient(error: unknown): boolean {
  const { code, message } = error as { code?: string; message?: string };
  if (code && (transientStates.has(code) || transientSystemErrors.has(code) || code.startsWith("08"))) return true;
  return /Connection terminated|timeout exceeded when trying to connect|not queryable/.test(message ?? "");
}

/** character_not_in_repertoire, untranslatable_character: U+0000 in a parameter, or in JSON that the server looks into. */
const unstorableStates = new Set(["22021", "22P05"]);

function isUnstorable(error: unknown): boolean {
  return unstorableStates.has((error as { code?: string }).code ?? "");
}

/** Surfaces refuse such texts where they know what they are; this is for the places where one gets through. */
function unstorable(error: unknown): SkeinError {
  const message = "A text contains the character U+0000, which PostgreSQL cannot store; remove it.";
  return new SkeinError("JSON_UNSTORABLE", message, { cause: error });
}

/** How many transactions had to be repeated, and why; more than 0.1 % of all is a defect. */
export const retryCounts = new Map<string, number>();

export function sqlOver(pool: pg.Pool, objects?: ObjectStore): Sql {
  return {
    objects,
    query: (text, params) => retrying(() => alone(pool, text, params)),
    transaction: (work) => retrying(() => inTransaction(pool, objects, work)),
    close: () => pool.end(),
  };
}

/** `pool.query` would close the connection at each error, also where the statement is to blame and not the connection. */
async function alone<R>(pool: pg.Pool, text: string, params?: unknown[]): Promise<R[]> {
  const client = await pool.connect();
  client.on("error", ignore);
  let broken: Error | undefined;
  try {
    return await run<R>(client, text, params);
  } catch (error) {
    // What the server says of a statement is said as an ERROR; a FATAL one, or none at all, ends the connection.
    if ((error as { severity?: string }).severity !== "ERROR") broken = error as Error;
    throw error;
  } finally {
    client.off("error", ignore);
    client.release(broken);
  }
}

async function inTransaction<T>(
  pool: pg.Pool,
  objects: ObjectStore | undefined,
  work: (tx: Transaction) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  client.on("error", ignore);
  // What nobody waits for by itself; on a pipelined connection it costs no round trip. The server goes through it in
  // order, so the first to fail is the reason why those after it did.
  const sent: Promise<unknown>[] = [];
  const { pipeline } = pool.options as { pipeline?: boolean };
  let turn: Promise<unknown> = Promise.resolve();
  /**
   * On other connections a statement has to wait until the one before it has been answered. The embedded database answers
   * without ever leaving this thread to others, so we do: a deep cascade would silence the whole process.
   */
  const ask = <R>(statement: () => Promise<R>): Promise<R> => {
    if (pipeline) return statement();
    const answer = turn.then(() => othersFirst()).then(statement);
    turn = answer.catch(ignore);
    return answer;
  };
  const send = (statement: () => Promise<unknown>) => {
    const answer = ask(statement);
    answer.catch(ignore);
    sent.push(answer);
  };
  let broken: Error | undefined;
  try {
    send(() => client.query("begin"));
    const result = await work({
      objects,
      query: (text, params) => ask(() => run(client, text, params)),
      send: (text, params) => send(() => run(client, text, params)),
    });
    send(() => client.query("commit"));
    await Promise.all(sent);
    return result;
  } catch (failure) {
    const error = isAborted(failure) ? await firstFailure(sent, failure) : failure;
    // Always explicit: on PGlite a released client would leave its transaction open to the next one.
    await ask(() => client.query("rollback")).catch((rollbackError: Error) => {
      broken = rollbackError;
    });
    throw error;
  } finally {
    client.off("error", ignore);
    client.release(broken);
  }
}

/** in_failed_sql_transaction: an earlier statement failed, and that is the reason to tell. */
function isAborted(error: unknown): boolean {
  return (error as { code?: string }).code === "25P02";
}

function firstFailure(sent: Promise<unknown>[], otherwise: unknown): Promise<unknown> {
  return Promise.all(sent).then(
    () => otherwise,
    (cause) => cause,
  );
}

/**
 * A connection may break between two statements, when no query is there to be told of it: unheard, the error would end
 * the process. The next statement fails and says the same.
 */
function ignore(): void {}

const statementNames = new Map<string, string>();

/** The texts of all that this process has prepared. */
export function preparedStatements(): string[] {
  return [...statementNames.keys()];
}

/** Every statement is prepared under a name of its own; texts are constants, so there are only as many as in the source. */
async function run<R>(target: pg.PoolClient, text: string, params: unknown[] = []): Promise<R[]> {
  let name = statementNames.get(text);
  if (!name) {
    name = `skein_${statementNames.size}`;
    statementNames.set(text, name);
  }
  const result = await target.query({ name, text, values: params });
  return result.rows as R[];
}

async function retrying<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (isUnstorable(error)) throw unstorable(error);
      if (!isTransient(error)) throw error;
      const reason = (error as { code?: string }).code ?? "connection";
      retryCounts.set(reason, (retryCounts.get(reason) ?? 0) + 1);
      if (attempt === MAX_TRIES) {
        throw new SkeinError("DATABASE_UNAVAILABLE", `The database did not answer after ${MAX_TRIES} tries: ${error}`, {
          cause: error,
        });
      }
      await sleep(Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** attempt) * (0.5 + Math.random() / 2));
    }
  }
}

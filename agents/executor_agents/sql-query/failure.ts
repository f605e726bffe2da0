/** SQLSTATEs as task failures: a stable code each, and whether trying again can help. */

import pg from "pg";
import { NonRetryableError, TaskError } from "../../../sdk/executor.ts";

interface Kind {
  code: string;
  pattern: RegExp;
  isTransient?: true;
}

/** What `pg` answers to COPY FROM STDIN; the server then calls it a cancellation. */
const NOTHING_TO_COPY = "No source stream defined";

/** The first pattern that matches a SQLSTATE decides. */
const kinds: readonly Kind[] = [
  // Another number of parameters than the statement has.
  { code: "SQL_STATEMENT_INVALID", pattern: /^08P01$/ },
  { code: "SQL_TIMEOUT", pattern: /^(?:57014|25P03)$/, isTransient: true },
  { code: "SQL_CONFLICT", pattern: /^(?:40001|40P01|55P03)$/, isTransient: true },
  // Connections, resources, and servers that start, stop or fail over.
  { code: "SQL_UNAVAILABLE", pattern: /^(?:08...|53...|57P0.)$/, isTransient: true },
  { code: "SQL_READ_ONLY", pattern: /^25006$/ },
  { code: "SQL_DENIED", pattern: /^(?:28...|42501)$/ },
  { code: "SQL_CONSTRAINT", pattern: /^23...$/ },
  { code: "SQL_STATEMENT_INVALID", pattern: /^(?:42...|22...|0A...|26...|34...)$/ },
];

/** What the driver or the server said. Values in it (`detail`) are left out: they may be somebody's data. */
export function failureOf(error: unknown, { database }: { database: string }): TaskError {
  if (error instanceof TaskError) return error;
  if (!(error instanceof pg.DatabaseError)) {
    const { message, code } = error as { message?: string; code?: string };
    return new TaskError(`No answer from database "${database}": ${message || code}`, {
      code: "SQL_UNAVAILABLE",
      cause: error,
    });
  }
  const { code: state = "", message } = error;
  const kind: Partial<Kind> | undefined = message.includes(NOTHING_TO_COPY)
    ? { code: "SQL_STATEMENT_INVALID" }
    : kinds.find(({ pattern }) => pattern.test(state));
  const text = `Database "${database}": ${message} (SQLSTATE ${state})`;
  const options = { code: kind?.code ?? "SQL_FAILED", cause: error };
  return kind?.isTransient ? new TaskError(text, options) : new NonRetryableError(text, options);
}

/** Dead letters: failed tasks that an agent was at, read where they are. */
import type { LetterState, Settlement } from "../core/dead-letter.ts";
import type { Failure } from "../core/errors.ts";
import { decodeCursor, isDead, pageFrom, pageLimit } from "./rows.ts";
import { attemptsOf } from "./runs.ts";
import type { Queryable, Sql, Transaction } from "./sql.ts";
import type { DeadLetter, DeadLetterStore, LetterFilter, Page, PageOf } from "./store.ts";

export function deadLetterStore(sql: Sql): DeadLetterStore {
  return {
    list: (namespace, filter) => list(sql, namespace, filter),
    find: async (namespace, id) => {
      const [row] = await sql.query<Row>(
        `select ${columns} from task t join run r on r.id = t.run_id
         where t.namespace = $1 and t.id = $2 and ${isDead}`,
        [namespace, id],
      );
      return row && { ...toLetter(row), attempts: await attemptsOf(sql, id) };
    },
    discard: async (namespace, ids, by, reason) => {
      const discarded = await sql.query(
        `update task t set letter = json_build_object('state', 'discarded', 'by', $3::text, 'reason', $4::text,
           'at', clock_timestamp())
         where t.namespace = $1 and t.id = any($2::uuid[]) and ${isDead} and t.letter is null
         returning t.id`,
        [namespace, ids, by, reason ?? null],
      );
      return discarded.length;
    },
    count: () =>
      sql.query(
        `select namespace, capability, count(*)::int as count
         from (select t.namespace, t.capability from task t where ${isDead} and t.letter is null limit ${MAX_COUNTED}) dead
         group by namespace, capability`,
      ),
  };
}

const MAX_COUNTED = 10_000;

interface Row {
  id: string;
  run_id: string;
  workflow_name: string;
  workflow_version: number | null;
  key: string;
  capability: string;
  error: Failure;
  attempt: number;
  failures: number;
  lost_leases: number;
  finished_at: Date;
  /** Microseconds: two may have failed in the same millisecond. */
  place: string;
  letter: Settlement | null;
}

const columns = `t.id, t.run_id, r.workflow_name, r.workflow_version, t.key, t.capability, t.error, t.attempt, t.failures,
  t.lost_leases, t.finished_at, (extract(epoch from t.finished_at) * 1000000)::bigint::text as place, t.letter`;

const placeShape = /^\d+ [0-9a-f-]{36}$/;

async function list(
  db: Queryable,
  namespace: string,
  { state = "open", ...filter }: Page & LetterFilter & { state?: LetterState | undefined },
): Promise<PageOf<DeadLetter>> {
  const limit = pageLimit(filter);
  const [micros, id] = decodeCursor(filter.cursor, placeShape)?.split(" ") ?? [];
  const rows = await db.query<Row>(
    `select ${columns} from task t cross join lateral (
       select workflow_name, workflow_version from run where id = t.run_id limit 1) r
     where t.namespace = $1 and ${isDead} and ${state === "open" ? "t.letter is null" : "t.letter is not null"}
       and ($2 = 'open' or t.letter ->> 'state' = $2)
       and (t.finished_at, t.id) < (coalesce(timestamptz 'epoch' + $3::bigint * interval '1 microsecond', 'infinity'),
         coalesce($4::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
       and ($5::text is null or r.workflow_name = $5)
       and ($6::text is null or t.capability = $6)
       and ($7::text is null or t.error ->> 'code' = $7)
       and ($8::uuid is null or t.run_id = $8)
       and ($9::timestamptz is null or t.finished_at >= $9)
     order by t.finished_at desc, t.id desc limit $10`,
    [
      namespace,
      state,
      micros ?? null,
      id ?? null,
      filter.workflow ?? null,
      filter.capability ?? null,
      filter.code ?? null,
      filter.runId ?? null,
      filter.since ?? null,
      limit + 1,
    ],
  );
  return pageFrom(rows, limit, (row) => `${row.place} ${row.id}`, toLetter);
}

function toLetter(row: Row): DeadLetter {
  const { letter } = row;
  const discarded = letter?.state === "discarded" ? letter : null;
  return {
    id: row.id,
    runId: row.run_id,
    workflow: row.workflow_name,
    version: row.workflow_version,
    task: row.key,
    capability: row.capability,
    error: row.error,
    attempt: row.attempt,
    failures: row.failures,
    lostLeases: row.lost_leases,
    failedAt: row.finished_at,
    state: letter?.state ?? "open",
    settledBy: discarded?.by ?? null,
    settledAt: letter ? new Date(letter.at) : null,
    reason: discarded?.reason ?? null,
    redrivenIn: letter?.state === "redriven" ? letter.run_id : null,
  };
}

/** A retry runs again what failed in the older run: its letters are redriven. */
export function redriveLetters(tx: Transaction, { of, in: runId }: { of: string; in: string }): void {
  tx.send(
    `update task t set letter = json_build_object('state', 'redriven', 'run_id', $2::uuid, 'at', clock_timestamp())
     where t.run_id = $1 and ${isDead} and t.letter is null`,
    [of, runId],
  );
}

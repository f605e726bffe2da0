/**
 * Finds runs, the newest first, among the hot ones and in history. Its statements differ by what is asked for, so that each
 * can go by the index that fits: there are as many as people ask in different ways, which is few.
 */
import { isTerminalRun, type RunStatus } from "../core/run.ts";
import { decodeCursor, firstUuid, lastUuid, pageFrom, pageLimit, uuidShape } from "./rows.ts";
import { historicRunColumns, hotRunColumns, type RunRow, toRuns } from "./run-rows.ts";
import type { Queryable } from "./sql.ts";
import type { PageOf, Run, RunConditions, RunFilter } from "./store.ts";

/** A page of runs, ordered by id; those of history among them, as if they had never moved. */
export async function listRuns(db: Queryable, namespace: string, filter: RunFilter): Promise<PageOf<Run>> {
  const limit = pageLimit(filter);
  const cursor = decodeCursor(filter.cursor, uuidShape);
  const asked = askedFor(namespace, await rarestFirst(db, namespace, filter), cursor);
  const most = asked.param(limit + 1);
  const page = (source: Source) => `${asked.from(source)} order by ${asked.order} limit ${most}`;
  const rows = await db.query<RunRow>(
    `(select ${hotRunColumns} from (${page(hot)}) p join run r on r.id = p.id)
     union all
     (select ${historicRunColumns}
      from (${page(historic)}) p join run_history h on h.id = p.id and h.expires_at = p.expires_at
      cross join lateral json_populate_record(null::run, h.run) r)
     order by id desc
     limit ${most}`,
    asked.params,
  );
  const runs = await toRuns(db, rows);
  return pageFrom(
    runs,
    limit,
    (run) => run.id,
    (run) => run,
  );
}

/** Ids of hot runs, the newest first: what something is to be done to. `after` is the last of those before. */
export async function findHotRuns(
  db: Queryable,
  namespace: string,
  conditions: RunConditions,
  { after, limit }: { after?: string | undefined; limit: number },
): Promise<string[]> {
  const asked = askedFor(namespace, await rarestFirst(db, namespace, conditions), after ?? null);
  const text = `${asked.from(hot)} order by ${asked.order} limit ${asked.param(limit)}`;
  return (await db.query<{ id: string }>(text, asked.params)).map(({ id }) => id);
}

/** How many hot runs there are of them. */
export async function countHotRuns(db: Queryable, namespace: string, conditions: RunConditions): Promise<number> {
  const asked = askedFor(namespace, await rarestFirst(db, namespace, conditions), null);
  const [row] = await db.query<{ count: number }>(
    `select count(*)::int as count from (${asked.from(hot)}) found`,
    asked.params,
  );
  return row!.count;
}

/** How far labels are counted to see which is the rarest. */
const COUNTED = 1_000;

/** A search goes by its first label and asks each run for the others, so the first should be that of the fewest runs. */
async function rarestFirst<T extends RunConditions>(db: Queryable, namespace: string, conditions: T): Promise<T> {
  const labels = Object.entries(conditions.labels ?? {});
  if (labels.length < 2) return conditions;
  const rows = await db.query<{ key: string; value: string }>(
    `select a.key, a.value
     from json_to_recordset($2) as a(key text, value text) cross join lateral (
       select count(*) as runs from (
         select from run_label l where l.namespace = $1 and l.key = a.key and l.value = a.value limit ${COUNTED}) few
     ) c
     order by c.runs`,
    [namespace, JSON.stringify(labels.map(([key, value]) => ({ key, value })))],
  );
  return { ...conditions, labels: Object.fromEntries(rows.map(({ key, value }) => [key, value])) };
}

interface Source {
  runs: string;
  labels: string;
  /** Of a page: what its rows are joined by. */
  key: string;
  /** Beside the id, between a label and its run. */
  join: string;
  /** Which rows are there to be found. */
  where: string;
}
const hot: Source = { runs: "run", labels: "run_label", key: "k.id", join: "", where: " and k.moving is null" };
const historic: Source = {
  runs: "run_history",
  labels: "run_history_label",
  key: "k.id, k.expires_at",
  join: " and k.expires_at = l.expires_at",
  where: " and k.expires_at > clock_timestamp()",
};

const openStatuses: readonly RunStatus[] = ["pending", "running", "paused"];
const unusualStatuses: readonly RunStatus[] = ["failed", "cancelled", "paused"];

/**
 * Ids carry the time of the host that made them, times are those of the database. So ids only say where to stop looking;
 * no two clocks are further apart than this.
 */
const CLOCK_SKEW_MS = 24 * 3_600_000;

function askedFor(namespace: string, filter: RunConditions, cursor: string | null) {
  const params: unknown[] = [];
  const param = (value: unknown) => `$${params.push(value)}`;
  const { createdAfter, createdBefore, finishedAfter, finishedBefore, nameContains } = filter;
  const before = earliest(createdBefore, finishedBefore);
  const [lowest, highest] = [
    createdAfter ? uuidAt(createdAfter.getTime() - CLOCK_SKEW_MS) : firstUuid,
    before ? uuidAt(before.getTime() + CLOCK_SKEW_MS) : lastUuid,
  ];
  param(namespace);
  param(cursor !== null && cursor < highest ? cursor : highest);
  param(lowest);
  const conditions: string[] = [];
  const add = (value: unknown, condition: (parameter: string) => string) => {
    if (value !== undefined) conditions.push(condition(param(value)));
  };
  conditions.push(...statusConditions([filter.status ?? []].flat(), param));
  add(filter.workflow, (p) => `k.workflow_name = ${p}`);
  add(filter.schedule, (p) => `k.schedule = ${p}`);
  add(nameContains, (p) => `position(lower(${p}) in lower(k.workflow_name)) > 0`);
  add(createdAfter, (p) => `k.created_at >= ${p}`);
  add(createdBefore, (p) => `k.created_at < ${p}`);
  add(finishedAfter, (p) => `k.finished_at >= ${p}`);
  add(finishedBefore, (p) => `k.finished_at < ${p}`);
  if (filter.notRetried) {
    conditions.push("not exists (select from run again where again.retried_from = k.id)");
  }
  const labels = Object.entries(filter.labels ?? {}).map(([key, value]) => {
    const [name, text] = [param(key), param(value)];
    return (alias: string) => `${alias}.namespace = $1 and ${alias}.key = ${name} and ${alias}.value = ${text}`;
  });
  const [first, ...others] = labels;
  const from = (source: Source) => {
    const { runs, labels: table, key, join, where } = source;
    const further = others
      .map((isLabel) => ` and (select true from ${table} x where ${isLabel("x")} and x.run_id = k.id limit 1)`)
      .join("");
    const among = (ids: string) => [`k.namespace = $1 and ${ids}`, ...conditions].join(" and ") + further + where;
    const all = among("k.id < $2::uuid and k.id > $3::uuid");
    // By the one index that is in order of ids and has few others.
    if (first) {
      // Run by run: without statistics another join has read all open runs for each.
      return `select ${key} from ${table} l
        cross join lateral (select * from ${runs} k where k.id = l.run_id${join} limit 1) k
        where ${first("l")} and l.run_id < $2::uuid and l.run_id > $3::uuid and ${among("true")}`;
    }
    if (!finishedAfter) return `select ${key} from ${runs} k where ${all}`;
    // Going by ids would have no end: who has finished of late may be of any age. Those who have are taken first.
    const recent = among("(k.id < $2::uuid and k.id > $3::uuid) is not false");
    return `select ${key} from (select * from ${runs} k where ${recent} offset 0) k`;
  };
  return { params, param, from, order: first ? "l.run_id desc" : "k.id desc" };
}

/** Named in the text, so that they fit the partial indexes of the few. */
function statusConditions(statuses: readonly RunStatus[], param: (value: unknown) => string): string[] {
  if (statuses.length === 0) return [];
  const areAll = (few: readonly RunStatus[]) => statuses.every((status) => few.includes(status));
  const named = [openStatuses, unusualStatuses]
    .filter(areAll)
    .map((few) => `k.status in (${few.map((status) => `'${status}'`).join(", ")})`);
  if (areAll(openStatuses)) named.push("k.finished_at is null");
  if (statuses.every(isTerminalRun)) named.push("k.finished_at is not null");
  const [only, ...others] = statuses;
  const exact = others.length === 0 ? `k.status = ${param(only)}` : `k.status = any(${param(statuses)}::text[])`;
  return [...named, exact];
}

function earliest(...dates: (Date | undefined)[]): Date | undefined {
  const times = dates.flatMap((date) => (date ? [date.getTime()] : []));
  return times.length === 0 ? undefined : new Date(Math.min(...times));
}

const UUID_TIME_DIGITS = 12;

/** The smallest UUIDv7 of a time. */
function uuidAt(ms: number): string {
  const digits = Math.max(0, ms).toString(16).padStart(UUID_TIME_DIGITS, "0");
  return `${digits.slice(0, 8)}-${digits.slice(8)}-0000-0000-000000000000`;
}

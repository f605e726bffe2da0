/** Reads a run's facts in an order that can be resumed: by transaction id, and only below every running transaction. */
import { SkeinError } from "../core/errors.ts";
import { endsRun, type Fact, type RunEvent } from "../core/event.ts";
import type { HandlerLog } from "../core/log-lines.ts";
import type { Queryable } from "./sql.ts";
import type { EventPage, EventStore } from "./store.ts";

export function eventStore(db: Queryable): EventStore {
  return { read: (namespace, runId, options) => read(db, namespace, runId, options) };
}

interface EventRow {
  /** The run has finished, and all its events come before the position asked for. */
  is_behind: boolean;
  xid: string | null;
  at: Date;
  facts: Fact[];
}

async function read(
  db: Queryable,
  namespace: string,
  runId: string,
  options: { after?: string | undefined; limit: number; withLogs?: boolean },
): Promise<EventPage | undefined> {
  const after = parseEventId(options.after);
  // Each row holds a fact or more, so this many rows fill the page; the row of `after` itself is read again.
  const rows = await db.query<EventRow>(
    `select e.xid::text as xid, e.at, e.facts,
       r.finished_at is not null
         and not exists (select 1 from event where run_id = r.id and xid >= $3::text::xid8) as is_behind
     from run r left join lateral (
       select xid, at, facts from event
       where run_id = r.id and xid >= $3::text::xid8 and xid < event_horizon()
       order by xid
       limit $4
     ) e on true
     where r.namespace = $1 and r.id = $2 and r.moving is null
     order by e.xid`,
    [namespace, runId, after.xid, options.limit + 1],
  );
  if (rows.length === 0) return undefined;
  const known = rows.flatMap((row) => (row.xid === null ? [] : expand(runId, row as EventRow & { xid: string })));
  const following = known.filter((event) => isAfter(event.id, after));
  const events = following.slice(0, options.limit);
  const isLast = events.length === following.length && rows.length <= options.limit;
  return {
    events: options.withLogs ? await withLogs(db, runId, events) : events,
    ended: rows[0]!.is_behind || (isLast && isEnd(known.at(-1))),
  };
}

function expand(runId: string, row: EventRow & { xid: string }): RunEvent[] {
  const at = row.at.toISOString();
  return row.facts.map((fact, index) => ({ id: `${row.xid}-${index}`, run_id: runId, at, ...fact }));
}

/** A run's end is its last fact: whoever writes it has seen that no task is open. */
function isEnd(event: RunEvent | undefined): boolean {
  return event !== undefined && endsRun(event.type);
}

interface EventPosition {
  xid: string;
  index: number;
}

function parseEventId(id: string | undefined): EventPosition {
  if (id === undefined) return { xid: "0", index: -1 };
  const match = /^(\d{1,19})-(\d{1,9})$/.exec(id);
  if (!match) {
    throw new SkeinError("REQUEST_INVALID", `"${id}" is not the id of an event; leave it out to begin at the start.`);
  }
  return { xid: match[1]!, index: Number(match[2]) };
}

function isAfter(id: string, after: EventPosition): boolean {
  const { xid, index } = parseEventId(id);
  return xid !== after.xid || index > after.index;
}

async function withLogs(db: Queryable, runId: string, events: RunEvent[]): Promise<EventPage["events"]> {
  const xids = [...new Set(events.map((event) => parseEventId(event.id).xid))];
  if (xids.length === 0) return [];
  const rows = await db.query<{ xid: string; task_id: string; attempt: number; lines: HandlerLog[] }>(
    `select xid::text as xid, task_id, attempt, lines from task_log where run_id = $1 and xid = any($2::text[]::xid8[])`,
    [runId, xids],
  );
  const lines = new Map(rows.map((row) => [`${row.xid} ${row.task_id} ${row.attempt}`, row.lines]));
  return events.map((event) => {
    if (!("task_id" in event) || !hasLogs(event.type)) return event;
    const logs = lines.get(`${parseEventId(event.id).xid} ${event.task_id} ${event.attempt}`);
    return logs ? { ...event, logs } : event;
  });
}

function hasLogs(type: Fact["type"]): boolean {
  return type === "task.completed" || type === "task.failed" || type === "task.retrying";
}

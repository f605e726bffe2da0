/**
 * The hot path: dispatch, claim, heartbeat, report, release. Each call takes many. Each statement first locks the rows that
 * are in the state it expects, and then writes them by id alone: a second condition on their status would let the planner
 * read a whole partial index for each of them (500 tasks of 23,000: 5 s instead of 20 ms). Here is what needs no more than a
 * statement; claims.ts and reports.ts have the rest.
 */

import { inTurn, limitedWait, outstandingIn, undispatchedIn } from "./admission.ts";
import { announcementsFor, placeBids } from "./bids.ts";
import { claim, claimable } from "./claims.ts";
import { type DispatchedRow, markPicked, toDispatchedTask, windowRows } from "./dispatched.ts";
import { FactLog, type StoreContext } from "./facts.ts";
import { tokenHash } from "./lease-tokens.ts";
import type { NoteBlocked } from "./limited-claims.ts";
import { dispatchLimited } from "./limited-dispatch.ts";
import { emit, release, report } from "./reports.ts";
import { routedWait, routeTasks } from "./routing.ts";
import { asOneCell } from "./rows.ts";
import type { Dispatch, DispatchWindow, Heartbeat, HeartbeatAnswer, LeaseStore } from "./store.ts";

export function leaseStore(store: StoreContext): LeaseStore {
  let windows = windowRows([]);
  let isBlocked = false;
  let opensAt: number | undefined;
  const note: NoteBlocked = (seen) => {
    isBlocked = true;
    opensAt = seen.opensInMs === undefined ? undefined : performance.now() + seen.opensInMs;
  };
  return {
    dispatch: (windows, limit) => dispatch(store, windows, limit),
    route: (limit) => routeTasks(store, limit),
    announcements: (agentId, limit) => announcementsFor(store, agentId, limit),
    bid: (bidder, bids) => placeBids(store, bidder, bids),
    dispatchAtOnce: (offered) => {
      windows = windowRows(offered);
    },
    undispatch: (tasks) => undispatch(store, tasks),
    claim: (request) => claim(store, request, note),
    claimable: async (capabilities, agentIds) => {
      const found = await claimable(store, capabilities, agentIds);
      note(found);
      isBlocked = found.isBlocked;
      return found;
    },
    limitWait: () => ({
      isBlocked,
      ...(opensAt !== undefined && { opensInMs: Math.max(0, opensAt - performance.now()) }),
    }),
    heartbeat: (beats) => heartbeat(store, beats),
    report: (reports) => report(store, reports, windows),
    emit: (emission) => emit(store, emission),
    release: (leases) => release(store, leases),
  };
}

// --- dispatch

/** `limited`: what capabilities with limited tasks have is left alone, and they are named. */
const dispatchBy = (limited: string) => `
  with offered as (
    select w.*, ${limited} as limited
    from json_to_recordset($1) as w(namespace text, capability text, max_outstanding int)
  ), room as (
    select w.namespace, w.capability, least($2, w.max_outstanding - ${outstandingIn("w")}) as free
    from offered w
    where not w.limited
  ), picked as (
    select p.id
    from room cross join lateral (
      ${undispatchedIn("room", "t.id")}
      order by ${inTurn("t")}
      limit greatest(room.free, 0)
      for no key update skip locked
    ) p
    limit $2
  ), ${markPicked}
  select (${asOneCell("select m.*, r.traceparent from marked m join run r on r.id = m.run_id")}) as rows,
    exists (select from room where room.free <= (
      select count(*) from marked m where m.namespace = room.namespace and m.capability = room.capability)) as is_full,
    exists (${routedWait}) as has_routed,
    (${asOneCell("select namespace, capability, max_outstanding from offered where limited")}) as limited`;

const dispatchUnlimited = dispatchBy(limitedWait("w.namespace", "w.capability", "t.dispatched_at is null"));
/** After what was decided about limited tasks. */
const dispatchRest = dispatchBy("false");

interface DispatchAnswer {
  rows: DispatchedRow[] | null;
  is_full: boolean;
  has_routed: boolean;
  limited: { namespace: string; capability: string; max_outstanding: number }[] | null;
}

async function dispatch(store: StoreContext, windows: DispatchWindow[], limit: number): Promise<Dispatch> {
  const ask = async (statement: string, rows: string, atMost: number) =>
    (await store.query<DispatchAnswer>(statement, [rows, atMost]))[0]!;
  const { rows, is_full, has_routed, limited } = await ask(dispatchUnlimited, windowRows(windows), limit);
  const found = { rows: rows ?? [], isFull: is_full, isBlocked: false, opensInMs: Number.POSITIVE_INFINITY };
  for (const window of limited ?? []) {
    const left = limit - found.rows.length;
    if (left === 0) break;
    const admitted = await dispatchLimited(store, window, left);
    const rest = await ask(dispatchRest, JSON.stringify([window]), left - admitted.rows.length);
    found.rows.push(...admitted.rows, ...(rest.rows ?? []));
    found.isFull ||= rest.is_full;
    found.isBlocked ||= admitted.isBlocked;
    found.opensInMs = Math.min(found.opensInMs, admitted.opensInMs ?? found.opensInMs);
  }
  if (found.rows.length > 0) announceDispatch(store, found.rows);
  return {
    tasks: found.rows.map(toDispatchedTask),
    isFull: found.isFull,
    hasRouted: has_routed,
    isBlocked: found.isBlocked,
    ...(found.opensInMs < Number.POSITIVE_INFINITY && { opensInMs: found.opensInMs }),
  };
}

function announceDispatch(store: StoreContext, rows: DispatchedRow[]): void {
  const log = new FactLog();
  for (const { id, run_id, namespace, key, attempt } of rows) {
    log.add({ runId: run_id, namespace }, { type: "task.published", task_id: id, key, attempt: attempt + 1 });
  }
  store.emit(log.committed);
}

async function undispatch(store: StoreContext, tasks: { taskId: string; dispatchCount?: number }[]): Promise<void> {
  if (tasks.length === 0) return;
  await store.query(
    `with locked as (
       select t.id
       from unnest($1::uuid[], $2::int[]) as u(id, dispatch_count)
       join task t on t.id = u.id
       where (t.status = 'ready') is not false and t.dispatched_at is not null
         and t.dispatch_count = coalesce(u.dispatch_count, t.dispatch_count)
       order by t.id
       -- Waits for a claim that looks at it and may leave it: a mark that nobody holds a hint of would be found only much later.
       for no key update of t
     )
     update task t set dispatched_at = null from locked where t.id = locked.id`,
    [tasks.map((task) => task.taskId), tasks.map((task) => task.dispatchCount ?? null)],
  );
}

// --- heartbeat

async function heartbeat(store: StoreContext, beats: Heartbeat[]): Promise<HeartbeatAnswer[]> {
  if (beats.length === 0) return [];
  // No `skip locked`: a row that is missing from the answer means that its lease is lost.
  const rows = await store.query<{ n: number; answer: HeartbeatAnswer }>(
    `with beat as (
       select u.n, u.progress, t.id, t.status
       from (
         select * from json_to_recordset($1) as s(n int, id uuid, agent_id uuid, attempt int, token text, progress json)
         order by id
       ) u cross join lateral (
         select t.id, t.status from task t
         where t.id = u.id and t.agent_id = u.agent_id and t.attempt = u.attempt
           and t.lease_token = decode(u.token, 'hex') and t.status in ('running', 'cancelled')
         for no key update
       ) t
     ), renewed as (
       update task t
       set lease_expires_at = clock_timestamp() + t.lease_ms * interval '1 millisecond',
         heartbeat_at = clock_timestamp(), progress = coalesce(beat.progress, t.progress)
       from beat
       where t.id = beat.id and beat.status = 'running'
       returning t.id
     )
     select n, case status when 'running' then 'ok' else 'cancel' end as answer from beat`,
    [
      JSON.stringify(
        beats.map((beat, n) => ({
          n,
          id: beat.taskId,
          agent_id: beat.agentId,
          attempt: beat.attempt,
          token: tokenHash(beat.leaseToken).toString("hex"),
          progress: beat.progress,
        })),
      ),
    ],
  );
  const answers = beats.map((): HeartbeatAnswer => "lost");
  for (const { n, answer } of rows) answers[n] = answer;
  return answers;
}

/** Rounds of bids (core/contract-net.ts): one row for each agent that a task was announced to. */
import type { Round } from "../core/contract-net.ts";
import type { NewRound } from "../core/routing.ts";
import type { RoundFacts } from "../core/why.ts";
import type { DispatchedRow } from "./dispatched.ts";
import type { FactLog, StoreContext } from "./facts.ts";
import { buildInputs, type InputRow } from "./inputs.ts";
import { isCalled } from "./rows.ts";
import { inChunks, type Queryable, type Transaction } from "./sql.ts";
import type { Announcement, BidAnswer, BidRound, PlacedBid } from "./store.ts";

/** A task that rounds are about. */
type ContestedTask = Omit<DispatchedRow, "dispatch_count" | "traceparent">;

interface BidRow {
  task_id: string;
  round: number;
  agent_id: string;
  amount: number | null;
  is_answered: boolean;
  is_closed: boolean;
  is_over: boolean;
  window_ms: number;
}

/** The last round of each task. Waits for bids under way, and holds back others until it has been decided about them. */
export async function lastRounds(tx: Transaction, taskIds: readonly string[]): Promise<Map<string, Round>> {
  if (taskIds.length === 0) return new Map();
  const rows = await tx.query<BidRow>(
    `select b.task_id, b.round, b.agent_id, b.amount, b.answered_at is not null as is_answered,
       b.closed_at is not null as is_closed, b.closes_at <= clock_timestamp() as is_over,
       (extract(epoch from b.closes_at - b.announced_at) * 1000)::float8 as window_ms
     from bid b
     where b.task_id = any($1::uuid[]) and b.round = (select max(l.round) from bid l where l.task_id = b.task_id)
     order by b.task_id, b.agent_id
     for no key update of b`,
    [taskIds],
  );
  const byTask = new Map<string, BidRow[]>();
  for (const row of rows) byTask.set(row.task_id, [...(byTask.get(row.task_id) ?? []), row]);
  return new Map([...byTask].map(([taskId, bids]) => [taskId, toRound(bids)]));
}

function toRound(rows: BidRow[]): Round {
  const [{ round, window_ms, is_closed }] = rows as [BidRow];
  return {
    number: round,
    windowMs: window_ms,
    bids: rows.map(({ agent_id, amount, is_answered }) => ({ agentId: agent_id, amount, isAnswered: is_answered })),
    // The clock went on while the rows were read.
    isOver: rows.some(({ is_over }) => is_over),
    isAwarded: is_closed,
  };
}

export interface Announcing {
  task: ContestedTask;
  begun: NewRound;
  /** Of a round that is decided as it begins. */
  winner?: string;
}

/** Begins rounds, in place of those before that nobody won. */
export async function announce(tx: Transaction, log: FactLog, rounds: readonly Announcing[]): Promise<void> {
  if (rounds.length === 0) return;
  tx.send(
    `delete from bid b using unnest($1::uuid[], $2::int[]) as u(task_id, round)
     where b.task_id = u.task_id and b.round = u.round and b.closed_at is null`,
    [rounds.map(({ task }) => task.id), rounds.map(({ begun }) => begun.number - 1)],
  );
  const rows = rounds.flatMap(({ task, begun, winner }) =>
    begun.bids.map(({ agentId, amount, isAnswered }) => ({
      task_id: task.id,
      round: begun.number,
      agent_id: agentId,
      attempt: task.attempt + 1,
      window_ms: begun.windowMs,
      amount,
      is_answered: isAnswered,
      is_closed: winner !== undefined,
      is_awarded: winner === agentId,
    })),
  );
  await inChunks(rows, (chunk) =>
    tx.query(
      `insert into bid (task_id, round, agent_id, attempt, announced_at, closes_at, closed_at, answered_at, amount, is_awarded)
       select task_id, round, agent_id, attempt, at, at + window_ms * interval '1 millisecond',
         case when is_closed then at end, case when is_answered then at end, amount, is_awarded
       from json_to_recordset($1) as b(task_id uuid, round int, agent_id uuid, attempt int, window_ms float8,
         amount float8, is_answered boolean, is_closed boolean, is_awarded boolean)
       cross join (select clock_timestamp() as at) clock`,
      [JSON.stringify(chunk)],
    ),
  );
  for (const { task, begun, winner } of rounds) {
    if (winner !== undefined) continue;
    log.add(refOf(task), {
      type: "task.announced",
      ...factOf(task),
      capability: task.capability,
      round: begun.number,
      agents: begun.bids.length,
      window_ms: begun.windowMs,
    });
  }
}

/** Writes who won which round; of rounds that began just now, `announce` has. */
export function award(
  tx: Transaction,
  log: FactLog,
  awards: readonly { task: ContestedTask; round: Pick<Round, "number" | "bids">; winner: string; isNew: boolean }[],
): void {
  const decided = awards.filter(({ isNew }) => !isNew);
  if (decided.length > 0) {
    tx.send(
      `update bid b set closed_at = clock_timestamp(), is_awarded = b.agent_id = u.agent_id
       from unnest($1::uuid[], $2::int[], $3::uuid[]) as u(task_id, round, agent_id)
       where b.task_id = u.task_id and b.round = u.round`,
      [
        decided.map(({ task }) => task.id),
        decided.map(({ round }) => round.number),
        decided.map(({ winner }) => winner),
      ],
    );
  }
  for (const { task, round, winner } of awards) {
    log.add(refOf(task), {
      type: "task.awarded",
      ...factOf(task),
      agent_id: winner,
      round: round.number,
      bids: round.bids.map(({ agentId, amount }) => ({ agent_id: agentId, bid: amount })),
    });
  }
}

function refOf({ run_id, namespace }: ContestedTask) {
  return { runId: run_id, namespace };
}

function factOf({ id, key, attempt }: ContestedTask) {
  return { task_id: id, key, attempt: attempt + 1 };
}

/** A task still wants bids. */
const wantsBids = "t.status = 'ready' and t.dispatched_at is null and not t.held";

interface AnnouncedRow extends InputRow {
  key: string;
  capability: string;
  attempt: number;
  round: number;
  window_left_ms: number;
}

/** Announcements that the agent has not answered, those that close first before others. */
export async function announcementsFor(db: Queryable, agentId: string, limit: number): Promise<Announcement[]> {
  const rows = await db.query<AnnouncedRow>(
    `select t.id, t.run_id, t.key, t.capability, b.attempt, to_json(t.needs) as needs, t.spec, t.input, t.refs -> 'input' as input_refs, b.round,
       greatest(0, floor(extract(epoch from b.closes_at - now()) * 1000))::int as window_left_ms
     from bid b join task t on t.id = b.task_id
     where b.agent_id = $1 and b.answered_at is null and b.closes_at > now() and b.closed_at is null and ${wantsBids}
     order by b.closes_at, b.task_id
     limit $2`,
    [agentId, limit],
  );
  if (rows.length === 0) return [];
  const inputs = await buildInputs(db, rows);
  return rows.map((row) => ({
    taskId: row.id,
    runId: row.run_id,
    key: row.key,
    capability: row.capability,
    attempt: row.attempt,
    round: row.round,
    windowLeftMs: row.window_left_ms,
    input: inputs(row),
  }));
}

/**
 * Enters an agent's bids, each on its own. A bid that is repeated takes the place of the one before, as long as the round
 * goes on. `isDecided`: a round has all its bids.
 */
export async function placeBids(
  store: StoreContext,
  { namespace, agentId }: { namespace: string; agentId: string },
  bids: readonly PlacedBid[],
): Promise<{ answers: BidAnswer[]; isDecided: boolean }> {
  const placed = JSON.stringify(bids.map(({ taskId, round, amount }, n) => ({ n, task_id: taskId, round, amount })));
  const rows = await store.query<{ n: number; answer: BidAnswer }>(
    `with placed as (
       select * from json_to_recordset($1) as p(n int, task_id uuid, round int, amount float8)
     ), locked as (
       select p.n, b.task_id, b.round, p.amount
       from placed p join bid b on b.task_id = p.task_id and b.round = p.round and b.agent_id = $2
       where b.closed_at is null and b.closes_at > clock_timestamp()
         and exists (select from task t where t.id = b.task_id and ${wantsBids})
       order by b.task_id, b.round
       for no key update of b
     ), entered as (
       update bid b set amount = l.amount, answered_at = clock_timestamp()
       from locked l
       where b.task_id = l.task_id and b.round = l.round and b.agent_id = $2
       returning l.n
     )
     select p.n, case
       when exists (select from entered e where e.n = p.n) then 'accepted'
       when exists (
         select from bid b join task t on t.id = b.task_id
         where b.task_id = p.task_id and t.namespace = $3
           and (b.round > p.round or (b.round = p.round and b.agent_id = $2))
       ) then 'late'
       else 'unknown' end as answer
     from placed p
     order by p.n`,
    [placed, agentId, namespace],
  );
  const answers = rows.map(({ answer }) => answer);
  const entered = bids.filter((_, n) => answers[n] === "accepted");
  return { answers, isDecided: entered.length > 0 && (await isAnyDecided(store, entered)) };
}

/** Asked after the commit: of agents that bid at the same moment, the last to look sees that it was the last. */
async function isAnyDecided(db: Queryable, bids: readonly PlacedBid[]): Promise<boolean> {
  const [answer] = await db.query<{ is_decided: boolean }>(
    `select exists (
       select from unnest($1::uuid[], $2::int[]) as u(task_id, round)
       where not exists (
         select from bid b where b.task_id = u.task_id and b.round = u.round and b.answered_at is null)
     ) as is_decided`,
    [bids.map(({ taskId }) => taskId), bids.map(({ round }) => round)],
  );
  return answer!.is_decided;
}

/** The last round of a task, if nobody has won it. */
export async function openRound(db: Queryable, taskId: string): Promise<RoundFacts | null> {
  const [round] = await db.query<RoundFacts>(
    `select count(*)::int as asked, count(b.amount)::int as bids, (extract(epoch from b.closes_at) * 1000)::float8 as "closesAt",
       count(*) filter (where b.answered_at is not null and b.amount is null)::int as declined
     from bid b
     where b.task_id = $1 and b.round = (select max(l.round) from bid l where l.task_id = $1) and b.closed_at is null
     group by b.closes_at`,
    [taskId],
  );
  return round ?? null;
}

/** Of one task, the newest first. */
const MAX_ROUNDS_SHOWN = 100;

interface ShownRow {
  round: number | null;
  attempt: number;
  announced_at: Date;
  closes_at: Date;
  closed_at: Date | null;
  agent_id: string;
  agent_name: string | null;
  amount: number | null;
  answered_at: Date | null;
  is_awarded: boolean;
}

/** The rounds of a task, newest first. Undefined: no such task. */
export async function roundsOf(
  db: Queryable,
  namespace: string,
  runId: string,
  keyOrId: string,
): Promise<BidRound[] | undefined> {
  const rows = await db.query<ShownRow>(
    `select b.round, b.attempt, b.announced_at, b.closes_at, b.closed_at, b.agent_id, a.name as agent_name, b.amount,
       b.answered_at, b.is_awarded
     from task t join run r on r.id = t.run_id and r.moving is null
     left join bid b on b.task_id = t.id
       and b.round > (select max(l.round) from bid l where l.task_id = t.id) - ${MAX_ROUNDS_SHOWN}
     left join agent a on a.id = b.agent_id
     where t.namespace = $1 and t.run_id = $2 and ${isCalled(keyOrId, "$3")}
     order by b.round desc, b.amount nulls last, b.agent_id`,
    [namespace, runId, keyOrId],
  );
  if (rows.length === 0) return undefined;
  const rounds = new Map<number, BidRound>();
  for (const row of rows) {
    if (row.round === null) continue;
    const round = rounds.get(row.round) ?? newBidRound(row.round, row);
    rounds.set(row.round, round);
    if (row.is_awarded) round.awardedTo = row.agent_id;
    round.bids.push({
      agentId: row.agent_id,
      agentName: row.agent_name,
      state: row.answered_at === null ? "silent" : row.amount === null ? "declined" : "bid",
      amount: row.amount,
      answeredAt: row.answered_at,
    });
  }
  return [...rounds.values()];
}

function newBidRound(number: number, { attempt, announced_at, closes_at, closed_at }: ShownRow): BidRound {
  return {
    round: number,
    attempt,
    announcedAt: announced_at,
    closesAt: closes_at,
    closedAt: closed_at,
    awardedTo: null,
    bids: [],
  };
}

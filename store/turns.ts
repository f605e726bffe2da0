/**
 * Fair sharing. Ready tasks of one capability and priority that share a key (their run, by default) take turns with those of
 * other keys: start-time fair queueing, with the order of an index as the queue. A task that becomes ready takes as its
 * turn the next of its key, and no earlier one than is being served; both are read off an index, so no counter is kept
 * that transactions would wait for. Turns are times, a microsecond apart: where nothing waits, `available_at` is turn
 * enough, and nothing is read or written.
 *
 * What is served lags behind the clock while there is a backlog: so whoever comes new is next, a run of 10,000 tasks or
 * not. For the same reason a retry takes its turn when its delay is over (`placeReturned`), not when it is written.
 */
import { fairIdOf, isLimited, isPublished, isUnpublished, isWaiting, turnOf } from "./admission.ts";
import type { Queryable } from "./sql.ts";

/** Between two turns of a key. */
const STEP = "interval '1 microsecond'";

/**
 * Of a row with `namespace`, `capability`, `priority` and `lane`: the turn that is being served; null if nothing waits. What keeps
 * to limits is served apart, by its keys: where they are closed, the others go on.
 */
const servedNow = (row: string) => `
  case when ${row}.lane is null
    then (select min(head.turn) from (${headOf(row, isUnpublished)} union all ${headOf(row, isPublished)}) head)
    else ${headOf(row, (task) => `${isLimited(task)} and ${task}.limit_keys = ${row}.lane`)} end`;

const headOf = (row: string, state: (task: string) => string) => `
  (select ${turnOf("c")} as turn from task c
   where c.namespace = ${row}.namespace and c.capability = ${row}.capability and c.priority = ${row}.priority
     and ${state("c")} and ${turnOf("c")} <= now()
   order by ${turnOf("c")}
   limit 1)`;

/**
 * Of the same rows: the turn after the last that the key has taken. Of those that take their turns together only the last stands in
 * the index (`ends_turns`); should it go before the others, a cancel may see to that, the key takes some of its turns twice.
 */
const nextOf = (row: string) => `
  (select c.turn + ${STEP} from task c
   where ${fairIdOf("c")} = ${row}.fair_id and c.capability = ${row}.capability and c.priority = ${row}.priority
     and c.status = 'ready' and c.ends_turns
   order by c.turn desc
   limit 1)`;

/**
 * The rows of `relation`, a materialized part of the statement's `with`, each with its `turn`, and whether it `ends_turns`. They have `id`,
 * `namespace`, `capability`, `priority`, `fair_id` (never null), `lane` (the keys of its limits, or null) and `takes_turn`, without which
 * the turn is null; so it also is where nothing else waits. What takes no turn, as most of a new run, is not sorted among the rest.
 *
 * `offset 0` keeps the planner from taking the union apart: an update from it that waits for a row, and then checks the newer version
 * of it (EvalPlanQual), has to find the same row of this relation again. Parts of a union it would read anew, and find nothing.
 */
export const withTurns = (relation: string) => `
  select r.*, null::bigint as nth, null::timestamptz as first_turn, null::boolean as is_last, null::timestamptz as turn, false as ends_turns
  from ${relation} r
  where not r.takes_turn
  union all
  select taken.*, taken.turn is not null and taken.is_last as ends_turns
  from (
    select placed.*, placed.nth = count(*) over fair as is_last,
      case when max(placed.first_turn) over fair is not null or count(*) over fair > 1
        then coalesce(max(placed.first_turn) over fair, now()) + (placed.nth - 1) * ${STEP} end as turn
    from (
      select numbered.*,
        case when numbered.nth = 1 then greatest(${servedNow("numbered")}, ${nextOf("numbered")}) end as first_turn
      from (
        select r.*, row_number() over (
          partition by r.namespace, r.capability, r.priority, r.fair_id, r.lane order by r.id) as nth
        from ${relation} r
        where r.takes_turn
      ) numbered
    ) placed
    window fair as (partition by placed.namespace, placed.capability, placed.priority, placed.fair_id, placed.lane)
  ) taken
  offset 0`;

/** Gives retries whose delay is over their turn, at most `limit`. */
export async function placeReturned(db: Queryable, limit: number): Promise<number> {
  const rows = await db.query(
    `with returned as materialized (
       select t.id, t.namespace, t.capability, t.priority, ${fairIdOf("t")} as fair_id, t.limit_keys as lane, true as takes_turn
       from task t
       where ${isWaiting("t")} and t.turn is null and t.attempt > 0 and t.available_at <= now()
       order by t.available_at
       limit $1
       for no key update skip locked
     )
     update task t set turn = r.turn, ends_turns = r.ends_turns
     from (${withTurns("returned")}) r
     where t.id = r.id and r.turn is not null
     returning t.id`,
    [limit],
  );
  return rows.length;
}

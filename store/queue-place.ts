/** Where a ready task stands in the order of admission, for whoever wants to know why it has not started. */
import type { QueueFacts } from "../core/why.ts";
import { fairIdOf, inTurn, isDue, isPublished, isUnpublished, turnOf } from "./admission.ts";
import type { Queryable } from "./sql.ts";

/** Nobody counts further than this. */
const MAX_COUNTED = 1_000;

/** What waits beside `t`, whether a hint of it is out or not, at most `MAX_COUNTED` of either. */
const besides = (what: string, condition: string, order = "") => {
  const part = (state: (task: string) => string) => `
    (select ${what} from task c
     where c.namespace = t.namespace and c.capability = t.capability and ${state("c")} and ${isDue("c")} and ${condition}
     ${order} limit ${MAX_COUNTED})`;
  return `${part(isUnpublished)} union all ${part(isPublished)}`;
};

/** Undefined: it has just been taken. `count`s are exact up to `MAX_COUNTED`. */
export async function queuePlace(db: Queryable, taskId: string): Promise<QueueFacts | undefined> {
  const [place] = await db.query<QueueFacts>(
    // Two ranges of the index, since no one condition would be a range of it.
    `select t.priority, r.fair_key as "fairKey",
       (select count(*) from (
          ${besides("1", "c.priority > t.priority")} union all
          ${besides("1", `c.priority = t.priority and (${turnOf("c")}, c.id) < (${turnOf("t")}, t.id)`)}) a)::int as ahead,
       (select count(distinct s.fair_id) from (
          ${besides(`${fairIdOf("c")} as fair_id`, "c.priority = t.priority", `order by ${inTurn("c")}`)}) s)::int as sharers
     from task t join run r on r.id = t.run_id
     where t.id = $1 and (t.status = 'ready') is not false`,
    [taskId],
  );
  return place && { ...place, ahead: Math.min(place.ahead, MAX_COUNTED), isMore: place.ahead >= MAX_COUNTED };
}

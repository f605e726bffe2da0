/**
 * Tasks that keep to limits. The statements of all others leave them alone (`is_limited`); here is what decides which of them
 * may start. Ready tasks of the same capability and keys are a lane: they stand behind one another, so a lane is as open as its
 * first task, and a claim looks at lanes and not at backlogs. Whoever starts one holds the rows of its keys.
 */
import { type Applicant, admit, blockOf, type KeyLimit, type KeyState, take, worthALook } from "../core/flow-limits.ts";
import { candidateColumns, inTurn, limitedIn } from "./admission.ts";
import { type KeyStates, limitsWith, saveUse, statesOf } from "./flow-keys.ts";
import type { Queryable, Transaction } from "./sql.ts";

/** A claim looks at the first so many lanes of a capability, by their keys. */
const MAX_LANES = 1_000;
/** Of all lanes together so many tasks are looked at for each that may start. */
const CANDIDATES_PER_START = 8;

/** A lane, by its first task. */
interface Lane extends Applicant {
  capability: string;
  keys: string[];
}

interface LaneRow {
  capability: string;
  limit_keys: string[];
  /** Null: it has only wide keys. */
  limits: KeyLimit[] | null;
}

/** Found by steps from one lane to the next in the index, however long they are. */
async function lanesOf(db: Queryable, namespace: string, capabilities: readonly string[]): Promise<Lane[]> {
  const first = (beyond: string) => `
    (select t.limit_keys from task t
     where ${limitedIn("$1", "o.capability")} ${beyond}
     order by t.limit_keys
     limit 1)`;
  const rows = await db.query<LaneRow>(
    `select o.capability, to_json(l.limit_keys) as limit_keys, h.limits
     from unnest($2::text[]) as o(capability) cross join lateral (
       with recursive lane as (${first("")}
         union all
         select n.limit_keys from lane cross join lateral ${first("and t.limit_keys > lane.limit_keys")} n)
       select limit_keys from lane limit ${MAX_LANES}
     ) l cross join lateral (
       select t.spec -> 'limits' as limits from task t
       where ${limitedIn("$1", "o.capability")} and t.limit_keys = l.limit_keys and t.available_at <= now()
       order by ${inTurn("t")}
       limit 1
     ) h`,
    [namespace, capabilities],
  );
  return rows.map(({ capability, limit_keys, limits }) => ({
    capability,
    keys: limit_keys,
    limits: limitsWith(limits, limit_keys),
  }));
}

/** How it stands with the limited tasks of some capabilities, at a glance: nothing is locked, so it is true by chance only. */
export interface Survey {
  /** Those whose first task may start. */
  open: Lane[];
  /** Some lanes wait. */
  isBlocked: boolean;
  /** When a rate next lets one of them start, in milliseconds from now. */
  opensInMs?: number;
}

export async function survey(
  db: Queryable,
  namespace: string,
  capabilities: readonly string[],
  look: typeof expectedStates = statesOf,
): Promise<Survey> {
  const lanes = await lanesOf(db, namespace, capabilities);
  if (lanes.length === 0) return { open: [], isBlocked: false };
  const keys = lanes.flatMap((lane) => lane.keys);
  return surveyed(lanes, await look(db, namespace, keys));
}

function surveyed(lanes: readonly Lane[], { states, now }: KeyStates): Survey {
  const open: Lane[] = [];
  let opensInMs = Number.POSITIVE_INFINITY;
  for (const lane of lanes) {
    const block = blockOf(lane, states, now);
    if (!block) open.push(lane);
    else if (block.kind === "rate") opensInMs = Math.min(opensInMs, worthALook(block, states) - now);
  }
  return { open, isBlocked: open.length < lanes.length, ...(opensInMs < Number.POSITIVE_INFINITY && { opensInMs }) };
}

/** Something ready that a claim or the dispatcher could take. Tasks without limits have none. */
export interface Candidate extends Applicant {
  id: string;
  capability: string;
}

export interface CandidateRow {
  id: string;
  capability: string;
  priority: number;
  /** Microseconds: as exact as the database orders by. */
  turn: number;
  limit_keys: string[] | null;
  /** Null where its keys are only wide ones, too. */
  limits: KeyLimit[] | null;
}

/** The first tasks of some lanes, locked. `condition` is about `t`. */
export function candidatesIn(
  tx: Queryable,
  namespace: string,
  { lanes, condition, max }: { lanes: readonly Lane[]; condition: string; max: number },
): Promise<CandidateRow[]> {
  return tx.query<CandidateRow>(
    `select c.*
     from json_to_recordset($2) as l(capability text, keys text[]) cross join lateral (
       select ${candidateColumns} from task t
       where ${limitedIn("$1", "l.capability")} and t.limit_keys = l.keys and t.available_at <= now() and ${condition}
       order by ${inTurn("t")}
       limit $3
       for no key update of t skip locked
     ) c
     order by c.priority desc, c.turn, c.id
     limit $4`,
    [
      namespace,
      JSON.stringify(lanes.map(({ capability, keys }) => ({ capability, keys }))),
      max,
      max * CANDIDATES_PER_START,
    ],
  );
}

/** In the order of admission: the highest priority first, then what has been ready for longest. */
export function inOrder(rows: readonly CandidateRow[]): Candidate[] {
  return rows
    .toSorted((a, b) => b.priority - a.priority || a.turn - b.turn || (a.id < b.id ? -1 : 1))
    .map(({ id, capability, limit_keys, limits }) => ({
      id,
      capability,
      limits: limit_keys ? limitsWith(limits, limit_keys) : [],
    }));
}

/** Which of the candidates start, at most `max`, and what their keys are like then, which this transaction has locked. */
export function admitUnderLock(
  tx: Transaction,
  namespace: string,
  {
    candidates,
    standing: { states, now },
    max,
  }: { candidates: readonly Candidate[]; standing: KeyStates; max: number },
): Candidate[] {
  const before = new Map([...states].map(([key, { usedUntil }]) => [key, usedUntil]));
  const { admitted } = admit(candidates, states, { now, max });
  saveUse(tx, namespace, states, before);
  return admitted;
}

/** What hints are out for. */
export function hintsOut(db: Queryable, namespace: string, keys: readonly string[]): Promise<Out[]> {
  return db.query<Out>(
    `select to_json(t.limit_keys) as limit_keys, t.spec -> 'limits' as limits from task t
     where t.namespace = $1 and t.status = 'ready' and t.is_limited and t.dispatched_at is not null and t.limit_keys && $2::text[]`,
    [namespace, [...new Set(keys)]],
  );
}

interface Out {
  limit_keys: string[];
  limits: KeyLimit[] | null;
}

/** As if every task whose hint is out had started: nobody is told of a task that would find its place taken. */
export function withHintsOut({ states, now }: KeyStates, out: readonly Out[]): KeyStates {
  const expected = new Map<string, KeyState>(states);
  for (const { limit_keys, limits } of out) take({ limits: limitsWith(limits, limit_keys) }, expected, now);
  return { states: expected, now };
}

/** How the keys stand, as seen by whoever publishes hints. */
export async function expectedStates(db: Queryable, namespace: string, keys: readonly string[]): Promise<KeyStates> {
  const [standing, out] = await Promise.all([statesOf(db, namespace, keys), hintsOut(db, namespace, keys)]);
  return withHintsOut(standing, out);
}

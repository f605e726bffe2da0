/**
 * Keys that all tasks of a namespace, or of a capability, have (core/wide-keys.ts). While a limit is set for one, or it is paused, such
 * a task has it after the keys of its own (`limit_keys`): a new one from its insert on, one whose keys are evaluated from its start on.
 * What is open when that begins is marked here, and what is open when it ends loses the mark. Only tasks that an agent runs have one.
 *
 * An insert looks without a lock, so one that is under way may have looked too early. So nothing is marked before every
 * transaction has ended that may have begun before the change was committed, as readers of events wait for them.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { CAPABILITY_KEY, NAMESPACE_KEY, scopeOf } from "../core/wide-keys.ts";
import type { StoreContext } from "./facts.ts";
import { firstUuid } from "./rows.ts";

const wide = (condition: string) => `
  select namespace, key from flow_limit where marking is not null and marking <> 'removing' and ${condition}`;

/** A part of a `with`: the wide keys of some namespaces. Mostly there are none. */
export const wideKeysIn = (namespaces: string) => `wide as materialized (${wide(`namespace = any(${namespaces})`)})`;

/** Whether a key is a wide one of a row with a `capability`. */
export const isWideKeyOf = (key: string, row: string) =>
  `${key} in ('${NAMESPACE_KEY}', '${CAPABILITY_KEY}' || ${row}.capability)`;

/** Of a row with `namespace` and `capability`, as an expression: its wide keys that are in force, in order. */
export const wideKeysOf = (row: string, relation = `(${wide("true")})`) => `array(
  select w.key from ${relation} w where w.namespace = ${row}.namespace and ${isWideKeyOf("w.key", row)} order by w.key)`;

/** A key whose tasks are being marked, or lose their mark. */
interface Marking {
  namespace: string;
  key: string;
  marking: "adding" | "removing";
  /** The transaction that began it. */
  marked_in: string;
}

/** How far this replica has come; another one begins anew, and what it finds is marked already. */
interface Progress {
  /** As in the mark: one that was begun anew has another. */
  markedIn: string;
  /** All transactions before this one have to end first. */
  fence: string;
  /** The last run that was looked at. */
  after: string;
  /** Tasks found and not written yet. */
  found: string[];
  /** The step in hand. */
  turn: Promise<Step>;
}

/** What a step came to. */
type Step = "waits" | "moves" | "done";

export interface WideKeyMarker {
  /** A piece of work for each key that has some. Answers how many pieces it did. */
  tend(): Promise<number>;
  /** Resolves when all tasks of the key are marked, or after a while in which they were not: `tend` goes on then. */
  settled(namespace: string, key: string): Promise<void>;
}

const RUNS_PER_LOOK = 100;
/** Of those runs at most so many tasks; then they are looked at again. */
const TASKS_PER_LOOK = 10_000;
/** In one transaction, which holds the key. */
const TASKS_PER_STEP = 500;
/** A request waits so long for its mark. */
const PATIENCE_MS = 10_000;
const LOOK_AGAIN_MS = 10;

const open = "(t.status in ('pending', 'ready', 'running', 'waiting')) is not false";

/** Of a task `t`, with the key as $2 and its capability, if it is of one, as $3: whether it is to be written. */
const conditions = {
  adding: `t.spec -> 'engine' is null and (t.limit_keys is not null or not t.is_limited)
    and ($3::text is null or t.capability = $3) and $2 <> all(coalesce(t.limit_keys, '{}'))`,
  removing: `$2 = any(t.limit_keys) and ($3::text is null or t.capability = $3)`,
};

const changes = {
  adding: `is_limited = true, limit_keys = array_remove(t.limit_keys, '${NAMESPACE_KEY}') || $2::text
    || case when '${NAMESPACE_KEY}' = any(t.limit_keys) then array['${NAMESPACE_KEY}'] else '{}' end`,
  removing: `is_limited = t.spec -> 'limits' is not null or array_remove(t.limit_keys, $2) <> '{}',
    limit_keys = nullif(array_remove(t.limit_keys, $2), '{}')`,
};

const findTasks = (condition: string) => `
  select t.id
  from unnest($1::uuid[]) as r(id) cross join lateral (
    select t.id from task t
    where t.run_id = r.id and t.status in ('pending', 'ready', 'running', 'waiting') and ${condition}
  ) t
  limit ${TASKS_PER_LOOK}`;

/** Hints that are out may have found their task locked: so they are sent anew. */
const writeTasks = (condition: string, change: string) => `
  with locked as materialized (
    select t.id from task t where t.id = any($1::uuid[]) and ${open} and ${condition} order by t.id for no key update
  )
  update task t set ${change}, dispatched_at = case when t.status <> 'ready' then t.dispatched_at end
  from locked where t.id = locked.id`;

const statements = {
  adding: { find: findTasks(conditions.adding), write: writeTasks(conditions.adding, changes.adding) },
  removing: { find: findTasks(conditions.removing), write: writeTasks(conditions.removing, changes.removing) },
};

const marks = "select namespace, key, marking, marked_in::text as marked_in from flow_limit";
const isUnfinished = "marking is not null and marking <> 'added'";
/** Whether `tend` has something to do. */
export const marksAreDue = `exists (select from flow_limit where ${isUnfinished})`;
const KEYS_PER_CALL = 20;

export function createMarker(store: StoreContext): WideKeyMarker {
  const progress = new Map<string, Progress>();

  async function progressOf(name: string, { marked_in: markedIn }: Marking): Promise<Progress> {
    const known = progress.get(name);
    if (known?.markedIn === markedIn) return known;
    const fence = await newFence(store);
    const begun: Progress = { markedIn, fence, after: firstUuid, found: [], turn: Promise.resolve("moves") };
    progress.set(name, begun);
    return begun;
  }

  /** One after the other, whoever asks for it. */
  async function step(mark: Marking): Promise<Step> {
    const name = JSON.stringify([mark.namespace, mark.key]);
    const own = await progressOf(name, mark);
    own.turn = own.turn.catch(() => {}).then(() => take(store, mark, own));
    const result = await own.turn;
    if (result === "done" && progress.get(name) === own) progress.delete(name);
    return result;
  }

  return {
    async tend() {
      const due = await store.query<Marking>(`${marks} where ${isUnfinished} limit ${KEYS_PER_CALL}`);
      let moved = 0;
      for (const mark of due) if ((await step(mark)) !== "waits") moved++;
      return moved;
    },
    async settled(namespace, key) {
      const until = performance.now() + PATIENCE_MS;
      for (;;) {
        const [mark] = await store.query<Marking>(`${marks} where namespace = $1 and key = $2 and ${isUnfinished}`, [
          namespace,
          key,
        ]);
        if (!mark || performance.now() > until) return;
        if ((await step(mark)) === "waits") await sleep(LOOK_AGAIN_MS);
      }
    },
  };
}

/** Later than all transactions that may not have seen what is committed by now. */
async function newFence(store: StoreContext): Promise<string> {
  const [row] = await store.query<{ xid: string }>("select pg_current_xact_id()::text as xid");
  return row!.xid;
}

async function take(store: StoreContext, mark: Marking, progress: Progress): Promise<Step> {
  const { namespace, key, marking } = mark;
  const { find } = statements[marking];
  const [passed] = await store.query<{ is_past: boolean }>(
    "select pg_snapshot_xmin(pg_current_snapshot()) > $1::text::xid8 as is_past",
    [progress.fence],
  );
  if (!passed!.is_past) return "waits";
  if (progress.found.length > 0) {
    const isOurs = await write(store, mark, progress.found.slice(0, TASKS_PER_STEP));
    progress.found = progress.found.slice(TASKS_PER_STEP);
    return isOurs ? "moves" : "done";
  }
  const runs = await store.query<{ id: string }>(
    `select id from run
     where namespace = $1 and id > $2 and status in ('pending', 'running', 'paused')
     order by id
     limit ${RUNS_PER_LOOK}`,
    [namespace, progress.after],
  );
  const ids = runs.map(({ id }) => id);
  const tasks = await store.query<{ id: string }>(find, [ids, key, capabilityOf(key)]);
  progress.found = tasks.map(({ id }) => id);
  if (tasks.length < TASKS_PER_LOOK) progress.after = ids.at(-1) ?? progress.after;
  if (ids.length === RUNS_PER_LOOK || progress.found.length > 0) return "moves";
  await finish(store, mark);
  return "done";
}

const isSame = "namespace = $1 and key = $2 and marking = $3 and marked_in = $4::text::xid8";

/** False: somebody has changed the key meanwhile, and it begins anew. */
function write(store: StoreContext, { namespace, key, marking, marked_in }: Marking, ids: string[]): Promise<boolean> {
  return store.transaction(async (tx) => {
    const held = await tx.query(`select key from flow_limit where ${isSame} for no key update`, [
      namespace,
      key,
      marking,
      marked_in,
    ]);
    if (held.length === 0) return false;
    await tx.query(statements[marking].write, [ids, key, capabilityOf(key)]);
    return true;
  });
}

/** From now on nothing starts beside it; what started before is nobody's fault. */
async function finish(store: StoreContext, { namespace, key, marking, marked_in }: Marking): Promise<void> {
  await store.query(
    `update flow_limit
     set marking = case marking when 'adding' then 'added' end,
       updated_at = case marking when 'adding' then clock_timestamp() else updated_at end
     where ${isSame}`,
    [namespace, key, marking, marked_in],
  );
}

function capabilityOf(key: string): string | null {
  const scope = scopeOf(key);
  return scope?.of === "capability" ? scope.capability : null;
}

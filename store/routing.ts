/** Matches ready tasks to agents one by one, where one shared queue of a capability is too wide. */
import { compileTemplate } from "../core/binding.ts";
import type { Round } from "../core/contract-net.ts";
import { failureKinds } from "../core/errors.ts";
import { admit, blockOf, type KeyLimit } from "../core/flow-limits.ts";
import type { JsonObject } from "../core/json.ts";
import type { Ref } from "../core/payload.ts";
import {
  type Allocation,
  type AllocationPolicy,
  allocate,
  type Candidate,
  nearestMatch,
  type RouteSpec,
  type RoutedTask as TaskToRoute,
} from "../core/routing.ts";
import { isLive } from "./agents.ts";
import { announce, award, lastRounds } from "./bids.ts";
import { wholes } from "./blobs.ts";
import { type DispatchedRow, toDispatchedTask } from "./dispatched.ts";
import { type FactLog, recording, type StoreContext } from "./facts.ts";
import { limitsWith } from "./flow-keys.ts";
import { expectedStates } from "./limited.ts";
import type { Queryable, Transaction } from "./sql.ts";
import type { RoutedTask, Routing } from "./store.ts";
import { lockRuns, lockTasks, settle } from "./transitions.ts";

interface ReadyRow extends DispatchedRow {
  priority: number;
  is_limited: boolean;
  limit_keys: string[] | null;
  limits: KeyLimit[] | null;
  route: RouteSpec | null;
  policy: AllocationPolicy | null;
  bid_window_ms: number | null;
  inputs: JsonObject;
  inputs_refs: Ref[] | null;
  run_attempt: number;
  is_overdue: boolean;
}

type AgentRow = Candidate & { namespace: string; door: "queue" | "poll" };

/** How fresh `routable_at` is kept. */
const ROUTABLE_RESOLUTION = "interval '5 seconds'";

/** Goes through all of them, a chunk in each transaction, so that none is in the way of another. */
export async function routeTasks(store: StoreContext, limit: number): Promise<Routing> {
  const tasks: RoutedTask[] = [];
  let isFull = false;
  if (!(await takeBack(store))) return { tasks, isFull };
  let spokenFor: SpokenFor = new Map();
  for (let after: Cursor | undefined = { priority: HIGHEST, id: FIRST }; after !== undefined; ) {
    const from: Cursor = after;
    const spoken: SpokenFor = spokenFor;
    const chunk: Chunk = await recording(store, (tx, log) => routeChunk(tx, log, from, limit, spoken));
    if (chunk.unroutable.size > 0) await failUnroutable(store, chunk.unroutable);
    tasks.push(...chunk.routed);
    isFull ||= chunk.isFull;
    spokenFor = chunk.spokenFor;
    after = chunk.last;
  }
  return { tasks, isFull };
}

interface Cursor {
  priority: number;
  id: string;
}
const HIGHEST = 9;
const FIRST = "00000000-0000-0000-0000-000000000000";

/** Slots by agent that rounds of bids speak for. */
type SpokenFor = ReadonlyMap<string, number>;

interface Chunk {
  routed: RoutedTask[];
  /** Ids of tasks that nobody could run for too long, and why. */
  unroutable: Map<string, string>;
  /** Some wait for a slot. */
  isFull: boolean;
  spokenFor: SpokenFor;
  /** Where the next chunk begins; undefined after the last. */
  last?: Cursor;
}

/** Of a task `t`: it is ready, and to be matched. */
const isUnmatched =
  "t.status = 'ready' and t.is_routed and t.dispatched_at is null and not t.held and t.available_at <= now()";

export const routedWait = `select from task t where ${isUnmatched}`;

/** What was assigned to an agent that has gone is assigned anew. Answers whether there is anything to assign. */
async function takeBack(store: StoreContext): Promise<boolean> {
  const [answer] = await store.query<{ is_due: boolean }>(
    `with lost as (
       select t.id from task t
       where t.status = 'ready' and t.is_routed and t.dispatched_at is not null and not exists (
         select from agent a
         where a.id = t.assigned_to and a.cordoned_at is null and ${isLive})
       order by t.id
       for no key update of t skip locked
     ), taken as (
       update task t set dispatched_at = null from lost where t.id = lost.id returning t.id
     )
     select exists (select from taken) or exists (
       ${routedWait}) as is_due`,
  );
  return answer!.is_due;
}

async function routeChunk(
  tx: Transaction,
  log: FactLog,
  after: Cursor,
  limit: number,
  spokenFor: SpokenFor,
): Promise<Chunk> {
  const rows = await readyTasks(tx, after, limit);
  if (rows.length === 0) return { routed: [], unroutable: new Map(), isFull: false, spokenFor };
  const contested = rows.filter(({ policy }) => policy === "contract-net");
  const rounds = await lastRounds(
    tx,
    contested.map(({ id }) => id),
  );
  const agents = await candidates(tx, [...new Set(rows.map((row) => row.namespace))]);
  const agentsFor = ({ namespace }: ReadyRow) => agents.filter((agent) => agent.namespace === namespace);
  const { startable, isPaused } = await mayStart(tx, rows);
  const allocations: Allocation[] = [];
  for (const namespace of new Set(rows.map((row) => row.namespace))) {
    const ready = rows.filter((row) => row.namespace === namespace);
    const tasks = ready.filter(startable).map((row) => toRoute(row, rounds.get(row.id)));
    allocations.push(allocate(tasks, agentsFor(ready[0]!), allocations.at(-1)?.spokenFor ?? spokenFor));
  }
  const allocation = merged(allocations);
  const { assigned, announced, open, unbid } = allocation;
  const waiting = rows.filter((row) => !assigned.has(row.id));
  const lacking = new Map(waiting.map((row) => [row.id, nearestMatch(routeOf(row), agentsFor(row))]));
  const isRoutable = ({ id }: ReadyRow) => lacking.get(id)?.lacks.length === 0;
  const waitForSlot = waiting.filter((row) => isRoutable(row) && !open.has(row.id) && !announced.has(row.id));
  // In a pause `schedule_timeout` stands still.
  await stillRoutable(tx, [...waitForSlot, ...waiting.filter(isPaused)]);
  const overdue = waiting.filter((row) => row.is_overdue && !isPaused(row) && (unbid.has(row.id) || !isRoutable(row)));
  const unroutable = new Map(
    overdue.map(({ id }) => [id, unbid.has(id) ? unbidComplaint(rounds.get(id)!) : complaint(lacking.get(id))]),
  );
  await negotiate(tx, log, { rows: contested, rounds, allocation, isGivenUp: ({ id }) => unroutable.has(id) });
  const agentOf = new Map(agents.map((agent) => [agent.id, agent]));
  const chosen = rows.filter((row) => assigned.has(row.id));
  const routed = await mark(tx, log, chosen, (row) => agentOf.get(assigned.get(row.id)!)!);
  return {
    routed,
    unroutable,
    isFull: waitForSlot.length > 0,
    spokenFor: allocation.spokenFor,
    ...(rows.length === limit && { last: rows.at(-1)! }),
  };
}

interface Startable {
  startable: (row: ReadyRow) => boolean;
  /** One of its keys is paused. */
  isPaused: (row: ReadyRow) => boolean;
}

/** Which of the rows their limits let start, as far as can be told beforehand. */
async function mayStart(tx: Queryable, rows: readonly ReadyRow[]): Promise<Startable> {
  const limited = rows.filter((row) => row.is_limited);
  const admitted = new Set<string>();
  const paused = new Set<string>();
  for (const namespace of new Set(limited.map((row) => row.namespace))) {
    const applicants = limited
      .filter((row) => row.namespace === namespace)
      .map(({ id, limits, limit_keys }) => ({ id, limits: limitsWith(limits, limit_keys!) }));
    const keys = applicants.flatMap(({ limits }) => limits.map(({ key }) => key));
    const { states, now } = await expectedStates(tx, namespace, keys);
    for (const one of applicants) if (blockOf(one, states, now)?.kind === "paused") paused.add(one.id);
    for (const { id } of admit(applicants, states, { now, max: applicants.length }).admitted) admitted.add(id);
  }
  return {
    startable: ({ id, is_limited }) => !is_limited || admitted.has(id),
    isPaused: ({ id }) => paused.has(id),
  };
}

/** Of several namespaces, which have no task in common; each began where the one before ended. */
function merged(allocations: Allocation[]): Allocation {
  const all = <T>(part: (one: Allocation) => Iterable<T>) => allocations.flatMap((one) => [...part(one)]);
  return {
    assigned: new Map(all(({ assigned }) => assigned)),
    announced: new Map(all(({ announced }) => announced)),
    open: new Set(all(({ open }) => open)),
    unbid: new Set(all(({ unbid }) => unbid)),
    spokenFor: allocations.at(-1)!.spokenFor,
  };
}

/** Writes what has come of rounds of bids, and which begin. */
async function negotiate(
  tx: Transaction,
  log: FactLog,
  {
    rows,
    rounds,
    allocation: { assigned, announced },
    isGivenUp,
  }: {
    rows: ReadyRow[];
    rounds: ReadonlyMap<string, Round>;
    allocation: Allocation;
    isGivenUp: (row: ReadyRow) => boolean;
  },
): Promise<void> {
  const begun = rows.flatMap((task) => {
    const round = announced.get(task.id);
    const winner = assigned.get(task.id);
    return round && !isGivenUp(task) ? [{ task, begun: round, ...(winner !== undefined && { winner }) }] : [];
  });
  await announce(tx, log, begun);
  const awards = rows.flatMap((task) => {
    const winner = assigned.get(task.id);
    const isNew = announced.has(task.id);
    const round = announced.get(task.id) ?? rounds.get(task.id);
    return winner !== undefined && round ? [{ task, round, winner, isNew }] : [];
  });
  award(tx, log, awards);
}

function unbidComplaint({ bids }: Round): string {
  return `No live agent has bid for the task for the whole schedule_timeout, of ${bids.length} that were asked last.`;
}

function complaint(near: ReturnType<typeof nearestMatch>): string {
  const hint = near ? `the nearest, ${near.agent.name}, ${near.lacks.join(" and ")}` : "there is none";
  return `No live agent could run the task for the whole schedule_timeout: ${hint}.`;
}

async function readyTasks(tx: Queryable, { priority, id }: Cursor, limit: number): Promise<ReadyRow[]> {
  const rows = await tx.query<ReadyRow>(
    `select t.id, t.priority, t.run_id, t.namespace, t.key, t.capability, t.attempt, t.dispatch_count, r.traceparent,
       t.is_limited, to_json(t.limit_keys) as limit_keys, t.spec -> 'limits' as limits,
       t.spec -> 'route' as route, a.policy, a.bid_window_ms, r.inputs, r.refs -> 'inputs' as inputs_refs, r.attempt as run_attempt,
       greatest(t.available_at, t.routable_at) + t.schedule_timeout_ms * interval '1 millisecond' < clock_timestamp()
         as is_overdue
     from task t join run r on r.id = t.run_id
     left join allocation a on a.namespace = t.namespace and a.capability = t.capability
     where ${isUnmatched}
       and (t.priority < $1 or (t.priority = $1 and t.id > $2))
     order by t.priority desc, t.id
     limit $3
     for no key update of t skip locked`,
    [priority, id, limit],
  );
  // Only who stays with an agent is asked for its run's inputs.
  const sticky = rows.filter((row) => row.inputs_refs && row.route?.sticky !== undefined);
  const inputs = await wholes(
    tx,
    sticky.map((row) => ({ value: row.inputs, refs: row.inputs_refs })),
  );
  for (const [n, row] of sticky.entries()) row.inputs = inputs[n] as JsonObject;
  return rows;
}

/** Live agents; a slot is taken by what runs there and by what is on its way. */
async function candidates(db: Queryable, namespaces: string[]): Promise<AgentRow[]> {
  return db.query<AgentRow>(
    `select a.namespace, a.id, a.name, a.door, a.labels, a.offers as capabilities, a.slots,
       a.cordoned_at is not null as "isCordoned",
       ((select count(*) from task t where t.status = 'running' and t.agent_id = a.id)
         + (select count(*) from task t
            where t.assigned_to = a.id and t.status = 'ready' and t.is_routed and t.dispatched_at is not null))::int as busy
     from agent a
     where a.namespace = any($1) and ${isLive}
     order by a.id`,
    [namespaces],
  );
}

/** Live agents of a namespace, for whoever wants to know why none of them is given a task. */
export function candidatesIn(db: Queryable, namespace: string): Promise<Candidate[]> {
  return candidates(db, [namespace]);
}

function routeOf({ route, capability }: ReadyRow): RouteSpec {
  return route ?? { capabilities: [{ name: capability }] };
}

function toRoute(row: ReadyRow, round: Round | undefined): TaskToRoute {
  const route = routeOf(row);
  return {
    id: row.id,
    route,
    stickyKey: stickyKeyOf(row, route),
    policy: row.policy ?? "push",
    ...(row.bid_window_ms !== null && { windowMs: row.bid_window_ms }),
    ...(round && { round }),
  };
}

function stickyKeyOf({ run_id, inputs, run_attempt, policy }: ReadyRow, { sticky }: RouteSpec): string | undefined {
  if (sticky === "run" || (sticky === undefined && policy === "sticky")) return run_id;
  if (sticky === undefined) return undefined;
  try {
    const text = compileTemplate(sticky).evaluate({ inputs, tasks: {}, run: { id: run_id, attempt: run_attempt } });
    return typeof text === "string" ? text : JSON.stringify(text);
  } catch {
    // An input that is not there: the text as it stands is as good a key as any.
    return sticky;
  }
}

/** Somebody could run them, but has no slot free: their `schedule_timeout` begins anew. */
async function stillRoutable(tx: Transaction, rows: ReadyRow[]): Promise<void> {
  if (rows.length === 0) return;
  await tx.query(
    `update task set routable_at = clock_timestamp()
     where id = any($1::uuid[]) and coalesce(routable_at, '-infinity') < now() - ${ROUTABLE_RESOLUTION}`,
    [rows.map((row) => row.id)],
  );
}

/** In a transaction of its own, which locks runs before tasks. */
async function failUnroutable(store: StoreContext, messages: ReadonlyMap<string, string>): Promise<void> {
  const ids = [...messages.keys()];
  await recording(store, async (tx, log) => {
    lockRuns(tx, ids, "key share");
    await settle(tx, log, await lockTasks(tx, ids), ({ id, status }) => {
      if (status !== "ready") return undefined;
      const failure = { code: failureKinds.unroutable, message: messages.get(id)!, retryable: false };
      return { type: "doomed", failure };
    });
  });
}

async function mark(
  tx: Transaction,
  log: FactLog,
  rows: ReadyRow[],
  agentFor: (row: ReadyRow) => AgentRow,
): Promise<RoutedTask[]> {
  if (rows.length === 0) return [];
  const marks = rows.map((row) => ({ id: row.id, agent: agentFor(row).id }));
  await tx.query(
    `update task t
     set assigned_to = u.agent, dispatched_at = clock_timestamp(), dispatch_count = t.dispatch_count + 1
     from json_to_recordset($1) as u(id uuid, agent uuid)
     where t.id = u.id`,
    [JSON.stringify(marks)],
  );
  return rows.map((row) => {
    const { id: agentId, door } = agentFor(row);
    const task = toDispatchedTask({ ...row, dispatch_count: row.dispatch_count + 1 });
    const { taskId, runId, namespace, key, capability, attempt } = task;
    log.add(
      { runId, namespace },
      { type: "task.published", task_id: taskId, key, attempt: attempt + 1, agent_id: agentId, capability },
    );
    return { ...task, agentId, door };
  });
}

/**
 * Conversations: each event is one transaction that holds the conversation's row, lets core decide, and writes the state, the
 * transcript and the messages to the members. Locks: the conversation, then names (agent-effects.ts), then the task it belongs to.
 */
import { uuidv7 } from "uuidv7";
import type { ConversationParameters } from "../core/conversation/parameters.ts";
import { entriesOf, type TranscriptEntry } from "../core/conversation/transcript.ts";
import {
  advance,
  type ConversationEvent,
  type ConversationState,
  type Effect,
  refusalOf,
  type Step as SpokenStep,
  startConversation,
} from "../core/conversation.ts";
import type { ConversationSpec } from "../core/conversation-task.ts";
import { readTask } from "../core/conversation-task.ts";
import { SkeinError } from "../core/errors.ts";
import type { Json } from "../core/json.ts";
import { type DataRequest, openData } from "./agent-effects.ts";
import { FactLog, insertEvents, type StoreContext } from "./facts.ts";
import { decodeCursor, lastUuid, pageFrom, pageLimit, uuidShape } from "./rows.ts";
import type { Queryable, Transaction } from "./sql.ts";
import { doomed, inputOf, type Step, type StepResult } from "./step.ts";
import type {
  Conversation,
  ConversationStore,
  DeliveredMessage,
  Heard,
  NewConversation,
  PageOf,
  Sender,
  Utterance,
} from "./store.ts";

export function conversationStore(store: StoreContext): ConversationStore {
  return {
    start: (conversation) => start(store, conversation),
    find: (namespace, id) => find(store, namespace, id),
    list: (namespace, filter) => list(store, namespace, filter),
    transcript: async (namespace, id, { after, limit }) => {
      const rows = await store.query<{ entry: TranscriptEntry }>(
        `select e.entry from conversation c join conversation_entry e on e.conversation_id = c.id
         where c.namespace = $1 and c.id = $2 and e.seq > $3 order by e.seq limit $4`,
        [namespace, id, after, limit],
      );
      return rows.map(({ entry }) => entry);
    },
    say: (namespace, id, utterance) => say(store, namespace, id, utterance),
    leave: async (namespace, id, member) => {
      const happened = await happen(store, namespace, id, (row) =>
        isMember(row, member) ? { event: "left", at: row.now_ms, member } : undefined,
      );
      return happened && find(store, namespace, id);
    },
    cancel: async (namespace, id, reason) => {
      const happened = await happen(store, namespace, id, ({ now_ms }) => ({ event: "cancelled", at: now_ms, reason }));
      return happened && find(store, namespace, id);
    },
    tick: (limit) => tick(store, limit),
  };
}

interface Row {
  namespace: string;
  id: string;
  parameters: ConversationParameters;
  state: ConversationState | null;
  status: Conversation["status"];
  created_by: string;
  task_id: string | null;
  created_at: Date;
  ended_at: Date | null;
}

const columns = "namespace, id, parameters, state, status, created_by, task_id, created_at, ended_at";

function toConversation(row: Row): Conversation {
  return {
    namespace: row.namespace,
    id: row.id,
    parameters: row.parameters,
    state: row.state,
    status: row.status,
    createdBy: row.created_by,
    taskId: row.task_id,
    createdAt: row.created_at,
    endedAt: row.ended_at,
  };
}

// --- read

async function find(db: Queryable, namespace: string, id: string): Promise<Conversation | undefined> {
  const [row] = await db.query<Row>(`select ${columns} from conversation where namespace = $1 and id = $2`, [
    namespace,
    id,
  ]);
  return row && toConversation(row);
}

const listAll = `
  select ${columns} from conversation
  where namespace = $1 and id < $2::uuid and ($3::text is null or status = $3)
  order by id desc limit $4`;

/** By the index of members (a name, or an object with one): an agent has few of the conversations of its namespace. */
const listOfMember = `
  with own as materialized (
    select id from conversation
    where (parameters::jsonb -> 'members' ? $5 or parameters::jsonb -> 'members' @> $6::jsonb)
      and namespace = $1 and id < $2::uuid and ($3::text is null or status = $3)
  ),
  page as (select id from own order by id desc limit $4)
  select c.* from page cross join lateral (select ${columns} from conversation where id = page.id) c
  order by c.id desc`;

async function list(
  db: Queryable,
  namespace: string,
  { status, member, ...page }: Parameters<ConversationStore["list"]>[1],
): Promise<PageOf<Conversation>> {
  const limit = pageLimit(page);
  const which = [namespace, decodeCursor(page.cursor, uuidShape) ?? lastUuid, status ?? null, limit + 1];
  const rows = await (member === undefined
    ? db.query<Row>(listAll, which)
    : db.query<Row>(listOfMember, [...which, member, JSON.stringify([{ name: member }])]));
  return pageFrom(rows, limit, ({ id }) => id, toConversation);
}

// --- start

async function start(store: StoreContext, conversation: NewConversation): Promise<Conversation> {
  const { namespace, id, parameters, by, key } = conversation;
  const [row] = await store.query<{ id: string }>(
    `insert into conversation (namespace, id, protocol, parameters, due_at, created_by, request_key)
     values ($1, $2, $3, $4, clock_timestamp(), $5, $6)
     on conflict (namespace, request_key) where request_key is not null
       do update set request_key = excluded.request_key
     returning id`,
    [namespace, id, parameters.protocol, JSON.stringify(parameters), by, key],
  );
  await happen(store, namespace, row!.id, () => undefined);
  return (await find(store, namespace, row!.id))!;
}

/** Of a `conversation.<protocol>` task: begins it with the next tick, and completes with what it comes to. */
export async function stepConversation(tx: Transaction, step: Step, spec: ConversationSpec): Promise<StepResult> {
  const { task, run } = step;
  const [row] = await tx.query<Row>(`select ${columns} from conversation where task_id = $1`, [task.id]);
  if (row?.status === "open") return { progress: { conversation_id: row.id } };
  if (row) return endOfTask(row);
  try {
    const parameters = readTask(spec, inputOf(step));
    const id = uuidv7();
    await tx.query(
      `insert into conversation (namespace, id, protocol, parameters, due_at, created_by, task_id)
       values ($1, $2, $3, $4, clock_timestamp(), $5, $6)`,
      [run.namespace, id, parameters.protocol, JSON.stringify(parameters), task.key, task.id],
    );
    return { progress: { conversation_id: id } };
  } catch (error) {
    if (!(error instanceof SkeinError)) throw error;
    return doomed(error.code, error.message);
  }
}

function endOfTask({ id, state }: Row): StepResult {
  const outcome = state?.outcome;
  if (outcome?.status === "completed") {
    const output = { result: outcome.result, ended_by: outcome.endedBy, conversation_id: id };
    return { event: { type: "completed", output } };
  }
  if (outcome?.status !== "failed") return doomed("cancelled", `Conversation ${id} was cancelled.`);
  const { code, message } = outcome.failure;
  return doomed(code, `${message} (conversation ${id})`);
}

// --- events

interface Held extends Row {
  now_ms: number;
}

/** Begins the conversation if need be and does what `eventOf` says, in one transaction. Undefined: there is none. */
async function happen(
  store: StoreContext,
  namespace: string | undefined,
  id: string,
  eventOf: (row: Held & { state: ConversationState }) => ConversationEvent | undefined,
): Promise<{ effects: Effect[] } | undefined> {
  const done = await store.transaction(async (tx) => {
    const [row] = await tx.query<Held>(
      `select ${columns}, (extract(epoch from clock_timestamp()) * 1000)::float8 as now_ms
       from conversation where id = $1 and ($2::text is null or namespace = $2) for update`,
      [id, namespace ?? null],
    );
    if (!row) return undefined;
    const at = Math.floor(row.now_ms);
    const begun: SpokenStep = row.state ? { state: row.state, effects: [] } : startConversation(row.parameters, { at });
    const event = eventOf({ ...row, now_ms: at, state: begun.state });
    const next = event ? advance(begun.state, event) : { state: begun.state, effects: [] };
    const effects = [...begun.effects, ...next.effects];
    // Whatever has changed has an effect, or was a message that was judged.
    if (row.state && !event) return { effects, delivered: [], log: new FactLog() };
    const delivered = await deliver(tx, store, row, effects);
    const log = new FactLog();
    await write(tx, row, next.state, effects, log);
    insertEvents(tx, log.committed);
    return { effects, delivered, log };
  });
  if (!done) return undefined;
  if (done.delivered.length > 0) store.deliver(done.delivered);
  if (done.log.committed.length > 0) store.emit(done.log.committed);
  return done;
}

/** What the conversation itself says is from the system; what a member says, from that member. */
const itself: Sender = { kind: "system", name: "skein" };
const MESSAGE_TTL_MS = 7 * 24 * 60 * 60 * 1000;

async function deliver(
  tx: Transaction,
  store: StoreContext,
  { namespace, id, parameters }: Row,
  effects: readonly Effect[],
): Promise<DeliveredMessage[]> {
  const requests = effects.flatMap((effect) => {
    if (effect.effect !== "message") return [];
    const { seq, from, type, body, expects } = effect;
    return effect.to.map((to): DataRequest => {
      const message = {
        to,
        body: { protocol: parameters.protocol, seq, from, body, expects } as Json,
        type,
        conversation: id,
        replyTo: null,
        key: null,
        ttlMs: MESSAGE_TTL_MS,
        mustRoute: false,
        expectsReplyMs: null,
      };
      return { namespace, owner: itself.name, from: itself, writer: null, effects: { messages: [message] } };
    });
  });
  if (requests.length === 0) return [];
  const data = await openData(tx, requests, store.limits);
  for (const request of requests) {
    const admission = data.admit(request);
    // A member whom it cannot be told is silent: that is for the protocol.
    if ("take" in admission) admission.take();
  }
  return data.write();
}

async function write(
  tx: Transaction,
  row: Row,
  state: ConversationState,
  effects: readonly Effect[],
  log: FactLog,
): Promise<void> {
  const isOver = state.status !== "open";
  const dueAt = isOver ? null : Math.min(state.endsAt, state.turnEndsAt ?? state.endsAt);
  tx.send(
    `update conversation
     set state = $2, status = $3, due_at = to_timestamp($4::float8 / 1000),
       ended_at = case when $3 = 'open' then null else coalesce(ended_at, clock_timestamp()) end
     where id = $1`,
    [row.id, JSON.stringify(state), state.status, dueAt],
  );
  const entries = entriesOf(effects);
  if (entries.length > 0) {
    tx.send(
      `insert into conversation_entry (conversation_id, seq, entry)
       select $1, (e.value ->> 'seq')::int, e.value from json_array_elements($2) as e(value)`,
      [row.id, JSON.stringify(entries)],
    );
  }
  if (!isOver || row.status !== "open" || row.task_id === null) return;
  const [task] = await tx.query<{ run_id: string; namespace: string }>(
    `update task set step_due = true where id = $1 and status = 'waiting' returning run_id, namespace`,
    [row.task_id],
  );
  if (task) log.needsUpkeep({ runId: task.run_id, namespace: task.namespace });
}

function isMember({ state }: { state: ConversationState }, name: string): boolean {
  return state.members.some((member) => member.name === name);
}

async function say(
  store: StoreContext,
  namespace: string,
  id: string,
  { from, id: messageId, type, body }: Utterance,
): Promise<Heard | undefined> {
  let isStranger = false;
  const happened = await happen(store, namespace, id, (row) => {
    isStranger = !isMember(row, from);
    return isStranger ? undefined : { event: "message", at: row.now_ms, id: messageId, from, type, body };
  });
  if (!happened || isStranger) return undefined;
  const refusal = refusalOf(happened.effects, { id: messageId, from });
  if (refusal) return { result: "refused", refusal };
  return { result: happened.effects.some(({ effect }) => effect === "repeated") ? "repeated" : "accepted" };
}

// --- time

async function tick(store: StoreContext, limit: number): Promise<number> {
  const orphans = await store.query<{ id: string }>(
    `select c.id from conversation c
     where c.status = 'open' and c.task_id is not null and not exists (
       select from task t where t.id = c.task_id and t.status = 'waiting')
     order by c.id limit $1`,
    [limit],
  );
  for (const { id } of orphans) {
    await happen(store, undefined, id, ({ now_ms: at }) => ({
      event: "cancelled",
      at,
      reason: "The task that it is the work of is over.",
    }));
  }
  const due = await store.query<{ id: string }>(
    "select id from conversation where status = 'open' and due_at <= clock_timestamp() order by due_at limit $1",
    [limit],
  );
  for (const { id } of due) {
    await happen(store, undefined, id, ({ state, now_ms: at }) =>
      state.status === "open" ? { event: "tick", at } : undefined,
    );
  }
  return orphans.length + due.length;
}

const FORGOTTEN_AT_ONCE = 100;

/** One whose end its task has not taken yet stays: else the task would begin another. */
const forget = `
  delete from conversation c
  using (
    select due.id
    from retention p cross join lateral (
      select c.id from conversation c
      where c.namespace = p.namespace
        and c.ended_at < clock_timestamp() - (p.keep_ms ->> 'conversations')::bigint * interval '1 millisecond'
        and not exists (select from task t where t.id = c.task_id and t.status = 'waiting')
      order by c.ended_at
      limit $1
      for update skip locked
    ) due
    where p.keep_ms ->> 'conversations' is not null
    limit $1
  ) gone
  where c.id = gone.id
  returning c.id`;

/** Forgets what is over for as long as the policy of its namespace keeps it, with its transcript. */
export async function pruneConversations(store: StoreContext): Promise<void> {
  while ((await store.query(forget, [FORGOTTEN_AT_ONCE])).length === FORGOTTEN_AT_ONCE);
}

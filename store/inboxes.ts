/** Inboxes: read, waited for, acknowledged; topics, of which an agent's inbox has what is said; replies that are awaited. */
import { type Refusal, refuseSubscription, type Writer } from "../core/agent-data.ts";
import type { Json } from "../core/json.ts";
import type { Addressee } from "../core/protocol/agent-data.ts";
import { acknowledgeMessages, openData } from "./agent-effects.ts";
import { readContents } from "./blobs.ts";
import type { StoreContext } from "./facts.ts";
import { keyOf } from "./messages.ts";
import type {
  Acknowledgement,
  AgentDataStore,
  AwaitedReply,
  InboxPage,
  InboxRequest,
  Message,
  Sender,
  Subscription,
} from "./store.ts";

type InboxStore = Pick<
  AgentDataStore,
  "inboxes" | "lastNumbers" | "acknowledge" | "reply" | "subscribe" | "unsubscribe" | "subscriptions"
>;

export function inboxStore(store: StoreContext): InboxStore {
  return {
    inboxes: (requests) => readInboxes(store, requests),
    lastNumbers: (inboxes) => lastNumbers(store, inboxes),
    acknowledge: (requests) => acknowledge(store, requests),
    reply: (namespace, messageId) => findReply(store, namespace, messageId),
    subscribe: (namespace, name, topic) => subscribe(store, namespace, name, topic),
    unsubscribe: async (namespace, name, topic) => {
      const rows = await store.query(
        "delete from subscription where namespace = $1 and topic = $2 and name = $3 returning name",
        [namespace, topic, name],
      );
      return rows.length > 0;
    },
    subscriptions: async (namespace, name) => {
      const rows = await store.query<SubscriptionRow>(
        "select topic, created_at from subscription where namespace = $1 and name = $2 order by topic",
        [namespace, name],
      );
      return rows.map(toSubscription);
    },
  };
}

// --- messages

interface MessageRow {
  id: string;
  owner: string;
  sender_kind: Sender["kind"];
  sender: string;
  type: string | null;
  /** Null also where it stands apart. */
  body: Json;
  /** In hex. */
  body_hash: string | null;
  conversation: string | null;
  reply_to: string | null;
  created_at: Date;
  expires_at: Date;
  task_id: string | null;
  attempt: number | null;
  post_id: string | null;
  topic: string | null;
}

const messageColumns = `m.id, m.owner, m.sender_kind, m.sender, m.type, coalesce(m.body, p.body) as body,
  encode(coalesce(m.body_hash, p.body_hash), 'hex') as body_hash, m.conversation, m.reply_to, m.created_at, m.expires_at, m.task_id, m.attempt, m.post_id, m.topic`;

/** The body of what was said to many. */
const withPost =
  "left join lateral (select p.body, p.body_hash, p.body_bytes from post p where p.id = m.post_id) p on true";

const bodyBytes = "coalesce(m.body_bytes, p.body_bytes, octet_length(coalesce(m.body, p.body)::text))";

/** A page has no more messages once their bodies have so much. */
const PAGE_BYTES = 4 * 1_024 * 1_024;

async function readInboxes(store: StoreContext, requests: InboxRequest[]): Promise<InboxPage[]> {
  // Of an inbox without a message there is one row, for the number of its last.
  const rows = await store.query<
    (MessageRow & { number: number }) & { n: number; last_number: number; message_id: string | null }
  >(
    `select s.n, coalesce(d.last_message, 0) as last_number, m.message_id, m.*
     from json_to_recordset($1) as s(n int, namespace text, name text, max int, after bigint)
     left join lateral (
       select d.last_message from agent_data d where d.namespace = s.namespace and d.name = s.name
     ) d on true
     left join lateral (
       select m.* from (
         select m.id as message_id, m.number, ${messageColumns},
           sum(${bodyBytes}) over (order by m.number rows unbounded preceding) - ${bodyBytes} as bytes_before
         from message m ${withPost}
         where m.namespace = s.namespace and m.owner = s.name and m.acknowledged_at is null and m.number > s.after
           and m.expires_at > clock_timestamp()
         order by m.number
         limit s.max
       ) m
       where m.bytes_before < ${PAGE_BYTES}
     ) m on true
     order by s.n, m.number`,
    [
      JSON.stringify(
        requests.map(({ namespace, name, limit, after = 0 }, n) => ({ n, namespace, name, max: limit, after })),
      ),
    ],
  );
  await fillBodies(store, rows);
  const pages: InboxPage[] = requests.map(() => ({ messages: [], lastNumber: 0 }));
  for (const row of rows) {
    const page = pages[row.n]!;
    page.lastNumber = row.last_number;
    if (row.message_id !== null) page.messages.push({ ...toMessage(row), number: row.number });
  }
  return pages;
}

/** Reads what stands apart. */
async function fillBodies(store: StoreContext, rows: Pick<MessageRow, "body" | "body_hash">[]): Promise<void> {
  const large = rows.flatMap((row) => (row.body_hash === null ? [] : { row, hash: row.body_hash }));
  if (large.length === 0) return;
  const contents = await readContents(
    store,
    large.map(({ hash }) => hash),
  );
  for (const { row, hash } of large) row.body = JSON.parse(contents.get(hash)!.toString()) as Json;
}

function toMessage(row: MessageRow): Message {
  return {
    id: row.id,
    from: { kind: row.sender_kind, name: row.sender },
    to: addresseeOf(row),
    type: row.type,
    body: row.body,
    conversation: row.conversation,
    replyTo: row.reply_to,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    writer: writerOf(row),
  };
}

function addresseeOf({ owner, post_id, topic }: MessageRow): Addressee {
  if (post_id === null) return owner;
  return topic === null ? { broadcast: true } : { topic };
}

export function writerOf({ task_id, attempt }: { task_id: string | null; attempt: number | null }): Writer {
  return task_id === null ? null : { taskId: task_id, attempt: attempt! };
}

async function lastNumbers(store: StoreContext, inboxes: { namespace: string; name: string }[]): Promise<number[]> {
  const rows = await store.query<{ n: number; last_message: number }>(
    `select s.n, d.last_message
     from json_to_recordset($1) as s(n int, namespace text, name text)
     cross join lateral (
       select d.last_message from agent_data d where d.namespace = s.namespace and d.name = s.name
     ) d`,
    [JSON.stringify(inboxes.map(({ namespace, name }, n) => ({ n, namespace, name })))],
  );
  const numbers = inboxes.map(() => 0);
  for (const { n, last_message } of rows) numbers[n] = last_message;
  return numbers;
}

async function acknowledge(store: StoreContext, requests: Acknowledgement[]): Promise<number[]> {
  const inboxes = requests.map(({ namespace, name, ids }) => ({ key: keyOf(namespace, name), ids }));
  const rows = await store.query<{ namespace: string; owner: string; id: string }>(acknowledgeMessages, [
    JSON.stringify(
      requests.flatMap(({ namespace, name, ids }) => [...new Set(ids)].map((id) => ({ namespace, owner: name, id }))),
    ),
  ]);
  const acknowledged = new Set(rows.map(({ namespace, owner, id }) => `${keyOf(namespace, owner)}\n${id}`));
  // Of two requests for the same message, the first has it.
  return inboxes.map(({ key, ids }) => ids.filter((id) => acknowledged.delete(`${key}\n${id.toLowerCase()}`)).length);
}

// --- topics

interface SubscriptionRow {
  topic: string;
  created_at: Date;
}

function toSubscription({ topic, created_at }: SubscriptionRow): Subscription {
  return { topic, createdAt: created_at };
}

/** Subscriptions at the same moment do not see each other, so a few more than the limit may come through. */
async function subscribe(
  store: StoreContext,
  namespace: string,
  name: string,
  topic: string,
): Promise<Subscription | Refusal> {
  const [found] = await store.query<{ others: number }>(
    "select count(*)::int as others from subscription where namespace = $1 and name = $2 and topic <> $3",
    [namespace, name, topic],
  );
  const refusal = refuseSubscription(name, found!.others, store.limits);
  if (refusal) return refusal;
  const [row] = await store.query<SubscriptionRow>(
    `insert into subscription as s (namespace, topic, name) values ($1, $2, $3)
     on conflict (namespace, topic, name) do update set created_at = s.created_at
     returning topic, created_at`,
    [namespace, topic, name],
  );
  return toSubscription(row!);
}

// --- replies

async function findReply(store: StoreContext, namespace: string, messageId: string): Promise<AwaitedReply | undefined> {
  const [awaited] = await store.query<{ asker: string; reply_id: string | null }>(
    "select asker, reply_id from awaited_reply where id = $2 and namespace = $1",
    [namespace, messageId],
  );
  if (!awaited?.reply_id) return awaited && { asker: awaited.asker };
  const [reply] = await store.query<MessageRow>(
    `select ${messageColumns} from message m ${withPost} where m.id = $2 and m.namespace = $1 and m.owner = $3`,
    [namespace, awaited.reply_id, awaited.asker],
  );
  if (!reply) return undefined;
  await fillBodies(store, [reply]);
  return { asker: reply.owner, message: toMessage(reply) };
}

/** Tells those whose reply has not come in time, once each, and answers how many. */
export async function tellUnanswered(store: StoreContext, limit: number): Promise<number> {
  const due = await store.query<{
    id: string;
    namespace: string;
    asker: string;
    asked: Json;
    conversation: string | null;
  }>(
    `select id, namespace, asker, asked, conversation from awaited_reply
     where deadline <= clock_timestamp() and reply_id is null
     order by deadline
     limit $1`,
    [limit],
  );
  if (due.length === 0) return 0;
  const requests = due.map(({ id, namespace, asker, asked, conversation }) => ({
    id,
    namespace,
    owner: asker,
    from: { kind: "system" as const, name: "skein" },
    writer: null,
    effects: {
      messages: [
        {
          to: asker,
          type: NO_REPLY,
          body: { asked },
          conversation,
          replyTo: id,
          key: null,
          ttlMs: NO_REPLY_TTL_MS,
          mustRoute: false,
          expectsReplyMs: null,
        },
      ],
    },
  }));
  const delivered = await store.transaction(async (tx) => {
    const data = await openData(tx, requests, store.limits);
    // The askers' inboxes are held now: what has no reply yet gets none before this.
    const open = await tx.query<{ id: string }>(
      "select id from awaited_reply where id = any($1::uuid[]) and reply_id is null",
      [due.map(({ id }) => id)],
    );
    const untold = new Set(open.map(({ id }) => id));
    for (const request of requests.filter(({ id }) => untold.has(id))) {
      const admission = data.admit(request);
      if ("take" in admission) admission.take();
    }
    return data.write();
  });
  if (delivered.length > 0) store.deliver(delivered);
  return due.length;
}

/** The type of the message that says so. */
const NO_REPLY = "no_reply";
const NO_REPLY_TTL_MS = 7 * 24 * 60 * 60 * 1000;

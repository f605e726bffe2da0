/**
 * Writes messages into inboxes, as part of what agent-effects.ts writes: who hears one, what has been sent under which key,
 * and who awaits a reply.
 */
import { uuidv7 } from "uuidv7";
import {
  addressPost,
  describeAddressee,
  noSuchRecipient,
  type Refusal,
  refuseMessage,
  refuseReusedKey,
} from "../core/agent-data.ts";
import type { Limits } from "../core/limits.ts";
import { type LargeContent, largeContent } from "../core/payload.ts";
import type { Addressee } from "../core/protocol/agent-data.ts";
import type { DataRequest, Owner } from "./agent-effects.ts";
import { storeContents } from "./blobs.ts";
import { AGENT_TTL } from "./presence.ts";
import { uuidShape } from "./rows.ts";
import type { Queryable, Sql, Transaction } from "./sql.ts";
import type { DeliveredMessage, NewMessage, Sender, SentMessage } from "./store.ts";

/** One message in one inbox. */
interface InboxRow {
  owner: Owner;
  number: number;
}

/** What was said once, and where it goes. */
interface Letter {
  id: string;
  request: DataRequest;
  message: NewMessage;
  rows: InboxRow[];
  /** Of what is said to many. */
  missed: number | undefined;
}

/** What was sent under a key, and to whom. */
interface Keyed {
  sent: SentMessage;
  to: Addressee;
}

/** The messages of one request, addressed: `take` puts them into their inboxes. */
export interface Post {
  sent: SentMessage[];
  take(): void;
}

export interface PostOffice {
  /** Decides on top of all that has been taken so far. */
  address(request: DataRequest, outgoing: readonly NewMessage[]): Post | Refusal;
  /** Sends the statements that write what was taken, and answers what that is. */
  write(): DeliveredMessage[];
}

/** Who hears what the requests say: read before anything is locked. */
export interface Audience {
  /** The names of whom a message of the namespace goes to; undefined: an id that no agent has. */
  of(namespace: string, to: Addressee, from: Sender): string[] | undefined;
}

export async function findAudience(db: Queryable, requests: readonly DataRequest[]): Promise<Audience> {
  const named = await namesOf(db, requests);
  const subscribers = await subscribersOf(db, requests);
  const present = await presentIn(db, requests);
  const toAll = (namespace: string, to: Exclude<Addressee, string>) =>
    "topic" in to ? subscribers.get(keyOf(namespace, to.topic)) : present.get(namespace);
  return {
    of: (namespace, to, from) => {
      if (typeof to !== "string") {
        const own = from.kind === "agent" ? from.name : undefined;
        return (toAll(namespace, to) ?? []).filter((name) => name !== own);
      }
      // The orchestrator writes to names alone, and one may look like an id.
      if (from.kind === "system" || !uuidShape.test(to)) return [to];
      const name = named.get(keyOf(namespace, to));
      return name === undefined ? undefined : [name];
    },
  };
}

export async function openPostOffice(
  tx: Transaction,
  requests: readonly DataRequest[],
  { owners, audience, limits }: { owners: ReadonlyMap<string, Owner>; audience: Audience; limits: Limits },
): Promise<PostOffice> {
  const usedKeys = await readKeys(tx, requests);
  const letters: Letter[] = [];
  const nameKey = ({ namespace, from }: DataRequest, key: string) => keyOf(namespace, senderKey(from, key));

  function address(request: DataRequest, outgoing: readonly NewMessage[]): Post | Refusal {
    const own = new Map<string, Keyed>();
    const more = new Map<Owner, number>();
    const written: Letter[] = [];
    const sent: SentMessage[] = [];
    for (const message of outgoing) {
      const { key } = message;
      const used = key === null ? undefined : (own.get(key) ?? usedKeys.get(nameKey(request, key)));
      if (used) {
        if (!isSameAddressee(request, message, used))
          return refuseReusedKey({ key: key!, was: used.to, to: message.to });
        sent.push({ ...used.sent, repeated: true });
        continue;
      }
      const letter = addressOne(request, message, more);
      if ("code" in letter) return letter;
      for (const { owner } of letter.rows) more.set(owner, (more.get(owner) ?? 0) + 1);
      written.push(letter);
      sent.push(sentOf(letter));
      if (key !== null) own.set(key, keyedOf(letter));
    }
    const take = () => {
      for (const letter of written) put(letter);
    };
    return { sent, take };
  }

  /** One agent may be named by its name and by its ids. */
  function isSameAddressee({ namespace, from }: DataRequest, { to }: NewMessage, used: Keyed): boolean {
    if (typeof to !== "string" || typeof used.to !== "string")
      return describeAddressee(to) === describeAddressee(used.to);
    const names = audience.of(namespace, to, from);
    return names === undefined || names[0] === used.to;
  }

  function addressOne(request: DataRequest, message: NewMessage, more: ReadonlyMap<Owner, number>): Letter | Refusal {
    const { namespace, from } = request;
    const { to, body, mustRoute } = message;
    const names = audience.of(namespace, to, from);
    if (!names) return noSuchRecipient(to as string);
    const inboxes = names.map((name) => owners.get(keyOf(namespace, name))!);
    const unread = (owner: Owner) => owner.unread + (more.get(owner) ?? 0);
    const letter = { id: uuidv7(), request, message };
    if (typeof to === "string") {
      const owner = inboxes[0]!;
      const refusal =
        from.kind !== "system" &&
        refuseMessage({ unread: unread(owner), isKnown: owner.is_known, mustRoute, to, body }, limits);
      return refusal || { ...letter, rows: [{ owner, number: 0 }], missed: undefined };
    }
    const recipients = inboxes.map((owner) => ({ owner, name: owner.name, unread: unread(owner) }));
    const addressed = addressPost({ to: describeAddressee(to), recipients, body, mustRoute }, limits);
    if ("code" in addressed) return addressed;
    const rows = addressed.recipients.map(({ owner }) => ({ owner, number: 0 }));
    return { ...letter, rows, missed: addressed.missed };
  }

  function put(letter: Letter): void {
    for (const row of letter.rows) {
      row.owner.unread += 1;
      row.owner.last_message += 1;
      row.owner.isChanged = true;
      row.number = row.owner.last_message;
    }
    letters.push(letter);
    const { key } = letter.message;
    if (key !== null) usedKeys.set(nameKey(letter.request, key), keyedOf(letter));
  }

  function write(): DeliveredMessage[] {
    if (letters.length === 0) return [];
    insertPosts(tx, letters);
    insertRows(tx, letters);
    awaitReplies(tx, letters);
    endAwaiting(tx, letters);
    return letters.filter(({ rows }) => rows.length > 0).map(deliveredOf);
  }

  return { address, write };
}

function sentOf({ id, rows, missed }: Letter): SentMessage {
  return { id, repeated: false, ...(missed !== undefined && { recipients: rows.length, missed }) };
}

function keyedOf(letter: Letter): Keyed {
  const { to } = letter.message;
  return { sent: sentOf(letter), to: typeof to === "string" ? letter.rows[0]!.owner.name : to };
}

function deliveredOf({ id, request, message, rows }: Letter): DeliveredMessage {
  const { namespace, from, writer } = request;
  const { to, type, body, conversation, replyTo } = message;
  const inboxes = rows.map(({ owner }) => owner.name);
  const addressee = typeof to === "string" ? inboxes[0]! : to;
  return { namespace, id, from, to: addressee, type, body, conversation, replyTo, writer, inboxes };
}

/** No namespace has a line break in it. */
export function keyOf(namespace: string, rest: string): string {
  return `${namespace}\n${rest}`;
}

function senderKey({ kind, name }: Sender, key: string): string {
  return `${kind}\n${name}\n${key}`;
}

// --- who hears

function messagesIn(requests: readonly DataRequest[]): { namespace: string; from: Sender; message: NewMessage }[] {
  return requests.flatMap(({ namespace, from, effects }) =>
    (effects.messages ?? []).map((message) => ({ namespace, from, message })),
  );
}

/** Names of the agents that messages go to by their ids. */
async function namesOf(db: Queryable, requests: readonly DataRequest[]): Promise<Map<string, string>> {
  const ids = messagesIn(requests).flatMap(({ message: { to } }) =>
    typeof to === "string" && uuidShape.test(to) ? to : [],
  );
  if (ids.length === 0) return new Map();
  const rows = await db.query<{ namespace: string; id: string; name: string }>(
    "select namespace, id, name from agent where id = any($1::uuid[])",
    [[...new Set(ids)]],
  );
  return new Map(rows.map(({ namespace, id, name }) => [keyOf(namespace, id), name]));
}

async function subscribersOf(db: Queryable, requests: readonly DataRequest[]): Promise<Map<string, string[]>> {
  const topics = new Map<string, { namespace: string; topic: string }>();
  for (const { namespace, message } of messagesIn(requests)) {
    if (typeof message.to === "string" || !("topic" in message.to)) continue;
    const { topic } = message.to;
    topics.set(keyOf(namespace, topic), { namespace, topic });
  }
  if (topics.size === 0) return new Map();
  const rows = await db.query<{ namespace: string; topic: string; names: string[] }>(
    `select s.namespace, s.topic, n.names
     from json_to_recordset($1) as s(namespace text, topic text)
     cross join lateral (
       select array_agg(u.name order by u.name) as names from subscription u
       where u.namespace = s.namespace and u.topic = s.topic
     ) n`,
    [JSON.stringify([...topics.values()])],
  );
  return new Map(rows.map(({ namespace, topic, names }) => [keyOf(namespace, topic), names ?? []]));
}

/** Names of the agents that are there. */
async function presentIn(db: Queryable, requests: readonly DataRequest[]): Promise<Map<string, string[]>> {
  const namespaces = messagesIn(requests).flatMap(({ namespace, message: { to } }) =>
    typeof to !== "string" && "broadcast" in to ? namespace : [],
  );
  if (namespaces.length === 0) return new Map();
  const rows = await db.query<{ namespace: string; names: string[] }>(
    `select a.namespace, array_agg(distinct a.name) as names from agent a
     where a.namespace = any($1::text[]) and a.left_at is null and a.last_seen_at > clock_timestamp() - ${AGENT_TTL}
     group by a.namespace`,
    [[...new Set(namespaces)]],
  );
  return new Map(rows.map(({ namespace, names }) => [namespace, names]));
}

// --- keys

/** Those who send under keys, one transaction at a time: so that one key brings one message, whoever it is for. */
export function lockSenders(tx: Transaction, requests: readonly DataRequest[]): void {
  const senders = messagesIn(requests).flatMap(({ namespace, from, message }) =>
    message.key === null ? [] : `${namespace}\n${from.kind}\n${from.name}`,
  );
  if (senders.length === 0) return;
  tx.send(
    `select pg_advisory_xact_lock(hash) from (
       select distinct hashtextextended('message ' || sender, 0) as hash from unnest($1::text[]) as sender order by hash
     ) locks`,
    [[...new Set(senders)]],
  );
}

/** Keys that have been used, and the messages that were sent under them. */
async function readKeys(tx: Queryable, requests: readonly DataRequest[]): Promise<Map<string, Keyed>> {
  const keys = messagesIn(requests).flatMap(({ namespace, from, message: { key } }) =>
    key === null ? [] : { namespace, kind: from.kind, sender: from.name, key },
  );
  if (keys.length === 0) return new Map();
  const rows = await tx.query<{
    namespace: string;
    kind: Sender["kind"];
    sender: string;
    key: string;
    id: string;
    owner: string | null;
    topic: string | null;
    recipients: number | null;
    missed: number | null;
  }>(
    `select s.*, m.id, m.owner, m.topic, m.recipients, m.missed
     from json_to_recordset($1) as s(namespace text, kind text, sender text, key text)
     cross join lateral (
       select m.id, m.owner, null as topic, null::int as recipients, null::int as missed from message m
       where m.namespace = s.namespace and m.sender_kind = s.kind and m.sender = s.sender and m.key = s.key
       union all
       select p.id, null, p.topic, p.recipients, p.missed from post p
       where p.namespace = s.namespace and p.sender_kind = s.kind and p.sender = s.sender and p.key = s.key
     ) m`,
    [JSON.stringify(keys)],
  );
  return new Map(
    rows.map(({ namespace, kind, sender, key, id, owner, topic, recipients, missed }) => [
      keyOf(namespace, senderKey({ kind, name: sender }, key)),
      {
        sent: { id, repeated: false, ...(recipients !== null && { recipients, missed: missed! }) },
        to: owner ?? (topic === null ? { broadcast: true } : { topic }),
      },
    ]),
  );
}

// --- writing

/**
 * Stores bodies that are large, before anything is locked. One that no inbox has in the end is collected again, and one that is
 * larger than any may be is not stored.
 */
export async function storeLargeBodies(sql: Sql, messages: readonly NewMessage[], limits: Limits): Promise<void> {
  const contents: LargeContent[] = [];
  for (const message of messages) {
    const content = largeContent(message.body);
    if (!content || content.bytes.length > limits.messageBytes) continue;
    message.apart = { hash: content.hash, bytes: content.bytes.length };
    contents.push(content);
  }
  await storeContents(sql, contents);
}

function bodyColumns({ body, apart }: NewMessage) {
  return apart ? { body_hash: apart.hash, body_bytes: apart.bytes } : { body };
}

/** Beyond its messages a post stays for this long, so that no inbox has one whose body is gone. */
const POST_OUTLIVES = "interval '1 minute'";

function insertPosts(tx: Transaction, letters: readonly Letter[]): void {
  const posts = letters.filter(({ missed }) => missed !== undefined);
  if (posts.length === 0) return;
  tx.send(
    `insert into post (namespace, id, sender_kind, sender, key, topic, body, body_hash, body_bytes, recipients, missed, expires_at)
     select s.namespace, s.id, s.sender_kind, s.sender, s.key, s.topic, e.value -> 'body', decode(s.body_hash, 'hex'), s.body_bytes,
       s.recipients, s.missed, clock_timestamp() + s.ttl_ms * interval '1 millisecond' + ${POST_OUTLIVES}
     from json_array_elements($1) as e(value)
     cross join lateral json_to_record(e.value) as s(namespace text, id uuid, sender_kind text, sender text, key text,
       topic text, body_hash text, body_bytes int, recipients int, missed int, ttl_ms bigint)`,
    [
      JSON.stringify(
        posts.map(({ id, request, message, rows, missed }) => ({
          ...sharedColumns(request, message),
          id,
          key: message.key,
          ...bodyColumns(message),
          recipients: rows.length,
          missed,
        })),
      ),
    ],
  );
}

/** On the embedded database nothing else happens meanwhile. */
const ROWS_PER_STATEMENT = 1_000;

function insertRows(tx: Transaction, letters: readonly Letter[]): void {
  const rows = letters.flatMap(({ id, request, message, rows, missed }) => {
    const shared = {
      ...sharedColumns(request, message),
      id,
      type: message.type,
      conversation: message.conversation,
      reply_to: message.replyTo,
      task_id: request.writer?.taskId ?? null,
      attempt: request.writer?.attempt ?? null,
      // Of what is said to many, the post has key and body.
      ...(missed === undefined ? { key: message.key, ...bodyColumns(message) } : { post_id: id }),
    };
    return rows.map(({ owner, number }) => ({ ...shared, owner: owner.name, number }));
  });
  for (let start = 0; start < rows.length; start += ROWS_PER_STATEMENT) {
    tx.send(
      `insert into message (namespace, owner, number, id, sender_kind, sender, key, type, body, body_hash, body_bytes, conversation,
         reply_to, expires_at, task_id, attempt, post_id, topic)
       select s.namespace, s.owner, s.number, s.id, s.sender_kind, s.sender, s.key, s.type, e.value -> 'body',
         decode(s.body_hash, 'hex'), s.body_bytes, s.conversation, s.reply_to, clock_timestamp() + s.ttl_ms * interval '1 millisecond', s.task_id, s.attempt,
         s.post_id, s.topic
       from json_array_elements($1) as e(value)
       cross join lateral json_to_record(e.value) as s(namespace text, owner text, number bigint, id uuid,
         sender_kind text, sender text, key text, type text, body_hash text, body_bytes int, conversation text, reply_to uuid, ttl_ms bigint, task_id uuid,
         attempt int, post_id uuid, topic text)`,
      [JSON.stringify(rows.slice(start, start + ROWS_PER_STATEMENT))],
    );
  }
}

function sharedColumns({ namespace, from }: DataRequest, { to, ttlMs }: NewMessage) {
  const topic = typeof to !== "string" && "topic" in to ? to.topic : null;
  return { namespace, sender_kind: from.kind, sender: from.name, topic, ttl_ms: ttlMs };
}

function awaitReplies(tx: Transaction, letters: readonly Letter[]): void {
  const asking = letters.filter(({ message }) => message.expectsReplyMs !== null);
  if (asking.length === 0) return;
  tx.send(
    `insert into awaited_reply (id, namespace, asker, asked, conversation, deadline)
     select s.id, s.namespace, s.asker, s.asked, s.conversation, clock_timestamp() + s.ms * interval '1 millisecond'
     from json_to_recordset($1) as s(id uuid, namespace text, asker text, asked json, conversation text, ms bigint)`,
    [
      JSON.stringify(
        asking.map(({ id, request: { namespace, from }, message: { to, conversation, expectsReplyMs } }) => ({
          id,
          namespace,
          asker: from.name,
          asked: to,
          conversation,
          ms: expectsReplyMs,
        })),
      ),
    ],
  );
}

/** The first message that replies is the reply; the asker's inbox is held, so one is the first. */
function endAwaiting(tx: Transaction, letters: readonly Letter[]): void {
  const replies = letters.flatMap(({ id, request: { namespace }, message: { replyTo }, rows }) =>
    replyTo === null ? [] : rows.map(({ owner }) => ({ id: replyTo, namespace, asker: owner.name, reply_id: id })),
  );
  if (replies.length === 0) return;
  tx.send(
    `update awaited_reply w set reply_id = s.reply_id
     from (
       select distinct on (s.value ->> 'id', s.value ->> 'asker') (s.value ->> 'id')::uuid as id,
         s.value ->> 'namespace' as namespace, s.value ->> 'asker' as asker, (s.value ->> 'reply_id')::uuid as reply_id
       from json_array_elements($1) with ordinality as s(value, n)
       order by s.value ->> 'id', s.value ->> 'asker', s.n
     ) s
     where w.id = s.id and w.namespace = s.namespace and w.asker = s.asker and w.reply_id is null and w.id = any($2::uuid[])`,
    [JSON.stringify(replies), [...new Set(replies.map(({ id }) => id))]],
  );
}

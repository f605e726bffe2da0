/**
 * Writes what agents keep and tell each other: a batch at a time, in the transaction of whoever writes. Locks come first, by
 * sender and then by name, before any run or task; then core decides on each request in turn; then all is written at once.
 */
import { uuidv7 } from "uuidv7";
import {
  noSuchRecipient,
  type Refusal,
  refuseEntries,
  refuseMessage,
  refuseState,
  type Writer,
} from "../core/agent-data.ts";
import type { Limits } from "../core/limits.ts";
import { AGENT_TTL } from "./agents.ts";
import { uuidShape } from "./rows.ts";
import type { Queryable, Transaction } from "./sql.ts";
import type { DataEffects, NewEntry, NewMessage, Sender, SentMessage, StateWrite } from "./store.ts";

/** What one agent, client or attempt wants to be written: all of it, or nothing. */
export interface DataRequest {
  namespace: string;
  /** The agent whose state and memory it is. */
  owner: string;
  from: Sender;
  writer: Writer;
  effects: DataEffects;
}

/** An inbox that has a new message. */
export interface Inbox {
  namespace: string;
  name: string;
}

/** A request that core lets in, with the answer for its messages, in order, and the ids of its entries. */
export interface Admission {
  sent: SentMessage[];
  entryIds: string[];
  /** Without it nothing is written. */
  take(): void;
}

export interface DataBatch {
  /** Decides on top of all that has been taken so far. */
  admit(request: DataRequest): Admission | Refusal;
  /** Sends the statements that write what was taken, and answers which inboxes have something new. */
  write(): Inbox[];
}

interface Owner {
  namespace: string;
  name: string;
  revision: number;
  has_document: boolean;
  write_id: string | null;
  memories: number;
  unread: number;
  last_message: number;
  is_known: boolean;
  /** Its own row is to be written: another state, or more messages. */
  isChanged?: true;
  /** The last of the writes admitted so far. */
  state?: StateWrite & { writer: Writer };
  /** Ids of messages in its inbox. */
  acknowledged?: string[];
}

interface MessageRow {
  owner: Owner;
  number: number;
  id: string;
  request: DataRequest;
  message: NewMessage;
}

interface EntryRow {
  id: string;
  request: DataRequest;
  entry: NewEntry;
}

/** Locks all that the requests may write, and reads what core needs to know of it. */
export async function openData(tx: Transaction, requests: DataRequest[], limits: Limits): Promise<DataBatch> {
  const recipients = await namesOf(tx, requests);
  const nameOf = (namespace: string, to: string) => (uuidShape.test(to) ? recipients.get(keyOf(namespace, to)) : to);
  lockSenders(tx, requests);
  const owners = await lockOwners(tx, requests, nameOf);
  const usedKeys = await readKeys(tx, requests);
  const entries: EntryRow[] = [];
  const messages: MessageRow[] = [];

  function admit(request: DataRequest): Admission | Refusal {
    const { namespace, owner: name, effects } = request;
    const { state, memory = [], messages: outgoing = [], acknowledge = [] } = effects;
    const owner = owners.get(keyOf(namespace, name));
    const write = state && isNew(state, owner!) ? state : undefined;
    const refusal =
      (write && refuseWrite(write, owner!)) ?? (memory.length > 0 ? refuseMemory(memory, owner!) : undefined);
    if (refusal) return refusal;
    const post = address(request, outgoing);
    if ("code" in post) return post;

    const added = memory.map((entry) => ({ id: uuidv7(), request, entry }));
    const take = () => {
      if (write) {
        owner!.revision += 1;
        owner!.has_document = write.document !== undefined;
        owner!.write_id = write.writeId ?? null;
        owner!.state = { ...write, writer: request.writer };
        owner!.isChanged = true;
      }
      if (owner) owner.memories += memory.length;
      if (acknowledge.length > 0) owner!.acknowledged = [...(owner!.acknowledged ?? []), ...acknowledge];
      entries.push(...added);
      for (const row of post.rows) {
        row.owner.unread += 1;
        row.owner.last_message += 1;
        row.owner.isChanged = true;
        row.number = row.owner.last_message;
        messages.push(row);
        if (row.message.key !== null) usedKeys.set(keyOf(namespace, senderKey(request, row.message.key)), row.id);
      }
    };
    return { sent: post.sent, entryIds: added.map(({ id }) => id), take };
  }

  function refuseWrite({ document, condition }: StateWrite, owner: Owner): Refusal | undefined {
    return refuseState({ revision: currentRevision(owner), document, condition }, limits);
  }

  function refuseMemory(entries: readonly NewEntry[], { memories }: Owner): Refusal | undefined {
    const contents = entries.map(({ content }) => content);
    return refuseEntries(memories, contents, limits);
  }

  /** Where the messages of a request go; a key that has been used brings no message. */
  function address(
    request: DataRequest,
    outgoing: readonly NewMessage[],
  ): { rows: MessageRow[]; sent: SentMessage[] } | Refusal {
    const { namespace } = request;
    const rows: MessageRow[] = [];
    const sent: SentMessage[] = [];
    const own = new Map<string, string>();
    const more = new Map<Owner, number>();
    for (const message of outgoing) {
      const { to, body, key, mustRoute } = message;
      const used = key === null ? undefined : (own.get(key) ?? usedKeys.get(keyOf(namespace, senderKey(request, key))));
      if (used !== undefined) {
        sent.push({ id: used, repeated: true });
        continue;
      }
      const name = nameOf(namespace, to);
      if (name === undefined) return noSuchRecipient(to);
      const owner = owners.get(keyOf(namespace, name))!;
      const unread = owner.unread + (more.get(owner) ?? 0);
      const refusal = refuseMessage({ unread, isKnown: owner.is_known, mustRoute, to, body }, limits);
      if (refusal) return refusal;
      more.set(owner, (more.get(owner) ?? 0) + 1);
      const id = uuidv7();
      if (key !== null) own.set(key, id);
      rows.push({ owner, number: 0, id, request, message });
      sent.push({ id, repeated: false });
    }
    return { rows, sent };
  }

  function write(): Inbox[] {
    writeOwners(tx, [...owners.values()]);
    acknowledgeAll(tx, [...owners.values()]);
    insertEntries(tx, entries);
    insertMessages(tx, messages);
    const inboxes = new Set(messages.map(({ owner }) => owner));
    return [...inboxes].map(({ namespace, name }) => ({ namespace, name }));
  }

  return { admit, write };
}

function keyOf(namespace: string, name: string): string {
  return `${namespace}\n${name}`;
}

function senderKey({ from }: DataRequest, key: string): string {
  return `${from.kind}\n${from.name}\n${key}`;
}

/** Else it has been written before, or removes what is not there. */
function isNew({ document, condition, writeId }: StateWrite, { has_document, write_id }: Owner): boolean {
  if (writeId !== undefined && writeId === write_id) return false;
  return document !== undefined || has_document || condition !== undefined;
}

function currentRevision({ revision, has_document }: Owner): number {
  return has_document ? revision : 0;
}

/** Names of the agents that messages go to by their ids. */
async function namesOf(db: Queryable, requests: DataRequest[]): Promise<Map<string, string>> {
  const ids = requests.flatMap(({ effects }) => (effects.messages ?? []).map(({ to }) => to)).filter(isId);
  if (ids.length === 0) return new Map();
  const rows = await db.query<{ namespace: string; id: string; name: string }>(
    "select namespace, id, name from agent where id = any($1::uuid[])",
    [[...new Set(ids)]],
  );
  return new Map(rows.map(({ namespace, id, name }) => [keyOf(namespace, id), name]));
}

function isId(text: string): boolean {
  return uuidShape.test(text);
}

/** Those who send under keys, one transaction at a time: so that one key brings one message, whoever it is for. */
function lockSenders(tx: Transaction, requests: DataRequest[]): void {
  const senders = requests.flatMap(({ namespace, from, effects }) =>
    (effects.messages ?? []).some(({ key }) => key !== null) ? keyOf(namespace, `${from.kind}\n${from.name}`) : [],
  );
  if (senders.length === 0) return;
  tx.send(
    `select pg_advisory_xact_lock(hash) from (
       select distinct hashtextextended('message ' || sender, 0) as hash from unnest($1::text[]) as sender order by hash
     ) locks`,
    [senders],
  );
}

async function lockOwners(
  tx: Transaction,
  requests: DataRequest[],
  nameOf: (namespace: string, to: string) => string | undefined,
): Promise<Map<string, Owner>> {
  const wanted = new Map<string, { namespace: string; name: string; remembers: boolean; receives: boolean }>();
  const want = (namespace: string, name: string, reads: { remembers?: boolean; receives?: boolean }) => {
    const key = keyOf(namespace, name);
    wanted.set(key, { remembers: false, receives: false, ...wanted.get(key), ...reads, namespace, name });
  };
  for (const { namespace, owner, effects } of requests) {
    if (effects.state || effects.acknowledge?.length) want(namespace, owner, {});
    if (effects.memory?.length) want(namespace, owner, { remembers: true });
    for (const { to } of effects.messages ?? []) {
      const name = nameOf(namespace, to);
      if (name !== undefined) want(namespace, name, { receives: true });
    }
  }
  if (wanted.size === 0) return new Map();
  const names = JSON.stringify([...wanted.values()]);
  tx.send(
    `insert into agent_data (namespace, name)
     select namespace, name from json_to_recordset($1) as s(namespace text, name text)
     order by namespace, name
     on conflict do nothing`,
    [names],
  );
  tx.send(
    `select from (
       select * from json_to_recordset($1) as s(namespace text, name text) order by namespace, name
     ) s cross join lateral (
       select from agent_data d where d.namespace = s.namespace and d.name = s.name for update
     ) d`,
    [names],
  );
  // A statement of its own: it has to see what those have written that the locks waited for.
  const rows = await tx.query<Owner>(
    `select d.*,
       case when s.remembers then (
         select count(*) from agent_memory m
         where m.namespace = s.namespace and m.owner = s.name and coalesce(m.expires_at > clock_timestamp(), true)
       ) else 0 end::int as memories,
       case when s.receives then (
         select count(*) from message m
         where m.namespace = s.namespace and m.owner = s.name and m.acknowledged_at is null
           and m.expires_at > clock_timestamp()
       ) else 0 end::int as unread,
       s.receives and exists (
         select from agent a
         where a.namespace = s.namespace and a.name = s.name and a.left_at is null
           and a.last_seen_at > clock_timestamp() - ${AGENT_TTL}) as is_known
     from json_to_recordset($1) as s(namespace text, name text, remembers boolean, receives boolean)
     cross join lateral (
       select d.namespace, d.name, d.revision, d.write_id, d.last_message,
         d.document is not null and coalesce(d.expires_at > clock_timestamp(), true) as has_document
       from agent_data d
       where d.namespace = s.namespace and d.name = s.name
     ) d`,
    [names],
  );
  return new Map(rows.map((row) => [keyOf(row.namespace, row.name), row]));
}

/** Keys that have been used, and the messages that were sent under them. */
async function readKeys(tx: Queryable, requests: DataRequest[]): Promise<Map<string, string>> {
  const keys = requests.flatMap(({ namespace, from, effects }) =>
    (effects.messages ?? []).flatMap(({ key }) =>
      key === null ? [] : { namespace, kind: from.kind, sender: from.name, key },
    ),
  );
  if (keys.length === 0) return new Map();
  const rows = await tx.query<{ namespace: string; kind: string; sender: string; key: string; id: string }>(
    `select s.*, m.id
     from json_to_recordset($1) as s(namespace text, kind text, sender text, key text)
     cross join lateral (
       select m.id from message m
       where m.namespace = s.namespace and m.sender_kind = s.kind and m.sender = s.sender and m.key = s.key
     ) m`,
    [JSON.stringify(keys)],
  );
  return new Map(
    rows.map(({ namespace, kind, sender, key, id }) => [keyOf(namespace, `${kind}\n${sender}\n${key}`), id]),
  );
}

function writeOwners(tx: Transaction, owners: Owner[]): void {
  const changed = owners
    .filter((owner) => owner.isChanged)
    .map(({ namespace, name, revision, last_message, state }) => ({
      namespace,
      name,
      revision,
      last_message,
      is_written: state !== undefined,
      document: state?.document,
      ttl_ms: state?.ttlMs ?? null,
      write_id: state?.writeId ?? null,
      ...writerColumns(state?.writer ?? null),
    }));
  if (changed.length === 0) return;
  // The document is found by its presence: JSON null is a document, too.
  tx.send(
    `update agent_data d
     set last_message = s.last_message, revision = s.revision,
       document = case when s.is_written then s.document else d.document end,
       expires_at = case when s.is_written then clock_timestamp() + s.ttl_ms * interval '1 millisecond' else d.expires_at end,
       updated_at = case when s.is_written then clock_timestamp() else d.updated_at end,
       write_id = case when s.is_written then s.write_id else d.write_id end,
       task_id = case when s.is_written then s.task_id else d.task_id end,
       attempt = case when s.is_written then s.attempt else d.attempt end
     from (
       select s.*, e.value -> 'document' as document
       from json_array_elements($1) as e(value)
       cross join lateral json_to_record(e.value) as s(namespace text, name text, revision bigint, last_message bigint,
         is_written boolean, ttl_ms bigint, write_id uuid, task_id uuid, attempt int)
     ) s
     where d.namespace = s.namespace and d.name = s.name and d.name = any($2)`,
    [JSON.stringify(changed), changed.map(({ name }) => name)],
  );
}

/** So long are the keys of messages known that have been acknowledged. */
const KEEP_ACKNOWLEDGED = "interval '1 day'";

/** Of one inbox. The rows are locked in its order: who asks for this alone holds no name. */
export const acknowledgeMessages = `
  with locked as (
    select m.namespace, m.owner, m.number from message m
    where m.id = any($3::uuid[]) and m.namespace = $1 and m.owner = $2 and m.acknowledged_at is null
    order by m.number
    for no key update
  )
  update message m
  set acknowledged_at = clock_timestamp(), expires_at = least(m.expires_at, clock_timestamp() + ${KEEP_ACKNOWLEDGED})
  from locked
  where m.namespace = locked.namespace and m.owner = locked.owner and m.number = locked.number
  returning m.id`;

/** Inbox by inbox in the order of their names, as they are held. */
function acknowledgeAll(tx: Transaction, owners: Owner[]): void {
  const inboxes = owners.filter(({ acknowledged }) => acknowledged);
  inboxes.sort((a, b) => (keyOf(a.namespace, a.name) < keyOf(b.namespace, b.name) ? -1 : 1));
  for (const { namespace, name, acknowledged } of inboxes)
    tx.send(acknowledgeMessages, [namespace, name, acknowledged]);
}

function writerColumns(writer: Writer): { task_id: string | null; attempt: number | null } {
  return { task_id: writer?.taskId ?? null, attempt: writer?.attempt ?? null };
}

function insertEntries(tx: Transaction, rows: EntryRow[]): void {
  if (rows.length === 0) return;
  tx.send(
    `insert into agent_memory (namespace, owner, id, type, content, expires_at, task_id, attempt)
     select s.namespace, s.owner, s.id, s.type, e.value -> 'content', clock_timestamp() + s.ttl_ms * interval '1 millisecond',
       s.task_id, s.attempt
     from json_array_elements($1) as e(value)
     cross join lateral json_to_record(e.value) as s(namespace text, owner text, id uuid, type text, ttl_ms bigint,
       task_id uuid, attempt int)`,
    [
      JSON.stringify(
        rows.map(({ id, request: { namespace, owner, writer }, entry: { type, content, ttlMs } }) => ({
          namespace,
          owner,
          id,
          type,
          content,
          ttl_ms: ttlMs,
          ...writerColumns(writer),
        })),
      ),
    ],
  );
}

function insertMessages(tx: Transaction, rows: MessageRow[]): void {
  if (rows.length === 0) return;
  tx.send(
    `insert into message (namespace, owner, number, id, sender_kind, sender, key, type, body, conversation, reply_to,
       expires_at, task_id, attempt)
     select s.namespace, s.owner, s.number, s.id, s.sender_kind, s.sender, s.key, s.type, e.value -> 'body', s.conversation,
       s.reply_to, clock_timestamp() + s.ttl_ms * interval '1 millisecond', s.task_id, s.attempt
     from json_array_elements($1) as e(value)
     cross join lateral json_to_record(e.value) as s(namespace text, owner text, number bigint, id uuid, sender_kind text,
       sender text, key text, type text, conversation text, reply_to uuid, ttl_ms bigint, task_id uuid, attempt int)`,
    [
      JSON.stringify(
        rows.map(({ owner, number, id, request: { namespace, from, writer }, message }) => ({
          namespace,
          owner: owner.name,
          number,
          id,
          sender_kind: from.kind,
          sender: from.name,
          key: message.key,
          type: message.type,
          body: message.body,
          conversation: message.conversation,
          reply_to: message.replyTo,
          ttl_ms: message.ttlMs,
          ...writerColumns(writer),
        })),
      ),
    ],
  );
}

/**
 * Writes what agents keep and tell each other: a batch at a time, in the transaction of whoever writes. Locks come first, by
 * sender and then by name, before any run or task; then core decides on each request in turn; then all is written at once.
 */
import { uuidv7 } from "uuidv7";
import { type Refusal, refuseEntries, refuseState, type Writer } from "../core/agent-data.ts";
import type { Limits } from "../core/limits.ts";
import { type Audience, findAudience, keyOf, lockSenders, openPostOffice } from "./messages.ts";
import { AGENT_TTL } from "./presence.ts";
import type { Transaction } from "./sql.ts";
import type { DataEffects, DeliveredMessage, NewEntry, Sender, SentMessage, StateWrite } from "./store.ts";

/** What one agent, client or attempt wants to be written: all of it, or nothing. */
export interface DataRequest {
  namespace: string;
  /** The agent whose state and memory it is. */
  owner: string;
  from: Sender;
  writer: Writer;
  effects: DataEffects;
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
  /** Sends the statements that write what was taken, and answers the messages among it. */
  write(): DeliveredMessage[];
}

/** A name, locked. */
export interface Owner {
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

interface EntryRow {
  id: string;
  request: DataRequest;
  entry: NewEntry;
}

/** Locks all that the requests may write, and reads what core needs to know of it. */
export async function openData(tx: Transaction, requests: DataRequest[], limits: Limits): Promise<DataBatch> {
  const audience = await findAudience(tx, requests);
  lockSenders(tx, requests);
  const owners = await lockOwners(tx, requests, audience);
  const postOffice = await openPostOffice(tx, requests, { owners, audience, limits });
  const entries: EntryRow[] = [];

  function admit(request: DataRequest): Admission | Refusal {
    const { namespace, owner: name, effects } = request;
    const { state, memory = [], messages: outgoing = [], acknowledge = [] } = effects;
    const owner = owners.get(keyOf(namespace, name));
    const write = state && isNew(state, owner!) ? state : undefined;
    const refusal =
      (write && refuseWrite(write, owner!)) ?? (memory.length > 0 ? refuseMemory(memory, owner!) : undefined);
    if (refusal) return refusal;
    const post = postOffice.address(request, outgoing);
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
      post.take();
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

  function write(): DeliveredMessage[] {
    writeOwners(tx, [...owners.values()]);
    acknowledgeAll(tx, [...owners.values()]);
    insertEntries(tx, entries);
    return postOffice.write();
  }

  return { admit, write };
}

/** Else it has been written before, or removes what is not there. */
function isNew({ document, condition, writeId }: StateWrite, { has_document, write_id }: Owner): boolean {
  if (writeId !== undefined && writeId === write_id) return false;
  return document !== undefined || has_document || condition !== undefined;
}

function currentRevision({ revision, has_document }: Owner): number {
  return has_document ? revision : 0;
}

async function lockOwners(
  tx: Transaction,
  requests: readonly DataRequest[],
  audience: Audience,
): Promise<Map<string, Owner>> {
  const wanted = new Map<string, { namespace: string; name: string; remembers: boolean; receives: boolean }>();
  const want = (namespace: string, name: string, reads: { remembers?: boolean; receives?: boolean }) => {
    const key = keyOf(namespace, name);
    wanted.set(key, { remembers: false, receives: false, ...wanted.get(key), ...reads, namespace, name });
  };
  for (const { namespace, owner, from, effects } of requests) {
    if (effects.state || effects.acknowledge?.length) want(namespace, owner, {});
    if (effects.memory?.length) want(namespace, owner, { remembers: true });
    for (const { to } of effects.messages ?? []) {
      for (const name of audience.of(namespace, to, from) ?? []) want(namespace, name, { receives: true });
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

/** The rows are locked inbox by inbox, in order of their ids: who asks for this alone holds no name. */
export const acknowledgeMessages = `
  with locked as (
    select m.namespace, m.owner, m.number
    from (
      select * from json_to_recordset($1) as s(namespace text, owner text, id uuid) order by namespace, owner, id
    ) s cross join lateral (
      select m.namespace, m.owner, m.number from message m
      where m.id = s.id and m.namespace = s.namespace and m.owner = s.owner and m.acknowledged_at is null
      for no key update
    ) m
  )
  update message m
  set acknowledged_at = clock_timestamp(), expires_at = least(m.expires_at, clock_timestamp() + ${KEEP_ACKNOWLEDGED})
  from locked
  where m.namespace = locked.namespace and m.owner = locked.owner and m.number = locked.number
  returning m.namespace, m.owner, m.id`;

function acknowledgeAll(tx: Transaction, owners: Owner[]): void {
  const acknowledged = owners.flatMap(({ namespace, name: owner, acknowledged = [] }) =>
    [...new Set(acknowledged)].map((id) => ({ namespace, owner, id })),
  );
  if (acknowledged.length > 0) tx.send(acknowledgeMessages, [JSON.stringify(acknowledged)]);
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

/** State, memory and inbox of agents, by name: read here; written by agent-effects.ts, as effects of reports are. */
import type { Refusal } from "../core/agent-data.ts";
import type { Json } from "../core/json.ts";
import { type Admission, type DataRequest, openData } from "./agent-effects.ts";
import type { StoreContext } from "./facts.ts";
import { inboxStore, writerOf } from "./inboxes.ts";
import { storeLargeBodies } from "./messages.ts";
import { closestEntries, entriesToEmbed, keepVectors } from "./recall-similar.ts";
import { withRoom } from "./room.ts";
import { decodeCursor, lastUuid, pageFrom, pageLimit, uuidShape } from "./rows.ts";
import type { Queryable, Transaction } from "./sql.ts";
import type {
  AgentDataStore,
  AgentState,
  MemoryEntry,
  MemoryFilter,
  PageOf,
  SendRequest,
  SentMessage,
} from "./store.ts";

export function agentDataStore(store: StoreContext): AgentDataStore {
  /** Of what an agent or a client asks for by itself. */
  const requestOf = (namespace: string, owner: string, effects: DataRequest["effects"]): DataRequest => ({
    namespace,
    owner,
    from: { kind: "agent", name: owner },
    writer: null,
    effects,
  });
  return {
    nameOf: (namespace, idOrName) => nameOf(store, namespace, idOrName),
    state: (namespace, name) => readState(store, namespace, name),
    writeState: (namespace, name, state) =>
      write(store, requestOf(namespace, name, { state }), async (tx) => {
        const now = await readState(tx, namespace, name);
        return now ? { state: now } : {};
      }),
    remember: (namespace, name, memory) =>
      write(store, requestOf(namespace, name, { memory }), (tx, { entryIds }) =>
        entriesById(tx, namespace, name, entryIds),
      ),
    recall: (namespace, name, filter) => recall(store, namespace, name, filter),
    entriesToEmbed: (namespace, name, filter) => entriesToEmbed(store, namespace, name, filter),
    keepVectors: (namespace, name, vectors) => keepVectors(store, namespace, name, vectors),
    recallSimilar: async (namespace, name, filter) => {
      const closest = await closestEntries(store, namespace, name, filter);
      const ids = closest.map(({ id }) => id);
      const entries = new Map((await entriesById(store, namespace, name, ids)).map((entry) => [entry.id, entry]));
      // One may have been forgotten meanwhile.
      return closest.flatMap(({ id, similarity }) => {
        const entry = entries.get(id);
        return entry ? [{ ...entry, similarity }] : [];
      });
    },
    forget: (namespace, name, which) => forget(store, namespace, name, which),
    send: (requests) => send(store, requests),
    ...inboxStore(store),
  };
}

/** `answer` is asked before others can write again. */
async function write<T>(
  store: StoreContext,
  request: DataRequest,
  answer: (tx: Transaction, admission: Admission) => Promise<T>,
): Promise<T | Refusal> {
  const written = await store.transaction(async (tx) => {
    const data = await openData(tx, [request], store.limits);
    const admission = data.admit(request);
    if ("code" in admission)
      return {
        result: await withRoom(tx, "memory", { namespace: request.namespace, name: request.owner }, admission),
        delivered: [],
      };
    admission.take();
    const delivered = data.write();
    return { result: await answer(tx, admission), delivered };
  });
  if (written.delivered.length > 0) store.deliver(written.delivered);
  return written.result;
}

/** One transaction for many who send at once. */
async function send(store: StoreContext, sendings: SendRequest[]): Promise<(SentMessage[] | Refusal)[]> {
  const requests = sendings.map(
    ({ namespace, from, messages }): DataRequest => ({
      namespace,
      owner: from.name,
      from,
      writer: null,
      effects: { messages },
    }),
  );
  await storeLargeBodies(
    store,
    sendings.flatMap(({ messages }) => messages),
    store.limits,
  );
  const { answers, delivered } = await store.transaction(async (tx) => {
    const data = await openData(tx, requests, store.limits);
    const answers = requests.map((request) => {
      const admission = data.admit(request);
      if ("code" in admission) return admission;
      admission.take();
      return admission.sent;
    });
    return { answers, delivered: data.write() };
  });
  if (delivered.length > 0) store.deliver(delivered);
  return answers;
}

async function nameOf(store: StoreContext, namespace: string, idOrName: string): Promise<string | undefined> {
  if (!uuidShape.test(idOrName)) return idOrName;
  const [agent] = await store.query<{ name: string }>("select name from agent where namespace = $1 and id = $2", [
    namespace,
    idOrName,
  ]);
  return agent?.name;
}

// --- state

interface Written {
  task_id: string | null;
  attempt: number | null;
}

async function readState(db: Queryable, namespace: string, name: string): Promise<AgentState | undefined> {
  const [row] = await db.query<
    Written & { document: Json; revision: number; updated_at: Date; expires_at: Date | null }
  >(
    `select document, revision, updated_at, expires_at, task_id, attempt from agent_data
     where namespace = $1 and name = $2 and document is not null and coalesce(expires_at > clock_timestamp(), true)`,
    [namespace, name],
  );
  return (
    row && {
      document: row.document,
      revision: row.revision,
      updatedAt: row.updated_at,
      expiresAt: row.expires_at,
      writer: writerOf(row),
    }
  );
}

// --- memory

interface EntryRow extends Written {
  id: string;
  type: string;
  content: Json;
  created_at: Date;
  expires_at: Date | null;
}

const entryColumns = "id, type, content, created_at, expires_at, task_id, attempt";

async function entriesById(db: Queryable, namespace: string, name: string, ids: string[]): Promise<MemoryEntry[]> {
  const rows = await db.query<EntryRow>(
    `select ${entryColumns} from agent_memory where namespace = $1 and owner = $2 and id = any($3::uuid[]) order by id`,
    [namespace, name, ids],
  );
  return rows.map(toEntry);
}

/** One statement with words and one without, so that the index of words serves the one. */
const recalling = (words: string) => `
  select ${entryColumns} from agent_memory
  where namespace = $1 and owner = $2 and id < $3 and ($4::text is null or type = $4) ${words}
    and coalesce(expires_at > clock_timestamp(), true)
  order by id desc
  limit $5`;
const recallAll = recalling("");
const recallByWords = recalling("and words @@ websearch_to_tsquery('simple', $6)");

async function recall(
  store: StoreContext,
  namespace: string,
  name: string,
  { type, search, ...page }: MemoryFilter,
): Promise<PageOf<MemoryEntry>> {
  const limit = pageLimit(page);
  const which = [namespace, name, decodeCursor(page.cursor, uuidShape) ?? lastUuid, type, limit + 1];
  const rows = await (search === undefined
    ? store.query<EntryRow>(recallAll, which)
    : store.query<EntryRow>(recallByWords, [...which, search]));
  return pageFrom(rows, limit, (row) => row.id, toEntry);
}

function toEntry(row: EntryRow): MemoryEntry {
  const { id, type, content, created_at, expires_at } = row;
  return { id, type, content, createdAt: created_at, expiresAt: expires_at, writer: writerOf(row) };
}

async function forget(
  store: StoreContext,
  namespace: string,
  name: string,
  { type, id }: { type?: string; id?: string },
): Promise<number> {
  const rows = await store.query(
    `delete from agent_memory
     where namespace = $1 and owner = $2 and ($3::text is null or type = $3) and ($4::uuid is null or id = $4)
       and coalesce(expires_at > clock_timestamp(), true)
     returning id`,
    [namespace, name, type, id],
  );
  return rows.length;
}

/** Rows in one transaction: on the embedded database nothing else happens meanwhile. */
const PRUNED_AT_ONCE = 1_000;

/** What has run out, a chunk at a time; what others hold is left for the next time, so that no order of locks is broken. */
const prunings = [
  `update agent_data d set document = null, expires_at = null
   from (
     select namespace, name from agent_data where expires_at <= now() and document is not null
     limit $1 for update skip locked
   ) gone
   where d.namespace = gone.namespace and d.name = gone.name
   returning d.name`,
  `delete from agent_memory m
   using (
     select namespace, owner, id from agent_memory where expires_at <= now() limit $1 for update skip locked
   ) gone
   where m.namespace = gone.namespace and m.owner = gone.owner and m.id = gone.id
   returning m.id`,
  `delete from message m
   using (
     select namespace, owner, number from message where expires_at <= now() limit $1 for update skip locked
   ) gone
   where m.namespace = gone.namespace and m.owner = gone.owner and m.number = gone.number
   returning m.id`,
  `delete from post p
   using (select id from post where expires_at <= now() limit $1 for update skip locked) gone
   where p.id = gone.id
   returning p.id`,
  // As long as a reply may be kept.
  `delete from awaited_reply w
   using (
     select id from awaited_reply where reply_id is not null and deadline <= now() - interval '8 days'
     limit $1 for update skip locked
   ) gone
   where w.id = gone.id
   returning w.id`,
];

/** Forgets what has run out. */
export async function pruneAgentData(store: StoreContext): Promise<void> {
  for (const pruning of prunings) {
    while ((await store.query(pruning, [PRUNED_AT_ONCE])).length === PRUNED_AT_ONCE);
  }
}

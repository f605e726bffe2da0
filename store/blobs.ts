/**
 * Contents that stand apart: large payloads (core/payload.ts) and large artifacts, by the SHA-256 of what they say. A row of
 * `blob` is there before its content is, and as long: who writes, copies or collects one holds its row, so an object store
 * never has what no row knows of, and never lacks what one promises.
 */
import { SkeinError } from "../core/errors.ts";
import type { Json } from "../core/json.ts";
import {
  fillHoles,
  type LargeContent,
  largeContent,
  type Payload,
  PayloadUnread,
  type Ref,
  referTo,
} from "../core/payload.ts";
import type { Queryable, Sql, Transaction } from "./sql.ts";

/** Objects written, read or deleted at the same time. */
const OBJECTS_AT_ONCE = 8;

/** Stores contents in transactions of their own: what refers to them has to be committed within `UNREFERRED_FOR`. */
export async function storeContents(sql: Sql, contents: LargeContent[]): Promise<void> {
  if (contents.length === 0) return;
  const wanting = await sql.transaction((tx) => touchOrInsert(tx, contents));
  await putObjects(sql, wanting);
  if (wanting.length > 0) await sql.query(markStored, [wanting.map(({ hash }) => hash)]);
}

/** Stores contents in the transaction of what refers to them. */
export async function storeContentsIn(tx: Transaction, contents: LargeContent[]): Promise<void> {
  if (contents.length === 0) return;
  const wanting = await touchOrInsert(tx, contents);
  await putObjects(tx, wanting);
  if (wanting.length > 0) tx.send(markStored, [wanting.map(({ hash }) => hash)]);
}

const markStored =
  "update blob set is_stored = true where hash = any(array(select decode(h, 'hex') from unnest($1::text[]) as h))";

/** One row after the other, in order, so that those who write the same do not wait for one another in a circle. */
async function touchOrInsert(tx: Queryable, contents: LargeContent[]): Promise<LargeContent[]> {
  const unique = [...new Map(contents.map((content) => [content.hash, content])).values()];
  const wanting: LargeContent[] = [];
  for (const content of unique.sort((a, b) => (a.hash < b.hash ? -1 : 1))) {
    const { hash, bytes } = content;
    // Looked at first: what is there already does not have to travel.
    const [known] = await tx.query<{ is_stored: boolean }>(
      "update blob set touched_at = clock_timestamp() where hash = decode($1, 'hex') returning is_stored",
      [hash],
    );
    if (known?.is_stored) continue;
    if (tx.objects) wanting.push(content);
    await tx.query(
      `insert into blob (hash, size, content, is_stored) values (decode($1, 'hex'), $2, $3, $3::bytea is not null)
       on conflict (hash) do update
       set touched_at = excluded.touched_at, content = coalesce(blob.content, excluded.content),
         is_stored = blob.is_stored or excluded.is_stored`,
      [hash, bytes.length, tx.objects ? null : bytes],
    );
  }
  return wanting;
}

async function putObjects({ objects }: Queryable, contents: LargeContent[]): Promise<void> {
  await eachOf(contents, ({ hash, bytes }) => objects!.put(hash, bytes));
}

async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const left = [...items];
  const worker = async () => {
    for (let item = left.pop(); item !== undefined; item = left.pop()) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(OBJECTS_AT_ONCE, items.length) }, worker));
}

/** The contents, as they were written. */
export async function readContents(db: Queryable, hashes: string[]): Promise<Map<string, Buffer>> {
  const wanted = [...new Set(hashes)];
  if (wanted.length === 0) return new Map();
  const rows = await db.query<{ hash: string; content: Buffer | null }>(
    `select encode(hash, 'hex') as hash, content from blob
     where hash = any(array(select decode(h, 'hex') from unnest($1::text[]) as h))`,
    [wanted],
  );
  const contents = new Map(rows.flatMap(({ hash, content }) => (content ? [[hash, content] as const] : [])));
  const apart = wanted.filter((hash) => !contents.has(hash));
  await eachOf(apart, async (hash) => {
    if (!db.objects) throw noObjects(hash);
    contents.set(hash, await db.objects.get(hash));
  });
  return contents;
}

function noObjects(hash: string): SkeinError {
  return new SkeinError(
    "BLOB_STORE_UNAVAILABLE",
    `The content ${hash} is not in the database, and no object store is set; set SKEIN_BLOBS_URL to the one it was written to.`,
  );
}

/** The payloads without holes, in their order. */
export async function wholes(db: Queryable, payloads: readonly Payload[]): Promise<Json[]> {
  const hashes = payloads.flatMap(({ refs }) => (refs ?? []).map(([, hash]) => hash));
  if (hashes.length === 0) return payloads.map(({ value }) => value);
  const contents = await readJson(db, hashes);
  return payloads.map((payload) => fillHoles(payload, (hash) => contents.get(hash)!));
}

export async function whole(db: Queryable, payload: Payload): Promise<Json> {
  return (await wholes(db, [payload]))[0]!;
}

async function readJson(db: Queryable, hashes: string[]): Promise<Map<string, Json>> {
  const contents = await readContents(db, hashes);
  return new Map([...contents].map(([hash, bytes]) => [hash, JSON.parse(bytes.toString()) as Json]));
}

/** Evaluates what reads lazy fields over `contents`: loads what it turns out to need, and evaluates again. */
export async function evaluating<T>(db: Queryable, contents: Map<string, Json>, evaluate: () => T): Promise<T> {
  for (;;) {
    try {
      return evaluate();
    } catch (error) {
      if (!(error instanceof PayloadUnread)) throw error;
      for (const [hash, value] of await readJson(db, error.hashes)) contents.set(hash, value);
    }
  }
}

/** The payloads as they go into rows: what is large of them is stored in this transaction. */
export async function apart(tx: Transaction, payloads: readonly Payload[]): Promise<Payload[]> {
  const large = payloads.map(({ value }) => largeContent(value));
  await storeContentsIn(
    tx,
    large.flatMap((content) => content ?? []),
  );
  return payloads.map((payload, n) => (large[n] ? referTo(large[n], payload.refs) : payload));
}

/** Holes of a row, by the column that they are in, as `refs` and `blobs` have them; undefined: it has none. */
export function refColumns(
  byColumn: Record<string, Ref[] | null | undefined>,
): { refs: Record<string, Ref[]>; blobs: string[] } | undefined {
  const entries = Object.entries(byColumn).filter((entry): entry is [string, Ref[]] => (entry[1]?.length ?? 0) > 0);
  if (entries.length === 0) return undefined;
  const blobs = [...new Set(entries.flatMap(([, refs]) => refs.map(([, hash]) => hash)))];
  return { refs: Object.fromEntries(entries), blobs };
}

/** A list of hashes in hex, given as JSON, as an array of the column's type. */
export const hashesOf = (list: string) => `array(select decode(h, 'hex') from json_array_elements_text(${list}) as h)`;

/** Adds holes to rows that this transaction has written. */
export function addRefs(
  tx: Transaction,
  table: "task" | "run" | "signal",
  rows: readonly { id: string; refs: Record<string, Ref[]>; blobs: string[] }[],
): void {
  if (rows.length === 0) return;
  tx.send(addRefsTo[table], [JSON.stringify(rows), rows.map(({ id }) => id)]);
}

const addRefsToTable = (table: string) => `
  update ${table} t set refs = coalesce(t.refs, '{}') || u.refs, blobs = coalesce(t.blobs, '{}') || ${hashesOf("u.blobs")}
  from json_to_recordset($1) as u(id uuid, refs jsonb, blobs json)
  where t.id = u.id and t.id = any($2::uuid[])`;
const addRefsTo = { task: addRefsToTable("task"), run: addRefsToTable("run"), signal: addRefsToTable("signal") };

/** Of the contents whose hashes a query gives: held in order, so that those who hold the same do not wait in a circle. */
const touching = (hashes: string) => `
  with held as materialized (
    select hash from blob where hash = any(array(${hashes})) and is_stored order by hash for no key update
  )
  update blob b set touched_at = clock_timestamp() from held where b.hash = held.hash
  returning encode(b.hash, 'hex') as hash`;
const touchTasks = touching(
  "select distinct unnest(t.blobs) from task t where t.id = any($1::uuid[]) and t.blobs is not null",
);
const touchArtifacts = touching("select sha256 from artifact where run_id = $1 and content is null");
const touchNamed = touching("select decode(h, 'hex') from unnest($1::text[]) as h");

/** Contents that rows of these tasks refer to are held for whoever copies the rows in this transaction. */
export function holdContentsOf(tx: Transaction, taskIds: string[]): void {
  tx.send(touchTasks, [taskIds]);
}

/** As `holdContentsOf`, of the artifacts of a run. */
export function holdArtifactsOf(tx: Transaction, runId: string): void {
  tx.send(touchArtifacts, [runId]);
}

/** Those of the contents that are there, and are until this transaction ends. */
export async function holdContents(tx: Queryable, hashes: string[]): Promise<Set<string>> {
  if (hashes.length === 0) return new Set();
  const rows = await tx.query<{ hash: string }>(touchNamed, [hashes]);
  return new Set(rows.map(({ hash }) => hash));
}

/** How long a content is kept that nothing refers to: no transaction lasts as long. */
const UNREFERRED_FOR = "interval '1 hour'";
const COLLECTED_AT_ONCE = 100;

/**
 * Deletes contents that nothing refers to, and answers how many. Who refers to one anew touches it first, which this waits
 * for or goes before: then it is written anew.
 */
export async function collectBlobs(sql: Sql): Promise<number> {
  let collected = 0;
  for (;;) {
    const gone = await sql.transaction(async (tx) => {
      const rows = await tx.query<{ hash: string; is_apart: boolean }>(collect, [COLLECTED_AT_ONCE]);
      const apart = rows.filter((row) => row.is_apart);
      if (apart.length > 0 && !tx.objects) throw noObjects(apart[0]!.hash);
      await eachOf(apart, ({ hash }) => tx.objects!.delete(hash));
      return rows.length;
    });
    collected += gone;
    if (gone < COLLECTED_AT_ONCE) return collected;
  }
}

const collect = `
  with unreferred as (
    select b.hash from blob b
    where b.touched_at < now() - ${UNREFERRED_FOR}
      and not exists (select from task t where t.blobs @> array[b.hash] and t.blobs is not null)
      and not exists (select from run r where r.blobs @> array[b.hash] and r.blobs is not null)
      and not exists (select from signal s where s.blobs @> array[b.hash] and s.blobs is not null)
      and not exists (select from run_history h where h.blobs @> array[b.hash] and h.blobs is not null)
      and not exists (select from cached_output o where o.blobs @> array[b.hash] and o.blobs is not null)
      and not exists (select from artifact a where a.sha256 = b.hash and a.content is null)
      and not exists (select from message m where m.body_hash = b.hash and m.body_hash is not null)
      and not exists (select from post p where p.body_hash = b.hash and p.body_hash is not null)
    order by b.touched_at
    limit $1
    for update skip locked
  )
  delete from blob b using unreferred u
  where b.hash = u.hash
  returning encode(b.hash, 'hex') as hash, b.content is null as is_apart`;

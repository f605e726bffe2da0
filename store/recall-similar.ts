/** Memory by meaning: vectors are kept beside entries, and compared here, a page at a time. An agent has 10,000 entries at most. */
import { decodeVector, encodeVector, keepHighest, similarity, vectorBytes } from "../core/embedding.ts";
import type { Json } from "../core/json.ts";
import type { StoreContext } from "./facts.ts";
import { lastUuid } from "./rows.ts";
import type { EmbeddedEntry, SimilarFilter } from "./store.ts";

/** 1,536 numbers each make a page of 4 MiB on its way: few enough for an answer in a few milliseconds. */
const PAGE = 500;

const matching = `namespace = $1 and owner = $2 and id < $3 and ($4::text is null or type = $4)
  and ($5::text is null or words @@ websearch_to_tsquery('simple', $5))
  and coalesce(expires_at > clock_timestamp(), true)`;
const hasVector = "embedded_by = $6 and octet_length(embedding) = $7";

/** Entries without a vector that could be compared with the filter's, the newest first. */
export async function entriesToEmbed(
  store: StoreContext,
  namespace: string,
  name: string,
  filter: SimilarFilter,
): Promise<{ id: string; content: Json }[]> {
  return store.query(
    `select id, content from agent_memory where ${matching} and not coalesce(${hasVector}, false)
     order by id desc limit $8`,
    [...parametersOf(namespace, name, filter), filter.limit],
  );
}

export async function keepVectors(
  store: StoreContext,
  namespace: string,
  name: string,
  { model, entries }: { model: string; entries: readonly EmbeddedEntry[] },
): Promise<void> {
  // The rows are locked in one order, whoever else keeps vectors of the same entries.
  await store.query(
    `with locked as (
       select id from agent_memory where namespace = $1 and owner = $2 and id = any($4::uuid[]) order by id
       for no key update
     )
     update agent_memory m set embedding = decode(s.vector, 'base64'), embedded_by = $3
     from locked, unnest($4::uuid[], $5::text[]) as s(id, vector)
     where m.namespace = $1 and m.owner = $2 and m.id = locked.id and m.id = any($4) and s.id = locked.id`,
    [namespace, name, model, entries.map(({ id }) => id), entries.map(({ vector }) => encodeVector(vector))],
  );
}

/** Ids of entries with a vector of the model, the closest first. */
export async function closestEntries(
  store: StoreContext,
  namespace: string,
  name: string,
  filter: SimilarFilter,
): Promise<{ id: string; similarity: number }[]> {
  let closest: { id: string; similarity: number }[] = [];
  for (let before = lastUuid, isLast = false; !isLast; ) {
    const rows = await store.query<{ id: string; vector: string }>(
      `select id, encode(embedding, 'base64') as vector from agent_memory where ${matching} and ${hasVector}
       order by id desc limit $8`,
      [...parametersOf(namespace, name, filter, before), PAGE],
    );
    const compared = rows.map(({ id, vector }) => ({
      id,
      similarity: similarity(filter.vector, decodeVector(vector)),
    }));
    closest = keepHighest(closest, compared, filter.limit);
    isLast = rows.length < PAGE;
    before = rows.at(-1)?.id ?? before;
  }
  return closest;
}

function parametersOf(
  namespace: string,
  name: string,
  { type, search, model, vector }: SimilarFilter,
  before = lastUuid,
): unknown[] {
  return [namespace, name, before, type, search, model, vectorBytes(vector)];
}

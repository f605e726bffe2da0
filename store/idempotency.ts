/** Idempotency-Keys: what a request under a key has made, whether a run or a plan. */
import type { Idempotency, Keyed } from "./port/idempotency.ts";
import type { Queryable, Transaction } from "./sql.ts";

export async function keyed(db: Queryable, namespace: string, key: string): Promise<Keyed | undefined> {
  // The column is called after what keys made first.
  const [row] = await db.query<{ run_id: string; body_hash: string }>(
    "select run_id, body_hash from idempotency where namespace = $1 and key = $2",
    [namespace, key],
  );
  return row && { id: row.run_id, bodyHash: row.body_hash };
}

/** What somebody is about to make under a key. */
export interface KeyClaim extends Idempotency {
  namespace: string;
  id: string;
}

/** Takes the keys that are free, and answers with whose each one is, as `ownerOf` looks it up. */
export async function takeKeys(tx: Transaction, claims: readonly KeyClaim[]): Promise<(claim: KeyClaim) => Keyed> {
  const taken = new Map<string, Keyed>();
  if (claims.length > 0) {
    const rows = JSON.stringify(
      claims.map(({ namespace, key, bodyHash, id }) => ({ namespace, key, body_hash: bodyHash, run_id: id })),
    );
    tx.send(
      `insert into idempotency (namespace, key, body_hash, run_id)
       select namespace, key, body_hash, run_id
       from json_to_recordset($1) as i(namespace text, key text, body_hash text, run_id uuid)
       order by namespace, key
       on conflict do nothing`,
      [rows],
    );
    const stored = await tx.query<{ namespace: string; key: string; body_hash: string; run_id: string }>(
      `select i.namespace, i.key, i.body_hash, i.run_id
       from json_to_recordset($1) as k(namespace text, key text)
       join idempotency i on i.namespace = k.namespace and i.key = k.key`,
      [rows],
    );
    for (const row of stored) taken.set(`${row.namespace}\n${row.key}`, { id: row.run_id, bodyHash: row.body_hash });
  }
  return ({ namespace, key }) => taken.get(`${namespace}\n${key}`)!;
}

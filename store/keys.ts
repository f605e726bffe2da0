/** API keys: random, stored as a SHA-256 hash, bound to a namespace. */
import { uuidv7 } from "uuidv7";
import { decodeCursor, lastUuid, pageFrom, pageLimit, uuidShape } from "./rows.ts";
import type { Sql } from "./sql.ts";
import type { ApiKey, KeyStore } from "./store.ts";

export function keyStore(sql: Sql): KeyStore {
  return {
    create: async (key, keyHash) => {
      // The conflict is with ourselves, repeated after a connection was lost: nobody else has this key.
      const [row] = await sql.query<KeyRow>(
        `insert into api_key (namespace, id, name, key_hash, prefix, scopes, expires_at, capabilities)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict (key_hash) do update set name = excluded.name
         returning ${keyColumns}`,
        [key.namespace, uuidv7(), key.name, keyHash, key.prefix, key.scopes, key.expiresAt, key.capabilities],
      );
      return toKey(row!);
    },
    authenticate: async (keyHash) => {
      const [row] = await sql.query<KeyRow>(
        `select ${keyColumns} from api_key
         where key_hash = $1 and revoked_at is null and (expires_at is null or expires_at > clock_timestamp())`,
        [keyHash],
      );
      return row && toKey(row);
    },
    list: async (namespace, page) => {
      const limit = pageLimit(page);
      const rows = await sql.query<KeyRow>(
        `select ${keyColumns} from api_key
         where namespace = $1 and revoked_at is null and id < $2
         order by id desc
         limit $3`,
        [namespace, decodeCursor(page.cursor, uuidShape) ?? lastUuid, limit + 1],
      );
      return pageFrom(rows, limit, (row) => row.id, toKey);
    },
    revoke: async (namespace, id) => {
      const rows = await sql.query(
        `update api_key set revoked_at = clock_timestamp()
         where namespace = $1 and id = $2 and revoked_at is null
         returning id`,
        [namespace, id],
      );
      return rows.length > 0;
    },
  };
}

interface KeyRow {
  id: string;
  namespace: string;
  name: string;
  prefix: string;
  scopes: string[];
  capabilities: string[] | null;
  created_at: Date;
  expires_at: Date | null;
}

const keyColumns = "id, namespace, name, prefix, scopes, capabilities, created_at, expires_at";

function toKey(row: KeyRow): ApiKey {
  return {
    id: row.id,
    namespace: row.namespace,
    name: row.name,
    prefix: row.prefix,
    scopes: row.scopes,
    capabilities: row.capabilities,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  };
}

/** When there is room again in what is full. */
import type { Refusal } from "../core/agent-data.ts";
import type { Queryable } from "./sql.ts";

/** What is kept of one owner, by two parameters; each of it has an `expires_at`. */
const kept = {
  memory: "agent_memory where namespace = $1 and owner = $2",
  shared: "shared_memory where namespace = $1 and scope = $2 and value is not null",
};

/** A refusal for want of room says when there is some, if enough of what is kept runs out by itself. */
export async function withRoom(
  db: Queryable,
  of: keyof typeof kept,
  owner: { namespace: string; name: string },
  refusal: Refusal,
): Promise<Refusal> {
  if (refusal.excess === undefined) return refusal;
  const [room] = await db.query<{ ms: number }>(
    `select extract(epoch from m.expires_at - clock_timestamp())::float8 * 1000 as ms
     from (select expires_at from ${kept[of]} and expires_at > clock_timestamp() offset 0) m
     order by m.expires_at offset $3 limit 1`,
    [owner.namespace, owner.name, refusal.excess - 1],
  );
  return room ? { ...refusal, retryAfterMs: Math.max(0, room.ms) } : refusal;
}

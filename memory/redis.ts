/** The memory port on Redis 7 or later: a hash for each name, which goes by itself, written by one script. */
import { Redis } from "ioredis";
import { SkeinError } from "../core/errors.ts";
import type { Json } from "../core/json.ts";
import type { Limits } from "../core/limits.ts";
import { type Memory, PRESENCE_TTL_MS, type Presence, refuseWorking, type WorkingState } from "./memory.ts";

export interface RedisOptions {
  limits: Limits;
  /** Told that the connection was lost, which is opened again by itself; once until it is. */
  onLost?: (reason: Error | undefined) => void;
}

const CONNECT_TIMEOUT_MS = 5_000;
const COMMAND_TIMEOUT_MS = 5_000;
const MAX_PAUSE_MS = 2_000;
/** So long is the revision of a state known that was taken away: by then the clock is beyond it. */
const KEEP_REMOVED_MS = 60_000;

/**
 * Writes a state if it has the revision that is expected. The revision is the time, in milliseconds, or one more than the
 * last: it grows also where the state has run out in between. Answers what was found or written, and its revision.
 */
const WRITE = `
local document, ttl, expected, id = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local time = redis.call('time')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call('hmget', KEYS[1], 'revision', 'document', 'at', 'until', 'id')
local last = tonumber(found[1] or '0')
local current = found[2] and last or 0
if id ~= '' and found[5] == id then
  if not found[2] then return {'gone'} end
  return {'same', found[1], found[2], found[3], found[4]}
end
if expected ~= '' and tonumber(expected) ~= current then return {'conflict', string.format('%.0f', current)} end
if document == '' and current == 0 then return {'gone'} end
local revision = string.format('%.0f', math.max(last + 1, now))
local at, gone = string.format('%.0f', now), string.format('%.0f', now + ttl)
redis.call('del', KEYS[1])
redis.call('hset', KEYS[1], 'revision', revision, 'at', at, 'until', gone)
if id ~= '' then redis.call('hset', KEYS[1], 'id', id) end
if document ~= '' then redis.call('hset', KEYS[1], 'document', document) end
redis.call('pexpire', KEYS[1], ttl)
if document == '' then return {'gone'} end
return {'written', revision, document, at, gone}`;

type WriteAnswer =
  | ["gone"]
  | ["conflict", revision: string]
  | ["same" | "written", revision: string, document: string, at: string, until: string];

type Scripted = Redis & {
  writeState(key: string, document: string, ttl: number, expected: string, id: string): Promise<WriteAnswer>;
};

/** Tries once; a later loss is retried for ever. Throws MEMORY_UNAVAILABLE, naming the server but never the password. */
export async function connectRedis(url: string, { limits, onLost }: RedisOptions): Promise<Memory> {
  let isOpen = false;
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    commandTimeout: COMMAND_TIMEOUT_MS,
    // What is asked while Redis is away is refused at once, and nothing is sent a second time: a write might have been done.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (tries) => (isOpen ? Math.min(tries * 50, MAX_PAUSE_MS) : null),
    connectionName: "skein",
    scripts: { writeState: { lua: WRITE, numberOfKeys: 1 } },
  }) as Scripted;
  let reason: Error | undefined;
  redis.on("error", (error) => {
    reason = error;
  });
  try {
    await redis.connect();
    await redis.ping();
  } catch (error) {
    redis.disconnect();
    throw unavailable(url, reason ?? error);
  }
  isOpen = true;
  let isUp = true;
  redis.on("ready", () => {
    isUp = true;
  });
  // Of every try that fails, too.
  redis.on("close", () => {
    if (isUp && isOpen) onLost?.(reason);
    isUp = false;
    reason = undefined;
  });
  const memory = memoryOver(redis, url, limits);
  return {
    ...memory,
    close: () => {
      isOpen = false;
      return memory.close();
    },
  };
}

function memoryOver(redis: Scripted, url: string, limits: Limits): Memory {
  const ask = async <T>(question: Promise<T>): Promise<T> => {
    try {
      return await question;
    } catch (error) {
      throw unavailable(url, error);
    }
  };
  return {
    name: "redis",
    read: async (namespace, name) => {
      const [document, revision, at, until] = await ask(
        redis.hmget(stateKey(namespace, name), "document", "revision", "at", "until"),
      );
      return document == null ? undefined : toState(document, revision!, at!, until!);
    },
    write: async (namespace, name, { document, ttlMs, condition, writeId = "" }) => {
      const tooLarge = refuseWorking({ document, condition: undefined }, 0, limits);
      if (tooLarge) return tooLarge;
      const isRemoval = document === undefined;
      const [outcome, ...found] = await ask(
        redis.writeState(
          stateKey(namespace, name),
          isRemoval ? "" : JSON.stringify(document),
          isRemoval ? KEEP_REMOVED_MS : ttlMs,
          condition === undefined ? "" : String(condition.revision),
          writeId,
        ),
      );
      if (outcome === "gone") return {};
      const [revision, text, at, until] = found as [string, string, string, string];
      if (outcome === "conflict") return refuseWorking({ document, condition }, Number(revision), limits)!;
      return { state: toState(text, revision, at, until) };
    },
    heard: async (beats) => {
      if (beats.length === 0) return;
      const at = Date.now();
      const all = redis.pipeline();
      for (const { namespace, agentId, load } of beats) {
        all.set(presenceKey(namespace, agentId), JSON.stringify({ at, load }), "PX", PRESENCE_TTL_MS);
      }
      // The answers have their errors in them.
      const answers = await ask(all.exec());
      const failed = answers?.find(([error]) => error);
      if (failed) throw unavailable(url, failed[0]);
    },
    presence: async (namespace, agentIds) => {
      if (agentIds.length === 0) return [];
      const found = await ask(redis.mget(agentIds.map((id) => presenceKey(namespace, id))));
      return found.map((text) => (text === null ? undefined : toPresence(text)));
    },
    ping: async () => {
      await ask(redis.ping());
    },
    close: async () => {
      redis.disconnect();
    },
  };
}

/** No namespace has a colon in it. */
function stateKey(namespace: string, name: string): string {
  return `skein:${namespace}:state:${name}`;
}

function presenceKey(namespace: string, agentId: string): string {
  return `skein:${namespace}:agent:${agentId}`;
}

function toState(document: string, revision: string, at: string, until: string): WorkingState {
  return {
    document: JSON.parse(document) as Json,
    revision: Number(revision),
    updatedAt: new Date(Number(at)),
    expiresAt: new Date(Number(until)),
  };
}

function toPresence(text: string): Presence {
  const { at, load } = JSON.parse(text) as { at: number; load: Json };
  return { lastSeenAt: new Date(at), load };
}

function unavailable(url: string, cause: unknown): SkeinError {
  const message = `${describe(url)}: ${(cause as Error).message}. Check REDIS_URL, or leave it out: PostgreSQL does the same.`;
  return new SkeinError("MEMORY_UNAVAILABLE", message, { cause });
}

function describe(url: string): string {
  const { hostname, port } = new URL(url);
  return `Redis at ${hostname}:${port || 6379}`;
}

/**
 * What was said on the streams of sessions of late, so that a client whose connection broke hears the rest: it comes back with
 * the id of the last event it has. One log for all sessions of the process, with a bound; the oldest goes first.
 */
import { randomUUID } from "node:crypto";
import type { EventStore } from "@modelcontextprotocol/server";

type Message = Parameters<EventStore["storeEvent"]>[1];

interface Kept {
  session: object;
  streamId: string;
  message: Message;
  bytes: number;
}

interface SessionEvents extends EventStore {
  /** Whether the session can go on from there. */
  knows(id: string): boolean;
  /** Nobody comes back to the session. */
  forget(): void;
}

/** Of all sessions together. */
const MAX_BYTES = 32 * 1024 * 1024;
/** About what an entry takes beside its message. */
const ENTRY_BYTES = 200;

export type EventLog = ReturnType<typeof createEventLog>;

export function createEventLog(maxBytes = MAX_BYTES) {
  // Another process's ids are nobody's here.
  const own = randomUUID().slice(0, 8);
  /** In the order in which they were said. */
  const kept = new Map<string, Kept>();
  let said = 0;
  let bytes = 0;

  function drop(id: string, entry: Kept) {
    kept.delete(id);
    bytes -= entry.bytes;
  }

  return {
    /** What one session has said, and may hear again. */
    of(session: object): SessionEvents {
      const ownOf = (id: string) => {
        const entry = kept.get(id);
        return entry?.session === session ? entry : undefined;
      };
      return {
        knows: (id) => ownOf(id) !== undefined,
        forget() {
          for (const [id, entry] of kept) if (entry.session === session) drop(id, entry);
        },
        async storeEvent(streamId, message) {
          const id = `${own}-${++said}`;
          const entry = { session, streamId, message, bytes: ENTRY_BYTES + JSON.stringify(message).length };
          kept.set(id, entry);
          bytes += entry.bytes;
          for (const [oldest, one] of kept) {
            if (bytes <= maxBytes) break;
            drop(oldest, one);
          }
          return id;
        },
        getStreamIdForEventId: async (id) => ownOf(id)?.streamId,
        async replayEventsAfter(last, { send }) {
          const from = ownOf(last);
          if (!from) throw new Error(`The event ${last} is not known any more.`);
          let isLater = false;
          for (const [id, { session: of, streamId, message }] of [...kept]) {
            // The first event of a stream says nothing but its id.
            const isOurs = of === session && streamId === from.streamId && "jsonrpc" in message;
            if (isLater && isOurs) await send(id, message);
            if (id === last) isLater = true;
          }
          return from.streamId;
        },
      };
    },
    get size() {
      return kept.size;
    },
  };
}

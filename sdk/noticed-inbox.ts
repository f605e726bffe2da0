/** An inbox as a stream of messages, for who is told by other ways than the server's that something may have come. */
import type { MessageBody } from "../core/protocol/agent-data.ts";
import type { AgentClient } from "./client.ts";
import { isTransient, pauseAfter } from "./repeat.ts";

/**
 * Calls `onNews` when something may have come to the inbox: hints, which may be lost, repeated or wrong. Resolves with what ends
 * it, once everything that comes from now on is told of.
 */
export type InboxNotices = (onNews: () => void) => Promise<{ cancel(): Promise<void> }>;

const PAGE = 100;
/** What nobody told of is found this soon. */
const LOOK_EVERY_MS = 10_000;
/** Attempts in a row that failed before it gives up: about a minute. */
const MAX_FAILURES = 40;

/** Each message once as it comes, without end, beginning with those that are not acknowledged. Rejects when the signal aborts. */
export async function* noticedInbox(
  agent: AgentClient,
  notices: InboxNotices,
  signal: AbortSignal,
  lookEveryMs = LOOK_EVERY_MS,
): AsyncGenerator<MessageBody> {
  const bell = createBell(signal);
  const subscription = await notices(bell.ring);
  try {
    let cursor: string | undefined;
    for (let failures = 0; ; ) {
      signal.throwIfAborted();
      bell.hush();
      try {
        const query = { limit: PAGE, ...(cursor !== undefined && { cursor }) };
        const { messages, next_cursor } = await agent.data.inbox.read(query, signal);
        cursor = next_cursor ?? cursor;
        failures = 0;
        yield* messages;
        if (messages.length < PAGE) await bell.rung(lookEveryMs);
      } catch (error) {
        if (signal.aborted || !isTransient(error) || ++failures > MAX_FAILURES) throw error;
        await bell.rung(pauseAfter(failures));
      }
    }
  } finally {
    await subscription.cancel();
  }
}

/** Rings once for however many news since it was hushed. */
function createBell(signal: AbortSignal) {
  let hasRung = false;
  let wake = () => {};
  const ring = () => {
    hasRung = true;
    wake();
  };
  return {
    ring,
    hush: () => {
      hasRung = false;
    },
    /** Resolves when it rings or has rung, when the signal aborts, and after so long. */
    rung: (ms: number) =>
      new Promise<void>((resolve) => {
        if (hasRung || signal.aborted) return resolve();
        const timer = setTimeout(ring, ms);
        signal.addEventListener("abort", ring, { once: true });
        wake = () => {
          clearTimeout(timer);
          signal.removeEventListener("abort", ring);
          resolve();
        };
      }),
  };
}

/** Follows a stream of the server, which it resumes by itself when the connection is lost. */
import { setTimeout as delay } from "node:timers/promises";
import type { Connection } from "./connection.ts";
import { isTransient, pauseAfter } from "./repeat.ts";
import { readServerSentEvents } from "./sse.ts";

/** How long a stream waits before it connects again after it was ended. */
const RECONNECT_MS = 500;
/** Connections in a row that failed before a stream gives up: about a minute. */
const MAX_FAILURES = 40;

export interface Told {
  event: string;
  data: unknown;
}

/** What is told after the event of the id `after`, until the server says that it has told all (`event: end`). */
export async function* followStream(
  http: Connection,
  path: string,
  { after, signal }: { after?: string | undefined; signal?: AbortSignal | undefined },
): AsyncGenerator<Told> {
  let last = after;
  for (let failures = 0; ; ) {
    try {
      const response = await http.stream(path, last === undefined ? {} : { "last-event-id": last }, signal);
      for await (const { id, event, data } of readServerSentEvents(response.body!)) {
        if (event === "end") return;
        last = id ?? last;
        failures = 0;
        yield { event, data: JSON.parse(data) };
      }
      await delay(RECONNECT_MS);
    } catch (error) {
      if (signal?.aborted || !isTransient(error) || ++failures > MAX_FAILURES) throw error;
      await delay(pauseAfter(failures));
    }
  }
}

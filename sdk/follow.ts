/** Follows a stream of the server, which it resumes by itself when the connection is lost. */
import { SkeinError } from "../core/errors.ts";
import type { Connection } from "./connection.ts";
import { readServerSentEvents } from "./sse.ts";

/** How long a stream waits before it connects again. */
const RECONNECT_MS = 500;
/** Connections in a row that brought nothing before a stream gives up. */
const MAX_RECONNECTS = 20;

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
    } catch (error) {
      const isFinal = error instanceof SkeinError && error.code !== "SERVER_UNREACHABLE" && error.code !== "INTERNAL";
      if (signal?.aborted || isFinal || ++failures > MAX_RECONNECTS) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
  }
}

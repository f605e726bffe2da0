/** What a server says over a stream of events, as tests read it. */
import type { JsonObject } from "../core/json.ts";
import { readServerSentEvents } from "../sdk/sse.ts";

interface Told {
  id?: number;
  method?: string;
  params?: JsonObject;
  result?: unknown;
}

/** The JSON-RPC messages of an answer, one at a time. The first event of a stream that can be resumed has none. */
export async function* messagesOf(response: Response): AsyncGenerator<Told> {
  for await (const { data } of readServerSentEvents(response.body!)) if (data !== "") yield JSON.parse(data);
}

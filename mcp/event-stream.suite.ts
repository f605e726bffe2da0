/** What a server says over a stream of events, as tests read it. */
import type { JsonObject } from "../core/json.ts";

interface Told {
  id?: number;
  method?: string;
  params?: JsonObject;
  result?: unknown;
}

/** The JSON-RPC messages of an answer, one at a time. */
export async function* messagesOf(response: Response): AsyncGenerator<Told> {
  let text = "";
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream() as never)) {
    text += chunk;
    for (let end = text.indexOf("\n\n"); end !== -1; end = text.indexOf("\n\n")) {
      const data = /^data: (.+)$/m.exec(text.slice(0, end))?.[1];
      text = text.slice(end + 2);
      if (data) yield JSON.parse(data);
    }
  }
}

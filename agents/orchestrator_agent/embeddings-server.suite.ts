/** A server that speaks OpenAI's embeddings protocol. Its vectors count how often each of a few words is in a text. */
import { createServer, type IncomingHttpHeaders } from "node:http";
import { json } from "node:stream/consumers";
import type { Json } from "../../core/json.ts";
import { listenLocally } from "../../test/local-server.ts";

export interface EmbeddingsServer {
  /** What SKEIN_EMBEDDINGS_URL has to be. */
  url: string;
  requests: { headers: IncomingHttpHeaders; model: string; input: string[] }[];
  /** Answers the next requests with this, one after another, whatever they ask. */
  answer(...answers: { status?: number; body: Json | string }[]): void;
  close(): Promise<void>;
}

/** Words of one thing count as one another: that is what meaning is, here. */
const meanings = [/\b(goose|geese|gander|bird)s?\b/gi, /\b(car|truck|engine)s?\b/gi, /\b(rain|snow|storm)s?\b/gi];

export async function startEmbeddingsServer(): Promise<EmbeddingsServer> {
  const requests: EmbeddingsServer["requests"] = [];
  const script: { status?: number; body: Json | string }[] = [];
  const server = createServer(async (request, response) => {
    const body = (await json(request)) as { model: string; input: string[] };
    requests.push({ headers: request.headers, model: body.model, input: body.input });
    const { status = 200, body: said } = script.shift() ?? { body: vectorsOf(body.input) };
    response.writeHead(request.url === "/v1/embeddings" ? status : 404, { "content-type": "application/json" });
    response.end(typeof said === "string" ? said : JSON.stringify(said));
  });
  const { url, close } = await listenLocally(server);
  return {
    url: `${url}/v1`,
    requests,
    answer: (...answers) => void script.push(...answers),
    close,
  };
}

/** In another order than they were asked for: the index says whose each is. */
function vectorsOf(input: readonly string[]): Json {
  const data = input.map((text, index) => ({
    object: "embedding",
    index,
    embedding: [...meanings.map((meaning) => (text.match(meaning) ?? []).length), 0.01],
  }));
  return { object: "list", data: data.reverse() };
}

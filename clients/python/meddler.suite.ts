/** What may stand between a client and the server: it adds fields that no client knows, and loses answers. */
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Meddler {
  url: string;
  /** Where the server is, once that is known; without one, connections are cut. */
  target: string | undefined;
  /** Cuts the connection instead of the next answer of this path that `isMeant`; resolves when it has. */
  loseAnswer(path: string, isMeant: (answer: string, request: string) => boolean): Promise<void>;
  close(): Promise<void>;
}

interface Loss {
  path: string;
  isMeant: (answer: string, request: string) => boolean;
  done: () => void;
}

export async function startMeddler(): Promise<Meddler> {
  const losses = new Set<Loss>();

  function forward(request: IncomingMessage, body: string, response: ServerResponse): void {
    if (!meddler.target) return void request.socket.destroy();
    const path = request.url ?? "";
    const upstream = httpRequest(meddler.target + path, {
      method: request.method,
      headers: request.headers,
      agent: false,
    });
    response.on("close", () => upstream.destroy());
    upstream.on("error", () => request.socket.destroy());
    upstream.on("response", async (answer) => {
      try {
        const text = await textOf(answer);
        const loss = [...losses].find((one) => one.path === path && one.isMeant(text, body));
        if (loss) {
          losses.delete(loss);
          loss.done();
          return void request.socket.destroy();
        }
        const type = answer.headers["content-type"] ?? "application/json";
        response.writeHead(answer.statusCode ?? 0, { "content-type": type });
        response.end(text && JSON.stringify(withUnknownFields(JSON.parse(text))));
      } catch {
        request.socket.destroy();
      }
    });
    upstream.end(body);
  }

  const server = createServer((request, response) => {
    void textOf(request).then(
      (body) => forward(request, body, response),
      () => request.socket.destroy(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const meddler: Meddler = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    target: undefined,
    loseAnswer: (path, isMeant) => new Promise((done) => losses.add({ path, isMeant, done })),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return meddler;
}

async function textOf(stream: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of stream.setEncoding("utf8")) text += chunk;
  return text;
}

/** What in an answer is any JSON of the users' own. */
const free = ["input", "document", "content", "body"];

/** In every object of the protocol, but not in what is free. */
function withUnknownFields(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withUnknownFields);
  if (typeof value !== "object" || value === null) return value;
  const known = Object.entries(value).map(([key, child]) => [
    key,
    free.includes(key) ? child : withUnknownFields(child),
  ]);
  return { ...Object.fromEntries(known), from_the_future: { deep: [1, null] }, "": "odd" };
}

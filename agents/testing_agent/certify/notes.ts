/** Where handlers under test say what they do: the kit sees an attempt from the inside, whatever the protocol says of it. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { closeServer, listen, parse, read } from "./proxy.ts";

export interface Note {
  /** The last part of the URL it was posted to. */
  about: string;
  event: unknown;
  attempt: unknown;
  idempotency_key: unknown;
}

export interface NoteBoard {
  readonly notes: readonly Note[];
  /** Where notes about something are posted. */
  urlFor(about: string): string;
  close(): Promise<void>;
}

export async function openNoteBoard(): Promise<NoteBoard> {
  const notes: Note[] = [];
  // Not a route of the proxy: while that is away, handlers go on.
  const server = createServer(async (request, response) => {
    const { event, attempt, idempotency_key } = parse(await read(request).catch(() => ""));
    const about = decodeURIComponent(request.url?.slice(1) ?? "");
    notes.push({ about, event, attempt, idempotency_key });
    response.writeHead(200, { "content-type": "application/json" }).end("{}");
  });
  await listen(server, 0);
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    notes,
    urlFor: (about) => `${base}/${encodeURIComponent(about)}`,
    close: () => closeServer(server),
  };
}

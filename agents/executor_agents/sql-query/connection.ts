/** One connection for one attempt: what it receives is limited, and an abort ends it on the server, too. */

import type { Socket } from "node:net";
import pg from "pg";
import type { Json } from "../../../core/json.ts";
import { typeParsers } from "./values.ts";

export type ArrayResult = pg.QueryArrayResult<Json[]>;

const CONNECT_TIMEOUT_MS = 10_000;
/** How long ending a statement on the server may take; without it, the server ends it at its time limit. */
const TERMINATE_WITHIN_MS = 2_000;

export class Connection {
  /** Of the server's process, once known. */
  pid: number | undefined;
  /** Whether the connection ended because more came than was allowed. */
  isOverfull = false;
  readonly #client: pg.Client;
  readonly #url: string;
  readonly #signal: AbortSignal;
  #received = 0;
  #allowed = Number.POSITIVE_INFINITY;
  #ending: Promise<void> | undefined;
  readonly #onAbort = () => {
    this.#ending = this.#terminate();
  };

  constructor(url: string, signal: AbortSignal) {
    this.#url = url;
    this.#signal = signal;
    this.#client = clientOf(url, CONNECT_TIMEOUT_MS);
  }

  async open(): Promise<void> {
    this.#signal.addEventListener("abort", this.#onAbort, { once: true });
    await this.#client.connect();
    this.#signal.throwIfAborted();
    streamOf(this.#client).on("data", (chunk: Buffer) => this.#count(chunk.length));
  }

  /** By the extended protocol, which takes one statement and no more. */
  query(text: string, values: readonly Json[] = []): Promise<ArrayResult> {
    const config = { text, values: [...values], rowMode: "array", types: typeParsers, queryMode: "extended" };
    return this.#client.query<Json[]>(config as pg.QueryArrayConfig);
  }

  /** From here on, more than `bytes` end the connection. */
  limit(bytes: number): void {
    this.#allowed = this.#received + bytes;
  }

  unlimit(): void {
    this.#allowed = Number.POSITIVE_INFINITY;
  }

  /** Resolves when the connection is gone; what was not committed is rolled back. */
  async close(): Promise<void> {
    this.#signal.removeEventListener("abort", this.#onAbort);
    await this.#ending;
    await this.#client.end().catch(() => {});
  }

  #count(bytes: number): void {
    this.#received += bytes;
    if (this.#received <= this.#allowed) return;
    this.isOverfull = true;
    streamOf(this.#client).destroy();
  }

  /** A statement can catch being cancelled, but not the end of its process. */
  async #terminate(): Promise<void> {
    if (this.pid !== undefined) {
      const other = clientOf(this.#url, TERMINATE_WITHIN_MS);
      try {
        await other.connect();
        await other.query({ text: "select pg_terminate_backend($1)", values: [this.pid] });
      } catch {
        // Too many connections, say. The server's own time limit remains.
      } finally {
        await other.end().catch(() => {});
      }
    }
    streamOf(this.#client).destroy();
  }
}

function clientOf(connectionString: string, connectionTimeoutMillis: number): pg.Client {
  const client = new pg.Client({
    connectionString,
    connectionTimeoutMillis,
    query_timeout: 0,
    application_name: "skein sql.query",
    keepAlive: true,
  });
  // Without a listener, a connection that ends between two queries would end the process.
  client.on("error", () => {});
  return client;
}

/** With TLS it is another one after connecting. */
function streamOf(client: pg.Client): Socket {
  return (client as unknown as { connection: { stream: Socket } }).connection.stream;
}

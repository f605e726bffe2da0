import { Redis } from "ioredis";
import { findOnPath, type Service } from "./service.ts";

/** A private server has room for a database per test file and more; Redis's own default is 16. */
const databaseCount = 1024;

export const redis: Service = {
  urlVariable: "REDIS_URL",
  aptPackage: "redis-server",
  find: async () => findOnPath("redis-server"),
  url: (port) => `redis://127.0.0.1:${port}`,
  ping: (url) => withClient(url, async (client) => void (await client.ping())),
  async prepare({ binary, port, folder, durable }) {
    const args = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, ...settings(durable)];
    return [{ file: binary, args }];
  },
  container: { image: "redis:8", port: 6379, env: {}, args: (durable) => ["redis-server", ...settings(durable)] },
};

/** @returns the URL of a database of the private server at `url` that nobody was given before */
export async function claimDatabase(url: string): Promise<string> {
  const number = await withClient(url, (client) => client.incr("databases given out"));
  return `${url}/${number}`;
}

async function withClient<T>(url: string, use: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null, connectTimeout: 5_000 });
  // connect() rejects with "Connection is closed."; the reason comes by this event alone.
  let reason: unknown;
  client.on("error", (error) => {
    reason = error;
  });
  try {
    await client.connect();
    return await use(client);
  } catch (error) {
    throw reason ?? error;
  } finally {
    client.disconnect();
  }
}

function settings(durable: boolean): string[] {
  return ["--databases", String(databaseCount), "--save", "", "--appendonly", durable ? "yes" : "no"];
}

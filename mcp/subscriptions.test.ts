import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig } from "../config.ts";
import { type Embedded, startEmbedded } from "../embedded.ts";
import { createClient } from "../sdk/client.ts";
import { createFollower } from "./following.ts";
import { describeSubscriptions, hearing, waiting } from "./subscriptions.suite.ts";
import { createRunBus } from "./subscriptions.ts";
import { eventually, type ProtocolVersion, protocols } from "./tools.suite.ts";

const ADMIN_KEY = "an-admin-key-for-this-test";
let embedded: Embedded;

beforeAll(async () => {
  const config = loadConfig({ PORT: "0", HOST: "0.0.0.0", SKEIN_ADMIN_KEY: ADMIN_KEY });
  embedded = await startEmbedded({ config, logger: pino({ level: "silent" }), inMemory: true });
});

afterAll(async () => {
  await embedded?.stop();
});

const rest = () => createClient({ url: embedded.url, apiKey: ADMIN_KEY });

async function connect(version: ProtocolVersion, key = ADMIN_KEY): Promise<Client> {
  const client = new Client({ name: "test", version: "1" }, protocols[version]);
  const requestInit = { headers: { authorization: `Bearer ${key}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(`${embedded.url}/mcp`), { requestInit }));
  return client;
}

for (const version of Object.keys(protocols) as ProtocolVersion[]) {
  describeSubscriptions(version, connect, rest);

  it(`lets no client of ${version} listen to runs of another namespace`, async () => {
    const { id } = await rest().runs.submit({ definition: waiting });
    const { key } = await rest().keys.create({ name: "elsewhere", namespace: "elsewhere", scopes: ["runs:read"] });
    const stranger = await connect(version, key);
    await expect(hearing(stranger, version).subscribe(`skein://runs/${id}`)).rejects.toThrow("not found");
    await stranger.close();
  });
}

describe("changes of runs", () => {
  it("are told as one within a moment, and not at all where nobody listens", async () => {
    const { bus, runChanged, close } = createRunBus();
    runChanged("unheard");
    const heard: string[] = [];
    bus.subscribe((event) => event.kind === "resource_updated" && heard.push(event.uri));
    for (let n = 0; n < 100; n++) for (const id of ["a", "b"]) runChanged(id);
    await expect.poll(() => heard.length, eventually).toBe(6);
    expect(heard).toEqual(
      ["a", "b"].flatMap((id) => ["", "/graph", "/events"].map((path) => `skein://runs/${id}${path}`)),
    );
    close();
  });

  it("are followed once, however many want to hear of a run, until the last has let go", async () => {
    const { id } = await rest().runs.submit({ definition: waiting });
    let [streams, changes] = [0, 0];
    const counting: typeof fetch = (url, init) => {
      streams++;
      init?.signal?.addEventListener("abort", () => streams--, { once: true });
      return fetch(url, init);
    };
    const client = createClient({ url: embedded.url, apiKey: ADMIN_KEY, fetch: counting });
    const { follow, close } = createFollower(client, () => changes++);
    const [first, second] = [follow(id), follow(id)];
    await expect.poll(() => changes, eventually).toBeGreaterThan(0);
    first();
    first();
    expect(streams).toBe(1);
    second();
    expect(streams).toBe(0);
    follow(id);
    await expect.poll(() => streams, eventually).toBe(1);
    close();
    expect(streams).toBe(0);
  });
});

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig } from "../config.ts";
import { type Embedded, startEmbedded } from "../embedded.ts";
import { createClient } from "../sdk/client.ts";
import { createRunBus } from "./subscriptions.ts";
import { eventually, type ProtocolVersion, protocols } from "./tools.suite.ts";

const ADMIN_KEY = "an-admin-key-for-this-test";
const waiting = { name: "waiting", tasks: [{ id: "a", wait: { signal: "go" } }] };
const nobody = "skein://runs/0198c0de-0000-7000-8000-000000000000";
let embedded: Embedded;

beforeAll(async () => {
  const config = loadConfig({ PORT: "0", HOST: "0.0.0.0", SKEIN_ADMIN_KEY: ADMIN_KEY });
  embedded = await startEmbedded({ config, logger: pino({ level: "silent" }), inMemory: true });
});

afterAll(async () => {
  await embedded?.stop();
});

const rest = () => createClient({ url: embedded.url, apiKey: ADMIN_KEY });

/** A client, what it has heard of, and how it says that it wants to hear. */
async function connect(version: ProtocolVersion, key = ADMIN_KEY) {
  const client = new Client({ name: "test", version: "1" }, protocols[version]);
  const requestInit = { headers: { authorization: `Bearer ${key}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(`${embedded.url}/mcp`), { requestInit }));
  const heard: string[] = [];
  client.setNotificationHandler("notifications/resources/updated", ({ params }) => void heard.push(params.uri));
  const subscribe = async (...uris: string[]) => {
    if (version === "2025-11-25") for (const uri of uris) await client.subscribeResource({ uri });
    else await client.listen({ resourceSubscriptions: uris });
  };
  return { client, heard, subscribe };
}

describe.each(Object.keys(protocols) as ProtocolVersion[])("a client of %s that subscribes to a run", (version) => {
  it("hears that it has changed, each of its resources, and nothing of other runs", async () => {
    const { client, heard, subscribe } = await connect(version);
    const mine = (await rest().runs.submit({ definition: waiting })).id;
    const stranger = (await rest().runs.submit({ definition: waiting })).id;
    const uris = ["", "/graph", "/events"].map((path) => `skein://runs/${mine}${path}`);
    await subscribe(...uris);
    await rest().runs.signal(stranger, "go");
    await rest().runs.signal(mine, "go");
    await expect.poll(() => [...new Set(heard)].sort(), eventually).toEqual([...uris].sort());
    const { contents } = await client.readResource({ uri: heard[0]! });
    expect(contents).toHaveLength(1);
    await client.close();
  });

  it("cannot subscribe to what it may not read, or to what is no resource", async () => {
    const { client, subscribe } = await connect(version);
    const { id } = await rest().runs.submit({ definition: waiting });
    for (const uri of [nobody, `skein://runs/${id}/secrets`, "skein://runs/..", "test://thing"]) {
      await expect(subscribe(uri), uri).rejects.toThrow("not found");
    }
    const { key } = await rest().keys.create({ name: "elsewhere", namespace: "elsewhere", scopes: ["runs:read"] });
    const stranger = await connect(version, key);
    await expect(stranger.subscribe(`skein://runs/${id}`)).rejects.toThrow("not found");
    await Promise.all([client.close(), stranger.client.close()]);
  });
});

describe("a client of 2025-11-25", () => {
  it("hears no more of what it has unsubscribed from", async () => {
    const { client, heard, subscribe } = await connect("2025-11-25");
    const submit = async () => (await rest().runs.submit({ definition: waiting })).id;
    const [gone, first, second, third] = [await submit(), await submit(), await submit(), await submit()];
    const hears = async (id: string) => {
      await rest().runs.signal(id, "go");
      await expect.poll(() => heard, eventually).toContain(`skein://runs/${id}`);
    };
    await subscribe(...[gone, first, second, third].map((id) => `skein://runs/${id}`));
    await client.unsubscribeResource({ uri: `skein://runs/${gone}` });
    // What had changed before is told by then.
    await hears(first);
    heard.length = 0;
    await rest().runs.signal(gone, "go");
    await hears(second);
    await expect.poll(async () => (await rest().runs.get(gone)).status, eventually).toBe("completed");
    await hears(third);
    expect(heard).not.toContain(`skein://runs/${gone}`);
    await client.close();
  });
});

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
});

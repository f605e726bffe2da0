/** How clients hear of runs that they have subscribed to, at every door and in every version of the protocol. */
import type { Client } from "@modelcontextprotocol/client";
import { describe, expect, it } from "vitest";
import type { Client as RestClient } from "../sdk/client.ts";
import { eventually, type ProtocolVersion } from "./tools.suite.ts";

export const waiting = { name: "waiting", tasks: [{ id: "a", wait: { signal: "go" } }] };
const nobody = "skein://runs/0198c0de-0000-7000-8000-000000000000";

/** What a client hears of, and how it says that it wants to hear; `listening` lets go of what it has asked for last. */
export function hearing(client: Client, version: ProtocolVersion) {
  const heard: string[] = [];
  client.setNotificationHandler("notifications/resources/updated", ({ params }) => void heard.push(params.uri));
  const subscribe = async (...uris: string[]) => {
    if (version !== "2025-11-25") {
      const listening = await client.listen({ resourceSubscriptions: uris });
      return () => listening.close();
    }
    for (const uri of uris) await client.subscribeResource({ uri });
    return async () => {
      for (const uri of uris) await client.unsubscribeResource({ uri });
    };
  };
  return { heard, subscribe };
}

export function describeSubscriptions(
  version: ProtocolVersion,
  connect: (version: ProtocolVersion) => Promise<Client>,
  rest: () => RestClient,
): void {
  describe(`a client of ${version} that subscribes to a run`, () => {
    const submit = async () => (await rest().runs.submit({ definition: waiting })).id;

    it("hears that it has changed, each of its resources, and nothing of other runs", async () => {
      const client = await connect(version);
      const { heard, subscribe } = hearing(client, version);
      const [mine, stranger] = [await submit(), await submit()];
      const uris = ["", "/graph", "/events"].map((path) => `skein://runs/${mine}${path}`);
      await subscribe(...uris);
      await rest().runs.signal(stranger, "go");
      await rest().runs.signal(mine, "go");
      await expect.poll(() => [...new Set(heard)].sort(), eventually).toEqual([...uris].sort());
      const { contents } = await client.readResource({ uri: heard[0]! });
      expect(contents).toHaveLength(1);
      await client.close();
    });

    it("hears no more of what it has let go of, and goes on hearing of the rest", async () => {
      const client = await connect(version);
      const { heard, subscribe } = hearing(client, version);
      const [gone, ...kept] = [await submit(), await submit(), await submit(), await submit()];
      const hears = async (id: string) => {
        await rest().runs.signal(id, "go");
        await expect.poll(() => heard, eventually).toContain(`skein://runs/${id}`);
      };
      const letGo = await subscribe(`skein://runs/${gone}`);
      await subscribe(...kept.map((id) => `skein://runs/${id}`));
      await letGo();
      // What had changed before is told by then.
      await hears(kept[0]!);
      heard.length = 0;
      await rest().runs.signal(gone!, "go");
      await hears(kept[1]!);
      await expect.poll(async () => (await rest().runs.get(gone!)).status, eventually).toBe("completed");
      await hears(kept[2]!);
      expect(heard).not.toContain(`skein://runs/${gone}`);
      await client.close();
    });

    it("cannot subscribe to what it may not read, or to what is no resource", async () => {
      const client = await connect(version);
      const { subscribe } = hearing(client, version);
      const id = await submit();
      for (const uri of [nobody, `skein://runs/${id}/secrets`, "skein://runs/..", "test://thing"]) {
        await expect(subscribe(uri), uri).rejects.toThrow("not found");
      }
      await client.close();
    });
  });
}

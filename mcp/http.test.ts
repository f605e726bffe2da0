import http from "node:http";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig } from "../config.ts";
import type { JsonObject } from "../core/json.ts";
import type { Scope } from "../core/protocol/keys.ts";
import { type Embedded, startEmbedded } from "../embedded.ts";
import { createClient } from "../sdk/client.ts";
import { describeAsking } from "./asking.suite.ts";
import { describeDoor } from "./door.suite.ts";
import { call, diamond, type ProtocolVersion, protocols, refusal, shout } from "./tools.suite.ts";
import { instructionsOf, toolsOf } from "./toolsets.ts";

const ADMIN_KEY = "an-admin-key-for-this-test";
let embedded: Embedded;

beforeAll(async () => {
  // On any host but loopback a key is needed.
  const config = loadConfig({ PORT: "0", HOST: "0.0.0.0", SKEIN_ADMIN_KEY: ADMIN_KEY });
  embedded = await startEmbedded({ config, logger: pino({ level: "silent" }), inMemory: true, executors: [shout] });
});

afterAll(async () => {
  await embedded?.stop();
});

async function connect(version: ProtocolVersion, key?: string, capabilities = {}): Promise<Client> {
  const client = new Client({ name: "test", version: "1" }, { ...protocols[version], capabilities });
  const headers: Record<string, string> = key ? { authorization: `Bearer ${key}` } : {};
  await client.connect(new StreamableHTTPClientTransport(new URL(`${embedded.url}/mcp`), { requestInit: { headers } }));
  return client;
}

const rest = () => createClient({ url: embedded.url, apiKey: ADMIN_KEY });

const keyWith = async (options: { scopes: Scope[]; namespace?: string }) => {
  const { key } = await rest().keys.create({ name: "test", ...options });
  return key;
};

describe("MCP over HTTP", () => {
  for (const version of Object.keys(protocols) as ProtocolVersion[]) {
    describeDoor(version, (asked) => connect(asked, ADMIN_KEY), rest);
    describeAsking(version, (asked, capabilities) => connect(asked, ADMIN_KEY, capabilities));

    it(`asks a client of ${version} for a key`, async () => {
      await expect(connect(version)).rejects.toThrow();
      await expect(connect(version, "skk_unknown")).rejects.toThrow();
    });

    it(`lets a client of ${version} do no more than its key's scopes`, async () => {
      const reader = await connect(version, await keyWith({ scopes: ["runs:read"] }));
      expect((await call(reader, "run_list")).data).toBeInstanceOf(Array);
      const refused = await refusal(reader, "workflow_submit", { definition: diamond });
      expect(refused).toMatchObject({ code: "SCOPE_MISSING", text: expect.stringContaining("runs:write") });
      const beyond: [string, JsonObject, string][] = [
        ["agent_register", { name: "a", capabilities: ["c"] }, "work"],
        ["memory_list", { agent: "a" }, "memory"],
        ["agent_state_set", { agent: "a", document: 1 }, "memory"],
        ["message_send", { messages: [{ to: "a", body: 1 }] }, "messages"],
        ["inbox_read", { agent: "a" }, "messages"],
      ];
      for (const [tool, input, scope] of beyond) {
        const { code, text } = await refusal(reader, tool, input);
        expect([tool, code, text]).toEqual([tool, "SCOPE_MISSING", expect.stringContaining(`scope ${scope}`)]);
      }
      expect((await refusal(reader, "task_claim", { wait_seconds: 0 })).code).toBe("AGENT_TOKEN_REQUIRED");
      await reader.close();
    });

    it(`lets a client of ${version} whose key is an agent's token act as that agent, and as nothing else`, async () => {
      const name = `tokened-${version}`;
      const { agent_token } = await rest().agents.register({ name, capabilities: [`mcp.own.${version}`] });
      const agent = await connect(version, agent_token);
      expect((await call(agent, "task_claim", { wait_seconds: 0 })).tasks).toEqual([]);
      await call(agent, "agent_state_set", { agent: name, document: { n: 1 } });
      expect((await refusal(agent, "run_list")).code).toBe("SCOPE_MISSING");
      expect((await refusal(agent, "inbox_read", { agent: "somebody" })).code).toBe("AGENT_NOT_FOUND");
      await agent.close();
    });

    it(`shows a client of ${version} nothing of other namespaces`, async () => {
      const admin = await connect(version, ADMIN_KEY);
      const run = await call(admin, "workflow_submit", { definition: diamond, inputs: { n: 1 } });
      const stranger = await connect(version, await keyWith({ scopes: ["runs:read"], namespace: "elsewhere" }));
      expect((await call(stranger, "run_list")).data).toEqual([]);
      expect((await refusal(stranger, "run_get", { run_id: run.id! })).code).toBe("RUN_NOT_FOUND");
      await Promise.all([admin.close(), stranger.close()]);
    });
  }
});

describe("a request to /mcp", () => {
  const ping = { jsonrpc: "2.0", id: 1, method: "ping" };
  const send = (body: unknown, headers: Record<string, string> = {}, method = "POST", query = "") =>
    fetch(`${embedded.url}/mcp${query}`, {
      method,
      headers: {
        authorization: `Bearer ${ADMIN_KEY}`,
        accept: "application/json, text/event-stream",
        ...(method === "POST" && { "content-type": "application/json" }),
        ...headers,
      },
      ...(method === "POST" && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });

  it("without a key is answered 401 with a challenge", async () => {
    const response = await send(ping, { authorization: "" });
    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toContain("Bearer");
  });

  it("of a version that nobody speaks is told the versions that are spoken", async () => {
    const _meta = {
      "io.modelcontextprotocol/protocolVersion": "2999-01-01",
      "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
      "io.modelcontextprotocol/clientCapabilities": {},
    };
    const body = { jsonrpc: "2.0", id: 7, method: "tools/list", params: { _meta } };
    const response = await send(body, { "mcp-protocol-version": "2999-01-01", "mcp-method": "tools/list" });
    expect(response.status).toBe(400);
    const { id, error } = (await response.json()) as { id: number; error: { data: { supported: string[] } } };
    expect(id).toBe(7);
    expect(error.data.supported).toContain("2026-07-28");
  });

  it("that opens with an unknown version of the older handshake is offered one that is spoken", async () => {
    const params = { protocolVersion: "1999-01-01", capabilities: {}, clientInfo: { name: "test", version: "1" } };
    const response = await send({ jsonrpc: "2.0", id: 1, method: "initialize", params });
    expect(response.status).toBe(200);
    expect(await response.text()).toContain('"protocolVersion":"2025-11-25"');
  });

  const tool = (name: string, input: unknown) => {
    return { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name, arguments: input } };
  };

  it.each([
    ["not JSON", "{", 400, -32700],
    ["empty", " ", 400, -32700],
    ["nested too deep", "[".repeat(10_000) + "]".repeat(10_000), 400, -32700],
    ["holding a prototype key", '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"__proto__":1}}', 400, -32700],
    ["no JSON-RPC message", { hello: "world" }, 400, undefined],
    ["of another JSON-RPC", { jsonrpc: "1.0", id: 1, method: "ping" }, 400, undefined],
    ["an empty batch", [], 400, undefined],
    ["a number", "7", 400, undefined],
    ["without a method", { jsonrpc: "2.0", id: 1, params: {} }, 400, undefined],
    ["with an id that is an object", { jsonrpc: "2.0", id: {}, method: "ping" }, 400, undefined],
    ["a call whose arguments are a list", tool("run_list", []), undefined, -32602],
    ["a call without a name", { jsonrpc: "2.0", id: 1, method: "tools/call", params: {} }, undefined, -32602],
    ["a method that does not exist", { jsonrpc: "2.0", id: 1, method: "tools/destroy" }, undefined, -32601],
  ])("that is %s gets a JSON-RPC error", async (_what, body, status, code) => {
    const response = await send(body);
    if (status) expect(response.status).toBe(status);
    const text = await response.text();
    const { error } = JSON.parse(text.startsWith("event:") ? text.slice(text.indexOf("{")) : text) as {
      error: { code: number };
    };
    expect(error.code).toBeLessThan(0);
    if (code) expect(error.code).toBe(code);
  });

  const meta = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  const modern = { "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/list" };

  it.each([
    ["no envelope", {}, modern, -32602],
    ["an envelope that is a text", { _meta: "x" }, modern, -32600],
    [
      "an envelope without capabilities",
      { _meta: { ...meta, "io.modelcontextprotocol/clientCapabilities": null } },
      modern,
      -32602,
    ],
    ["a header of another version", { _meta: meta }, { ...modern, "mcp-protocol-version": "2025-11-25" }, -32020],
    ["a header of another method", { _meta: meta }, { ...modern, "mcp-method": "tools/call" }, -32020],
    ["no header of the method", { _meta: meta }, { "mcp-protocol-version": "2026-07-28" }, -32020],
  ])("of 2026-07-28 with %s is refused", async (_what, params, headers, code) => {
    const response = await send({ jsonrpc: "2.0", id: 1, method: "tools/list", params }, headers);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code } });
  });

  it("that is not sent as JSON, too large, or not a POST is refused", async () => {
    expect((await send("hello", { "content-type": "text/plain" })).status).toBe(415);
    const large = await send(`"${"x".repeat(5_000_000)}"`);
    const { detail } = (await large.json()) as { detail: string };
    expect([large.status, detail]).toEqual([413, expect.stringMatching(/4,194,304 bytes.*by its name/)]);
    expect((await send("", {}, "GET")).status).toBe(405);
    expect((await send("", {}, "DELETE")).status).toBe(405);
  });

  it.each(Object.keys(protocols) as ProtocolVersion[])(
    "of %s to an address with groups of tools finds those",
    async (version) => {
      const client = new Client({ name: "test", version: "1" }, protocols[version]);
      const requestInit = { headers: { authorization: `Bearer ${ADMIN_KEY}` } };
      const address = new URL(`${embedded.url}/mcp?tools=work,data`);
      await client.connect(new StreamableHTTPClientTransport(address, { requestInit }));
      const { tools } = await client.listTools();
      expect(tools.map(({ name }) => name)).toEqual(toolsOf(["work", "data"]).map(({ name }) => name));
      expect(client.getInstructions()).toBe(instructionsOf(["work", "data"]));
      await expect(client.callTool({ name: "run_list", arguments: {} })).rejects.toThrow("run_list");
      await client.close();
    },
  );

  it("to an address with a group of tools that there is not is refused, naming those there are", async () => {
    const answer = await send(ping, {}, "POST", "?tools=walks");
    expect(answer.status).toBe(400);
    expect(await answer.text()).toMatch(/walks.*workflows, runs/);
  });

  it("of a foreign web page is refused", async () => {
    for (const origin of ["https://evil.example", "http://localhost.evil.example", "null", "file://"]) {
      expect((await send(ping, { origin })).status, origin).toBe(403);
    }
    expect((await send(ping, { origin: "http://localhost:3000" })).status).not.toBe(403);
  });

  it.each(["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", ""])(
    "through the foreign name %j is refused, as a page would make it that lets its name point here",
    async (host) => {
      const { port } = new URL(embedded.url);
      const status = await new Promise<number>((resolve, reject) => {
        const headers = { host, authorization: `Bearer ${ADMIN_KEY}`, "content-type": "application/json" };
        const request = http.request({ port, path: "/mcp", method: "POST", headers, setHost: false }, (response) => {
          response.resume();
          resolve(response.statusCode!);
        });
        request.on("error", reject).end(JSON.stringify(ping));
      });
      expect(status).toBe(421);
    },
  );

  it("with another key than the session it names was opened with does not find it", async () => {
    const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "test", version: "1" } };
    const opened = await send({ jsonrpc: "2.0", id: 1, method: "initialize", params });
    await opened.text();
    const session = { "mcp-session-id": opened.headers.get("mcp-session-id")! };
    const stranger = { authorization: `Bearer ${await keyWith({ scopes: ["runs:read"] })}` };
    expect((await send(ping, { ...session, ...stranger })).status).toBe(404);
    expect((await send("", { ...session, ...stranger }, "DELETE")).status).toBe(404);
    expect((await send(ping, session)).status).toBe(200);
    expect((await send("", session, "DELETE")).status).toBe(200);
    expect((await send(ping, session)).status).toBe(404);
  });

  it("that offers fixtures of the conformance suite is for deployments that say so", async () => {
    const client = await connect("2026-07-28", ADMIN_KEY);
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).not.toContain("test_simple_text");
    await client.close();
  });
});

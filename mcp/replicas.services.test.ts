/** Two orchestrators on one PostgreSQL and RabbitMQ: it does not matter which of them a client of MCP reaches. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { pino } from "pino";
import { afterAll, beforeAll, expect, it } from "vitest";
import { loadConfig } from "../config.ts";
import type { JsonObject } from "../core/json.ts";
import { type Embedded, startEmbedded } from "../embedded.ts";
import { createClient } from "../sdk/client.ts";
import { amqpUrl, freshDatabase } from "../test/services.ts";
import { call, eventually, protocols } from "./tools.suite.ts";

const waiting = { name: "waiting", tasks: [{ id: "a", wait: { signal: "go" } }] };
let here: Embedded;
let there: Embedded;

beforeAll(async () => {
  const { databaseUrl } = await freshDatabase();
  const config = loadConfig({ DATABASE_URL: databaseUrl, AMQP_URL: await amqpUrl(), PORT: "0" });
  const logger = pino({ level: "silent" });
  here = await startEmbedded({ config, logger });
  there = await startEmbedded({ config, logger, withoutExecutor: true });
});

afterAll(async () => {
  await there?.stop();
  await here?.stop();
});

it("serves a client whose session another opened", async () => {
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "test", version: "1" } };
  const send = (url: string, body: JsonObject, headers: Record<string, string> = {}) =>
    fetch(`${url}/mcp`, {
      method: "POST",
      headers: { accept: "application/json, text/event-stream", "content-type": "application/json", ...headers },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, ...body }),
    });
  const opened = await send(here.url, { method: "initialize", params });
  await opened.text();
  const session = { "mcp-session-id": opened.headers.get("mcp-session-id")!, "mcp-protocol-version": "2025-11-25" };
  const answer = await send(there.url, { method: "tools/call", params: { name: "run_list", arguments: {} } }, session);
  expect(answer.status).toBe(200);
  expect(await answer.text()).toContain("There are no such runs.");
});

it("tells a subscriber of what happened at another", async () => {
  const client = new Client({ name: "test", version: "1" }, protocols["2026-07-28"]);
  await client.connect(new StreamableHTTPClientTransport(new URL(`${there.url}/mcp`)));
  const { id: run_id } = await call(client, "workflow_submit", { definition: waiting });
  const heard: string[] = [];
  client.setNotificationHandler("notifications/resources/updated", ({ params }) => void heard.push(params.uri));
  const uri = `skein://runs/${run_id}`;
  await client.listen({ resourceSubscriptions: [uri] });
  await createClient({ url: here.url }).runs.signal(run_id as string, "go");
  await expect.poll(() => heard, eventually).toContain(uri);
  const watched = await call(client, "run_watch", { run_id: run_id!, wait_seconds: 30 });
  expect(watched).toMatchObject({ more: false, run: { status: "completed" } });
  expect((watched.events as { type: string }[]).at(-1)!.type).toBe("run.completed");
  await client.close();
});

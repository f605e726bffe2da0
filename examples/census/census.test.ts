/** The census runs on the embedded system, with a web server, mail server, MCP server and model endpoint of the test's own. */
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { pino } from "pino";
import { SMTPServer } from "smtp-server";
import { afterAll, beforeAll, expect, it } from "vitest";
import { API_KEY, type ChatServer, say, startChatServer } from "../../agents/executor_agents/llm/chat-server.suite.ts";
import { type HttpTestServer, startHttpServer } from "../../agents/executor_agents/mcp/test-server.suite.ts";
import { type Client, createClient, type Embedded, loadConfig, parseWorkflow, startEmbedded } from "../../index.ts";

const MCP_TOKEN = "token-of-this-test";
const secret = Buffer.alloc(32, "s");
const counts = [
  { place: "lake", birds: 12 },
  { place: "field", birds: 30 },
  { place: "lake", birds: 7 },
];

let web: Server;
let mail: SMTPServer;
let chat: ChatServer;
let calculator: HttpTestServer;
let system: Embedded;
let client: Client;
let address: string;
const told: { headers: IncomingHttpHeaders; body: string }[] = [];
const letters: string[] = [];

beforeAll(async () => {
  web = createServer(async (request, response) => {
    if (request.url === "/archive") told.push({ headers: request.headers, body: await text(request) });
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(counts));
  });
  mail = new SMTPServer({
    hideSTARTTLS: true,
    authOptional: true,
    logger: false,
    onData: async (stream, _session, callback) => {
      letters.push(await text(stream));
      callback(null, "queued");
    },
  });
  await new Promise<void>((resolve) => web.listen(0, "127.0.0.1", resolve));
  await new Promise<void>((resolve) => void mail.listen(0, "127.0.0.1", () => resolve()));
  [chat, calculator] = await Promise.all([startChatServer(), startHttpServer(MCP_TOKEN)]);
  address = `127.0.0.1:${(web.address() as AddressInfo).port}`;
  const headers = { authorization: `Bearer ${MCP_TOKEN}` };
  system = await startEmbedded({
    config: loadConfig({
      PORT: "0",
      SKEIN_HTTP_ALLOW: address,
      SKEIN_MCP_SERVERS: JSON.stringify({ calc: { url: calculator.url, headers } }),
      OPENAI_BASE_URL: chat.url,
      OPENAI_API_KEY: API_KEY,
      SKEIN_LLM_MODEL: "small",
      SKEIN_SMTP_URL: `smtp://127.0.0.1:${(mail.server.address() as AddressInfo).port}`,
      SKEIN_SMTP_FROM: "Skein <skein@example.org>",
      SKEIN_WEBHOOK_SECRETS: JSON.stringify({ archive: `whsec_${secret.toString("base64")}` }),
    }),
    logger: pino({ level: "silent" }),
    inMemory: true,
  });
  client = createClient({ url: system.url });
});
afterAll(async () => {
  await system?.stop();
  await Promise.all([chat?.close(), calculator?.close()]);
  await new Promise<void>((resolve) => mail.close(resolve));
  web.closeAllConnections();
  web.close();
});

const workflow = parseWorkflow(readFileSync(join(import.meta.dirname, "census.yaml"), "utf8"));

/** Submits it, and answers its id once somebody is asked. */
async function askedFor(): Promise<string> {
  chat.answer(say("Many geese came."), say('{"headline":"Geese galore"}'));
  const inputs = {
    counts: `http://${address}/counts`,
    archive: `http://${address}/archive`,
    editor: "jane@example.org",
  };
  const { id } = await client.runs.submit({ definition: { ...workflow }, inputs });
  for await (const event of client.runs.events(id)) {
    if ("key" in event && event.key === "review" && event.type === "task.waiting") return id;
  }
  throw new Error(`the run ended without asking: ${JSON.stringify(await client.runs.result(id))}`);
}

it("uses at least eight different specialised executors, each of which does its part", async () => {
  expect(new Set(workflow.tasks.map(({ capability }) => capability)).size).toBe(12);
  const id = await askedFor();
  expect((await client.runs.artifacts.read(id, "report/census.md")).content.toString()).toBe(
    "# Geese galore\n\nMany geese came.\n",
  );
  expect((await client.runs.task(id, "review")).input).toMatchObject({
    approval: { assignee: "jane@example.org", payload: { file: "report/census.md" } },
  });
  await expect(client.runs.approve(id, "review", { payload: { send: "yes" } })).rejects.toMatchObject({
    code: "ANSWER_INVALID",
    issues: [{ pointer: "/payload/send" }],
  });
  expect([letters, told]).toEqual([[], []]);
  await client.runs.approve(id, "review", { payload: { send: true, greeting: "Dear reader" } });
  for await (const _ of client.runs.events(id));
  const files = ["report/census.json", "report/census.md"];
  expect(await client.runs.result(id)).toEqual({
    status: "completed",
    outputs: { total: 49, published: true, report: "report/census.md" },
    error: null,
  });
  expect(chat.requests[0]!.body.messages).toMatchObject([
    { role: "user", content: "Two sentences on 49 geese, most of them at the field." },
  ]);
  expect(letters).toEqual([expect.stringMatching(/\nSubject: Geese galore\r\n.*Dear reader,.*Many geese came\./s)]);
  const [{ headers, body }] = told as [(typeof told)[number]];
  expect(JSON.parse(body)).toEqual({ type: "census.published", files });
  const content = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
  const signature = createHmac("sha256", secret).update(content).digest("base64");
  expect(headers["webhook-signature"]).toBe(`v1,${signature}`);
  const table = JSON.parse((await client.runs.artifacts.read(id, "report/census.json")).content.toString());
  expect(table).toEqual({ lake: 19, field: 30 });
});

it("tells nobody when the editor says no", async () => {
  const [lettersBefore, toldBefore] = [letters.length, told.length];
  const id = await askedFor();
  await client.runs.approve(id, "review", { payload: { send: false } });
  for await (const _ of client.runs.events(id));
  expect(await client.runs.result(id)).toEqual({
    status: "completed",
    outputs: { total: 49, published: false, report: "report/census.md" },
    error: null,
  });
  const { data } = await client.runs.tasks(id, { status: "skipped" });
  expect(data.map(({ key }) => key).sort()).toEqual(["files", "mail", "tell", "text"]);
  expect([letters.length, told.length]).toEqual([lettersBefore, toldBefore]);
});

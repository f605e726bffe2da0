import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig } from "../config.ts";
import type { JsonObject } from "../core/json.ts";
import { type Embedded, startEmbedded } from "../embedded.ts";
import { createClient } from "../sdk/client.ts";
import { describeAsking } from "./asking.suite.ts";
import { describeDoor } from "./door.suite.ts";
import { describeSubscriptions } from "./subscriptions.suite.ts";
import { eventually, type ProtocolVersion, protocols, refusal, shout } from "./tools.suite.ts";
import { toolsOf } from "./toolsets.ts";

const main = new URL("./main.ts", import.meta.url).href;
const program = `import(${JSON.stringify(main)}).then(({ runMcpStdio }) => runMcpStdio({ url: process.env.TEST_URL, tools: process.env.TEST_TOOLS }))`;
const command = [process.execPath, "--import", "tsx", "--eval", program] as const;

let embedded: Embedded;

beforeAll(async () => {
  embedded = await startEmbedded({
    config: loadConfig({ PORT: "0" }),
    logger: pino({ level: "silent" }),
    inMemory: true,
    executors: [shout],
  });
});

afterAll(async () => {
  await embedded?.stop();
});

async function connect(version: ProtocolVersion, url = embedded.url, capabilities = {}): Promise<Client> {
  const [executable, ...args] = command;
  const client = new Client({ name: "test", version: "1" }, { ...protocols[version], capabilities });
  await client.connect(
    new StdioClientTransport({
      command: executable,
      args,
      env: { ...(process.env as Record<string, string>), TEST_URL: url },
      stderr: "ignore",
    }),
  );
  return client;
}

const rest = () => createClient({ url: embedded.url });

describe("MCP over stdin and stdout", () => {
  // What tools do in the older version, `http.test.ts` asks; here it is what differs by door: whom the server asks and tells.
  describeDoor("2026-07-28", connect, rest);
  for (const version of Object.keys(protocols) as ProtocolVersion[]) {
    describeAsking(version, (asked, capabilities) => connect(asked, embedded.url, capabilities));
    describeSubscriptions(version, connect, rest);
  }

  it("says that the server cannot be reached, in the tool's answer", async () => {
    const client = await connect("2026-07-28", "http://127.0.0.1:1");
    const refused = await refusal(client, "run_list");
    expect(refused).toMatchObject({ code: "SERVER_UNREACHABLE", text: expect.stringContaining("SKEIN_URL") });
    await client.close();
  });
});

describe("the process", () => {
  it("survives frames that are no JSON, writes nothing but frames to stdout, and ends with its input", async () => {
    const child = start();
    const stderr = collect(child);
    const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
    const next = async () => JSON.parse((await lines.next()).value as string) as JsonObject;

    child.stdin!.write('not json\n{"jsonrpc":"2.0"}\n[]\n');
    const params = { protocolVersion: "1999-01-01", capabilities: {}, clientInfo: { name: "test", version: "1" } };
    child.stdin!.write(`${JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params })}\n`);
    expect(await next()).toMatchObject({ id: 1, result: { protocolVersion: "2025-11-25" } });
    child.stdin!.write('{"jsonrpc":"2.0","method":"notifications/initialized"}\n');
    child.stdin!.write('{"jsonrpc":"2.0","id":2,"method":"nothing/like/it"}\n');
    expect(await next()).toMatchObject({ id: 2, error: { code: -32601 } });

    const exit = once(child, "exit");
    child.stdin!.end();
    expect((await exit)[0]).toBe(0);
    expect((await lines.next()).done).toBe(true);
    expect(stderr()).toContain(`serving ${embedded.url}`);
  });

  it("refuses a version that nobody speaks, naming those that are spoken", async () => {
    const child = start();
    const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
    const _meta = {
      "io.modelcontextprotocol/protocolVersion": "2999-01-01",
      "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
      "io.modelcontextprotocol/clientCapabilities": {},
    };
    child.stdin!.write(`${JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list", params: { _meta } })}\n`);
    const { error } = JSON.parse((await lines.next()).value as string) as { error: { data: { supported: string[] } } };
    expect(error.data.supported).toContain("2026-07-28");
    const exit = once(child, "exit");
    child.stdin!.end();
    await exit;
  });

  it("offers the groups of tools that it is asked for", async () => {
    const child = start({ TEST_TOOLS: "schedules" });
    const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
    child.stdin!.write('{"jsonrpc":"2.0","id":1,"method":"tools/list"}\n');
    const { result } = JSON.parse((await lines.next()).value as string) as { result: { tools: { name: string }[] } };
    expect(result.tools.map(({ name }) => name)).toEqual(toolsOf(["schedules"]).map(({ name }) => name));
    const exit = once(child, "exit");
    child.stdin!.end();
    await exit;
  });

  it("answers a client that knows tasks with a task", async () => {
    const child = start();
    const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
    const clientCapabilities = { extensions: { "io.modelcontextprotocol/tasks": {} } };
    const _meta = {
      "io.modelcontextprotocol/protocolVersion": "2026-07-28",
      "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
      "io.modelcontextprotocol/clientCapabilities": clientCapabilities,
    };
    let id = 0;
    const ask = async (method: string, params: JsonObject) => {
      const request = { jsonrpc: "2.0", id: ++id, method, params: { ...params, _meta } };
      child.stdin!.write(`${JSON.stringify(request)}\n`);
      return (JSON.parse((await lines.next()).value as string) as { result: JsonObject }).result;
    };
    const definition = { name: "one", tasks: [{ id: "a", capability: "core.echo", input: 1 }] };
    const created = await ask("tools/call", { name: "workflow_submit", arguments: { definition } });
    expect(created).toMatchObject({ resultType: "task", status: "working" });
    const status = async () => (await ask("tasks/get", { taskId: created.taskId! })).status;
    await expect.poll(status, eventually).toBe("completed");
    const exit = once(child, "exit");
    child.stdin!.end();
    await exit;
  });

  it("tells a client that listens to tasks how they stand, and no other", async () => {
    const child = start();
    const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
    const next = async () => JSON.parse((await lines.next()).value as string) as JsonObject & { params: JsonObject };
    const { id } = await rest().runs.submit({
      definition: { name: "heard", tasks: [{ id: "a", wait: { signal: "go" } }] },
    });
    const listen = (request: number, extensions: JsonObject) => {
      const _meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
        "io.modelcontextprotocol/clientCapabilities": { extensions },
      };
      const params = { notifications: { taskIds: [id] }, _meta };
      child.stdin!.write(
        `${JSON.stringify({ jsonrpc: "2.0", id: request, method: "subscriptions/listen", params })}\n`,
      );
    };
    listen(1, {});
    expect(await next()).toMatchObject({ id: 1, error: { code: -32_021 } });
    listen(2, { "io.modelcontextprotocol/tasks": {} });
    expect(await next()).toMatchObject({ params: { notifications: { taskIds: [id] } } });
    expect(await next()).toMatchObject({ method: "notifications/tasks", params: { taskId: id, status: "working" } });
    await rest().runs.signal(id, "go");
    for (let told = await next(); told.params.status !== "completed"; told = await next()) {
      expect(told).toMatchObject({ method: "notifications/tasks", params: { taskId: id, status: "working" } });
    }
    const exit = once(child, "exit");
    child.stdin!.end();
    await exit;
  });

  function start(env: Record<string, string> = {}): ChildProcess {
    const [executable, ...args] = command;
    return spawn(executable, args, { env: { ...process.env, TEST_URL: embedded.url, ...env } });
  }

  function collect(child: ChildProcess): () => string {
    let text = "";
    child.stderr!.on("data", (chunk) => {
      text += chunk;
    });
    return () => text;
  }
});

import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { Json, JsonObject } from "../../../core/json.ts";
import { compileSchema } from "../../../core/schema.ts";
import type { ExecutorContext } from "../../../sdk/executor.ts";
import { collectLog, perform } from "../perform.suite.ts";
import { mcpCall } from "./mcp-call.ts";
import { type McpServers, mcpServers } from "./servers.ts";
import { type HttpTestServer, startHttpServer, startRawServer, stdioServer } from "./test-server.suite.ts";

const TOKEN = "a-secret-of-this-test";
let http: HttpTestServer;
let servers: McpServers;
const cancelled = vi.fn();

beforeAll(async () => {
  http = await startHttpServer(TOKEN, { onCancelled: cancelled });
  servers = mcpServers({
    http: { url: http.url, headers: { authorization: `Bearer ${TOKEN}` } },
    stdio: stdioServer({ TEST_TOKEN: TOKEN }),
    stranger: { url: http.url, headers: { authorization: "Bearer of-nothing-good" } },
    nobody: { url: "http://127.0.0.1:1/mcp", headers: {} },
    missing: { command: "/no/such/command", args: [], env: {} },
    dumb: { command: process.execPath, args: ["-e", "process.exit(3)"], env: {} },
  });
});
afterAll(async () => {
  await servers.close();
  await http.close();
});
afterEach(() => void cancelled.mockClear());

function callTool(server: string, tool: string, args: JsonObject = {}, rest: Partial<ExecutorContext> = {}) {
  return perform(mcpCall(servers), { server, tool, arguments: args }, rest);
}

describe.each(["http", "stdio"])("mcp.call over %s", (server) => {
  it("answers with the structured content, else with the text", async () => {
    expect(await callTool(server, "add", { a: 1, b: 2 })).toEqual({ result: { sum: 3 } });
    expect(await callTool(server, "greet", { name: "Ada" })).toEqual({ result: "Hello Ada" });
  });

  it("answers with all the content where there is more than text", async () => {
    expect(await callTool(server, "picture")).toEqual({
      result: "a dot",
      content: [
        { type: "text", text: "a dot" },
        { type: "image", data: "AAAA", mimeType: "image/png" },
      ],
    });
  });

  it("passes the tool's progress on", async () => {
    const notes: Json[] = [];
    const counting = callTool(server, "count", {}, { progress: (note) => void notes.push(note!) });
    await expect.poll(() => notes).toEqual([{ progress: 1, total: 2, message: "half" }]);
    await callTool(server, "finish");
    expect(await counting).toEqual({ result: "counted" });
  });

  it("fails with the tool's own words, but without what is secret", async () => {
    const failure = await callTool(server, "complain").catch((error) => error);
    expect(failure).toMatchObject({ name: "TaskError", code: "MCP_TOOL_FAILED" });
    expect(failure.message).toContain(`"complain" of the MCP server "${server}" failed: it hurts, `);
    expect(failure.message).not.toContain(TOKEN);
  });

  it("says what is wrong with arguments that the tool does not take", async () => {
    const failure = { code: "MCP_TOOL_FAILED", message: expect.stringContaining("expected number") };
    await expect(callTool(server, "add", { a: "one" })).rejects.toMatchObject(failure);
  });

  it("names the tools there are, and the one that was probably meant", async () => {
    await expect(callTool(server, "great")).rejects.toMatchObject({
      name: "NonRetryableError",
      code: "MCP_TOOL_UNKNOWN",
      message: expect.stringMatching(/no tool "great"\..*greet.*It has add, greet/),
    });
  });

  it("takes no answer that is larger than an output may be, and serves the next call", async () => {
    await expect(callTool(server, "huge")).rejects.toMatchObject({ code: "MCP_RESULT_TOO_LARGE" });
    expect(await callTool(server, "add", { a: 1, b: 2 })).toEqual({ result: { sum: 3 } });
  });

  it("ends with the attempt", async () => {
    const stop = new AbortController();
    const reason = new Error("cancelled");
    const calling = callTool(server, "hang", {}, { signal: stop.signal });
    calling.catch(() => {});
    // Answered while the other one hangs.
    expect(await callTool(server, "greet", { name: "Ada" })).toEqual({ result: "Hello Ada" });
    stop.abort(reason);
    await expect(calling).rejects.toBe(reason);
  });

  it("ends with the attempt's time", async () => {
    const failure = { name: "TaskError", code: "MCP_TIMEOUT" };
    await expect(callTool(server, "hang", {}, { timeoutMs: 200 })).rejects.toMatchObject(failure);
  });
});

describe("mcp.call", () => {
  it("tells the server that a call is cancelled", async () => {
    const stop = new AbortController();
    const before = http.seen.length;
    const calling = callTool("http", "hang", {}, { signal: stop.signal });
    calling.catch(() => {});
    await expect.poll(() => http.seen.length).toBeGreaterThan(before);
    stop.abort(new Error("cancelled"));
    await expect.poll(() => cancelled).toHaveBeenCalled();
  });

  it.each([
    ["nothing", "MCP_SERVER_UNKNOWN", "NonRetryableError"],
    ["stranger", "MCP_UNAUTHORIZED", "NonRetryableError"],
    ["nobody", "MCP_UNREACHABLE", "TaskError"],
    ["missing", "MCP_UNREACHABLE", "TaskError"],
    ["dumb", "MCP_UNREACHABLE", "TaskError"],
  ])("of the server %s fails with %s", async (server, code, name) => {
    const { log, lines } = collectLog();
    const failure = await callTool(server, "add", {}, { log }).catch((error) => error);
    expect(failure).toMatchObject({ code, name, message: expect.stringContaining(`"${server}"`) });
    expect(JSON.stringify([failure.stack, lines])).not.toContain("of-nothing-good");
  });

  it.each([
    [{ error: { code: -32_602, message: "bad arguments" } }, "MCP_ARGUMENTS_REFUSED", "NonRetryableError"],
    [{ error: { code: -32_603, message: "bad day" } }, "MCP_PROTOCOL", "TaskError"],
    [{ result: { content: "no list" } }, "MCP_PROTOCOL", "TaskError"],
    [{ result: { content: [], structuredContent: { n: "one" } } }, "MCP_PROTOCOL", "TaskError"],
  ])("whose server answers %j fails with %s", async (answer, code, name) => {
    const server = await startRawServer(answer);
    const own = mcpServers({ raw: { url: server.url, headers: {} } });
    const input = { server: "raw", tool: "any" };
    await expect(perform(mcpCall(own), input)).rejects.toMatchObject({ code, name });
    await own.close();
    await server.close();
  });

  it("gives a process it starts nothing of its own environment but what every program needs", async () => {
    vi.stubEnv("OPENAI_API_KEY", "sk-secret");
    const { result } = (await callTool("stdio", "environment")) as { result: string };
    vi.unstubAllEnvs();
    expect(result.split(" ")).toContain("TEST_TOKEN");
    expect(result.split(" ")).toContain("PATH");
    expect(result).not.toContain("OPENAI");
  });

  it("takes no command from a task", async () => {
    const input = { server: "stdio", tool: "add", command: "sh" };
    await expect(perform(mcpCall(servers), input)).rejects.toMatchObject({ code: "INPUT_INVALID" });
  });

  it("has a contract that Skein accepts, and names its servers", () => {
    const { inputSchema, outputSchema, description } = mcpCall(servers);
    compileSchema(inputSchema);
    compileSchema(outputSchema);
    expect(description).toContain("http, stdio, stranger");
  });
});

describe("a connection", () => {
  it("is shared, kept while it is used, and let go when idle", async () => {
    const own = mcpServers({ stdio: stdioServer() }, { idleMs: 300 });
    const pid = async () => {
      const answer = await perform(mcpCall(own), { server: "stdio", tool: "process" });
      return Number((answer as { result: string }).result);
    };
    const [first, second] = await Promise.all([pid(), pid()]);
    expect(second).toBe(first);
    await vi.waitFor(() => expect(() => process.kill(first, 0)).toThrow("ESRCH"), { timeout: 10_000 });
    const third = await pid();
    expect(third).not.toBe(first);
    await own.close();
    await vi.waitFor(() => expect(() => process.kill(third, 0)).toThrow("ESRCH"), { timeout: 10_000 });
  });

  it("that broke is made anew with the next call", async () => {
    const failure = { name: "TaskError", code: "MCP_UNREACHABLE" };
    await expect(callTool("stdio", "crash")).rejects.toMatchObject(failure);
    expect(await callTool("stdio", "greet", { name: "Ada" })).toEqual({ result: "Hello Ada" });
  });
});

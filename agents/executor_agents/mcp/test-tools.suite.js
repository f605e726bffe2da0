// @ts-check
/** The tools of an MCP server for tests, made with the official SDK. Plain JavaScript, so that a process of it starts fast. */
import { McpServer } from "@modelcontextprotocol/server";
import { z } from "zod";

const BEYOND_THE_LIMIT = 9 * 1_024 * 1_024;

/** Over HTTP, every request has a server of its own. */
let finishCounting = () => {};

/**
 * @param {{ onCancelled?: () => void }} [watch] `onCancelled` is called when a tool that never returns was cancelled
 */
export function buildTestServer({ onCancelled = () => {} } = {}) {
  const server = new McpServer({ name: "test", version: "1" }, { capabilities: { tools: {} } });
  /** @param {string} words */
  const text = (words) => ({ content: [{ type: /** @type {const} */ ("text"), text: words }] });
  server.registerTool(
    "add",
    {
      description: "Adds two numbers",
      inputSchema: z.object({ a: z.number(), b: z.number() }),
      outputSchema: z.object({ sum: z.number() }),
    },
    ({ a, b }) => ({ ...text(`${a} + ${b}`), structuredContent: { sum: a + b } }),
  );
  server.registerTool("greet", { inputSchema: z.object({ name: z.string() }) }, ({ name }) => text(`Hello ${name}`));
  server.registerTool("picture", {}, () => ({
    content: [
      { type: "text", text: "a dot" },
      { type: "image", data: "AAAA", mimeType: "image/png" },
    ],
  }));
  server.registerTool("complain", {}, () => ({ ...text(`it hurts, ${process.env.TEST_TOKEN}`), isError: true }));
  server.registerTool("environment", {}, () => text(Object.keys(process.env).sort().join(" ")));
  server.registerTool("process", {}, () => text(String(process.pid)));
  server.registerTool("huge", {}, () => text("x".repeat(BEYOND_THE_LIMIT)));
  server.registerTool("crash", {}, () => process.exit(1));
  server.registerTool("count", {}, async ({ mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken;
    if (progressToken !== undefined) {
      await mcpReq.notify({
        method: "notifications/progress",
        params: { progressToken, progress: 1, total: 2, message: "half" },
      });
    }
    await new Promise((resolve) => {
      finishCounting = () => resolve(undefined);
    });
    return text("counted");
  });
  server.registerTool("finish", {}, () => {
    finishCounting();
    return text("finished");
  });
  server.registerTool("hang", {}, ({ mcpReq }) => {
    return new Promise((_, reject) => {
      mcpReq.signal.addEventListener("abort", () => {
        onCancelled();
        reject(new Error("cancelled"));
      });
    });
  });
  return server;
}

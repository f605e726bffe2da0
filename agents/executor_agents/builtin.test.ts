import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { compileSchema } from "../../core/schema.ts";
import { parseWorkflow } from "../../core/workflow.ts";
import { builtinExecutors, neededSetting } from "./builtin.ts";

it("the built-in executors are the ones the documentation names", () => {
  expect(builtinExecutors().map(({ capability }) => capability)).toEqual([
    "core.echo",
    "core.sleep",
    "http.request",
    "transform.jsonata",
    "code.javascript",
    "file.read",
    "file.write",
    "file.list",
    "a2a.send",
  ]);
});

const allOptions = {
  sqlDatabases: { orders: { url: "postgres://localhost/orders", write: false, privileged: false } },
  smtp: { url: "smtp://localhost", from: "skein@example.org", recipientDomains: [] },
  webhookSecrets: { partner: [`whsec_${Buffer.alloc(32).toString("base64")}`] },
  llm: { baseUrl: "http://127.0.0.1:1/v1", prices: new Map() },
  mcpServers: { files: { url: "http://127.0.0.1:1/mcp", headers: {} } },
};

it("what needs settings is offered where it has them", () => {
  const plain = new Set(builtinExecutors().map(({ capability }) => capability));
  const all = builtinExecutors(allOptions).map(({ capability }) => capability);
  const sandboxed = ["code.python", "shell.command"];
  expect([...all.filter((capability) => !plain.has(capability)), ...sandboxed]).toEqual([...neededSetting.keys()]);
});

it("every built-in contract is a schema that Skein itself accepts", () => {
  for (const { inputSchema, outputSchema } of builtinExecutors(allOptions)) {
    if (inputSchema) compileSchema(inputSchema);
    if (outputSchema) compileSchema(outputSchema);
  }
});

it("only what may ask a model leaves budgets in the dark", () => {
  const unknown = builtinExecutors(allOptions).filter(({ tokens }) => tokens === undefined);
  expect(unknown.map(({ capability }) => capability)).toEqual([
    "a2a.send",
    "llm.generate",
    "llm.object",
    "llm.agent",
    "mcp.call",
  ]);
});

it("an unusable exception for http.request is refused at the start", () => {
  expect(() => builtinExecutors({ httpAllow: ["http://x/y"] })).toThrow(
    expect.objectContaining({ code: "CONFIG_INVALID" }),
  );
});

const docs = join(import.meta.dirname, "../../docs/executors");
const pages = readdirSync(docs).map((file) => file.replace(/\.md$/, ""));
const documented = builtinExecutors(allOptions).filter(({ capability }) => pages.includes(capability));

it.each(documented)(
  "the page of $capability names every key, and its example is a workflow that uses it",
  (executor) => {
    const page = readFileSync(join(docs, `${executor.capability}.md`), "utf8");
    const keysOf = (schema: unknown) => Object.keys((schema as { properties?: object }).properties ?? {});
    const inCode = page.match(/`[^`\n]+`/g)!.join(" ");
    for (const key of [...keysOf(executor.inputSchema), ...keysOf(executor.outputSchema)]) {
      expect(inCode).toMatch(new RegExp(`\\b${key}\\b`));
    }
    const [, example = ""] = /```yaml\n([\s\S]*?)```/.exec(page) ?? [];
    expect(parseWorkflow(example).tasks.map(({ capability }) => capability)).toContain(executor.capability);
  },
);

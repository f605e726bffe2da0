import { expect, it } from "vitest";
import { compileSchema } from "../../core/schema.ts";
import { builtinExecutors, neededSetting } from "./builtin.ts";

it("the built-in executors are the ones the documentation names", () => {
  expect(builtinExecutors().map(({ capability }) => capability)).toEqual([
    "core.echo",
    "core.sleep",
    "http.request",
    "transform.jsonata",
    "code.javascript",
  ]);
});

const everything = {
  llm: { baseUrl: "http://127.0.0.1:1/v1", prices: new Map() },
  mcpServers: { files: { url: "http://127.0.0.1:1/mcp", headers: {} } },
};

it("those that need an endpoint or a server of the operator are offered once there is one", () => {
  const plain = new Set(builtinExecutors().map(({ capability }) => capability));
  const all = builtinExecutors(everything).map(({ capability }) => capability);
  expect(all.filter((capability) => !plain.has(capability))).toEqual([...neededSetting.keys()]);
});

it("every built-in contract is a schema that Skein itself accepts", () => {
  for (const { inputSchema, outputSchema } of builtinExecutors(everything)) {
    if (inputSchema) compileSchema(inputSchema);
    if (outputSchema) compileSchema(outputSchema);
  }
});

it("an unusable exception for http.request is refused at the start", () => {
  expect(() => builtinExecutors({ httpAllow: ["http://x/y"] })).toThrow(
    expect.objectContaining({ code: "CONFIG_INVALID" }),
  );
});

import { expect, it } from "vitest";
import { compileSchema } from "../../core/schema.ts";
import { builtinExecutors } from "./builtin.ts";

it("the built-in executors are the ones the documentation names", () => {
  expect(builtinExecutors().map(({ capability }) => capability)).toEqual([
    "core.echo",
    "core.sleep",
    "http.request",
    "transform.jsonata",
    "code.javascript",
  ]);
});

it("every built-in contract is a schema that Skein itself accepts", () => {
  for (const { inputSchema, outputSchema } of builtinExecutors()) {
    if (inputSchema) compileSchema(inputSchema);
    if (outputSchema) compileSchema(outputSchema);
  }
});

it("an unusable exception for http.request is refused at the start", () => {
  expect(() => builtinExecutors({ httpAllow: ["http://x/y"] })).toThrow(
    expect.objectContaining({ code: "CONFIG_INVALID" }),
  );
});

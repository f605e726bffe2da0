import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compileTemplate } from "../binding.ts";
import { pathExpression, readPath } from "./path.ts";

describe("a path", () => {
  it.each([
    [["inputs", "url"], "inputs.url"],
    [["tasks", "a", "output", "body-text"], 'tasks.a.output["body-text"]'],
    [["tasks", "a", "output", "in"], 'tasks.a.output["in"]'],
    [["inputs", "a.b"], 'inputs["a.b"]'],
  ])("%j is written %s", (parts, text) => {
    expect(pathExpression(parts)).toBe(text);
    expect(readPath(text)).toEqual(parts);
  });

  it.each([
    [" inputs . a [ 'b' ] ", undefined],
    [' tasks.a.output [ "x" ] [3] . y ', ["tasks", "a", "output", "x", "3", "y"]],
    ["inputs.a + inputs.b", undefined],
    ['"https://collector.example"', undefined],
    ["size(inputs.a)", undefined],
    ["inputs.a // comment", undefined],
    ["inputs[inputs.a]", undefined],
    ["inputs.a ? 1 : 2", undefined],
    ["", undefined],
    ["1", undefined],
  ])("%s is read as %j", (text, parts) => {
    expect(readPath(text)).toEqual(parts);
  });

  it("leads to the field, whatever its name", () => {
    const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }).filter((one) => one !== "__proto__");
    fc.assert(
      fc.property(
        fc.oneof(
          name,
          fc.constantFrom('"', "\\", "}}", "{{", "a\nb", "'", "\u0001", "true", "constructor", "//", "\u2028"),
        ),
        (field) => {
          const path = ["tasks", "a", "output", field];
          expect(readPath(pathExpression(path))).toEqual(path);
          const template = compileTemplate(`{{ ${pathExpression(path)} }}`);
          const outputs = { a: { status: "completed", output: { [field]: "found" } } };
          expect(template.evaluate({ tasks: outputs } as never)).toBe("found");
        },
      ),
      { numRuns: 500 },
    );
  });
});

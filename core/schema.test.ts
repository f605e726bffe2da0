import { describe, expect, test } from "vitest";
import type { Json, JsonObject } from "./json.ts";
import { checkSchema, compileSchema, type JsonSchema, validate } from "./schema.ts";

function problems(schema: JsonSchema, value: unknown): string[] {
  return validate(compileSchema(schema), value, "RUN_INPUTS_INVALID").map(({ message }) => message);
}

const order: JsonSchema = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object",
  required: ["topic"],
  additionalProperties: false,
  properties: {
    topic: { type: "string", minLength: 2 },
    count: { type: "integer", default: 3 },
    kind: { enum: ["short", "long"] },
    contact: { type: "string", format: "email" },
    tags: { type: "array", items: { type: "string", pattern: "^[a-z]+$" }, uniqueItems: true },
  },
};

describe("validating", () => {
  test("a value that satisfies the schema has no problems, and defaults are not filled in", () => {
    const value = { topic: "geese", tags: ["a", "b"], contact: "a@example.org" };
    expect(problems(order, value)).toEqual([]);
    expect(value).not.toHaveProperty("count");
  });

  test("every problem is reported, with a pointer, the caller's code and a sentence", () => {
    const value = { topci: "x", count: 1.5, kind: "medium", contact: "nobody", tags: ["a", "B", "a"] };
    const issues = validate(compileSchema(order), value, "RUN_INPUTS_INVALID", "/inputs");
    expect(new Set(issues.map(({ code }) => code))).toEqual(new Set(["RUN_INPUTS_INVALID"]));
    expect(issues.map(({ pointer, message }) => [pointer, message]).sort()).toEqual([
      ["/inputs", 'The value must have the property "topic"'],
      ["/inputs/contact", '/contact must match format "email"'],
      ["/inputs/count", "/count must be integer, but is number"],
      ["/inputs/kind", '/kind must be one of "short", "long"'],
      ["/inputs/tags", "/tags must not hold the same item twice"],
      ["/inputs/tags/1", '/tags/1 must match pattern "^[a-z]+$"'],
      ["/inputs/topci", '/topci is not a property the schema allows. Did you mean "topic"?'],
    ]);
  });

  const cases: [schema: JsonSchema, valid: Json[], invalid: Json[]][] = [
    [true, [1, null], []],
    [false, [], [1, null]],
    [{ type: ["string", "null"] }, ["a", null], [1]],
    [{ const: { a: [1] } }, [{ a: [1] }], [{ a: [2] }]],
    [{ const: { valueOf: 1, b: 2 } }, [{ b: 2, valueOf: 1 }], [{ valueOf: 2, b: 2 }, { valueOf: 1 }, 1, null]],
    [
      { enum: [{ constructor: {}, toString: [] }, false, "a"] },
      [{ toString: [], constructor: {} }, false, "a"],
      [{}, [], 0, "b"],
    ],
    [{ enum: [null, 0] }, [null, 0, -0], [false, "", {}]],
    [{ multipleOf: 0.01 }, [19.99, 0.1], [0.001]],
    [{ prefixItems: [{ type: "number" }], items: false }, [[1], []], [[1, 2], ["a"]]],
    [{ contains: { type: "number" }, minContains: 2 }, [[1, 2, "a"]], [[1, "a"]]],
    [
      { uniqueItems: true },
      [[1, 2, { a: 1, b: 2 }], "x"],
      [
        [1, 1],
        [
          { a: 1, b: 2 },
          { b: 2, a: 1 },
        ],
      ],
    ],
    [{ uniqueItems: false }, [[1, 1]], []],
    [{ minLength: 2, maxLength: 2 }, ["😀😀"], ["😀"]],
    [
      { patternProperties: { "^x-": { type: "number" } }, additionalProperties: false },
      [{ "x-a": 1 }],
      [{ "x-a": "b" }, { y: 1 }],
    ],
    [{ propertyNames: { pattern: "^[a-z]+$" } }, [{ ab: 1 }], [{ A: 1 }]],
    [{ properties: { a: { pattern: "^a$" }, b: { pattern: "^b$" } } }, [{ a: "a", b: "b" }], [{ a: "b" }, { b: "a" }]],
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    [{ if: { required: ["a"] }, then: { required: ["b"] } }, [{}, { a: 1, b: 1 }], [{ a: 1 }]],
    [{ dependentRequired: { a: ["b"] } }, [{}, { a: 1, b: 1 }], [{ a: 1 }]],
    [{ oneOf: [{ minimum: 2 }, { maximum: 3 }] }, [1, 4], [2]],
    [{ not: { type: "null" } }, [1], [null]],
    [{ allOf: [{ properties: { a: true } }], unevaluatedProperties: false }, [{ a: 1 }], [{ b: 1 }]],
    [{ format: "date-time" }, ["2026-01-02T03:04:05Z", 1], ["yesterday"]],
    [{ format: "uuid" }, ["0190a1b2-0000-7000-8000-000000000000"], ["x"]],
    [{ format: "uri" }, ["https://example.org"], ["no uri", `https://${"a".repeat(20_000)}`]],
    [{ $defs: { "a b": { type: "string" } }, $ref: "#/$defs/a%20b" }, ["a"], [1]],
    [{ $defs: { p: { $anchor: "pos", minimum: 0 } }, items: { $ref: "#pos" } }, [[1]], [[-1]]],
    [
      { properties: { kids: { type: "array", items: { $ref: "#" } } }, required: ["n"] },
      [{ n: 1, kids: [{ n: 2 }] }],
      [{ n: 1, kids: [{}] }],
    ],
    [{ required: ["toString"] }, [{ toString: 1 }], [{}]],
    [
      { "x-note": 1, properties: { pattern: { type: "string" }, $ref: { type: "number" } } },
      [{ pattern: "(", $ref: 1 }],
      [{ pattern: 1 }],
    ],
  ];

  test.each(cases)("%j", (schema, valid, invalid) => {
    for (const value of valid) expect([value, problems(schema, value)]).toEqual([value, []]);
    for (const value of invalid) expect([value, problems(schema, value).length > 0]).toEqual([value, true]);
  });

  test("the same schema in another key order is the same validator", () => {
    expect(compileSchema({ type: "string", minLength: 3 })).toBe(compileSchema({ minLength: 3, type: "string" }));
  });

  test("two schemas with the same $id do not disturb each other", () => {
    expect(problems({ $id: "urn:a", type: "string" }, "x")).toEqual([]);
    expect(problems({ $id: "urn:a", type: "number" }, "x")).toHaveLength(1);
  });

  test("a long list of problems is cut, and says how many are left out", () => {
    const found = problems(
      { items: { type: "string" } },
      Array.from({ length: 500 }, (_, i) => i),
    );
    expect(found).toHaveLength(101);
    expect(found.at(-1)).toContain("400 more");
  });
});

describe("a schema from outside", () => {
  const bad: [schema: unknown, pointer: string, remedy: string][] = [
    [[], "", "an object, true or false"],
    [null, "", "an object"],
    ["string", "", "an object"],
    [{ type: "objct" }, "/type", "object, string"],
    [{ type: [{ valueOf: 1 }, { valueOf: 1 }] }, "/type/0", "object, string"],
    [{ properties: { a: { type: 3 } } }, "/properties/a/type", "must be"],
    [{ items: [{}] }, "/items", "must be"],
    [{ requird: ["a"] }, "/requird", 'Did you mean "required"?'],
    [{ properties: { a: { nullable: true } } }, "/properties/a/nullable", "unknown keyword"],
    [{ $dynamicRef: "#x" }, "/$dynamicRef", "unknown keyword"],
    [{ $async: true }, "/$async", "unknown keyword"],
    [{ $schema: "http://json-schema.org/draft-07/schema#" }, "/$schema", "2020-12"],
    [{ properties: { a: { $id: "urn:x" } } }, "/properties/a/$id", "$defs"],
    [{ $ref: "https://example.org/schema" }, "/$ref", "out of the document"],
    [{ $ref: "other.json#/a" }, "/$ref", "out of the document"],
    [{ $ref: "https://json-schema.org/draft/2020-12/schema" }, "/$ref", "out of the document"],
    [{ $ref: "#/$defs/missing" }, "/$ref", "leads nowhere"],
    [{ $ref: "#/%" }, "/$ref", "leads nowhere"],
    [{ examples: [{ type: "string" }], $ref: "#/examples/0" }, "/$ref", "leads nowhere"],
    [{ format: "date-tme" }, "/format", 'Did you mean "date-time"?'],
    [{ format: "url" }, "/format", 'Did you mean "uri"?'],
    [{ properties: { a: { pattern: "(?!a)" } } }, "/properties/a/pattern", "look-around"],
    [{ pattern: "(" }, "/pattern", "not a regular expression"],
    [{ patternProperties: { "(a)\\1": {} } }, "/patternProperties/(a)\\1", "back-reference"],
    [{ description: "x".repeat(70_000) }, "", "65536"],
    [JSON.parse(`${'{"not":'.repeat(70)}{}${"}".repeat(70)}`), `${"/not".repeat(64)}`, "64 levels"],
    [{ anyOf: Array.from({ length: 1_200 }, () => ({})) }, "", "1000 subschemas"],
    [{ anyOf: Array.from({ length: 200 }, (_, i) => ({ pattern: `a${i}` })) }, "", "100 patterns"],
    [JSON.parse('{"properties":{"__proto__":{}}}'), "/properties/__proto__", "prototype"],
  ];

  test.each(bad)("%j is refused", (schema, pointer, remedy) => {
    const issues = checkSchema(schema, "/inputs");
    expect(issues).toContainEqual({
      code: "WORKFLOW_SCHEMA_INVALID",
      pointer: `/inputs${pointer}`,
      message: expect.stringContaining(remedy),
    });
  });

  test("all its flaws are reported at once", () => {
    const issues = checkSchema(
      { type: "objct", properties: { a: { pattern: "(" }, b: { $ref: "#/x" } }, requird: [] },
      "",
    );
    expect(issues.map(({ pointer }) => pointer).sort()).toEqual([
      "/properties/a/pattern",
      "/properties/b/$ref",
      "/requird",
      "/type",
    ]);
  });

  test("checking it does not change it", () => {
    const schema = { type: "object", properties: { a: { type: "string" } } };
    checkSchema(schema, "");
    expect(schema).toEqual({ type: "object", properties: { a: { type: "string" } } });
  });
});

describe("a validation that would not end is broken off", () => {
  const doubling: JsonObject = { d40: {} };
  for (let i = 0; i < 40; i++) {
    const next = { $ref: `#/$defs/d${i + 1}` };
    doubling[`d${i}`] = { allOf: [next, next] };
  }
  let nested: Json = 1;
  for (let i = 0; i < 60; i++) nested = { a: nested };
  const branch = { type: "object", properties: { a: { $ref: "#" } } };
  const million = Array.from({ length: 1_000_000 }, (_, i) => i);

  test.each<[string, JsonSchema, unknown]>([
    ["references that double at each step", { $defs: doubling, $ref: "#/$defs/d0" }, 1],
    ["alternatives that double at each level of the value", { anyOf: [branch, branch] }, nested],
    [
      "a large enum against a large list",
      { items: { enum: Array.from({ length: 5_000 }, (_, i) => i) } },
      million.map(() => 4_999),
    ],
    [
      "many length checks of a long text",
      { anyOf: Array.from({ length: 900 }, () => ({ minLength: 1e9 })) },
      "a".repeat(4e6),
    ],
    ["a pattern on a very long text", { pattern: "^(a+)+$" }, `${"a".repeat(5e6)}!`],
  ])("%s", (_, schema, value) => {
    expect(problems(schema, value)).toEqual([expect.stringContaining("steps to validate")]);
  });

  test.each<[string, JsonSchema]>([
    ["a reference to itself", { $ref: "#" }],
    ["a reference to itself in allOf", { allOf: [{ $ref: "#" }] }],
  ])("%s", (_, schema) => {
    expect(problems(schema, 1)).toEqual([expect.stringContaining("refers to itself")]);
  });

  test("the pattern that blocks a backtracking engine is answered", () => {
    expect(problems({ pattern: "^(a+)+$" }, `${"a".repeat(50_000)}!`)).toHaveLength(1);
    expect(problems({ pattern: "^(a+)+$" }, "a".repeat(50_000))).toEqual([]);
  });

  test("a list of a million numbers is not too much", () => {
    expect(problems({ type: "array", items: { type: "number" } }, million)).toEqual([]);
  });

  test("after being broken off, a validator works as before", () => {
    const validator = compileSchema({ items: { pattern: "^(a+)+$" } });
    expect(validate(validator, [`${"a".repeat(5e6)}!`], "REQUEST_INVALID")).toHaveLength(1);
    expect(validate(validator, ["aaa"], "REQUEST_INVALID")).toEqual([]);
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Json, JsonObject } from "../json.ts";
import { compileSchema } from "../schema.ts";
import { describeType, either, type Kind, only, type Type, typeOfSchema, typeOfValue } from "./type.ts";

const kindsOf = (type: Type) => [...type.kinds].sort();
const everything: Kind[] = ["boolean", "list", "map", "null", "number", "string"];

describe("the type of what a schema lets pass", () => {
  it.each<[string, unknown, Kind[]]>([
    ["nothing said", {}, everything],
    ["true", true, everything],
    ["false, which nobody means", false, everything],
    ["a type", { type: "string" }, ["string"]],
    ["several types", { type: ["integer", "null"] }, ["null", "number"]],
    ["a constant", { const: [1] }, ["list"]],
    ["an enum", { enum: ["a", 1, null] }, ["null", "number", "string"]],
    ["one of two", { anyOf: [{ type: "string" }, { type: "object" }] }, ["map", "string"]],
    ["one of two beside a type", { type: "string", oneOf: [{ minLength: 1 }, {}] }, ["string"]],
    ["all of two", { allOf: [{ type: ["string", "null"] }, { type: ["null", "number"] }] }, ["null"]],
    ["a reference", { $ref: "#/$defs/name", $defs: { name: { type: "string" } } }, ["string"]],
    ["a reference that leads nowhere", { $ref: "#/$defs/none" }, everything],
    ["a reference out of the document", { $ref: "https://example.org/schema" }, everything],
    ["a reference to itself", { $ref: "#" }, everything],
    ["types that exclude one another", { type: "string", allOf: [{ type: "number" }] }, ["string"]],
  ])("%s", (_, schema, kinds) => {
    expect(kindsOf(typeOfSchema(schema))).toEqual(kinds);
  });

  it("has the fields it names, and no others only where the schema says so", () => {
    const properties = { a: { type: "string" }, b: {} };
    const open = typeOfSchema({ type: "object", properties });
    expect([[...open.fields!.keys()], open.isClosed]).toEqual([["a", "b"], undefined]);
    const closed = typeOfSchema({ type: "object", properties, additionalProperties: false, required: ["a"] });
    expect([closed.isClosed, [...closed.required!]]).toEqual([true, ["a"]]);
    const patterned = { properties, additionalProperties: false, patternProperties: { "^x": {} } };
    expect(typeOfSchema(patterned).isClosed).toBeUndefined();
    const both = typeOfSchema({ allOf: [{ properties, additionalProperties: false }, { properties: { c: {} } }] });
    expect([[...both.fields!.keys()], both.isClosed]).toEqual([["a", "b"], true]);
    const oneOfTwo = typeOfSchema({
      anyOf: [
        { type: "object", properties: { a: { type: "string" } }, additionalProperties: false },
        { type: "object", properties: { a: { type: "number" }, b: {} }, additionalProperties: false },
      ],
    });
    expect([[...oneOfTwo.fields!.keys()], oneOfTwo.isClosed]).toEqual([["a", "b"], true]);
    expect(kindsOf(oneOfTwo.fields!.get("a")!)).toEqual(["number", "string"]);
    const orAny = typeOfSchema({ anyOf: [{ properties, additionalProperties: false, type: "object" }, {}] });
    expect(orAny.isClosed).toBeUndefined();
  });

  it("knows how long a list is, and what is in it", () => {
    const list = typeOfSchema({ type: "array", items: { type: "string" }, minItems: 1, maxItems: 3 });
    expect([list.least, list.most, kindsOf(list.items!)]).toEqual([1, 3, ["string"]]);
    const tuple = typeOfSchema({ type: "array", prefixItems: [{ type: "string" }], items: { type: "number" } });
    expect(tuple.items).toBeUndefined();
  });

  it("is not fooled by schemas that grow without end", () => {
    const branch = { $ref: "#" };
    const schema = { type: "object", properties: { a: branch, b: branch, c: branch }, allOf: [{}, {}] };
    expect(kindsOf(typeOfSchema(schema))).toEqual(["map"]);
  });
});

const value: fc.Arbitrary<Json> = fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>;
const { schema } = fc.letrec<{ schema: JsonObject }>((tie) => ({
  schema: fc.oneof(
    { depthSize: "small" },
    fc.record({ type: fc.constantFrom("null", "boolean", "number", "string", "array", "object") }),
    fc.record({ enum: fc.array(value, { minLength: 1, maxLength: 3 }) }),
    fc.record(
      {
        properties: fc.dictionary(fc.constantFrom("a", "b"), tie("schema"), { maxKeys: 2 }),
        additionalProperties: fc.boolean(),
        required: fc.subarray(["a", "b"]),
        type: fc.constant("object"),
      },
      { requiredKeys: [] },
    ),
    fc.record({ items: tie("schema"), maxItems: fc.nat(2), type: fc.constant("array") }, { requiredKeys: ["items"] }),
    fc.record({ anyOf: fc.array(tie("schema"), { minLength: 1, maxLength: 3 }) }),
    fc.record({ allOf: fc.array(tie("schema"), { minLength: 1, maxLength: 2 }) }),
  ),
}));

/** What about the value the type says there cannot be. */
function contradiction(type: Type, one: Json, at = ""): string | undefined {
  const kind = kindsOf(typeOfValue(one))[0]!;
  if (!type.kinds.has(kind)) return `${at} is ${kind}`;
  if (Array.isArray(one)) {
    if (type.most !== undefined && one.length > type.most) return `${at} is too long`;
    return one.map((item, index) => type.items && contradiction(type.items, item, `${at}/${index}`)).find(Boolean);
  }
  if (typeof one !== "object" || one === null) return undefined;
  for (const [name, field] of Object.entries(one)) {
    if (type.isClosed && !type.fields!.has(name)) return `${at} has ${name}`;
    const found = type.fields?.get(name) && contradiction(type.fields.get(name)!, field, `${at}/${name}`);
    if (found) return found;
  }
  return [...(type.required ?? [])].find((name) => !Object.hasOwn(one, name));
}

const ab: fc.Arbitrary<Json> = fc.oneof(
  value,
  fc.dictionary(fc.constantFrom("a", "b", "c"), value, { maxKeys: 3 }) as fc.Arbitrary<Json>,
  fc.array(value, { maxLength: 3 }) as fc.Arbitrary<Json>,
);

it("whatever a schema lets pass is of its type", () => {
  let passed = 0;
  fc.assert(
    fc.property(schema, ab, (one, candidate) => {
      if (compileSchema(one).findProblems(candidate).length > 0) return;
      passed += 1;
      expect([JSON.stringify(one), candidate, contradiction(typeOfSchema(one), candidate)]).toEqual([
        JSON.stringify(one),
        candidate,
        undefined,
      ]);
    }),
    { numRuns: 1_500 },
  );
  expect(passed).toBeGreaterThan(100);
});

it("either of two values is of the type of both", () => {
  fc.assert(
    fc.property(ab, ab, (one, other) => {
      const type = either(typeOfValue(one), typeOfValue(other));
      expect([contradiction(type, one), contradiction(type, other)]).toEqual([undefined, undefined]);
    }),
    { numRuns: 500 },
  );
});

it("describes types in words", () => {
  expect(describeType(only("null", "string", "list"))).toBe("a string or a list or null");
});

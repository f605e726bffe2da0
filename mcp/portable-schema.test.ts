import { describe, expect, it } from "vitest";
import { z } from "zod";
import { portableSchema } from "./portable-schema.ts";

const named = z.object({ n: z.int().nullable() }).meta({ id: "PortableNamed", description: "A named shape" });

describe("a tool's schema", () => {
  it("has shapes where they are used, also inside one another, and one type at a time", () => {
    const outer = z.object({ inner: named }).meta({ id: "PortableOuter" });
    const schema = z.object({
      one: named,
      many: z.array(outer),
      text: z.string().max(3).nullable().describe("Short, or nothing"),
      type: z.string().describe("A field of that name"),
    });
    const { $schema: _, ...portable } = portableSchema(schema, "output");
    const n = { anyOf: [{ type: "integer", minimum: -9007199254740991, maximum: 9007199254740991 }, { type: "null" }] };
    const shape = {
      type: "object",
      description: "A named shape",
      properties: { n },
      required: ["n"],
      additionalProperties: false,
    };
    expect(portable).toMatchObject({
      type: "object",
      properties: {
        one: shape,
        many: { type: "array", items: { type: "object", properties: { inner: shape } } },
        text: { description: "Short, or nothing", anyOf: [{ type: "string", maxLength: 3 }, { type: "null" }] },
        type: { type: "string", description: "A field of that name" },
      },
    });
    expect(JSON.stringify(portable)).not.toMatch(/\$ref|\$defs|Portable/);
  });

  it("cannot have a shape that is part of itself", () => {
    const list: z.ZodType = z
      .object({
        get rest() {
          return list.optional();
        },
      })
      .meta({ id: "PortableList" });
    expect(() => portableSchema(z.object({ list }), "input")).toThrow("PortableList");
  });
});

import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { SkeinError } from "../core/errors.ts";
import { json } from "../core/protocol/common.ts";
import { compileShape } from "./validation.ts";

type Judge = (data: unknown) => { value?: unknown; error?: SkeinError };

function flawsIn(schema: z.ZodType, data: unknown, httpPart = "body"): string[] {
  const judge = compileShape({ schema, httpPart, method: "POST", url: "/" }) as Judge;
  const { error } = judge(data);
  expect(error?.code).toBe("REQUEST_INVALID");
  return error!.issues.map(({ pointer, message }) => `${pointer} | ${message}`);
}

describe("compileShape", () => {
  it("answers the parsed value, defaults filled in", () => {
    const judge = compileShape({ schema: z.object({ n: z.number().default(1) }), method: "", url: "" }) as Judge;
    expect(judge({})).toEqual({ value: { n: 1 } });
  });

  it("says in a sentence what is wrong, and where", () => {
    const schema = z.strictObject({
      text: z.string().min(2).max(3),
      list: z.array(z.uuid()).min(1),
      size: z.int().min(1).max(9),
      kind: z.enum(["a", "b"]),
      missing: z.string(),
      any: json,
    });
    const data = { text: "long", list: ["x"], size: 0, kind: "c", "odd/key": 1 };
    expect(flawsIn(schema, data)).toEqual([
      "/text | /text must have at most 3 characters.",
      "/list/0 | /list/0 must be a UUID.",
      "/size | /size must be at least 1.",
      "/kind | /kind must be one of a, b.",
      "/missing | /missing must be a string.",
      "/any | /any is missing.",
      "/odd~1key | /odd~1key is not a key of this object; remove it.",
    ]);
    expect(flawsIn(schema, [])).toEqual([" | The body must be an object."]);
    expect(flawsIn(z.array(z.string()).min(1), [])).toEqual([" | The body must have at least 1 item."]);
  });

  it("says what is wrong with the form that was meant, of several that are accepted", () => {
    const schema = z.union(
      [z.string().regex(/^a/, { error: "must begin with a" }), z.strictObject({ n: z.number() })],
      {
        error: "must be a text or an object",
      },
    );
    expect(flawsIn(schema, "b")).toEqual([" | The body must begin with a."]);
    expect(flawsIn(schema, { n: "x" })).toEqual(["/n | /n must be a number."]);
    expect(flawsIn(schema, { n: 1, m: 1 })).toEqual(["/m | /m is not a key of this object; remove it."]);
    expect(flawsIn(schema, 1)).toEqual([" | The body must be a text or an object."]);
  });

  it("points into the part of the request that is wrong", () => {
    expect(flawsIn(z.object({ run: z.uuid() }), { run: "x" }, "params")).toEqual([
      "/params/run | /params/run must be a UUID.",
    ]);
  });

  it("tells no more flaws than anybody would read", () => {
    const issues = flawsIn(z.array(z.number()), Array(10_000).fill("x"));
    expect(issues.length).toBeLessThanOrEqual(101);
  });
});

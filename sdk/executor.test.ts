import { describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";
import type { Json } from "../core/json.ts";
import type { TaskDefinition } from "../core/workflow.ts";
import { defineExecutor, NonRetryableError, RetryAfterError, TaskError } from "./executor.ts";

const greet = defineExecutor({
  capability: "demo.greet",
  description: "Greets",
  input: z.strictObject({ name: z.string(), times: z.int().default(1) }),
  output: z.strictObject({ text: z.string() }),
  run: ({ input }) => ({ text: `Hello ${input.name}`.repeat(input.times) }),
});

type Returned<T> = T | Promise<T>;

const any = defineExecutor({ capability: "demo.any", run: () => undefined });

describe("defineExecutor", () => {
  it("publishes a zod contract as JSON Schema, seen from the wire", () => {
    expect(greet.inputSchema).toMatchObject({ type: "object", required: ["name"], additionalProperties: false });
    expect(greet.outputSchema).toMatchObject({ properties: { text: { type: "string" } }, required: ["text"] });
    expect(greet).toMatchObject({ capability: "demo.greet", version: "1", description: "Greets" });
    expect(Object.isFrozen(greet)).toBe(true);
  });

  it("types the handler's input by the zod schema and leaves it Json otherwise", () => {
    expectTypeOf(greet.parseInput).returns.toEqualTypeOf<{ name: string; times: number }>();
    expectTypeOf(any.parseInput).returns.toEqualTypeOf<Json>();
  });

  it("types the handler's output by what the zod schema accepts", () => {
    type Run = NonNullable<Parameters<typeof defineExecutor<undefined, typeof textSchema>>[0]["run"]>;
    const textSchema = z.strictObject({ text: z.string(), at: z.int().default(0) });
    expectTypeOf<Run>().returns.toEqualTypeOf<Returned<{ text: string; at?: number | undefined }>>();
    expectTypeOf(greet.run).returns.toEqualTypeOf<Returned<{ text: string }>>();
    expectTypeOf(any.run).returns.toEqualTypeOf<unknown>();
    // @ts-expect-error: a number is no text
    defineExecutor({ capability: "a.b", output: textSchema, run: () => ({ text: 1 }) });
  });

  it("types what a handler adds to its run", () => {
    defineExecutor({
      capability: "a.b",
      run({ emit, spawn, progress }) {
        expectTypeOf(emit).parameter(1).toEqualTypeOf<readonly { item: Json; key?: string }[]>();
        expectTypeOf(emit).returns.resolves.toEqualTypeOf<{ added: number; repeated: number }>();
        expectTypeOf(spawn).parameter(0).toEqualTypeOf<readonly TaskDefinition[]>();
        expectTypeOf(progress).parameter(0).toEqualTypeOf<Json>();
        // @ts-expect-error: a task has no `run`
        spawn([{ id: "a", run: "core.echo" }]);
      },
    });
  });

  it("parses the input with its defaults", () => {
    expect(greet.parseInput({ name: "Ada" })).toEqual({ name: "Ada", times: 1 });
  });

  it("refuses an input with every pointer named, and says that a retry cannot help", () => {
    const parse = () => greet.parseInput({ name: 7, times: 1.5 });
    expect(parse).toThrow(NonRetryableError);
    expect(parse).toThrow(expect.objectContaining({ code: "INPUT_INVALID" }));
    expect(parse).toThrow(/"demo\.greet".*\/name: .*\/times: /);
  });

  it("counts the flaws it does not list", () => {
    const flags = defineExecutor({ capability: "demo.flags", input: z.array(z.boolean()), run: () => null });
    expect(() => flags.parseInput([1, 2, 3, 4, 5, 6, 7])).toThrow(/\/4: .*\(and 2 more\)/);
  });

  it("says what is wrong inside a union and inside a key", () => {
    const input = z.strictObject({
      at: z.union([z.int(), z.literal("now")]),
      tags: z.record(z.string().max(2, "is too long"), z.int()),
    });
    const nested = defineExecutor({ capability: "demo.nested", input, run: () => null });
    expect(() => nested.parseInput({ at: "x", tags: { abc: 1 } })).toThrow(
      /\/at: .*expected number.*, or .*"now".*\/tags\/abc: is too long/,
    );
  });

  it("refuses an output that breaks the contract", () => {
    const parse = () => greet.parseOutput({ text: 1 });
    expect(parse).toThrow(expect.objectContaining({ name: "NonRetryableError", code: "OUTPUT_INVALID" }));
    expect(parse).toThrow(/output of "demo\.greet".*\/text/);
  });

  it("checks a JSON Schema contract on both sides", () => {
    const schema = { type: "object", required: ["n"], properties: { n: { type: "integer" } } };
    const twice = defineExecutor({
      capability: "demo.twice",
      input: schema,
      output: schema,
      run: ({ input }) => ({ n: 2 * (input as { n: number }).n }),
    });
    expect(twice.inputSchema).toEqual(schema);
    expect(twice.parseInput({ n: 2 })).toEqual({ n: 2 });
    expect(() => twice.parseInput({ n: "2" })).toThrow(expect.objectContaining({ code: "INPUT_INVALID" }));
    expect(() => twice.parseInput({ n: "2" })).toThrow(/\/n/);
    expect(twice.parseOutput({ n: 4 })).toEqual({ n: 4 });
    expect(() => twice.parseOutput({})).toThrow(expect.objectContaining({ code: "OUTPUT_INVALID" }));
  });

  it("refuses a name that is no capability and a schema that cannot be published", () => {
    const run = () => null;
    const invalid = expect.objectContaining({ code: "CAPABILITY_INVALID" });
    expect(() => defineExecutor({ capability: "no spaces", run })).toThrow(invalid);
    expect(() => defineExecutor({ capability: "a.b", input: z.object({ at: z.date() }), run })).toThrow(invalid);
    expect(() => defineExecutor({ capability: "a.b", output: { type: "nonsense" }, run })).toThrow(invalid);
  });
});

describe("what planners are told", () => {
  const input = z.strictObject({ text: z.string(), lang: z.string().default("en") });

  it("goes with the contract", () => {
    const planning = {
      consumes: { text: "article.text" },
      produces: { lead: "article.lead" },
      durationMs: 5,
      reliability: 0.9,
    };
    expect(defineExecutor({ capability: "a", input, ...planning, run: () => null }).planning).toEqual(planning);
    expect(defineExecutor({ capability: "a", run: () => null })).not.toHaveProperty("planning");
  });

  it.each([
    ["a field that the input does not have", { consumes: { txet: "article.text" } }, /requires "text"/],
    ["a required field without a type", { consumes: { lang: "lang" } }, /requires "text"/],
    ["a type that is no name", { consumes: { text: "article text" } }, /consumes.text must be the name of a type/],
    ["a reliability that is none", { consumes: { text: "t" }, reliability: 1.5 }, /reliability/],
  ])("is refused with %s", (_, planning, message) => {
    expect(() => defineExecutor({ capability: "a", input, ...planning, run: () => null })).toThrow(
      expect.objectContaining({ code: "CAPABILITY_INVALID", message: expect.stringMatching(message) }),
    );
  });
});

describe("parseOutput without a contract", () => {
  it.each([
    ["nothing", undefined, null],
    ["undefined fields", { a: undefined, b: 1 }, { b: 1 }],
    ["a date", { at: new Date(0) }, { at: "1970-01-01T00:00:00.000Z" }],
  ])("gives %s as it will arrive", (_what, value, json) => {
    expect(any.parseOutput(value)).toEqual(json);
  });

  const circle: Record<string, unknown> = {};
  circle.self = circle;
  it.each([
    ["NaN", { x: Number.NaN }],
    ["Infinity", [Number.POSITIVE_INFINITY]],
    ["a bigint", 1n],
    ["a Map", { m: new Map([[1, 2]]) }],
    ["a function", () => 1],
    ["a circle", circle],
  ])("refuses %s rather than change it silently", (_what, value) => {
    expect(() => any.parseOutput(value)).toThrow(expect.objectContaining({ code: "OUTPUT_INVALID" }));
  });
});

describe("errors for handlers", () => {
  it("carry a code, a cause and the time to wait", () => {
    const cause = new Error("inner");
    const error = new RetryAfterError("busy", 1_500, { code: "BUSY", cause });
    expect(error).toBeInstanceOf(TaskError);
    expect(error).toMatchObject({ name: "RetryAfterError", code: "BUSY", retryAfterMs: 1_500, cause });
    expect(new NonRetryableError("no")).toMatchObject({ name: "NonRetryableError", code: "HANDLER_FAILED" });
  });
});

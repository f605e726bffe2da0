import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SkeinError } from "../errors.ts";
import { compileExpression, type ExpressionContext } from "../expression.ts";
import type { Json } from "../json.ts";
import { inferCondition, inferExpression, type Scope, type TypeFlaw } from "./infer.ts";
import { anything, describeType, type Type, typeOfSchema, typeOfValue } from "./type.ts";

const inputs = typeOfSchema({
  type: "object",
  additionalProperties: false,
  required: ["topic"],
  properties: {
    topic: { type: "string" },
    count: { type: "integer" },
    tags: { type: "array", items: { type: "string" } },
    deep: { type: "object", additionalProperties: false, properties: { on: { type: "boolean" } } },
    any: {},
  },
});
const page: Type = {
  ...typeOfSchema({
    type: "object",
    additionalProperties: false,
    properties: { text: { type: "string" }, hits: { type: "array", items: { type: "object", properties: {} } } },
  }),
  by: '"http.page"',
};
const scope: Scope = {
  inputs,
  task: (id) =>
    ({
      page: { output: page },
      pages: { output: anything, each: page },
      free: { output: anything },
    })[id],
  item: typeOfSchema({ type: "string" }),
};

function look(source: string): { type: string; flaws: TypeFlaw[] } {
  const flaws: TypeFlaw[] = [];
  return { type: describeType(inferExpression(source, scope, flaws)), flaws };
}

describe("an expression", () => {
  it.each([
    ["1 + 2", "a number"],
    ["inputs.topic + 'x'", "a string"],
    ["inputs.tags + inputs.tags", "a list"],
    ["inputs.any + inputs.any", "a number or a string or a list"],
    ["inputs.count / 2", "a number"],
    ["inputs.topic == 3", "a boolean"],
    ["inputs.tags[0]", "a string"],
    ["inputs.tags.map(t, size(t))", "a list"],
    ["inputs.tags.filter(t, t != '')[0]", "a string"],
    ["inputs.tags.exists(t, t == 'a')", "a boolean"],
    ["inputs.deep.on ? 1 : 'one'", "a number or a string"],
    ["{'a': 1}.a", "a number"],
    ["[1, 'a'][0]", "a number or a string"],
    ["tasks.page.output", "an object or null"],
    ["tasks.page.output.text", "a string"],
    ["tasks.pages.outputs[0].text", "a string"],
    ["tasks.free.output.whatever.there.is", "a boolean or a number or a string or a list or an object or null"],
    ["tasks.page.status", "a string"],
    ["run.attempt", "a number"],
    ["item.size()", "a number"],
    ["cel.bind(x, inputs.count, x * x)", "a number"],
    ["inputs.topic.split(',').join('-')", "a string"],
    ["has(inputs.topic)", "a boolean"],
    ["!(inputs.count > 1 && true)", "a boolean"],
    ["size(inputs.deep)", "a number"],
    ["-inputs.count", "a number"],
    ["'a' in inputs.deep", "a boolean"],
    ["dyn(inputs.topic)", "a string"],
  ])("%s is %s", (source, type) => {
    expect(look(source)).toEqual({ type, flaws: [] });
  });

  it.each([
    ["inputs.topik", "EXPRESSION_NO_SUCH_FIELD", /`inputs` cannot have a field "topik"\. Did you mean "topic"/],
    ["inputs.deep.off", "EXPRESSION_NO_SUCH_FIELD", /`inputs\.deep` cannot have a field "off"/],
    [
      "inputs['a long name']",
      "EXPRESSION_NO_SUCH_FIELD",
      /cannot have a field "a long name"\. It may have topic, count/,
    ],
    ["inputs.topic.text", "EXPRESSION_NO_SUCH_FIELD", /`inputs\.topic` is a string, which has no field "text"/],
    ["inputs.count[0]", "EXPRESSION_NO_SUCH_FIELD", /Nothing can be read from a number/],
    ["inputs.topic + 1", "EXPRESSION_TYPE", /`\+` does not go between a string and a number/],
    ["inputs.topic > 1", "EXPRESSION_TYPE", /`>` does not go between/],
    ["!inputs.topic", "EXPRESSION_TYPE", /What stands after ! must be a boolean, but is a string/],
    ["-inputs.topic", "EXPRESSION_TYPE", /must be a number, but is a string/],
    ["inputs.count ? 1 : 2", "EXPRESSION_TYPE", /What stands before \? must be a boolean/],
    ["1 in inputs.count", "EXPRESSION_TYPE", /looks into a list or an object, not into a number/],
    ["inputs.count.map(x, x)", "EXPRESSION_TYPE", /map goes over a list or an object, not a number/],
    ["size(inputs.count)", "EXPRESSION_TYPE", /size takes a string, a list or an object/],
    ["inputs.count.contains('x')", "EXPRESSION_TYPE", /What contains is asked of must be a string/],
    ["inputs.topic.join()", "EXPRESSION_TYPE", /What is joined must be a list/],
    ["tasks.page.outputs", "EXPRESSION_NO_SUCH_FIELD", /"page" has no `outputs`, as it has no `for_each`/],
    ["run.number", undefined, /./],
  ])("%s can never work", (source, code, message) => {
    const { flaws } = look(source);
    // What cannot be compiled is told elsewhere.
    if (code === undefined) return expect(flaws).toEqual([]);
    expect(flaws).toEqual([{ code, message: expect.stringMatching(message), isCertain: true, isOwn: true }]);
  });

  it("does not believe agents as it believes the definition", () => {
    const [flaw] = look("tasks.page.output.txet").flaws;
    expect(flaw).toMatchObject({ isCertain: true, isOwn: false });
    expect(flaw!.message).toContain('`tasks.page.output`, as "http.page" says, cannot have a field "txet"');
    expect(look("tasks.page.output.text + 1").flaws).toMatchObject([{ isOwn: false }]);
    expect(look("tasks.page.output.hits[0].x").flaws).toEqual([]);
  });

  it.each([
    ["inputs.any || inputs.topic"],
    ["true ? 1 : inputs.nothing"],
    ["inputs.tags.map(t, t + 1)"],
    ["inputs.nothing == 1 || true"],
    ["has(inputs.nothing)"],
  ])("%s may work, or not be come to", (source) => {
    expect(look(source).flaws).toMatchObject([{ isCertain: false }]);
  });
});

describe("a condition", () => {
  it.each([
    ["true", true],
    ["false || false", false],
    ["inputs.any && false", false],
    ["!true", false],
    ["inputs.count > 1", undefined],
    ["has(inputs.topic)", undefined],
  ])("%s is always %s", (source, is) => {
    const flaws: TypeFlaw[] = [];
    expect([inferCondition(source, scope, flaws), flaws]).toEqual([is, []]);
  });

  it("has to be true or false", () => {
    const flaws: TypeFlaw[] = [];
    inferCondition("inputs.count", scope, flaws);
    expect(flaws).toMatchObject([{ code: "EXPRESSION_TYPE", isCertain: true, isOwn: true }]);
    expect(flaws[0]!.message).toMatch(/is a number, and a condition must be true or false/);
  });
});

const json: fc.Arbitrary<Json> = fc.oneof(
  fc.constantFrom<Json>(null, true, 1, 2.5, "a", "", [1], ["a"], [], {}, { f: 1 }, { f: "x" }, { f: { f: true } }),
);
const { source } = fc.letrec<{ source: string }>((tie) => ({
  source: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom(
      "1",
      "2.5",
      "'a'",
      "true",
      "false",
      "null",
      "inputs",
      "inputs.f",
      "tasks.t.output",
      "[]",
      "{'f': 1}",
    ),
    fc
      .tuple(tie("source"), tie("source"), fc.constantFrom("+", "-", "<", "==", "&&", "||", "in"))
      .map(([a, b, op]) => `(${a} ${op} ${b})`),
    tie("source").map((one) => `!(${one})`),
    tie("source").map((one) => `(${one}).f`),
    tie("source").map((one) => `(${one})[0]`),
    tie("source").map((one) => `size(${one})`),
    tie("source").map((one) => `[${one}]`),
    tie("source").map((one) => `{'f': ${one}}`),
    fc.tuple(tie("source"), tie("source"), tie("source")).map(([a, b, c]) => `(${a} ? ${b} : ${c})`),
    fc.tuple(tie("source"), tie("source")).map(([a, b]) => `(${a}).map(x, ${b})`),
    fc.tuple(tie("source"), tie("source")).map(([a, b]) => `(${a}).exists(x, x == ${b})`),
    tie("source").map((one) => `has((${one}).f)`),
    tie("source").map((one) => `(${one}).contains('a')`),
  ),
}));

it("what is said of an expression holds whenever it is evaluated", () => {
  let evaluated = 0;
  fc.assert(
    fc.property(source, json, json, (one, given, output) => {
      const known: Scope = {
        inputs: typeOfValue(given),
        task: () => ({ output: typeOfValue(output) }),
      };
      const flaws: TypeFlaw[] = [];
      const type = inferExpression(one, known, flaws);
      const context: ExpressionContext = { inputs: given, tasks: { t: { status: "completed", output } } };
      let value: Json | undefined;
      try {
        value = compileExpression(one).evaluate(context);
      } catch (error) {
        if (!(error instanceof SkeinError)) throw error;
      }
      if (value === undefined) return;
      evaluated += 1;
      if (flaws.some(({ isCertain }) => isCertain))
        throw new Error(`${one} was said never to work: ${flaws[0]!.message}`);
      const [kind] = typeOfValue(value).kinds;
      if (!type.kinds.has(kind!)) throw new Error(`${one} was said to be ${describeType(type)}, and is ${kind}`);
      if (type.constant !== undefined && value !== type.constant) throw new Error(`${one} is not ${type.constant}`);
    }),
    { numRuns: 4_000 },
  );
  expect(evaluated).toBeGreaterThan(500);
});

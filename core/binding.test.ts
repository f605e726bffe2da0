import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkTemplate, compileTemplate } from "./binding.ts";
import { SkeinError } from "./errors.ts";
import type { ExpressionContext, ExpressionScope } from "./expression.ts";
import type { Json } from "./json.ts";

const context: ExpressionContext = {
  inputs: {
    n: 5,
    name: "Ada",
    quote: 'say "hi"',
    list: [1, "a", null],
    flag: false,
    nothing: null,
    big: "x".repeat(3_000_000),
  },
  tasks: { search: { status: "completed", output: { hits: [1, 2] } }, skipped: { status: "skipped" } },
  run: { id: "run-1", attempt: 1 },
};

const scope: ExpressionScope = {
  taskIds: new Set(["search", "skipped", "other"]),
  needs: new Set(["search", "skipped"]),
  names: new Set(["inputs", "tasks", "run"]),
};

function fill(template: Json): Json {
  return compileTemplate(template, scope).evaluate(context);
}

function failure(action: () => unknown): SkeinError {
  try {
    action();
  } catch (error) {
    if (error instanceof SkeinError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

const templates: [template: Json, value: Json][] = [
  ["plain", "plain"],
  [7, 7],
  [null, null],
  [{ a: [1, { b: true }] }, { a: [1, { b: true }] }],
  // One expression alone keeps its type
  ["{{ inputs.n }}", 5],
  ["{{ inputs.n + 1 }}", 6],
  ["{{inputs.list}}", [1, "a", null]],
  ["{{ inputs.flag }}", false],
  ["{{ inputs.nothing }}", null],
  ["{{ tasks.skipped.output }}", null],
  ['{{ {"a": {"b": inputs.n}} }}', { a: { b: 5 } }],
  ['{{ "}}" }}', "}}"],
  ["{{ size(inputs.list) }}", 3],
  ["{{ [size(inputs.list)] }}", [3]],
  // In a longer string, strings go in raw and the rest as JSON; a space is enough to make it longer
  ["Hello {{ inputs.name }}!", "Hello Ada!"],
  ["{{ inputs.name }}{{ inputs.name }}", "AdaAda"],
  ["{{ inputs.quote }}.", 'say "hi".'],
  ["n={{ inputs.n }}", "n=5"],
  [" {{ inputs.n }}", " 5"],
  ["{{ inputs.n }}\n", "5\n"],
  ["l={{ inputs.list }}", 'l=[1,"a",null]'],
  ["{{ inputs.flag }} {{ inputs.nothing }} {{ {'a': 1} }}", 'false null {"a":1}'],
  // Escapes
  ["\\{{ inputs.n }}", "{{ inputs.n }}"],
  ["\\{{ {{ inputs.n }}", "{{ 5"],
  // Any depth; keys are literal
  [
    { a: [{ b: "{{ inputs.n }}" }], "{{ inputs.n }}": 1 },
    { a: [{ b: 5 }], "{{ inputs.n }}": 1 },
  ],
  [
    { a: "{{ tasks.search.output }}", b: "{{ tasks.search.output.hits[0] }}" },
    { a: { hits: [1, 2] }, b: 1 },
  ],
];

test.each(templates)("%j", (template, value) => {
  expect(fill(template)).toEqual(value);
});

test("the order of keys is kept", () => {
  expect(JSON.stringify(fill({ z: "{{ inputs.n }}", a: { y: 1, b: "{{ inputs.n }}" } }))).toBe(
    '{"z":5,"a":{"y":1,"b":5}}',
  );
});

describe("checking", () => {
  test("every flaw is reported, each with the pointer of its string", () => {
    const template = {
      url: "https://x/{{ inputs.n }}/{{ tasks.other.output }}",
      "a/b": ["{{ nobody }}", "{{ 1 + }}", "{{ open", "{{ inputs.name.matches('x') }}", "{{ }}"],
    };
    const issues = checkTemplate(template, scope, "/tasks/0/input");
    expect(issues.map(({ code, pointer }) => `${code} ${pointer}`).sort()).toEqual([
      "EXPRESSION_NOT_ALLOWED /tasks/0/input/a~1b/3",
      "EXPRESSION_NOT_A_NEED /tasks/0/input/url",
      "EXPRESSION_SYNTAX /tasks/0/input/a~1b/1",
      "EXPRESSION_SYNTAX /tasks/0/input/a~1b/2",
      "EXPRESSION_SYNTAX /tasks/0/input/a~1b/4",
      "EXPRESSION_UNKNOWN_NAME /tasks/0/input/a~1b/0",
    ]);
  });

  test("compileTemplate throws the first flaw and carries them all", () => {
    const error = failure(() => compileTemplate(["{{ nobody }}", "{{ noone }}"], scope));
    expect(error.code).toBe("EXPRESSION_UNKNOWN_NAME");
    expect(error.issues.map(({ pointer }) => pointer)).toEqual(["/0", "/1"]);
  });

  test("a {{ that is never closed is named with its remedy", () => {
    expect(checkTemplate("a {{ b", scope, "")[0]?.message).toContain("\\{{");
  });

  test("a template that nests too deep is refused without exhausting the stack", () => {
    let deep: Json = "x";
    for (let i = 0; i < 100_000; i++) deep = [deep];
    expect(checkTemplate(deep, scope, "")).toMatchObject([{ code: "EXPRESSION_LIMIT" }]);
  });
});

test("isConstant and references say what has to be known before it can be evaluated", () => {
  expect(compileTemplate({ a: "\\{{ x }}", b: 1 })).toMatchObject({ isConstant: true });
  const { isConstant, references } = compileTemplate([
    "{{ tasks.search.output }} {{ inputs.n }}",
    { a: "{{ tasks['skipped'].status }}" },
  ]);
  expect(isConstant).toBe(false);
  expect(references).toEqual({ tasks: new Set(["search", "skipped"]), names: new Set(["tasks", "inputs"]) });
});

test("an error at run time names the string it arose in", () => {
  const error = failure(() => fill({ a: { b: ["{{ inputs.missing }}"] } }));
  expect(error).toMatchObject({ code: "EXPRESSION_NO_SUCH_FIELD", issues: [{ pointer: "/a/b/0" }] });
  expect(error.message).toMatch(/^At \/a\/b\/0: `inputs.missing`: /);
});

test.each([
  ["one value in many places", Array.from({ length: 10 }, () => "{{ inputs.big }}")],
  ["one string made of many", ["{{ inputs.big }}{{ inputs.big }}{{ inputs.big }}"]],
  ["a list made of many", "{{ [inputs.big, inputs.big, inputs.big] }}"],
  ["a list inside a string", "l={{ [inputs.big, inputs.big, inputs.big] }}"],
])("more than 8 MiB is refused: %s", (_, template) => {
  expect(failure(() => fill(template)).code).toBe("EXPRESSION_LIMIT");
});

test("all expressions of a template share one budget", () => {
  const costly = "{{ size(inputs.big.split('x')) }}";
  const context = { inputs: { big: "x".repeat(100_000) } };
  expect(compileTemplate([costly]).evaluate(context)).toEqual([100_001]);
  const many = compileTemplate(Array.from({ length: 100 }, () => costly));
  expect(failure(() => many.evaluate(context)).code).toBe("EXPRESSION_LIMIT");
});

test("depth is counted over the template and the values put into it", () => {
  let deep: Json = "{{ inputs.deep }}";
  for (let i = 0; i < 40; i++) deep = [deep];
  let inputs: Json = 1;
  for (let i = 0; i < 40; i++) inputs = [inputs];
  expect(failure(() => compileTemplate(deep).evaluate({ inputs: { deep: inputs } })).code).toBe("EXPRESSION_LIMIT");
});

test("evaluating changes neither the template nor the context, and gives a fresh value each time", () => {
  const template = compileTemplate({ list: "{{ inputs.list }}", own: [1] });
  const first = template.evaluate(context) as { list: Json[]; own: Json[] };
  first.list.push(2);
  first.own.push(2);
  expect(template.evaluate(context)).toEqual({ list: [1, "a", null], own: [1] });
});

test("JSON without {{ comes back unchanged", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const json = JSON.parse(JSON.stringify(value).replaceAll("{{", "((").replaceAll("__proto__", "proto")) as Json;
      expect(compileTemplate(json).evaluate({})).toEqual(json);
    }),
  );
});

test("whatever stands in a template, it ends in a value or a SkeinError", () => {
  const piece = fc.constantFrom(
    "{{",
    "}}",
    "{",
    "}",
    '"',
    "'",
    "\\",
    "//",
    "\n",
    "inputs.n",
    "tasks.search.output",
    "+",
    " ",
    "[",
    "]",
    ":",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 25 }), (pieces) => {
      try {
        fill([pieces.join("")]);
      } catch (error) {
        expect(error).toBeInstanceOf(SkeinError);
        expect((error as SkeinError).code).toMatch(/^EXPRESSION_/);
      }
    }),
    { numRuns: 2_000 },
  );
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ErrorCode, SkeinError } from "./errors.ts";
import {
  checkExpression,
  compileExpression,
  type ExpressionContext,
  type ExpressionScope,
  evaluateCondition,
} from "./expression.ts";
import type { Json } from "./json.ts";

const context: ExpressionContext = {
  inputs: {
    n: 5,
    half: 2.5,
    zero: 0,
    name: "Ada",
    text: "héllo 😀!",
    flag: true,
    nothing: null,
    list: [1, 2, 3],
    mixed: [1, "x", null, [2], { a: 1 }],
    people: [{ name: "Ada", age: 36 }, { name: "Bob", age: 17 }, { name: "Cy" }],
    map: { "with-dash": 1, b: { c: [10, 20] } },
    thousand: Array.from({ length: 1000 }, (_, i) => i),
    long: "a".repeat(100_000),
    needle: `${"a".repeat(50_000)}b`,
  },
  tasks: {
    search: { status: "completed", output: { hits: [{ url: "u1" }, { url: "u2" }], count: 2 } },
    skipped: { status: "skipped" },
    failed: { status: "failed", error: { code: "timeout", message: "too slow" } },
    each: { status: "completed", outputs: [1, null, 3] },
    "my-task": { status: "completed", output: "dashed" },
    "a.b": { status: "completed", output: "dotted" },
    in: { status: "completed", output: "keyword" },
    constructor: { status: "completed", output: "odd" },
  },
  run: { id: "run-1", attempt: 2 },
  item: { url: "item-url" },
  index: 7,
};

const taskIds = new Set(["search", "skipped", "failed", "each", "my-task", "a.b", "in", "constructor", "other"]);
const scope: ExpressionScope = {
  taskIds,
  needs: { has: (id) => id !== "other" },
  names: new Set(["inputs", "tasks", "run", "item", "index"]),
};

function evaluate(source: string): Json {
  return compileExpression(source, scope).evaluate(context);
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

const values: [source: string, value: Json][] = [
  // Numbers: JSON's are doubles, literals and sizes are integers
  ["inputs.n + 1", 6],
  ["1 + inputs.n", 6],
  ["inputs.n - 1", 4],
  ["inputs.n * 2", 10],
  ["inputs.n / 2", 2.5],
  ["inputs.half * 2", 5],
  ["7 / 2", 3],
  ["-7 / 2", -3],
  ["7.0 / 2", 3.5],
  ["7 % 3", 1],
  ["inputs.n % 2 == 1", true],
  ["inputs.n % 2.0", 1],
  ["-inputs.n", -5],
  ["-(3)", -3],
  ["0 * -1.0", 0],
  ["0x10 + 1", 17],
  ["1.5e3", 1500],
  ["9007199254740991", 9007199254740991],
  ["int('42') + 1", 43],
  ["int(inputs.half)", 2],
  ["int(inputs.n) / 2", 2],
  ["double('2.5e1')", 25],
  ["double(3) / 2", 1.5],
  ["size(inputs.list) / 2", 1],
  ["index + 1", 8],
  ["run.attempt > 1", true],
  // Comparison across int and double
  ["inputs.n == 5", true],
  ["inputs.n == 5.0", true],
  ["5 == 5.0", true],
  ["inputs.n != 5", false],
  ["inputs.n > 4 && inputs.n >= 5 && inputs.n < 6 && inputs.n <= 5", true],
  ["9007199254740993 == 9007199254740992", false],
  ["9007199254740993 == 9007199254740992.0", false],
  ["2 < inputs.half", true],
  ["'a' < 'b'", true],
  ["false < true", true],
  ["'1' == 1", false],
  ["null == inputs.nothing", true],
  ["null == 0", false],
  // Lists and maps of mixed types
  ["[1, 'a', null, 2.5]", [1, "a", null, 2.5]],
  ["[1] + inputs.list", [1, 1, 2, 3]],
  ["[1, 2.0] == [1.0, 2]", true],
  ["[1, [2]] == [1, [3]]", false],
  ["{'a': 1, 'b': 'x'}", { a: 1, b: "x" }],
  ["{'a': 1, 'b': {'c': [2]}} == {'b': {'c': [2.0]}, 'a': 1.0}", true],
  ["{'a': 1} == {'b': 1}", false],
  ["{}", {}],
  ["[]", []],
  ["{inputs.name: inputs.n}", { Ada: 5 }],
  ["1 in [1.0]", true],
  ["inputs.n in inputs.list", false],
  ["'b' in inputs.map", true],
  ["'toString' in inputs.map", false],
  ["{'a': [1]} in [{'a': [1.0]}]", true],
  // Reading
  ["inputs.list[0]", 1],
  ["inputs.list[inputs.n - 3]", 3],
  ["inputs.list[size(inputs.list) - 1]", 3],
  ["inputs.mixed[4].a", 1],
  ["inputs.map['with-dash']", 1],
  ["inputs.map.b.c[1]", 20],
  ["inputs['name']", "Ada"],
  ["inputs.name[1]", "d"],
  ["inputs.text[6]", "😀"],
  ["item.url", "item-url"],
  ["run.id + '/' + string(run.attempt)", "run-1/2"],
  ["inputs.n > 3 ? 'big' : 0", "big"],
  ["inputs.n > 9 ? inputs.missing : 'fine'", "fine"],
  // Tasks
  ["tasks.search.output.hits[1].url", "u2"],
  ["tasks.search.output.hits.map(h, h.url)", ["u1", "u2"]],
  ["tasks.search.status", "completed"],
  ["tasks['search'].output.count", 2],
  ["tasks.search['output'].count", 2],
  ["tasks.skipped.output", null],
  ["tasks.skipped.output == null", true],
  ["tasks.search.error", null],
  ["tasks.failed.error.code", "timeout"],
  ["tasks.each.outputs", [1, null, 3]],
  ["size(tasks.each.outputs) > 0", true],
  ['tasks["my-task"].output', "dashed"],
  ["tasks['a.b'].output", "dotted"],
  ["tasks['in'].output", "keyword"],
  ["tasks.constructor.output", "odd"],
  // has
  ["has(inputs.name)", true],
  ["has(inputs.missing)", false],
  ["has(inputs.constructor)", false],
  ["has(inputs.map.b.c)", true],
  ["has(inputs.map['with-dash'])", true],
  ["has(inputs.nothing)", true],
  ["has(tasks.skipped.output)", false],
  ["has(tasks.skipped.output.x)", false],
  ["has(tasks.search.output.count)", true],
  ["has(tasks.failed.error)", true],
  ["has(tasks.each.outputs)", true],
  ["has(tasks.search.outputs)", false],
  ["has(inputs.list[0].x)", false],
  // Strings
  ["size(inputs.text)", 8],
  ["'abc'.size()", 3],
  ["inputs.text.contains('llo')", true],
  ["'abc'.contains('')", true],
  ["inputs.name.startsWith('A') && inputs.name.endsWith('a')", true],
  ["inputs.text.indexOf('!')", 7],
  ["inputs.text.indexOf('l', 3)", 3],
  ["inputs.text.lastIndexOf('l')", 3],
  ["inputs.text.indexOf('zz')", -1],
  ["inputs.text.substring(6)", "😀!"],
  ["inputs.text.substring(6, 7)", "😀"],
  ["'hello'.substring(inputs.n - 4, 3.0)", "el"],
  ["inputs.text.charAt(1)", "é"],
  ["' x '.trim()", "x"],
  ["'ÄbC'.lowerAscii()", "Äbc"],
  ["'abc'.upperAscii()", "ABC"],
  ["'a,b,c'.split(',')", ["a", "b", "c"]],
  ["'a,b,c'.split(',', 2)", ["a", "b,c"]],
  ["'a😀'.split('')", ["a", "😀"]],
  ["['a', 'b'].join('-')", "a-b"],
  ["[].join()", ""],
  ["'a-b-c'.replace('-', '+')", "a+b+c"],
  ["string(1.0) + string(true) + string(12)", "1true12"],
  ["bool('true')", true],
  ["dyn(1) == 1", true],
  [`'''it's "fine"'''`, `it's "fine"`],
  [`r'\\d'`, "\\d"],
  // Logic: an error does not matter when the other side decides
  ["true || inputs.missing", true],
  ["inputs.missing || true", true],
  ["inputs.missing && false", false],
  ["!inputs.flag", false],
  ["!(1 > 2) && true", true],
  // Macros
  ["inputs.list.map(x, x * 2)", [2, 4, 6]],
  ["inputs.list.map(x, x > 1, x * 10)", [20, 30]],
  ["inputs.list.filter(x, x % 2 == 1)", [1, 3]],
  ["inputs.list.all(x, x > 0)", true],
  ["[].all(x, x > 0)", true],
  ["inputs.list.exists(x, x == 2)", true],
  ["[].exists(x, true)", false],
  ["inputs.list.exists_one(x, x > 2)", true],
  ["inputs.people.exists(p, p.age < 18)", true],
  ["inputs.people.all(p, p.age > 36)", false],
  ["inputs.people.filter(p, has(p.age)).map(p, p.name)", ["Ada", "Bob"]],
  ["inputs.map.map(key, key)", ["with-dash", "b"]],
  ["inputs.list.map(x, inputs.list.map(y, x * y))[2][1]", 6],
  ["inputs.list.map(item, item)", [1, 2, 3]],
  ["inputs.list.map(tasks, tasks + 1)", [2, 3, 4]],
  ["inputs.list.map(x, [x].map(x, x + 1))", [[2], [3], [4]]],
  ["cel.bind(total, inputs.n * 2, total + total)", 20],
  ["inputs.thousand.filter(x, x % 100 == 0).size()", 10],
  // Layout
  ["  inputs.n\n + // five\n 1 ", 6],
];

test.each(values)("%s", (source, value) => {
  expect(evaluate(source)).toEqual(value);
});

const failures: [source: string, code: ErrorCode, remedy: string][] = [
  // Syntax, with the position
  ["", "EXPRESSION_SYNTAX", "empty"],
  ["1 +", "EXPRESSION_SYNTAX", "character 4"],
  ["inputs.n inputs.n", "EXPRESSION_SYNTAX", "character 10"],
  ["'abc", "EXPRESSION_SYNTAX", "Unterminated string"],
  ["inputs.é", "EXPRESSION_SYNTAX", "character 8"],
  ["{{ inputs.n }}", "EXPRESSION_SYNTAX", "no {{ }} around it"],
  ["inputs.list.map(1, 2)", "EXPRESSION_SYNTAX", "variable"],
  ["has(inputs)", "EXPRESSION_SYNTAX", "takes a field"],
  ["has(inputs.list[0])", "EXPRESSION_SYNTAX", "takes a field"],
  ["size()", "EXPRESSION_SYNTAX", "arguments"],
  ["'a'.contains('b', 'c', 'd')", "EXPRESSION_SYNTAX", "arguments"],
  ["99999999999999999999", "EXPRESSION_SYNTAX", "64 bits"],
  ["'\\u0000'", "EXPRESSION_SYNTAX", "U+0000"],
  ["inputs.?n", "EXPRESSION_SYNTAX", "IDENTIFIER"],
  // Names
  ["input.n", "EXPRESSION_UNKNOWN_NAME", 'Did you mean "inputs"?'],
  ["search.output", "EXPRESSION_UNKNOWN_NAME", "tasks.search"],
  ["window", "EXPRESSION_UNKNOWN_NAME", "inputs, tasks, run"],
  ["tasks.serch.output", "EXPRESSION_UNKNOWN_NAME", 'Did you mean "search"?'],
  ["tasks.search.outptu", "EXPRESSION_UNKNOWN_NAME", 'Did you mean "output"?'],
  ["run.name", "EXPRESSION_UNKNOWN_NAME", "run.attempt"],
  ["inputs.name.toUpperCase()", "EXPRESSION_UNKNOWN_NAME", "upperAscii"],
  ["inputs.name.contain('a')", "EXPRESSION_UNKNOWN_NAME", 'Did you mean "contains"?'],
  ["constructor('x')", "EXPRESSION_UNKNOWN_NAME", "no function"],
  ["inputs.name.constructor('x')", "EXPRESSION_UNKNOWN_NAME", "no function"],
  ["inputs.name.hasOwnProperty('x')", "EXPRESSION_UNKNOWN_NAME", "no function"],
  ["tasks.my-task.output", "EXPRESSION_UNKNOWN_NAME", 'write tasks["my-task"]'],
  ["tasks.my-task.output - tasks.search.output.count", "EXPRESSION_UNKNOWN_NAME", 'write tasks["my-task"]'],
  ["tasks.a.b.output", "EXPRESSION_UNKNOWN_NAME", 'write tasks["a.b"]'],
  ["tasks.in.output", "EXPRESSION_UNKNOWN_NAME", 'write tasks["in"]'],
  // Needs
  ["tasks.other.output", "EXPRESSION_NOT_A_NEED", "add it to needs"],
  ["has(tasks.other.output)", "EXPRESSION_NOT_A_NEED", '"other"'],
  ["inputs.flag ? 1 : tasks['other'].status", "EXPRESSION_NOT_A_NEED", "add it to needs"],
  // Refused
  ["inputs.name.matches('(a+)+$')", "EXPRESSION_NOT_ALLOWED", "unbounded time"],
  ["tasks[inputs.name].output", "EXPRESSION_NOT_ALLOWED", "must not be computed"],
  ["tasks", "EXPRESSION_NOT_ALLOWED", "named in full"],
  ["tasks.search", "EXPRESSION_NOT_ALLOWED", "named in full"],
  ["tasks.all(t, true)", "EXPRESSION_NOT_ALLOWED", "named in full"],
  ["timestamp('2020-01-01T00:00:00Z')", "EXPRESSION_NOT_ALLOWED", "RFC 3339"],
  ["b'abc'", "EXPRESSION_NOT_ALLOWED", "bytes"],
  ["1u", "EXPRESSION_NOT_ALLOWED", "unsigned"],
  // At run time: fields
  ["inputs.missing", "EXPRESSION_NO_SUCH_FIELD", "has("],
  ["tasks.search.output.titel", "EXPRESSION_NO_SUCH_FIELD", '"hits", "count"'],
  ["tasks.skipped.output.x", "EXPRESSION_NO_SUCH_FIELD", "in null"],
  ["tasks.search.outputs", "EXPRESSION_NO_SUCH_FIELD", "for_each"],
  ["inputs.name.length", "EXPRESSION_NO_SUCH_FIELD", "in a string"],
  ["inputs.list.length", "EXPRESSION_NO_SUCH_FIELD", "in a list"],
  ["inputs.list[3]", "EXPRESSION_NO_SUCH_FIELD", "outside a list of 3"],
  ["inputs.list[-1]", "EXPRESSION_NO_SUCH_FIELD", "outside"],
  ["inputs.name[9]", "EXPRESSION_NO_SUCH_FIELD", "outside"],
  ["inputs.nothing['x']", "EXPRESSION_NO_SUCH_FIELD", "null"],
  ["inputs.constructor", "EXPRESSION_NO_SUCH_FIELD", '"constructor"'],
  ["inputs.__proto__", "EXPRESSION_NO_SUCH_FIELD", '"__proto__"'],
  ["inputs['__proto__'].x", "EXPRESSION_NO_SUCH_FIELD", '"__proto__"'],
  ["inputs.map.toString", "EXPRESSION_NO_SUCH_FIELD", '"toString"'],
  ["inputs.list['map']", "EXPRESSION_TYPE", "whole number"],
  ["'abc'.substring(2, 9)", "EXPRESSION_NO_SUCH_FIELD", "outside"],
  ["inputs.people.exists(p, p.age == 99)", "EXPRESSION_NO_SUCH_FIELD", '"age"'],
  ["inputs.missing || false", "EXPRESSION_NO_SUCH_FIELD", '"missing"'],
  // At run time: types
  ["'a' + 1", "EXPRESSION_TYPE", "a string and an integer"],
  ["inputs.name - 1", "EXPRESSION_TYPE", "a string"],
  ["null > 1", "EXPRESSION_TYPE", "null"],
  ["[1] < [2]", "EXPRESSION_TYPE", "a list"],
  ["1 in 'abc'", "EXPRESSION_TYPE", "a string"],
  ["!inputs.n", "EXPRESSION_TYPE", "must be a boolean"],
  ["inputs.n ? 1 : 2", "EXPRESSION_TYPE", "must be a boolean"],
  ["inputs.n && true", "EXPRESSION_TYPE", "must be a boolean"],
  ["inputs.list.filter(x, x)", "EXPRESSION_TYPE", "must be a boolean"],
  ["inputs.n.map(x, x)", "EXPRESSION_TYPE", "a list or a map"],
  ["-inputs.name", "EXPRESSION_TYPE", "a number"],
  ["1 / 0", "EXPRESSION_TYPE", "Division by zero"],
  ["inputs.n / inputs.zero", "EXPRESSION_TYPE", "Division by zero"],
  ["inputs.n % 0", "EXPRESSION_TYPE", "Division by zero"],
  ["inputs.half % 2", "EXPRESSION_TYPE", "whole numbers"],
  ["1e308 * 10", "EXPRESSION_TYPE", "range of a double"],
  ["9223372036854775807 + 1", "EXPRESSION_TYPE", "overflows"],
  ["9007199254740993", "EXPRESSION_TYPE", "does not fit a JSON number"],
  ["int('x')", "EXPRESSION_TYPE", "cannot convert"],
  ["double('NaN')", "EXPRESSION_TYPE", "cannot convert"],
  ["double('1e999')", "EXPRESSION_TYPE", "cannot convert"],
  ["int(1e300)", "EXPRESSION_TYPE", "64 bits"],
  ["size(inputs.n)", "EXPRESSION_TYPE", "size takes"],
  ["[1].join()", "EXPRESSION_TYPE", "strings"],
  ["{1: 'a'}", "EXPRESSION_TYPE", "key"],
  ["{'a': 1, 'a': 2}", "EXPRESSION_TYPE", "twice"],
  ["{'__proto__': 1}", "EXPRESSION_TYPE", "__proto__"],
  // Limits: what would take unbounded time or memory
  [
    "inputs.thousand.all(a, inputs.thousand.all(b, inputs.thousand.all(c, a + b + c >= 0)))",
    "EXPRESSION_LIMIT",
    "steps",
  ],
  ["inputs.thousand.exists(a, inputs.thousand.exists(b, inputs.thousand.exists(c, c.x)))", "EXPRESSION_LIMIT", "steps"],
  ["inputs.thousand.map(a, inputs.thousand.map(b, inputs.thousand))", "EXPRESSION_LIMIT", "steps"],
  ["inputs.thousand.map(a, inputs.long)", "EXPRESSION_LIMIT", "bytes of JSON"],
  ["inputs.thousand.map(a, inputs.thousand == inputs.thousand + [])", "EXPRESSION_LIMIT", "steps"],
  ["inputs.long.contains(inputs.needle)", "EXPRESSION_LIMIT", "steps"],
  ["inputs.long.lastIndexOf(inputs.needle)", "EXPRESSION_LIMIT", "steps"],
  ["inputs.long.split(inputs.needle)", "EXPRESSION_LIMIT", "steps"],
  ["inputs.long.replace('a', inputs.long)", "EXPRESSION_LIMIT", "longer than"],
  ["inputs.thousand.map(a, inputs.long).join(inputs.long)", "EXPRESSION_LIMIT", "longer than"],
  ["inputs.thousand.map(a, inputs.long.trim() == inputs.long)", "EXPRESSION_LIMIT", "steps"],
];

test.each(failures)("%s fails with %s", (source, code, remedy) => {
  const error = failure(() => evaluate(source));
  expect(error).toMatchObject({ code, message: expect.stringContaining(remedy) });
});

const oversized: [what: string, source: string, remedy: string][] = [
  ["a thousand negations", `${"!".repeat(8_000)}true`, "1000 parts"],
  ["thousands of parentheses", "(".repeat(4_000), "nests deeper"],
  ["thousands of brackets", "[".repeat(4_000), "nests deeper"],
  ["a sum of a thousand terms", `1${"+1".repeat(1_000)}`, "1000 parts"],
  ["nine kilobytes", `'${"a".repeat(9_000)}'`, "8192 characters"],
  ["a list doubled sixty times", `[[1, 1]]${".map(a, a + a)".repeat(60)}`, "steps"],
  ["a string doubled sixty times", `['aa']${".map(a, a + a)".repeat(60)}.map(a, 1)`, "longer than"],
  [
    "seventy nested lists",
    `[0]${".map(a, [a])".repeat(30)}.map(a, ${"[".repeat(40)}a${"]".repeat(40)})`,
    "deeper than 64",
  ],
];

test.each(oversized)("%s is too much", (_, source, remedy) => {
  const error = failure(() => evaluate(source));
  expect(error).toMatchObject({ code: "EXPRESSION_LIMIT", message: expect.stringContaining(remedy) });
});

describe("checking", () => {
  test("every flaw of an expression is reported, with the pointer it was given", () => {
    const issues = checkExpression("tasks.other.output + tasks.nope.output + foo.matches('x')", scope, "/tasks/0/when");
    expect(issues.map(({ code }) => code).sort()).toEqual(
      ["EXPRESSION_NOT_ALLOWED", "EXPRESSION_NOT_A_NEED", "EXPRESSION_UNKNOWN_NAME", "EXPRESSION_UNKNOWN_NAME"].sort(),
    );
    expect(new Set(issues.map(({ pointer }) => pointer))).toEqual(new Set(["/tasks/0/when"]));
  });

  test("an id that CEL cannot read is one flaw, and does not hide the others", () => {
    const issues = checkExpression("tasks.my-task.output == tasks.nope.output", scope, "");
    expect(issues.map(({ message }) => message)).toEqual([
      expect.stringContaining('write tasks["my-task"]'),
      expect.stringContaining('no task "nope"'),
    ]);
  });

  test("item and index exist only in a for_each", () => {
    const plain: ExpressionScope = { ...scope, names: new Set(["inputs", "tasks", "run"]) };
    expect(checkExpression("item.url", plain, "")).toMatchObject([
      { code: "EXPRESSION_UNKNOWN_NAME", message: expect.stringContaining("for_each") },
    ]);
    expect(checkExpression("inputs.list.map(item, item)", plain, "")).toEqual([]);
  });

  test("compileExpression throws the first flaw and carries them all", () => {
    const error = failure(() => compileExpression("tasks.nope.output + foo", scope));
    expect(error.issues).toHaveLength(2);
    expect(error.message).toContain("(and 1 more)");
  });

  test("references name the tasks and names that are read, also where they are hidden in a branch", () => {
    const { references } = compileExpression("inputs.flag ? tasks.search.output : has(tasks['my-task'].output)", scope);
    expect(references).toEqual({ tasks: new Set(["search", "my-task"]), names: new Set(["inputs", "tasks"]) });
  });

  test("a macro variable is not a reference", () => {
    expect(compileExpression("[1].map(tasks, tasks)").references.tasks.size).toBe(0);
  });

  test("without a scope, names are looked up only when they are evaluated", () => {
    const compiled = compileExpression("tasks.gone.output");
    expect(failure(() => compiled.evaluate({ tasks: {} })).code).toBe("EXPRESSION_UNKNOWN_NAME");
    expect(failure(() => compileExpression("nobody").evaluate({})).code).toBe("EXPRESSION_UNKNOWN_NAME");
  });

  test("an error at run time quotes the part of the expression in which it arose", () => {
    expect(failure(() => evaluate("inputs.n > 1 && inputs.map.b.x == 2")).message).toMatch(/^`inputs.map.b.x`: /);
  });
});

describe("evaluating", () => {
  test("the result shares nothing with the context", () => {
    const list = evaluate("inputs.list") as Json[];
    list.push(4);
    expect(evaluate("inputs.list")).toEqual([1, 2, 3]);
  });

  test("objects without a prototype are read like any other", () => {
    const inputs = Object.assign(Object.create(null), { a: { b: 1 } });
    expect(compileExpression("inputs.a.b + 1").evaluate({ inputs })).toBe(2);
  });

  test("one compiled expression serves many contexts", () => {
    const compiled = compileExpression("[inputs.n].map(x, x + 1)[0]");
    expect([1, 2, 3].map((n) => compiled.evaluate({ inputs: { n } }))).toEqual([2, 3, 4]);
  });

  test("a condition must be a boolean", () => {
    expect(evaluateCondition(compileExpression("inputs.n == 5"), context)).toBe(true);
    expect(evaluateCondition(compileExpression("inputs.n == 6"), context)).toBe(false);
    for (const source of ["inputs.n", "inputs.nothing", "'true'", "inputs.list"]) {
      expect(failure(() => evaluateCondition(compileExpression(source), context)).code).toBe("EXPRESSION_TYPE");
    }
  });

  test("arithmetic on JSON numbers is JavaScript's, whatever the mix of literals and inputs", () => {
    fc.assert(
      fc.property(fc.integer({ min: -1e6, max: 1e6 }), fc.integer({ min: -1e6, max: 1e6 }), (a, b) => {
        const inputs = { a, b };
        const run = (source: string) => compileExpression(source).evaluate({ inputs });
        expect(run("inputs.a + inputs.b")).toBe(a + b);
        expect(run(`inputs.a * (${b})`)).toBe(a * b + 0);
        expect(run(`(${a}) - inputs.b`)).toBe(a - b);
        expect(run(`(${a}) < inputs.b`)).toBe(a < b);
        expect(run(`inputs.a == (${a})`)).toBe(true);
        if (b !== 0) expect(run(`inputs.a % (${b})`)).toBe((a % b) + 0);
      }),
    );
  });

  test("any JSON value passes through unchanged and equals itself", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const inputs = JSON.parse(JSON.stringify({ value }).replaceAll("__proto__", "proto")) as { value: Json };
        expect(compileExpression("inputs.value").evaluate({ inputs })).toEqual(inputs.value);
        expect(
          compileExpression("inputs.value == inputs.value && inputs.value in [inputs.value]").evaluate({ inputs }),
        ).toBe(true);
      }),
    );
  });

  test("whatever text is given as an expression, it ends in a value or a SkeinError", () => {
    const word = fc.constantFrom(
      ..."inputs tasks item . , ( ) [ ] { } : ? ! - + * / % == != < in && || ' \" \\ 1 0.5 1e9 9223372036854775807 null true".split(
        " ",
      ),
      ...".map(x, .all(x, .exists(x, .filter(x, size( has( .n .list .text .split( .substring( cel.bind(x, r' b' 'a' x \n //".split(
        " ",
      ),
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(word, { maxLength: 30 }).map((words) => words.join("")),
        ),
        (source) => {
          try {
            evaluate(source);
          } catch (error) {
            expect(error).toBeInstanceOf(SkeinError);
            expect((error as SkeinError).code).toMatch(/^EXPRESSION_/);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

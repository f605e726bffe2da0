import { describe, expect, it } from "vitest";
import type { Json } from "../../core/json.ts";
import { perform } from "./perform.suite.ts";
import { transformJsonata } from "./transform-jsonata.ts";

/** With a generous limit, so that a busy machine does not change the outcome. */
const transform = (
  expression: string,
  data: Json = null,
  { timeout_ms = 30_000, ...rest }: { timeout_ms?: number; signal?: AbortSignal } = {},
) => perform(transformJsonata, { expression, data, timeout_ms }, rest);

const order = {
  id: 7,
  items: [
    { name: "pen", price: 1.5, count: 2 },
    { name: "book", price: 20, count: 1 },
  ],
};

describe("transform.jsonata", () => {
  it.each<[string, Json, Json]>([
    ["$sum(items.(price * count))", order, 23],
    ["items[price > 10].name", order, "book"],
    ["items.{ 'title': $uppercase(name) }", order, [{ title: "PEN" }, { title: "BOOK" }]],
    ["$map(items, function($item) { $item.count })", order, [2, 1]],
    ["( $f := function($n) { $n <= 1 ? 1 : $n * $f($n - 1) }; $f(20) )", null, 2432902008176640000],
    ["( $f := function($n) { $n = 0 ? 0 : 1 + $f($n - 1) }; $f(300) )", null, 300],
    ["$match('a1b22', /[0-9]+/).match", null, ["1", "22"]],
    ["$base64decode($base64encode('hello'))", null, "hello"],
    ["$fromMillis(0)", null, "1970-01-01T00:00:00.000Z"],
    ["$keys($)", order, ["id", "items"]],
    ["$ ~> |items|{ 'price': price * 2 }|", { items: [{ price: 1 }] }, { items: [{ price: 2 }] }],
    ["nothing.here", order, null],
    ["$", "text", "text"],
    ["/a function/", null, null],
    ["$count($)", Array.from({ length: 50_000 }, (_, i) => i), 50_000],
  ])("%j", async (expression, data, result) => {
    expect(await transform(expression, data)).toEqual(result);
  });

  it.each([
    ["items[", "TRANSFORM_SYNTAX", /S0203 at character 6/],
    ["1 +", "TRANSFORM_SYNTAX", /Unexpected end/],
    ["1 + 'a'", "TRANSFORM_FAILED", /must evaluate to a number.*T2002/],
    ["$nope()", "TRANSFORM_FAILED", /T1006/],
    ["$error('not today')", "TRANSFORM_FAILED", /not today/],
    ["( $f := function($n) { 1 + $f($n) }; $f(1) )", "TRANSFORM_LIMIT", /D1011/],
    ["[1..10000000]", "TRANSFORM_LIMIT", /D201/],
    ["$map([1..3000], function($x) { [1..1000] })", "TRANSFORM_LIMIT", /characters of JSON, the limit is/],
    [`${"(".repeat(5_000)}1${")".repeat(5_000)}`, "TRANSFORM_FAILED", /stack overflow/],
    [
      "( $f := function($s, $n) { $n = 0 ? $s : $f($s & $s, $n - 1) }; $uppercase($f('aaaaaaaaaa', 25)) )",
      "SANDBOX_MEMORY",
      /memory/,
    ],
    ["$split($pad('', 20000000, 'a,'), ',')", "SANDBOX_MEMORY", /memory/],
  ])("%j fails for good and says why", async (expression, code, hint) => {
    const failure = expect(transform(expression)).rejects;
    await failure.toMatchObject({ name: "NonRetryableError", code, message: expect.stringMatching(hint) });
  });

  // Run in a plain thread, the last of these kills the whole process by exhausting the heap.
  it.each([
    "( $f := function($n) { $f($n + 1) }; $f(1) )",
    "$match('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!', /(a+)+$/)",
    "$pad('', 500000000)",
  ])("%j is stopped at the time limit, and may be retried", async (expression) => {
    await expect(transform(expression, null, { timeout_ms: 200 })).rejects.toMatchObject({
      name: "TaskError",
      code: "SANDBOX_TIMEOUT",
    });
  });

  it.each([
    "$.constructor",
    "constructor.constructor('return process')()",
    "$string.constructor",
    "$.__proto__",
    "$lookup($, '__proto__')",
    "$lookup($, 'constructor')",
    "$lookup('a', 'constructor')",
    "$process",
    "$globalThis",
    "$eval('constructor.constructor(\"return process\")()')",
  ])("%j finds no way out", async (expression) => {
    const result = await transform(expression, { a: [] }).catch((error) => error.code);
    expect([null, "TRANSFORM_FAILED"]).toContain(result);
  });

  it("nothing of one evaluation is left for the next", async () => {
    const polluting = "( $left := 1; $merge([{ '__proto__': { 'left': 1 } }]) ~> |$|{ '__proto__': { 'left': 1 } }| )";
    await expect(transform(polluting, {})).rejects.toMatchObject({ code: "OUTPUT_UNSTORABLE" });
    expect(await transform("[$exists($left), $exists($.left), $exists($lookup({}, 'left'))]", {})).toEqual([
      false,
      false,
      false,
    ]);
  });

  it("ends when the attempt is aborted", async () => {
    const abort = new AbortController();
    const running = transform("( $f := function($n) { $f($n + 1) }; $f(1) )", null, { signal: abort.signal });
    abort.abort(new Error("lease lost"));
    await expect(running).rejects.toThrow("lease lost");
  });

  it("refuses more data than an output may hold", async () => {
    await expect(transform("$length($)", "x".repeat(8 * 1024 * 1024))).rejects.toMatchObject({
      code: "TRANSFORM_LIMIT",
    });
  });

  it("takes data as large as an output may be, and its thread answers afterwards", async () => {
    expect(await transform("$contains($, 'y')", "x".repeat(8 * 1024 * 1024 - 2))).toBe(false);
    expect(await transform("1 + 1")).toBe(2);
  });
});

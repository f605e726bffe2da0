import { describe, expect, it } from "vitest";
import { compileTemplate } from "./binding.ts";
import { compileExpression, type ExpressionContext } from "./expression.ts";
import type { Json } from "./json.ts";
import {
  contentOf,
  defineLazy,
  fillHoles,
  LARGE_BYTES,
  largeContent,
  type Payload,
  PayloadUnread,
  payloadBytes,
  type Ref,
  referTo,
  refsAt,
  withNames,
} from "./payload.ts";

const big = (letter: string, bytes = LARGE_BYTES) => letter.repeat(bytes);
const ref = (pointer: string, hash: string): Ref => [pointer, hash, 7];

describe("a value", () => {
  it.each<[string, Json, boolean]>([
    ["as large as it may be", big("a", LARGE_BYTES - 2), false],
    ["one byte larger", big("a", LARGE_BYTES - 1), true],
    ["of characters that take three bytes", big("ア", LARGE_BYTES / 3 + 1), true],
    ["of escapes that take six bytes", big("\u0001", LARGE_BYTES / 6 + 1), true],
    ["of many small ones", Array.from({ length: LARGE_BYTES / 2 }, () => 1), true],
    ["of many keys", Object.fromEntries(Array.from({ length: 20_000 }, (_, n) => [`k${n}`, 0])), true],
    ["of half of it", Array.from({ length: LARGE_BYTES / 4 }, () => 1), false],
    ["that is nothing", null, false],
  ])("%s stands apart: %j", (_, value, isLarge) => {
    const content = largeContent(value);
    expect(content !== undefined).toBe(isLarge);
    if (content) expect(JSON.parse(content.bytes.toString())).toEqual(value);
  });

  it("is known by what it says", () => {
    expect(largeContent(big("a"))).toEqual(contentOf(Buffer.from(JSON.stringify(big("a")))));
    expect(largeContent(big("a"))!.hash).not.toBe(largeContent(big("b"))!.hash);
  });
});

describe("holes", () => {
  const contents: Record<string, Json> = { one: "first", two: { text: null, list: [1, null] } };
  const fill = (payload: Payload) => fillHoles(payload, (hash) => contents[hash]!);

  it.each<[string, Payload, Json]>([
    ["none", { value: { a: 1 } }, { a: 1 }],
    ["the whole", { value: null, refs: [ref("", "one")] }, "first"],
    [
      "parts",
      { value: { a: null, b: [0, null] }, refs: [ref("/a", "one"), ref("/b/1", "two")] },
      { a: "first", b: [0, contents.two!] },
    ],
    [
      "keys with slashes and tildes",
      { value: { "a/b~c": null }, refs: [ref("/a~1b~0c", "one")] },
      { "a/b~c": "first" },
    ],
    [
      "a hole in what fills another",
      { value: { x: null }, refs: [ref("/x", "two"), ref("/x/list/1", "one")] },
      { x: { text: null, list: [1, "first"] } },
    ],
    [
      "a hole in the whole",
      { value: null, refs: [ref("", "two"), ref("/text", "one")] },
      { text: "first", list: [1, null] },
    ],
  ])("%s are filled", (_, payload, whole) => {
    expect(fill(payload)).toEqual(whole);
    expect(contents).toEqual({ one: "first", two: { text: null, list: [1, null] } });
  });

  it("count for what belongs there, and move with what they are in", () => {
    expect(payloadBytes({ value: { a: null }, refs: [["/a", "one", 1_000]] })).toBe(10 + 1_000);
    expect(
      refsAt("/needs/a", [
        ["", "one", 7],
        ["/x", "two", 7],
      ]),
    ).toEqual([ref("/needs/a", "one"), ref("/needs/a/x", "two")]);
    const content = contentOf(Buffer.from('{"x":null}'));
    expect(referTo(content, [ref("/x", "one")])).toEqual({
      value: null,
      refs: [["", content.hash, 10], ref("/x", "one")],
    });
  });
});

describe("an expression", () => {
  const contents = new Map<string, Json>([["here", { n: 1, text: "abc" }]]);

  function contextOf(): ExpressionContext {
    const tasks = { here: task("here"), away: task("away"), small: { status: "completed", output: "s" } };
    const context: ExpressionContext = { inputs: {}, tasks, run: { id: "r", attempt: 1 } };
    defineLazy(context, "inputs", { value: null, refs: [ref("", "away")] }, contents);
    return context;
  }
  function task(hash: string) {
    const view = { status: "completed", output: null as Json };
    defineLazy(view, "output", { value: null, refs: [ref("", hash)] }, contents);
    return view;
  }

  it.each<[string, Json]>([
    ["tasks.here.output.n + 1", 2],
    ["tasks.away.status == 'completed' ? tasks.small.output : tasks.away.output", "s"],
    ["tasks.small.output == 's' || tasks.away.output == 1", true],
  ])("%s reads no more than it needs", (source, value) => {
    expect(compileExpression(source).evaluate(contextOf())).toEqual(value);
  });

  it.each([
    "tasks.away.output.n",
    "tasks.away.output == 1 || true",
    "has(tasks.away.output)",
    "inputs.n",
    "[tasks.away.output]",
  ])("%s says what has to be loaded, and absorbs it nowhere", (source) => {
    expect(() => compileExpression(source).evaluate(contextOf())).toThrow(PayloadUnread);
  });

  it("that is nothing but a payload passes it on with its holes", () => {
    const template = compileTemplate({
      whole: "{{ tasks.away.output }}",
      "of/all": ['{{ tasks["away"].output }}', "{{ inputs }}"],
      small: "{{ tasks.small.output }}",
    });
    expect(template.evaluateLazily(contextOf())).toEqual({
      value: { whole: null, "of/all": [null, null], small: "s" },
      refs: [ref("/whole", "away"), ref("/of~1all/0", "away"), ref("/of~1all/1", "away")],
    });
    expect(() => template.evaluate(contextOf())).toThrow(PayloadUnread);
    expect(() => compileTemplate("all: {{ tasks.away.output }}").evaluateLazily(contextOf())).toThrow(PayloadUnread);
    expect(compileTemplate("{{ tasks.small.output }}").evaluateLazily(contextOf())).toEqual({ value: "s" });
  });

  it("is refused when what it passes on is more than one value may be", () => {
    const context = contextOf();
    defineLazy(context, "inputs", { value: null, refs: [["", "away", 5_000_000]] }, contents);
    expect(compileTemplate("{{ inputs }}").evaluateLazily(context).refs).toHaveLength(1);
    expect(() => compileTemplate(["{{ inputs }}", "{{ inputs }}"]).evaluateLazily(context)).toThrow(/longer|larger/);
  });

  it("sees more names without reading what there is", () => {
    const context = withNames(contextOf(), { item: 7, index: 0 });
    expect(compileExpression("item + index").evaluate(context)).toBe(7);
    expect(compileTemplate("{{ inputs }}").evaluateLazily(context)).toEqual({ value: null, refs: [ref("", "away")] });
    expect(() => compileExpression("inputs.n").evaluate(context)).toThrow(PayloadUnread);
  });

  it("keeps the items of those who share it apart from one another", () => {
    const shared = contextOf();
    const [first, second, small] = [{ item: null }, { item: null }, { item: "s" }].map((more) =>
      withNames(shared, more),
    );
    defineLazy(first!, "item", { value: null, refs: [ref("", "one")] }, contents);
    defineLazy(second!, "item", { value: null, refs: [ref("", "two")] }, contents);
    const passed = [first, second, small, withNames(first!, { item: 1 })].map((context) =>
      compileTemplate("{{ item }}").evaluateLazily(context!),
    );
    expect(passed).toEqual([
      { value: null, refs: [ref("", "one")] },
      { value: null, refs: [ref("", "two")] },
      { value: "s" },
      { value: 1 },
    ]);
  });
});

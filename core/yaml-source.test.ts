import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Issue } from "./errors.ts";
import { defaultLimits } from "./limits.ts";
import { readYaml } from "./yaml-source.ts";

const read = (text: string) => readYaml(text, defaultLimits);
const issueAt = (pointer: string, code: Issue["code"] = "WORKFLOW_INVALID"): Issue => ({ code, message: "", pointer });

describe("readYaml", () => {
  it("reads YAML 1.2: words that YAML 1.1 took for booleans, dates and octals stay what they look like", () => {
    expect(read("a: yes\nb: on\nc: 2024-01-01\nd: 010\ne: 0x1F\nf: ~\ng: |\n  two\n  lines\n").value).toEqual({
      a: "yes",
      b: "on",
      c: "2024-01-01",
      d: 10,
      e: 31,
      f: null,
      g: "two\nlines\n",
    });
    expect(read("%YAML 1.1\n---\na: yes\n").value).toEqual({ a: "yes" });
  });

  it("reads JSON", () => {
    const json = fc.jsonValue({ maxDepth: 4 }).filter((value) => !JSON.stringify(value).includes("__proto__"));
    fc.assert(
      fc.property(json, (value) => {
        expect(read(JSON.stringify(value)).value).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it("writes aliases out as copies that do not share state", () => {
    const { value, issues } = read("a: &x { n: [1] }\nb: *x\nc: [*x, *x]\n");
    expect(issues).toEqual([]);
    expect(value).toEqual({ a: { n: [1] }, b: { n: [1] }, c: [{ n: [1] }, { n: [1] }] });
    const { a, b } = value as { a: { n: number[] }; b: { n: number[] } };
    expect(a.n).not.toBe(b.n);
  });

  it("takes an alias inside a repeated value for what it meant where it was written", () => {
    expect(read("a: &x 1\nb: &y [*x]\nc: &x 2\nd: *y\ne: *x\n").value).toMatchObject({ d: [1], e: 2 });
  });

  it.each([
    ["a: [1\nb: 2\n", 2, 1, "sufficiently indented"],
    ["a: b: c\n", 1, 4, "Nested mappings"],
    ['a: "open\n', 2, 1, "Missing closing"],
    ["a: @x\n", 1, 4, "reserved character"],
    ["\ta: 1\n", 1, 1, "Tabs"],
    ["a: 1\n---\nb: 2\n", 2, 1, "one workflow to a file"],
    ["a: !thing x\n", 1, 4, "Unresolved tag"],
    ["a: !!binary aGk=\n", 1, 4, "Unresolved tag"],
  ])("refuses %j at %d:%d", (text, line, column, words) => {
    const { value, issues } = read(text);
    expect(value).toBeUndefined();
    expect(issues[0]).toMatchObject({ code: "YAML_INVALID", line, column, message: expect.stringContaining(words) });
  });

  it.each([
    ["a: 1\nb: 2\na: 3\n", 3, 1, "/a", "twice"],
    ["a: { b: 1, b: 2 }\n", 1, 12, "/a/b", "twice"],
    ["1: x\n", 1, 1, "", "quotes"],
    ["a: { true: x }\n", 1, 6, "/a", "quotes"],
    ["? [a]\n: x\n", 1, 3, "", "quotes"],
    ["a: { __proto__: { polluted: 1 } }\n", 1, 6, "/a/__proto__", "another"],
    ["a: *nothing\n", 1, 4, "/a", "&nothing"],
    ["b: *x\na: &x 1\n", 1, 4, "/b", "above"],
  ])("finds the flaw of %j at %d:%d and reads on", (text, line, column, pointer, words) => {
    const { value, issues } = read(text);
    expect(value).toBeDefined();
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect(issues).toEqual([{ code: "YAML_INVALID", message: expect.stringContaining(words), pointer, line, column }]);
  });

  it("does not merge", () => {
    expect(read("base: &b { x: 1 }\na: { <<: *b }\n").value).toEqual({ base: { x: 1 }, a: { "<<": { x: 1 } } });
  });

  it.each([
    ["brackets", "[".repeat(100_000)],
    ["closed brackets", `${"[".repeat(100_000)}${"]".repeat(100_000)}`],
    ["braces", "{a: ".repeat(100_000)],
    ["dashes", "- ".repeat(100_000)],
    ["question marks", "? ".repeat(100_000)],
    ["indented keys", Array.from({ length: 300 }, (_, i) => `${" ".repeat(i)}a:`).join("\n")],
    ["an alias in its own anchor", "a: &a [*a, *a]\n"],
    ["sixty-five levels", `${"[".repeat(65)}${"]".repeat(65)}`],
  ])("refuses hostile depth before it costs anything: %s", (_, text) => {
    const { value, issues } = read(text);
    expect(value).toBeUndefined();
    expect(issues).toMatchObject([
      { code: "WORKFLOW_LIMIT_EXCEEDED", message: expect.stringContaining("SKEIN_MAX_JSON_DEPTH") },
    ]);
  });

  it("takes sixty-four levels", () => {
    expect(read(`${"[".repeat(64)}${"]".repeat(64)}`).issues).toEqual([]);
    expect(read(`${"- ".repeat(64)}x`).issues).toEqual([]);
  });

  it("refuses aliases that multiply", () => {
    const names = "abcdefghij";
    const levels = [...names].map((name, i) => {
      const content =
        i === 0
          ? "lol"
          : Array(10)
              .fill(`*${names[i - 1]}`)
              .join(", ");
      return `${name}: &${name} [${content}]`;
    });
    expect(read(levels.join("\n"))).toMatchObject({
      value: undefined,
      issues: [{ code: "YAML_INVALID", message: expect.stringContaining("use fewer"), line: 7 }],
    });
    const long = `a: &a ${"x".repeat(100_000)}\nb: [${Array(1_000).fill("*a").join(", ")}]\n`;
    expect(read(long).value).toBeUndefined();
  });

  it("takes as many aliases as an honest file has", () => {
    const text = `d: &d { max_attempts: 5 }\nt:\n${"  - { retry: *d }\n".repeat(5_000)}`;
    expect((read(text).value as { t: unknown[] }).t).toHaveLength(5_000);
  });

  it("does not slow down with the square of the number of keys", () => {
    const text = Array.from({ length: 20_000 }, (_, i) => `k${i}: ${i}`).join("\n");
    expect(Object.keys(read(text).value as object)).toHaveLength(20_000);
  });

  it("never throws, whatever the text", () => {
    const pieces = fc.constantFrom(
      "a",
      ": ",
      "- ",
      "\n",
      "  ",
      "[",
      "]",
      "{",
      "}",
      ",",
      "&x ",
      "*x",
      "!!str ",
      "|\n",
      "'",
      '"',
      "#",
      "? ",
      "---\n",
      "%YAML 1.1\n",
      "<<",
      "\t",
      "\r\n",
      "\u0000",
      "\ud800",
    );
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.array(pieces, { maxLength: 30 }).map((all) => all.join("")),
    );
    fc.assert(
      fc.property(text, (each) => {
        const { value, issues } = read(each);
        expect(value !== undefined || issues.length > 0).toBe(true);
        for (const { line, column } of issues) expect(Math.min(line!, column!)).toBeGreaterThan(0);
      }),
      { numRuns: 500 },
    );
  });
});

describe("place", () => {
  const text = "a: 1\nlist:\n  - x\n  - { c: 2, empty: }\nanchored: &n { k: v }\nalias: *n\n";

  it.each([
    ["", 1, 1],
    ["/a", 1, 4],
    ["/list/0", 3, 5],
    ["/list/1/c", 4, 10],
    ["/list/1/missing", 4, 5],
    ["/list/9", 3, 3],
    ["/missing", 1, 1],
    ["/alias/k", 5, 19],
  ])("shows %j at %d:%d", (pointer, line, column) => {
    expect(read(text).place([issueAt(pointer)])).toEqual([{ ...issueAt(pointer), line, column }]);
  });

  it("shows an unknown key at the key itself", () => {
    expect(read(text).place([issueAt("/list/1/c", "WORKFLOW_KEY_UNKNOWN")])).toMatchObject([{ line: 4, column: 7 }]);
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Issue } from "./errors.ts";
import { pointerTo } from "./json.ts";
import { readJson } from "./json-source.ts";
import { defaultLimits } from "./limits.ts";

const read = (text: string) => readJson(text, defaultLimits);
const issueAt = (pointer: string, code: Issue["code"] = "WORKFLOW_INVALID"): Issue => ({ code, message: "", pointer });

describe("readJson", () => {
  it.each([
    ["", 1, 1, "ends where it needs a value"],
    ["   \n ", 2, 2, "ends"],
    ["{", 1, 2, "a key in double quotes or a closing brace"],
    ['{"a":}', 1, 6, "`}` where it needs a value"],
    ['{"a":1,}', 1, 8, "no comma after the last member"],
    ['{\n  "a": 1\n  "b": 2\n}', 3, 3, "a comma or the closing bracket"],
    ["[1,]", 1, 4, "a value"],
    ["[1 2]", 1, 4, "a comma"],
    ['{"a" 1}', 1, 6, "a colon"],
    ["{a: 1}", 1, 2, "a key in double quotes"],
    ["{'a': 1}", 1, 2, "a key in double quotes"],
    ["[1}", 1, 3, "closing bracket"],
    ['{"a":1]', 1, 7, "closing bracket"],
    ["]", 1, 1, "a value"],
    ["1 2", 1, 3, "nothing after the end"],
    ["// note\n{}", 1, 1, "a value"],
    ["[01]", 1, 2, "a value"],
    ["[NaN]", 1, 2, "`NaN]`"],
    ['["a\nb"]', 1, 2, "ends in its line"],
    ['["\\x"]', 1, 2, "a value"],
    ['["\t"]', 1, 2, "a value"],
    ["[\u00a01]", 1, 2, "a value"],
    ["\ufeff[1,]", 1, 4, "a value"],
  ])("finds the error in %j at %d:%d", (text, line, column, words) => {
    const { value, issues } = read(text);
    expect(value).toBeUndefined();
    expect(issues).toEqual([
      { code: "JSON_INVALID", message: expect.stringContaining(words), pointer: "", line, column },
    ]);
  });

  it("reads what JSON.parse reads, and refuses what it refuses", () => {
    const almostJson = fc
      .tuple(fc.json(), fc.nat(), fc.constantFrom("", ",", "]", "{", '"', "1", "\\", "\n", "tru"))
      .map(
        ([text, at, extra]) => `${text.slice(0, at % (text.length + 1))}${extra}${text.slice(at % (text.length + 1))}`,
      );
    fc.assert(
      fc.property(fc.oneof(fc.json(), almostJson, fc.string()), (text) => {
        let expected: unknown;
        try {
          expected = JSON.parse(text);
        } catch {
          expect(read(text).issues).toHaveLength(1);
          return;
        }
        expect(read(text).value).toEqual(expected);
      }),
    );
  });

  it("finds a key that stands twice, however it is written, and reads on", () => {
    const { value, issues } = read('{"a": 1,\n "b": [{"c": 1, "\\u0063": 2}],\n "a": 2}');
    expect(value).toEqual({ a: 2, b: [{ c: 2 }] });
    expect(issues).toMatchObject([
      { code: "JSON_INVALID", pointer: "/b/0/c", line: 2, column: 17 },
      { code: "JSON_INVALID", pointer: "/a", line: 3, column: 2 },
    ]);
  });

  it("refuses nesting beyond the limit, and no earlier", () => {
    const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;
    expect(read(nested(64)).issues).toEqual([]);
    expect(read(nested(65)).issues).toMatchObject([{ code: "WORKFLOW_LIMIT_EXCEEDED", line: 1, column: 65 }]);
    expect(read("[".repeat(100_000)).issues).toMatchObject([{ code: "WORKFLOW_LIMIT_EXCEEDED" }]);
    expect(read('{"a":'.repeat(100_000)).issues).toMatchObject([{ code: "WORKFLOW_LIMIT_EXCEEDED" }]);
  });

  it("accepts a byte order mark", () => {
    expect(read("\ufeff{}")).toMatchObject({ value: {}, issues: [] });
  });
});

describe("place", () => {
  const text = '{ "a": 1,\n  "b~/": [10, { "c": null }]\n}';

  it.each([
    ["", 1, 1],
    ["/a", 1, 8],
    ["/b~0~1", 2, 10],
    ["/b~0~1/0", 2, 11],
    ["/b~0~1/1/c", 2, 22],
    ["/b~0~1/1/missing", 2, 15],
    ["/b~0~1/7", 2, 10],
    ["/missing/deep", 1, 1],
  ])("shows %j at %d:%d", (pointer, line, column) => {
    expect(read(text).place([issueAt(pointer)])).toEqual([{ ...issueAt(pointer), line, column }]);
  });

  it("shows an unknown key at the key itself", () => {
    const issue = issueAt("/b~0~1/1/c", "WORKFLOW_KEY_UNKNOWN");
    expect(read(text).place([issue])).toEqual([{ ...issue, line: 2, column: 17 }]);
  });

  it("finds every value of any document where it stands", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.array(fc.integer(), { maxLength: 4 }), { noNullPrototype: true }),
        (value) => {
          const written = JSON.stringify(value, null, 1);
          const lines = written.split("\n");
          for (const [key, items] of Object.entries(value)) {
            for (const [index, item] of items.entries()) {
              const pointer = pointerTo(pointerTo("", key), index);
              const [placed] = read(written).place([issueAt(pointer)]);
              expect(lines[placed!.line! - 1]!.slice(placed!.column! - 1)).toMatch(new RegExp(`^${item},?$`));
            }
          }
        },
      ),
      { numRuns: 50 },
    );
  });
});

import fc from "fast-check";
import { expect, test } from "vitest";
import { type Segment, scanTemplate } from "./template-scan.ts";

const texts: [text: string, segments: Segment[] | undefined][] = [
  ["", []],
  ["plain", [{ literal: "plain" }]],
  ["{{ a }}", [{ source: " a " }]],
  ["x{{a}}y", [{ literal: "x" }, { source: "a" }, { literal: "y" }]],
  ["{{a}}{{b}}", [{ source: "a" }, { source: "b" }]],
  ["{ {a} }", [{ literal: "{ {a} }" }]],
  ["a }} b", [{ literal: "a }} b" }]],
  ['{{ "}}" }}', [{ source: ' "}}" ' }]],
  ["{{ '}}' }}", [{ source: " '}}' " }]],
  ['{{ "\\"}}" }}', [{ source: ' "\\"}}" ' }]],
  ['{{ """a"}}b""" }}', [{ source: ' """a"}}b""" ' }]],
  ["{{ '''it's }}''' }}", [{ source: " '''it's }}''' " }]],
  ['{{ r"\\}}" }}', [{ source: ' r"\\}}" ' }]],
  ['{{ "" }}', [{ source: ' "" ' }]],
  ['{{ {"a": {"b": 1}} }}', [{ source: ' {"a": {"b": 1}} ' }]],
  ['{{{"a": {"b": 1}}}}', [{ source: '{"a": {"b": 1}}' }]],
  ["{{ a // it's a comment }}", [{ source: " a // it's a comment " }]],
  ["{{ a // it's\n + b }}", [{ source: " a // it's\n + b " }]],
  ["{{ a / b }}", [{ source: " a / b " }]],
  ["{{ }", undefined],
  ["{{", undefined],
  ['{{ "abc }}', undefined],
  ["{{ { }}", undefined],
  ["{{ '''abc' }}", undefined],
  ["ok {{ a }} {{ b", undefined],
  ["\\{{ a }}", [{ literal: "{{ a }}" }]],
  ["x\\{{{{a}}", [{ literal: "x{{" }, { source: "a" }]],
  ["\\\\{{ a }}", [{ literal: "\\{{ a }}" }]],
  ["{{a}}\\{{b}}", [{ source: "a" }, { literal: "{{b}}" }]],
  ["C:\\dir\\{file}", [{ literal: "C:\\dir\\{file}" }]],
];

test.each(texts)("%s", (text, segments) => {
  expect(scanTemplate(text)).toEqual(segments);
});

test("a text without braces is one literal, unchanged", () => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 1 }).map((text) => text.replaceAll("{", "(") || "x"),
      (text) => {
        expect(scanTemplate(text)).toEqual([{ literal: text }]);
      },
    ),
  );
});

test("literals and expressions come back in order, whatever stands in the string literals between them", () => {
  const literal = fc.string({ minLength: 1 }).filter((text) => !/[{\\]/.test(text));
  const source = fc.string().map((text) => `f(${JSON.stringify(text)})`);
  fc.assert(
    fc.property(fc.array(fc.tuple(literal, source)), (pairs) => {
      const text = pairs.map(([before, expression]) => `${before}{{${expression}}}`).join("");
      expect(scanTemplate(text)).toEqual(
        pairs.flatMap(([before, expression]) => [{ literal: before }, { source: expression }]),
      );
    }),
  );
});

test("any arrangement of the characters that matter is scanned without losing one", () => {
  const piece = fc.constantFrom("{{", "}}", "{", "}", '"', "'", '"""', "\\", "//", "\n", "a", " ");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const text = pieces.join("");
      const segments = scanTemplate(text);
      if (!segments) return;
      const back = segments.map((part) =>
        "literal" in part ? part.literal.replaceAll("{{", "\\{{") : `{{${part.source}}}`,
      );
      const again = scanTemplate(back.join(""));
      if (!text.includes("\\")) expect(back.join("")).toBe(text);
      expect(again).toEqual(segments);
    }),
    { numRuns: 1_000 },
  );
});

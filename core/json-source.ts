/** JSON text with positions, which `JSON.parse` gives neither for its values nor (in Node 20) for most of its errors. */
import { LineCounter } from "yaml";
import type { Issue } from "./errors.ts";
import { MAX_ISSUES } from "./issues.ts";
import { pointerTo } from "./json.ts";
import { type Limits, limitSentence } from "./limits.ts";
import { type Offsets, outwards, placeIssues, positionAt, type Source } from "./source.ts";

/**
 * Reads JSON text. Its issues are the first syntax error, nesting beyond the limit, and every key that stands twice in
 * an object, of which `JSON.parse` would silently drop the first. Never throws.
 */
export function readJson(written: string, limits: Limits): Source {
  const text = written.startsWith(BYTE_ORDER_MARK) ? written.slice(1) : written;
  const lines = new LineCounter();
  lines.addNewLine(0);
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) lines.addNewLine(at + 1);
  const value = parsed(text);
  const { flaws, isReadable } = scan(text, limits, { isLegal: value !== undefined });
  return {
    value: isReadable ? value : undefined,
    issues: flaws.map(({ offset, ...issue }) => ({ ...issue, ...positionAt(lines, offset) })),
    place(issues) {
      const wanted = new Set(issues.flatMap((issue) => outwards(issue.pointer)));
      const found = new Map<string, Offsets>();
      const visit: Visit = (pointer, offsets) => {
        if (wanted.has(pointer)) found.set(pointer, offsets);
      };
      scan(text, limits, { isLegal: true, visit });
      return placeIssues(issues, lines, (pointer) => found.get(pointer));
    },
  };
}

/** Some editors begin a file with it; `JSON.parse` refuses it. */
const BYTE_ORDER_MARK = "\ufeff";

type Flaw = Issue & { offset: number };
type Visit = (pointer: string, offsets: Offsets) => void;

/** An array or object that is still open. */
interface Frame {
  isArray: boolean;
  /** Where the value that follows goes: an index, or the key last read. */
  segment: string | number;
  keyOffset: number;
  keys: Set<string>;
}

/** What may stand next, as error messages name it. */
const expectations = {
  value: "a value",
  firstItem: "a value or a closing bracket",
  firstKey: "a key in double quotes or a closing brace",
  key: "a key in double quotes (JSON has no comma after the last member)",
  colon: "a colon after the key",
  comma: "a comma or the closing bracket",
  end: "nothing after the end of the document",
} as const;
type Expectation = keyof typeof expectations;

const SPACE = /[ \t\n\r]*/y;
/** A string ends in its line. Whether a string, number or word is a legal one is for `JSON.parse` to say. */
const TOKEN = /[{}[\],:]|"[^"\\\n]*(?:\\.[^"\\\n]*)*"|[^\s{}[\],:"]+/y;

/**
 * Walks over the text once, iteratively, telling `visit` where each value stands, up to the first syntax error. When the
 * text is known to be legal, its strings and numbers are not checked again.
 */
function scan(
  text: string,
  limits: Limits,
  { isLegal, visit }: { isLegal: boolean; visit?: Visit },
): { flaws: Flaw[]; isReadable: boolean } {
  const flaws: Flaw[] = [];
  const stack: Frame[] = [];
  const afterValue = (): Expectation => (stack.length > 0 ? "comma" : "end");
  const stopAt = (flaw: Flaw) => ({ flaws: [...flaws, flaw], isReadable: false });
  let expected: Expectation = "value";
  for (let offset = endOf(SPACE, text, 0); ; ) {
    const end = endOf(TOKEN, text, offset);
    const token = text.slice(offset, end);
    const frame = stack.at(-1);
    if (expected === "end" && offset === text.length) return { flaws, isReadable: true };

    if (frame && closes(token, frame, expected)) {
      stack.pop();
      expected = afterValue();
    } else if (
      frame &&
      (expected === "key" || expected === "firstKey") &&
      token[0] === '"' &&
      (isLegal || isScalar(token))
    ) {
      frame.segment = keyIn(token);
      frame.keyOffset = offset;
      if (frame.keys.has(frame.segment) && flaws.length < MAX_ISSUES) flaws.push(duplicateKey(stack, token));
      frame.keys.add(frame.segment);
      expected = "colon";
    } else if (expected === "colon" && token === ":") {
      expected = "value";
    } else if (frame && expected === "comma" && token === ",") {
      if (frame.isArray) frame.segment = Number(frame.segment) + 1;
      expected = frame.isArray ? "value" : "key";
    } else if ((expected === "value" || expected === "firstItem") && (token === "[" || token === "{")) {
      if (stack.length >= limits.jsonDepth) return stopAt(tooDeep(limits, offset));
      visit?.(pointerOf(stack), { value: offset, ...(frame && { key: frame.keyOffset }) });
      const isArray = token === "[";
      stack.push({ isArray, segment: 0, keyOffset: offset, keys: new Set() });
      expected = isArray ? "firstItem" : "firstKey";
    } else if ((expected === "value" || expected === "firstItem") && (isLegal || isScalar(token))) {
      visit?.(pointerOf(stack), { value: offset, ...(frame && { key: frame.keyOffset }) });
      expected = afterValue();
    } else {
      return stopAt(syntaxError(text, offset, expected));
    }
    offset = endOf(SPACE, text, end);
  }
}

/** Where the match of a sticky expression ends that begins at `offset`; `offset` itself when there is none. */
function endOf(expression: RegExp, text: string, offset: number): number {
  expression.lastIndex = offset;
  return expression.test(text) ? expression.lastIndex : offset;
}

function closes(token: string, frame: Frame, expected: Expectation): boolean {
  if (frame.isArray) return token === "]" && (expected === "comma" || expected === "firstItem");
  return token === "}" && (expected === "comma" || expected === "firstKey");
}

/** Of a single token: whether it is a legal string, number or word. */
function isScalar(token: string): boolean {
  return parsed(token) !== undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function keyIn(token: string): string {
  return token.includes("\\") ? (JSON.parse(token) as string) : token.slice(1, -1);
}

function pointerOf(stack: readonly Frame[]): string {
  return stack.reduce((pointer, frame) => pointerTo(pointer, frame.segment), "");
}

function duplicateKey(stack: readonly Frame[], token: string): Flaw {
  return {
    code: "JSON_INVALID",
    message: `The key ${token} stands twice in one object; remove one of the two.`,
    pointer: pointerOf(stack),
    offset: stack.at(-1)!.keyOffset,
  };
}

function tooDeep(limits: Limits, offset: number): Flaw {
  const message = `The document is nested too deeply here: ${limitSentence("jsonDepth", limits)}.`;
  return { code: "WORKFLOW_LIMIT_EXCEEDED", message, pointer: "", offset };
}

const EXCERPT_LENGTH = 16;

function syntaxError(text: string, offset: number, expected: Expectation): Flaw {
  const [excerpt = ""] = text.slice(offset, offset + EXCERPT_LENGTH).split(/[\r\n]/, 1);
  const found = offset === text.length ? "ends" : `has \`${excerpt}\``;
  const isBadString = excerpt.startsWith('"') && /value|item|key/i.test(expected);
  const hint = isBadString ? " A string ends in its line and has no escapes but those of JSON." : "";
  const message = `The JSON ${found} where it needs ${expectations[expected]}.${hint}`;
  return { code: "JSON_INVALID", message, pointer: "", offset };
}

/** Finding the `{{ … }}` in a string. */

export type Segment = { literal: string } | { source: string };

/**
 * The literal texts and expression sources of a string, in order; undefined when a `{{` is never closed. Linear in its
 * length. Scans as CEL does, so that `}}` in a string literal or at the end of a map literal does not close anything.
 */
export function scanTemplate(text: string): Segment[] | undefined {
  const segments: Segment[] = [];
  let literal = "";
  let at = 0;
  for (let open = text.indexOf("{{"); open >= 0; open = text.indexOf("{{", at)) {
    if (open > at && text[open - 1] === "\\") {
      literal += `${text.slice(at, open - 1)}{{`;
      at = open + 2;
      continue;
    }
    const close = findClose(text, open + 2);
    if (close === undefined) return undefined;
    literal += text.slice(at, open);
    if (literal !== "") segments.push({ literal });
    segments.push({ source: text.slice(open + 2, close) });
    literal = "";
    at = close + 2;
  }
  literal += text.slice(at);
  if (literal !== "") segments.push({ literal });
  return segments;
}

/** Where the `}}` is that closes an expression starting at `start`. */
function findClose(text: string, start: number): number | undefined {
  let openBraces = 0;
  let at = start;
  while (at < text.length) {
    const character = text[at];
    if (character === '"' || character === "'") {
      at = skipString(text, at, character);
      continue;
    }
    if (text.startsWith("//", at)) {
      at = skipComment(text, at);
      continue;
    }
    if (character === "{") openBraces++;
    if (character === "}") {
      if (openBraces === 0 && text[at + 1] === "}") return at;
      if (openBraces > 0) openBraces--;
    }
    at++;
  }
  return undefined;
}

/** The offset after a string literal: `"…"`, `'…'`, or either tripled. A backslash hides the next character, in raw ones too. */
function skipString(text: string, start: number, quote: string): number {
  const delimiter = text.startsWith(quote.repeat(3), start) ? quote.repeat(3) : quote;
  let at = start + delimiter.length;
  while (at < text.length && !text.startsWith(delimiter, at)) at += text[at] === "\\" ? 2 : 1;
  return at + delimiter.length;
}

/** A comment ends with its line, or with the expression: most templates have one line only. */
function skipComment(text: string, start: number): number {
  let at = start;
  while (at < text.length && text[at] !== "\n" && !text.startsWith("}}", at)) at++;
  return at;
}

/** Expressions that only say where a value is, such as `tasks.read.output.text`: all that a plan may have. */

const identifier = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** What CEL keeps for itself, so that it cannot stand after a dot. */
const reserved = new Set(
  "true false null in as break const continue else for function if import let loop package namespace return var void while".split(
    " ",
  ),
);

export function pathExpression([root, ...rest]: readonly string[]): string {
  return rest.reduce(
    (path, part) =>
      identifier.test(part) && !reserved.has(part) ? `${path}.${part}` : `${path}[${JSON.stringify(part)}]`,
    root!,
  );
}

const step = /\s*(?:\.\s*([A-Za-z_][A-Za-z0-9_]*)|\[\s*(?:("(?:[^"\\\n]|\\.)*")|(\d{1,9}))\s*\])\s*/y;

/** The parts of a path, its root first; undefined for any other expression. */
export function readPath(source: string): string[] | undefined {
  const text = source.trim();
  const root = /^[A-Za-z_][A-Za-z0-9_]*/.exec(text)?.[0];
  if (root === undefined) return undefined;
  const parts = [root];
  let at = root.length;
  while (at < text.length) {
    step.lastIndex = at;
    const match = step.exec(text);
    if (!match) return undefined;
    const [whole, name, quoted, index] = match;
    const part = name ?? index ?? unquoted(quoted!);
    if (part === undefined) return undefined;
    parts.push(part);
    at += whole.length;
  }
  return parts;
}

/** CEL knows more escapes than JSON; a plan needs none of them. */
function unquoted(literal: string): string | undefined {
  try {
    return JSON.parse(literal) as string;
  } catch {
    return undefined;
  }
}

/** Expressions that only say where a value is, such as `tasks.read.output.text`: all that a plan may have. */
import { isJsonObject, type Json } from "../json.ts";
import { scanTemplate } from "../template-scan.ts";

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

/** The value with each string that is one path changed; `change` may answer the path as it was. Whatever else it holds stays. */
export function withPaths(value: Json, change: (path: readonly string[]) => readonly string[]): Json {
  if (typeof value === "string") return changedText(value, change);
  if (Array.isArray(value)) return value.map((item) => withPaths(item, change));
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withPaths(item, change)]));
}

function changedText(text: string, change: (path: readonly string[]) => readonly string[]): string {
  const path = onlyPath(text);
  const changed = path && change(path);
  return changed === path ? text : `{{ ${pathExpression(changed!)} }}`;
}

/** The path that a template consists of; undefined for any other text. */
export function onlyPath(text: string): string[] | undefined {
  const [only, ...more] = scanTemplate(text) ?? [];
  return only && more.length === 0 && "source" in only ? readPath(only.source) : undefined;
}

/** CEL knows more escapes than JSON; a plan needs none of them. */
function unquoted(literal: string): string | undefined {
  try {
    return JSON.parse(literal) as string;
  } catch {
    return undefined;
  }
}

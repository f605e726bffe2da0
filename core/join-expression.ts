/**
 * Join expressions: `(a || b) && !c` over the tasks a task needs, where an id is true once the task has completed and false
 * once it has settled otherwise. Until then it is neither, and so may be the whole (Kleene's three-valued logic): a task
 * starts, or is skipped, as soon as nothing that is still open could change the answer.
 */
import { type ASTNode, Environment, ParseError } from "@marcbachmann/cel-js";
import { quotePart } from "./cel/evaluate.ts";
import type { Issue } from "./errors.ts";
import { didYouMean } from "./near-miss.ts";

export type JoinExpression =
  | { need: string }
  | { not: JoinExpression }
  | { all: JoinExpression[] }
  | { any: JoinExpression[] };

/** An expression may name every one of so many needs; it nests no deeper than its parentheses, and chains are flat. */
const limits = { maxAstNodes: 1_000, maxDepth: 64 };
const parser = new Environment({ limits });

/** Reads a source, or tells what is wrong with it. Ids that are no CEL identifiers are written `tasks["my-task"]`. */
export function parseJoin(source: string, needs: Iterable<string>, pointer: string): JoinExpression | Issue {
  const known = new Set(needs);
  const flaw = (message: string, code: Issue["code"] = "EXPRESSION_SYNTAX"): Issue => ({
    code,
    message: `the join ${quotePart(source)}: ${message}`,
    pointer,
  });
  let ast: ASTNode;
  try {
    ast = parser.parse(source).ast;
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    if (error.code !== "limit_exceeded") return flaw(`${error.summary}; ${howToWrite(source, known)}`);
    const message = `it has more than ${limits.maxAstNodes} parts, or nests deeper than ${limits.maxDepth}; use trigger_rule or at_least.`;
    return flaw(message, "EXPRESSION_LIMIT");
  }
  let problem: Issue | undefined;
  const expression = read(ast);
  return problem ?? expression;

  /** Recursion is bounded by the parser's depth. */
  function read(node: ASTNode): JoinExpression {
    if (node.op === "||" || node.op === "&&") {
      const parts = node.args.map(read);
      return node.op === "||" ? { any: parts } : { all: parts };
    }
    if (node.op === "!_") return { not: read(node.args) };
    const id = idOf(node, known);
    if (id === undefined) problem ??= flaw(howToWrite(source, known));
    else if (!known.has(id)) {
      const message = `"${id}" is not among the needs of this task.${remedyFor(id, known)}`;
      problem ??= flaw(message, "EXPRESSION_NOT_A_NEED");
    }
    return { need: id ?? "" };
  }
}

function howToWrite(source: string, known: ReadonlySet<string>): string {
  const unquoted = [...known].find((id) => !/^[\w.]+$/.test(id) && source.includes(id));
  const hint = unquoted === undefined ? "" : ` Of "${unquoted}" write tasks["${unquoted}"].`;
  return `only ids of needs, &&, ||, ! and parentheses may stand in it, such as (a || b) && c.${hint}`;
}

function remedyFor(id: string, known: ReadonlySet<string>): string {
  const task = id.slice(0, Math.max(0, id.lastIndexOf(".")));
  if (known.has(task))
    return ` Write "${task}" alone, which is true once it has completed; what it said is for \`when\`.`;
  return didYouMean(id, known) || " Add it to needs.";
}

/** `search`, `read.pages` (ids may have dots), `tasks.search`, `tasks["my-task"]`. */
function idOf(node: ASTNode, known: ReadonlySet<string>): string | undefined {
  const path = pathOf(node);
  return path?.startsWith("tasks.") && !known.has(path) ? path.slice("tasks.".length) : path;
}

function pathOf(node: ASTNode): string | undefined {
  if (node.op === "id") return node.args;
  if (node.op === ".") {
    const owner = pathOf(node.args[0]);
    return owner && `${owner}.${node.args[1]}`;
  }
  if (node.op !== "[]") return undefined;
  const [owner, key] = node.args;
  return owner.op === "id" && owner.args === "tasks" && key.op === "value" && typeof key.args === "string"
    ? `tasks.${key.args}`
    : undefined;
}

/** True, false, or undefined while it depends on what is still open. `holds` answers the same of a need. */
export function evaluateJoin(
  expression: JoinExpression,
  holds: (need: string) => boolean | undefined,
): boolean | undefined {
  if ("need" in expression) return holds(expression.need);
  if ("not" in expression) {
    const value = evaluateJoin(expression.not, holds);
    return value === undefined ? undefined : !value;
  }
  const decisive = "any" in expression;
  const parts = "any" in expression ? expression.any : expression.all;
  let isOpen = false;
  for (const part of parts) {
    const value = evaluateJoin(part, holds);
    if (value === decisive) return decisive;
    if (value === undefined) isOpen = true;
  }
  return isOpen ? undefined : !decisive;
}

/** The needs an expression names. */
export function needsOf(expression: JoinExpression): string[] {
  if ("need" in expression) return [expression.need];
  if ("not" in expression) return needsOf(expression.not);
  return ("any" in expression ? expression.any : expression.all).flatMap(needsOf);
}

/** An expression as its author may have written it, with the parentheses that it needs. */
export function formatJoin(expression: JoinExpression): string {
  if ("need" in expression) return expression.need;
  if ("not" in expression) return `!${formatPart(expression.not)}`;
  if ("any" in expression) return expression.any.map(formatPart).join(" || ");
  return expression.all.map(formatPart).join(" && ");
}

function formatPart(part: JoinExpression): string {
  return "need" in part || "not" in part ? formatJoin(part) : `(${formatJoin(part)})`;
}

/**
 * Templates: JSON whose strings may hold `{{ expression }}`, at any depth; keys are literal (contract.md §1).
 *
 * A string that is one `{{ … }}` and nothing else, not even a space around it, becomes the value with its type. In a longer
 * string, strings are inserted as they are and other values as JSON. `\{{` stands for `{{`; a backslash means nothing else.
 */
import { newMeter, programOf, quotePart, runProgram } from "./cel/evaluate.ts";
import type { Program } from "./cel/program.ts";
import { chargeText, MAX_OUTPUT_BYTES, type Meter, textTooLong, type Value } from "./cel/value.ts";
import { type Issue, SkeinError } from "./errors.ts";
import {
  checkExpression,
  type ExpressionContext,
  type ExpressionScope,
  type References,
  referencesOf,
  throwIssues,
} from "./expression.ts";
import { type Json, MAX_JSON_DEPTH, pointerTo } from "./json.ts";
import { buildJson } from "./json-build.ts";
import { type Payload, payloadBehind, payloadBytes, type Ref, refsAt } from "./payload.ts";
import { scanTemplate } from "./template-scan.ts";

export interface CompiledTemplate {
  /** True when there is no expression in it: every evaluation then gives the same. */
  readonly isConstant: boolean;
  readonly references: References;
  /**
   * A fresh value with every expression replaced, of at most 8 MiB of JSON; all expressions share one budget of steps. Throws
   * what expressions throw, with the JSON pointer of the string in the message and in `issues`.
   */
  evaluate(context: ExpressionContext): Json;
  /** As `evaluate`, but passes large payloads on as holes where an expression is nothing but the name of one. */
  evaluateLazily(context: ExpressionContext): Payload;
}

/** Compiles a template, or throws a SkeinError with every flaw in its `issues`. Without a scope, names are not checked. */
export function compileTemplate(value: Json, scope?: ExpressionScope): CompiledTemplate {
  const { tree, holes, issues } = compileTree(value, scope, "");
  throwIssues(issues);
  const programs = [...holes].flatMap(({ parts }) => parts.filter((part) => typeof part !== "string"));
  return {
    isConstant: holes.size === 0,
    references: referencesOf(programs),
    evaluate(context) {
      const meter = newMeter();
      return buildJson(tree, (node) => (holes.has(node as Hole) ? fill(node as Hole, context, meter) : node));
    },
    evaluateLazily(context) {
      const meter = newMeter();
      const refs: Ref[] = [];
      const value = buildJson(tree, (node) => {
        if (!holes.has(node as Hole)) return node;
        const payload = unreadPayload(node as Hole, context);
        if (!payload) return fill(node as Hole, context, meter);
        refs.push(...refsAt((node as Hole).pointer, payload.refs));
        return payload.value;
      });
      if (refs.length === 0) return { value };
      const bytes = payloadBytes({ value, refs });
      if (bytes > MAX_OUTPUT_BYTES) throw textTooLong(bytes);
      return { value, refs };
    },
  };
}

/** Every flaw in the expressions of a template that stands at `pointer`. */
export function checkTemplate(value: Json, scope: ExpressionScope | undefined, pointer: string): Issue[] {
  return compileTree(value, scope, pointer).issues;
}

/** Stands in the compiled tree for a string with expressions. */
interface Hole {
  pointer: string;
  parts: readonly (string | Program)[];
}

/** Iterative, because the value is the user's. */
function compileTree(root: Json, scope: ExpressionScope | undefined, rootPointer: string) {
  const holes = new Set<Hole>();
  const issues: Issue[] = [];
  const stack: { source: Json[] | { [key: string]: Json }; copy: unknown; pointer: string; depth: number }[] = [];
  const tree = place(root, rootPointer, 0);
  for (let next = stack.pop(); next; next = stack.pop()) {
    const { source, copy, pointer, depth } = next;
    for (const [key, child] of Object.entries(source)) {
      (copy as { [key: string]: unknown })[key] = place(child, pointerTo(pointer, key), depth + 1);
    }
  }
  return { tree, holes, issues };

  function place(value: Json, pointer: string, depth: number): unknown {
    if (typeof value === "string") return compileText(value, pointer);
    if (typeof value !== "object" || value === null) return value;
    if (depth >= MAX_JSON_DEPTH) {
      issues.push({
        code: "EXPRESSION_LIMIT",
        message: `The template nests deeper than ${MAX_JSON_DEPTH} levels`,
        pointer,
      });
      return null;
    }
    const copy = Array.isArray(value) ? [] : {};
    stack.push({ source: value, copy, pointer, depth });
    return copy;
  }

  function compileText(text: string, pointer: string): string | Hole {
    const segments = text.includes("{{") ? scanTemplate(text) : [{ literal: text }];
    if (!segments) {
      const message = `${quotePart(text)}: A {{ is never closed by }}; for the characters themselves write \\{{`;
      issues.push({ code: "EXPRESSION_SYNTAX", message, pointer });
      return text;
    }
    const parts = segments.map((segment) => {
      if ("literal" in segment) return segment.literal;
      issues.push(...checkExpression(segment.source, scope, pointer));
      return programOf(segment.source);
    });
    if (parts.every((part) => typeof part === "string")) return parts.join("");
    const hole: Hole = { pointer, parts };
    holes.add(hole);
    return hole;
  }
}

/** What the hole passes on without reading it. */
function unreadPayload({ parts }: Hole, context: ExpressionContext): Payload | undefined {
  const [only] = parts;
  if (parts.length !== 1 || typeof only !== "object" || !only.payload) return undefined;
  return typeof only.payload === "string"
    ? payloadBehind(context, only.payload)
    : payloadBehind(context.tasks?.[only.payload.task], "output");
}

function fill({ pointer, parts }: Hole, context: ExpressionContext, meter: Meter): Value {
  try {
    const [only] = parts;
    if (parts.length === 1 && typeof only === "object") return runProgram(only, context, meter);
    return joinParts(parts, context, meter);
  } catch (error) {
    if (!(error instanceof SkeinError)) throw error;
    const issues: Issue[] = [{ code: error.code, message: error.message, pointer }];
    throw new SkeinError(error.code, `At ${pointer || "the top"}: ${error.message}`, { issues, cause: error });
  }
}

function joinParts(parts: Hole["parts"], context: ExpressionContext, meter: Meter): string {
  let text = "";
  for (const part of parts) {
    const piece = typeof part === "string" ? part : toText(runProgram(part, context, meter));
    chargeText(meter, piece.length);
    if (text.length + piece.length > MAX_OUTPUT_BYTES) throw textTooLong(text.length + piece.length);
    text += piece;
  }
  return text;
}

function toText(value: Value): string {
  return typeof value === "string" ? value : JSON.stringify(buildJson(value));
}

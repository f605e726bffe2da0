/** What a compiled expression runs on, and the state of compiling one. */
import type { ASTNode } from "@marcbachmann/cel-js";
import { type ErrorCode, SkeinError } from "../errors.ts";
import type { Json } from "../json.ts";
import { charge, fault, type Meter, typeName, type Value } from "./value.ts";

/** What an expression can see of a task. */
export interface TaskView {
  status: string;
  /** Absent counts as null: a skipped or failed task has none. */
  output?: Json;
  /** The outputs of the instances of a `for_each`, in order; absent for any other task. */
  outputs?: Json[];
  error?: Json;
}

/** What the names in an expression stand for. Of the tasks, only those among the references need to be there. */
export interface ExpressionContext {
  inputs?: Json;
  tasks?: { readonly [id: string]: TaskView };
  run?: { id: string; attempt: number };
  item?: Json;
  index?: number;
  /** In a loop's body: what the iteration before gave, by task id; null in the first. */
  previous?: Json;
  /** In a compensation: what the task gave that it undoes. */
  output?: Json;
}

export interface Frame {
  context: ExpressionContext;
  meter: Meter;
  /** The variables of the macros around the current node, outermost first. */
  locals: Value[];
  /** The operation under way, for error messages. */
  at: ASTNode | undefined;
}

export type Run<Result extends Value = Value> = (frame: Frame) => Result;

/** One thing wrong with a source. `position` is a 0-based offset in it. */
export interface Flaw {
  code: ErrorCode;
  message: string;
  position: number;
}

/** State of one compilation. */
export interface Compiler {
  compile(node: ASTNode): Run;
  /** Tasks and names from outside, with the offset of their first use. */
  tasks: Map<string, number>;
  names: Map<string, number>;
  flaws: Flaw[];
  /** The macro variables in scope, outermost first. */
  locals: string[];
  /** Nodes compiled so far: the difference before and after a macro's body is what one pass through it costs. */
  nodes: number;
}

export const unusable: Run = () => {
  throw fault("INTERNAL", "An expression with flaws was evaluated");
};

/** Records a flaw and goes on, so that all flaws of a source are found at once. */
export function refuse(compiler: Compiler, node: ASTNode, code: ErrorCode, message: string): Run {
  compiler.flaws.push({ code, message, position: node.pos });
  return unusable;
}

export function unary(node: ASTNode, operand: Run, apply: (meter: Meter, value: Value) => Value): Run {
  return (frame) => {
    const value = operand(frame);
    frame.at = node;
    return apply(frame.meter, value);
  };
}

export function binary(
  node: ASTNode,
  left: Run,
  right: Run,
  apply: (meter: Meter, left: Value, right: Value) => Value,
): Run {
  return (frame) => {
    const first = left(frame);
    const second = right(frame);
    frame.at = node;
    return apply(frame.meter, first, second);
  };
}

/** `run`, of which `what` (a node's role, for the message) must be a boolean. */
export function condition(node: ASTNode, run: Run, what: string): Run<boolean> {
  return (frame) => {
    const value = run(frame);
    if (typeof value === "boolean") return value;
    frame.at = node;
    throw fault("EXPRESSION_TYPE", `${what} must be a boolean, but is ${typeName(value)}`);
  };
}

/** An error absorbed by `||`, `&&`, `exists` or `all` costs as much as this many steps: about 8 µs, measured. */
const ABSORBED_ERROR_STEPS = 100;

/** The boolean, or the error as a value. An exhausted budget is never absorbed. */
export function attempt(frame: Frame, run: Run<boolean>): boolean | SkeinError {
  try {
    return run(frame);
  } catch (error) {
    if (!(error instanceof SkeinError) || error.code === "EXPRESSION_LIMIT") throw error;
    charge(frame.meter, ABSORBED_ERROR_STEPS);
    return error;
  }
}

/** One node of the syntax tree → a function of the frame. Recursion, here and in what it returns, is bounded by MAX_NODES. */
import type { ASTNode } from "@marcbachmann/cel-js";
import { SkeinError } from "../errors.ts";
import { findJsonFlaw } from "../json.ts";
import { compileAccess } from "./access.ts";
import { compileCall, compileMethod } from "./calls.ts";
import { attempt, binary, type Compiler, condition, type ExpressionContext, type Run, refuse, unary } from "./frame.ts";
import {
  type ArithmeticOperator,
  add,
  arithmetic,
  equal,
  fault,
  isIn,
  type Meter,
  negate,
  order,
  typeName,
  type Value,
} from "./value.ts";

export function compileNode(node: ASTNode, compiler: Compiler): Run {
  compiler.nodes++;
  switch (node.op) {
    case "value":
      return compileLiteral(node, node.args, compiler);
    case "id":
      return compileName(node, node.args, compiler);
    case ".":
    case "[]":
      return compileAccess(node, compiler);
    case "list":
      return compileList(node.args, compiler);
    case "map":
      return compileMap(node, node.args, compiler);
    case "?:":
      return compileTernary(node.args, compiler);
    case "||":
    case "&&":
      return compileLogical(node.args, node.op, compiler);
    case "!_": {
      const operand = condition(node, compiler.compile(node.args), "What stands after !");
      return (frame) => !operand(frame);
    }
    case "-_":
      return unary(node, compiler.compile(node.args), (_, value) => negate(value));
    case "call":
      return compileCall(node, node.args[0], node.args[1], compiler);
    case "rcall":
      return compileMethod(node, ...node.args, compiler);
    case ".?":
    case "[?]":
      return refuse(compiler, node, "EXPRESSION_SYNTAX", "Optional access is not available; use has(…)");
    default: {
      const [left, right] = node.args;
      return binary(node, compiler.compile(left), compiler.compile(right), binaryOperators[node.op]);
    }
  }
}

function compileLiteral(node: ASTNode, value: unknown, compiler: Compiler): Run {
  if (typeof value === "bigint") {
    if (BigInt.asIntN(64, value) === value) return () => value;
    return refuse(compiler, node, "EXPRESSION_SYNTAX", `${value} is beyond 64 bits; write it as a double: ${value}.0`);
  }
  if (typeof value === "object" && value !== null) {
    const message = "JSON has no bytes or unsigned integers: leave the b or u out";
    return refuse(compiler, node, "EXPRESSION_NOT_ALLOWED", message);
  }
  const flaw = findJsonFlaw(value);
  if (flaw) return refuse(compiler, node, "EXPRESSION_SYNTAX", `The literal ${flaw.reason}`);
  return () => value as Value;
}

function compileName(node: ASTNode, name: string, compiler: Compiler): Run {
  const slot = compiler.locals.lastIndexOf(name);
  if (slot >= 0) return (frame) => frame.locals[slot]!;
  if (name === "tasks") {
    const message = `A task is named in full, tasks.<id>.output or tasks["<id>"].output, so that its needs can be checked`;
    return refuse(compiler, node, "EXPRESSION_NOT_ALLOWED", message);
  }
  if (!compiler.names.has(name)) compiler.names.set(name, node.pos);
  return (frame) => {
    const value = Object.hasOwn(frame.context, name) ? frame.context[name as keyof ExpressionContext] : undefined;
    if (value !== undefined) return value as Value;
    frame.at = node;
    throw fault("EXPRESSION_UNKNOWN_NAME", `"${name}" does not exist here`);
  };
}

function compileList(elements: ASTNode[], compiler: Compiler): Run {
  const runs = elements.map((element) => compiler.compile(element));
  return (frame) => runs.map((run) => run(frame));
}

function compileMap(node: ASTNode, entries: [ASTNode, ASTNode][], compiler: Compiler): Run {
  const runs = entries.map(([key, value]) => [compiler.compile(key), compiler.compile(value)] as const);
  return (frame) => {
    const map: { [key: string]: Value } = {};
    for (const [key, value] of runs) {
      const [name, child] = [key(frame), value(frame)];
      frame.at = node;
      setEntry(map, name, child);
    }
    return map;
  };
}

function setEntry(map: { [key: string]: Value }, key: Value, value: Value): void {
  if (typeof key !== "string") throw fault("EXPRESSION_TYPE", `A map's key must be a string, but is ${typeName(key)}`);
  if (key === "__proto__") throw fault("EXPRESSION_TYPE", `"__proto__" cannot be the key of a map`);
  if (Object.hasOwn(map, key)) throw fault("EXPRESSION_TYPE", `The map has the key ${JSON.stringify(key)} twice`);
  map[key] = value;
}

function compileTernary([test, yes, no]: [ASTNode, ASTNode, ASTNode], compiler: Compiler): Run {
  const decide = condition(test, compiler.compile(test), "What stands before ?");
  const [onTrue, onFalse] = [compiler.compile(yes), compiler.compile(no)];
  return (frame) => (decide(frame) ? onTrue(frame) : onFalse(frame));
}

/** CEL's `||` and `&&` are commutative: an error on one side does not matter when the other side decides. */
function compileLogical([left, right]: [ASTNode, ASTNode], operator: "||" | "&&", compiler: Compiler): Run {
  const decisive = operator === "||";
  const first = condition(left, compiler.compile(left), `Each side of ${operator}`);
  const second = condition(right, compiler.compile(right), `Each side of ${operator}`);
  return (frame) => {
    const one = attempt(frame, first);
    if (one === decisive) return decisive;
    const other = second(frame);
    if (one instanceof SkeinError && other !== decisive) throw one;
    return other;
  };
}

type Binary = (meter: Meter, left: Value, right: Value) => Value;
type BinaryOperator = ArithmeticOperator | "==" | "!=" | "<" | "<=" | ">" | ">=" | "in";

const binaryOperators: Readonly<Record<BinaryOperator, Binary>> = {
  "+": add,
  "-": (_, left, right) => arithmetic("-", left, right),
  "*": (_, left, right) => arithmetic("*", left, right),
  "/": (_, left, right) => arithmetic("/", left, right),
  "%": (_, left, right) => arithmetic("%", left, right),
  "==": equal,
  "!=": (meter, left, right) => !equal(meter, left, right),
  "<": (meter, left, right) => order(meter, "<", left, right) < 0,
  "<=": (meter, left, right) => order(meter, "<=", left, right) <= 0,
  ">": (meter, left, right) => order(meter, ">", left, right) > 0,
  ">=": (meter, left, right) => order(meter, ">=", left, right) >= 0,
  in: isIn,
};

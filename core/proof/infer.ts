/** The type of an expression, and what in it can never work, given what is known of what it reads. */
import type { ASTNode } from "@marcbachmann/cel-js";
import { programOf, quotePart } from "../cel/evaluate.ts";
import { didYouMean } from "../near-miss.ts";
import { readPath } from "../planner/path.ts";
import {
  anything,
  describeType,
  either,
  type Kind,
  listOf,
  mapOf,
  only,
  orNull,
  overlaps,
  partOf,
  type Type,
} from "./type.ts";

/** What the names in an expression stand for. */
export interface Scope {
  inputs: Type;
  /** Undefined: nothing is known of the task. */
  task(id: string): TaskTypes | undefined;
  /** Of an instance of a map. */
  item?: Type;
  /** Of a compensation: what the task gave. */
  output?: Type;
}

export interface TaskTypes {
  output: Type;
  /** Of a map: what an instance gives. */
  each?: Type;
}

export interface TypeFlaw {
  code: "EXPRESSION_NO_SUCH_FIELD" | "EXPRESSION_TYPE";
  message: string;
  /** Whenever the expression is evaluated, it fails by this; else it may be that nothing comes to it. */
  isCertain: boolean;
  /** It follows from the definition and the schema of its inputs alone, not from what agents say that they give. */
  isOwn: boolean;
}

/** The type of what an expression gives, where `flaws` are added. One that cannot be parsed gives anything. */
export function inferExpression(source: string, scope: Scope, flaws: TypeFlaw[]): Type {
  const plain = typeOfPath(source, scope);
  if (plain) return plain;
  const program = programOf(source);
  if (!program.ast || program.flaws.length > 0) return anything;
  const inference: Inference = { source: program.source, scope, flaws, locals: [], isCertain: true };
  return infer(program.ast, inference);
}

/** Of what is only a path, and surely works: most expressions are, and none of these has to be parsed for it. */
function typeOfPath(source: string, scope: Scope): Type | undefined {
  const [root, first, second, ...rest] = readPath(source) ?? [];
  if (root === "tasks" && first !== undefined && second === "output") {
    const output = scope.task(first)?.output;
    return output === undefined || output === anything ? anything : along(orNull(output), rest);
  }
  if (root !== "inputs") return undefined;
  return along(scope.inputs, second === undefined ? (first === undefined ? [] : [first]) : [first!, second, ...rest]);
}

/** Undefined: it has to be looked at more closely. */
function along(type: Type, path: readonly string[]): Type | undefined {
  let at = type;
  for (const name of path) {
    const field = at.fields?.get(name);
    if (!at.kinds.has("map") || (!field && at.isClosed)) return undefined;
    if (!field) return at === anything || !at.kinds.has("list") ? anything : undefined;
    at = partOf(at, field);
  }
  return at;
}

/** Of a `when` or `until`: it has to be a boolean. Answers which, if it is always the same. */
export function inferCondition(source: string, scope: Scope, flaws: TypeFlaw[]): boolean | undefined {
  const before = flaws.length;
  const type = inferExpression(source, scope, flaws);
  if (flaws.length === before && !type.kinds.has("boolean")) {
    const message = `${quotePart(source.trim())} is ${describeType(type)}, and a condition must be true or false; compare it with something.`;
    flaws.push({ code: "EXPRESSION_TYPE", message, isCertain: true, isOwn: type.by === undefined });
  }
  return type.constant;
}

interface Inference {
  source: string;
  scope: Scope;
  flaws: TypeFlaw[];
  locals: [name: string, type: Type][];
  isCertain: boolean;
}

function flaw(node: ASTNode, at: Inference, code: TypeFlaw["code"], message: string, ...of: Type[]): Type {
  at.flaws.push({
    code,
    message: `${quotePart(at.source)}, character ${node.pos + 1}: ${message}`,
    isCertain: at.isCertain,
    isOwn: of.every(({ by }) => by === undefined),
  });
  return anything;
}

/** Of what may not be evaluated, or whose errors may not matter. */
function perhaps<T>(at: Inference, look: () => T): T {
  const { isCertain } = at;
  at.isCertain = false;
  const result = look();
  at.isCertain = isCertain;
  return result;
}

function infer(node: ASTNode, at: Inference): Type {
  switch (node.op) {
    case "value":
      return literal(node.args);
    case "id":
      return named(node.args, at);
    case ".":
    case "[]":
      return access(node, at);
    case "list":
      return listOf(node.args.length > 0 ? node.args.map((one) => infer(one, at)).reduce(either) : undefined, {
        least: node.args.length,
        most: node.args.length,
      });
    case "map":
      return mapLiteral(node.args, at);
    case "?:": {
      const [test, yes, no] = node.args;
      mustBe("boolean", test, infer(test, at), "What stands before ?", at);
      return perhaps(at, () => either(infer(yes, at), infer(no, at)));
    }
    case "||":
    case "&&":
      return logical(node.op, node.args, at);
    case "!_": {
      const operand = infer(node.args, at);
      mustBe("boolean", node, operand, "What stands after !", at);
      return operand.constant === undefined ? only("boolean") : { ...only("boolean"), constant: !operand.constant };
    }
    case "-_":
      mustBe("number", node, infer(node.args, at), "What stands after -", at);
      return only("number");
    case "call":
      return call(node, node.args[0], node.args[1], at);
    case "rcall":
      return method(node, ...node.args, at);
    case ".?":
    case "[?]":
      return anything;
    default:
      return operation(node, node.op, node.args, at);
  }
}

function literal(value: unknown): Type {
  if (typeof value === "boolean") return { ...only("boolean"), constant: value };
  if (typeof value === "bigint" || typeof value === "number") return only("number");
  if (typeof value === "string") return only("string");
  return value === null ? only("null") : anything;
}

const run = mapOf(
  new Map([
    ["id", only("string")],
    ["attempt", only("number")],
  ]),
);

function named(name: string, { scope, locals }: Inference): Type {
  const local = locals.findLast(([one]) => one === name);
  if (local) return local[1];
  switch (name) {
    case "inputs":
      return scope.inputs;
    case "run":
      return run;
    case "index":
      return only("number");
    case "item":
      return scope.item ?? anything;
    case "output":
      return scope.output ?? anything;
    default:
      return anything;
  }
}

type Access = Extract<ASTNode, { op: "." | "[]" }>;

function isAccess(node: ASTNode): node is Access {
  return node.op === "." || node.op === "[]";
}

function keyOf(node: Access): string | undefined {
  if (node.op === ".") return node.args[1];
  const key = node.args[1];
  return key.op === "value" && typeof key.args === "string" ? key.args : undefined;
}

function isTasks(node: ASTNode, { locals }: Inference): boolean {
  return node.op === "id" && node.args === "tasks" && !locals.some(([name]) => name === "tasks");
}

function access(node: Access, at: Inference): Type {
  const target = node.args[0];
  if (isAccess(target) && isTasks(target.args[0], at)) return taskField(node, target, at);
  const type = infer(target, at);
  const key = keyOf(node);
  if (key === undefined) return element(node, type, at);
  const missing = whyMissing(key, target, type, at);
  return missing ? flaw(node, at, "EXPRESSION_NO_SUCH_FIELD", missing, type) : fieldOf(type, key);
}

function fieldOf(type: Type, key: string): Type {
  const field = type.fields?.get(key);
  return field ? partOf(type, field) : anything;
}

/** Why there can be no such field; undefined: there may be. */
function whyMissing(key: string, target: ASTNode, type: Type, { source }: Inference): string | undefined {
  const owner = quotePart(source, target);
  const { by } = type;
  const whose = by === undefined ? "" : `, as ${by} says,`;
  if (!type.kinds.has("map")) return `${owner}${whose} is ${describeType(type)}, which has no field "${key}".`;
  if (!type.isClosed || type.fields?.has(key)) return undefined;
  const names = [...type.fields!.keys()];
  const hint = didYouMean(key, names) || ` It may have ${names.length > 0 ? names.join(", ") : "none"}.`;
  return `${owner}${whose} cannot have a field "${key}".${hint}`;
}

function element(node: Access, type: Type, at: Inference): Type {
  if (node.op === "[]") infer(node.args[1], at);
  if (!overlaps(type, only("list", "map", "string"))) {
    const message = `Nothing can be read from ${describeType(type)} by […].`;
    return flaw(node, at, "EXPRESSION_NO_SUCH_FIELD", message, type);
  }
  return type.items && !type.kinds.has("map") && !type.kinds.has("string") ? partOf(type, type.items) : anything;
}

function taskField(node: Access, task: Access, at: Inference): Type {
  const id = keyOf(task);
  const known = id === undefined ? undefined : at.scope.task(id);
  switch (keyOf(node)) {
    case "status":
      return only("string");
    case "output":
      // A skipped or failed task has none.
      return known ? orNull(known.output) : anything;
    case "outputs": {
      if (!known) return listOf(undefined);
      if (known.each) return listOf(orNull(known.each));
      const message = `"${id}" has no \`outputs\`, as it has no \`for_each\`; read its \`output\`.`;
      return flaw(node, at, "EXPRESSION_NO_SUCH_FIELD", message);
    }
    default:
      return anything;
  }
}

function mapLiteral(entries: readonly [ASTNode, ASTNode][], at: Inference): Type {
  const fields = new Map<string, Type>();
  for (const [key, value] of entries) {
    const type = infer(value, at);
    if (key.op !== "value" || typeof key.args !== "string") return only("map");
    fields.set(key.args, type);
  }
  return mapOf(fields);
}

/** Errors of one side do not matter where the other decides. */
function logical(operator: "||" | "&&", [left, right]: readonly [ASTNode, ASTNode], at: Inference): Type {
  const decisive = operator === "||";
  const sides = perhaps(at, () =>
    [left, right].map((side) => {
      const type = infer(side, at);
      mustBe("boolean", side, type, `Each side of ${operator}`, at);
      return type.constant;
    }),
  );
  if (sides.includes(decisive)) return { ...only("boolean"), constant: decisive };
  return sides.every((side) => side === !decisive) ? { ...only("boolean"), constant: !decisive } : only("boolean");
}

function mustBe(kind: Kind, node: ASTNode, type: Type, what: string, at: Inference): void {
  if (type.kinds.has(kind)) return;
  flaw(node, at, "EXPRESSION_TYPE", `${what} must be ${describeType(only(kind))}, but is ${describeType(type)}.`, type);
}

/** Of which kinds both sides of an operator have to be: the same one of these. */
const operands: Readonly<Record<string, Kind[]>> = {
  "+": ["number", "string", "list"],
  "-": ["number"],
  "*": ["number"],
  "/": ["number"],
  "%": ["number"],
  "<": ["number", "string", "boolean"],
  "<=": ["number", "string", "boolean"],
  ">": ["number", "string", "boolean"],
  ">=": ["number", "string", "boolean"],
};
const arithmetic = ["+", "-", "*", "/", "%"];

function operation(node: ASTNode, operator: string, args: readonly [ASTNode, ASTNode], at: Inference): Type {
  const [left, right] = args.map((one) => infer(one, at)) as [Type, Type];
  const allowed = operands[operator];
  if (operator === "in") {
    if (!overlaps(right, only("list", "map"))) {
      flaw(
        node,
        at,
        "EXPRESSION_TYPE",
        `\`in\` looks into a list or an object, not into ${describeType(right)}.`,
        right,
      );
    }
    return only("boolean");
  }
  if (!allowed) return only("boolean");
  const common = allowed.filter((kind) => left.kinds.has(kind) && right.kinds.has(kind));
  if (common.length === 0) {
    const message = `\`${operator}\` does not go between ${describeType(left)} and ${describeType(right)}.`;
    flaw(node, at, "EXPRESSION_TYPE", message, left, right);
  }
  if (!arithmetic.includes(operator)) return only("boolean");
  return partOf(left.by === undefined ? right : left, only(...(common.length > 0 ? common : allowed)));
}

const results: Readonly<Record<string, Kind>> = {
  size: "number",
  string: "string",
  int: "number",
  double: "number",
  bool: "boolean",
  contains: "boolean",
  startsWith: "boolean",
  endsWith: "boolean",
  indexOf: "number",
  lastIndexOf: "number",
  substring: "string",
  charAt: "string",
  lowerAscii: "string",
  upperAscii: "string",
  trim: "string",
  replace: "string",
  join: "string",
};

function call(node: ASTNode, name: string, args: readonly ASTNode[], at: Inference): Type {
  const [argument] = args;
  if (name === "has" && argument) return has(argument, at);
  const types = args.map((one) => infer(one, at));
  if (name === "dyn") return types[0] ?? anything;
  if (name === "size") mustHaveSize(node, types[0] ?? anything, at);
  return Object.hasOwn(results, name) ? only(results[name]!) : anything;
}

/** Asks whether there is a field, so that there may be none is no flaw; that there can be none is. */
function has(argument: ASTNode, at: Inference): Type {
  if (!isAccess(argument) || isTasks(argument.args[0], at)) return only("boolean");
  const target = argument.args[0];
  if (isAccess(target) && isTasks(target.args[0], at)) return only("boolean");
  const type = infer(target, at);
  const key = keyOf(argument);
  const missing = key === undefined ? undefined : whyMissing(key, target, type, at);
  if (!missing) return only("boolean");
  perhaps(at, () => flaw(argument, at, "EXPRESSION_NO_SUCH_FIELD", `has(…) is always false: ${missing}`, type));
  return partOf(type, { ...only("boolean"), constant: false });
}

function mustHaveSize(node: ASTNode, type: Type, at: Inference): void {
  if (overlaps(type, only("string", "list", "map"))) return;
  flaw(node, at, "EXPRESSION_TYPE", `size takes a string, a list or an object, not ${describeType(type)}.`, type);
}

const macros = ["all", "exists", "exists_one", "filter", "map"];

function method(node: ASTNode, name: string, receiver: ASTNode, args: readonly ASTNode[], at: Inference): Type {
  if (name === "bind" && receiver.op === "id" && receiver.args === "cel") return bind(args, at);
  const type = infer(receiver, at);
  if (macros.includes(name) && args.length >= 2) return macro(node, name, type, args, at);
  for (const one of args) infer(one, at);
  if (name === "size") mustHaveSize(node, type, at);
  else if (name === "join") mustBe("list", node, type, "What is joined", at);
  else if (name === "split" || Object.hasOwn(results, name)) {
    mustBe("string", node, type, `What ${name} is asked of`, at);
  }
  if (name === "split") return listOf(only("string"));
  return Object.hasOwn(results, name) ? only(results[name]!) : anything;
}

function bind([variable, value, body]: readonly ASTNode[], at: Inference): Type {
  if (!variable || !value || !body) return anything;
  // It is evaluated whether or not the body reads it.
  return within(variable, infer(value, at), at, () => infer(body, at));
}

function macro(node: ASTNode, name: string, range: Type, args: readonly ASTNode[], at: Inference): Type {
  const [variable, ...bodies] = args;
  if (!overlaps(range, only("list", "map"))) {
    return flaw(
      node,
      at,
      "EXPRESSION_TYPE",
      `${name} goes over a list or an object, not ${describeType(range)}.`,
      range,
    );
  }
  const isList = !range.kinds.has("map");
  const element = isList && range.items ? partOf(range, range.items) : anything;
  const types = perhaps(at, () => within(variable!, element, at, () => bodies.map((body) => infer(body, at))));
  if (name === "filter") return listOf(isList ? element : undefined);
  return name === "map" ? listOf(types.at(-1)) : only("boolean");
}

function within<T>(variable: ASTNode, type: Type, at: Inference, look: () => T): T {
  at.locals.push([String(variable.args), type]);
  const result = look();
  at.locals.pop();
  return result;
}

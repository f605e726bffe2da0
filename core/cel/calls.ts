/** Calls: the functions, and the macros, whose arguments are evaluated once per element. */
import type { ASTNode } from "@marcbachmann/cel-js";
import { SkeinError } from "../errors.ts";
import { didYouMean } from "../near-miss.ts";
import { compileHas } from "./access.ts";
import { attempt, type Compiler, condition, type Frame, type Run, refuse } from "./frame.ts";
import { type CelFunction, globalFunctions, methods, refusedFunctions } from "./functions.ts";
import { charge, fault, isObject, keysOf, typeName, type Value } from "./value.ts";

export function compileCall(node: ASTNode, name: string, args: ASTNode[], compiler: Compiler): Run {
  if (name === "has" && args.length === 1) return compileHas(node, args[0]!, compiler);
  return compileFunction(node, name, globalFunctions, args, compiler);
}

export function compileMethod(
  node: ASTNode,
  name: string,
  receiver: ASTNode,
  args: ASTNode[],
  compiler: Compiler,
): Run {
  if (name === "bind" && receiver.op === "id" && receiver.args === "cel") return compileBind(node, args, compiler);
  const macro = Object.hasOwn(macros, name) ? macros[name]! : undefined;
  if (macro?.arities.includes(args.length)) return compileMacro(node, macro, receiver, args, compiler);
  return compileFunction(node, name, methods, [receiver, ...args], compiler);
}

function compileFunction(
  node: ASTNode,
  name: string,
  functions: Readonly<Record<string, CelFunction>>,
  args: ASTNode[],
  compiler: Compiler,
): Run {
  const runs = args.map((arg) => compiler.compile(arg));
  const found = Object.hasOwn(functions, name) ? functions[name]! : undefined;
  if (!found) return refuseFunction(node, name, functions, compiler);
  if (args.length < found.least || args.length > found.most) {
    return refuse(compiler, node, "EXPRESSION_SYNTAX", `${name} does not take this many arguments`);
  }
  return (frame) => {
    const values = runs.map((run) => run(frame));
    frame.at = node;
    return found.call(frame.meter, values);
  };
}

function refuseFunction(
  node: ASTNode,
  name: string,
  functions: Readonly<Record<string, CelFunction>>,
  compiler: Compiler,
) {
  const reason = refusedFunctions.get(name);
  if (reason) return refuse(compiler, node, "EXPRESSION_NOT_ALLOWED", `${name} is not available: ${reason}`);
  const names = functions === methods ? [...Object.keys(methods), ...Object.keys(macros)] : Object.keys(functions);
  const message = `There is no function "${name}"; there are ${names.join(", ")}.${didYouMean(name, names)}`;
  return refuse(compiler, node, "EXPRESSION_UNKNOWN_NAME", message);
}

interface Macro {
  arities: readonly number[];
  /** `bodies` are what stands after the variable; `visit` calls its function once per element, with the variable set. */
  compile(visit: Visit, bodies: readonly Body[]): Run;
}

interface Body {
  run: Run;
  test: Run<boolean>;
}

/** Stops when the function returns true. */
type Visit = (frame: Frame, each: (element: Value) => boolean) => void;

const macros: Readonly<Record<string, Macro>> = {
  all: { arities: [2], compile: (visit, [body]) => quantify(visit, body!, false) },
  exists: { arities: [2], compile: (visit, [body]) => quantify(visit, body!, true) },
  exists_one: {
    arities: [2],
    compile:
      (visit, [body]) =>
      (frame) => {
        let count = 0;
        visit(frame, () => {
          if (body!.test(frame)) count++;
          return false;
        });
        return count === 1;
      },
  },
  filter: {
    arities: [2],
    compile: (visit, [body]) => collect(visit, body!.test),
  },
  map: {
    arities: [2, 3],
    compile: (visit, bodies) =>
      bodies.length === 1 ? collect(visit, undefined, bodies[0]!.run) : collect(visit, bodies[0]!.test, bodies[1]!.run),
  },
};

function compileMacro(node: ASTNode, macro: Macro, receiver: ASTNode, args: ASTNode[], compiler: Compiler): Run {
  const range = compiler.compile(receiver);
  const slot = compiler.locals.length;
  const nodesBefore = compiler.nodes;
  const bodies = within(args[0]!, compiler, () => args.slice(1).map((arg) => compileBody(arg, compiler)));
  const stepsPerElement = 1 + compiler.nodes - nodesBefore;
  return macro.compile((frame, each) => {
    const iterated = range(frame);
    frame.at = node;
    for (const element of elementsOf(frame, iterated)) {
      charge(frame.meter, stepsPerElement);
      frame.locals[slot] = element;
      if (each(element)) return;
    }
  }, bodies);
}

/** Compiles with the macro's variable in scope; it hides an outer name of the same spelling. */
function within<Result>(variable: ASTNode, compiler: Compiler, compile: () => Result): Result {
  compiler.locals.push(variable.args as string); // The parser has refused anything but an identifier.
  const result = compile();
  compiler.locals.pop();
  return result;
}

function compileBody(node: ASTNode, compiler: Compiler): Body {
  const run = compiler.compile(node);
  return { run, test: condition(node, run, "A macro's condition") };
}

/** A macro over a map goes over its keys. */
function elementsOf(frame: Frame, value: Value): readonly Value[] {
  if (Array.isArray(value)) return value;
  if (isObject(value)) return keysOf(frame.meter, value);
  throw fault("EXPRESSION_TYPE", `A macro goes over a list or a map, not ${typeName(value)}`);
}

/** `all` is the `&&` of its elements and `exists` the `||`, so an error does not matter when another element decides. */
function quantify(visit: Visit, body: Body, decisive: boolean): Run {
  return (frame) => {
    let failure: SkeinError | undefined;
    let isDecided = false;
    visit(frame, () => {
      const result = attempt(frame, body.test);
      if (result instanceof SkeinError) failure ??= result;
      isDecided = result === decisive;
      return isDecided;
    });
    if (isDecided) return decisive;
    if (failure) throw failure;
    return !decisive;
  };
}

function collect(visit: Visit, test: Run<boolean> | undefined, transform?: Run): Run {
  return (frame) => {
    const results: Value[] = [];
    visit(frame, (element) => {
      if (!test || test(frame)) results.push(transform ? transform(frame) : element);
      return false;
    });
    return results;
  };
}

/** `cel.bind(name, value, body)`: a name for a value that is used more than once. */
function compileBind(node: ASTNode, args: ASTNode[], compiler: Compiler): Run {
  const [variable, value, body] = args;
  if (!variable || !value || !body) {
    return refuse(compiler, node, "EXPRESSION_SYNTAX", "cel.bind takes a name, a value and a body");
  }
  const bound = compiler.compile(value);
  const slot = compiler.locals.length;
  const run = within(variable, compiler, () => compiler.compile(body));
  return (frame) => {
    frame.locals[slot] = bound(frame);
    return run(frame);
  };
}

/**
 * CEL source → a program. The library parses; the evaluation is ours, because the library's cannot be bounded: it has no
 * meter, a million iterations take it 240 ms, and `[[1, 1]].map(a, a + a)…` chained 22 times 0.8 s, 40 times all memory
 * (measured). Ours pays for every step, knows JSON's numbers, and finds all flaws of a source at once.
 */
import { type ASTNode, Environment, ParseError } from "@marcbachmann/cel-js";
import { type PayloadName, payloadNamed } from "./access.ts";
import type { Compiler, Flaw, Run } from "./frame.ts";
import { unusable } from "./frame.ts";
import { compileNode } from "./nodes.ts";

const MAX_SOURCE_LENGTH = 8 * 1024;
const MAX_NODES = 1_000;
const MAX_DEPTH = 64;

export interface Program {
  readonly source: string;
  /** The tasks and outer names it names, with the offset of the first use of each. */
  readonly tasks: ReadonlyMap<string, number>;
  readonly names: ReadonlyMap<string, number>;
  readonly flaws: readonly Flaw[];
  /** Undefined when it cannot be parsed. */
  readonly ast: ASTNode | undefined;
  /** Set where the source is nothing but the name of a payload, which can be passed on unread. */
  readonly payload: PayloadName | undefined;
  /** Not to be called when there are flaws. */
  readonly run: Run;
}

/** Never throws for a bad source: its flaws are in the result. */
export function compileProgram(source: string): Program {
  const compiler: Compiler = {
    compile: (node) => compileNode(node, compiler),
    tasks: new Map(),
    names: new Map(),
    flaws: [],
    locals: [],
    nodes: 0,
  };
  const ast = parse(source, compiler.flaws);
  const run = ast ? compiler.compile(ast) : unusable;
  const payload = ast && payloadNamed(ast);
  return { source, tasks: compiler.tasks, names: compiler.names, flaws: compiler.flaws, ast, payload, run };
}

const parser = new Environment({ limits: { maxAstNodes: MAX_NODES, maxDepth: MAX_DEPTH } });

function parse(source: string, flaws: Flaw[]): ASTNode | undefined {
  if (source.length > MAX_SOURCE_LENGTH) {
    const message = `The expression is longer than ${MAX_SOURCE_LENGTH} characters; move part of it into a task`;
    flaws.push({ code: "EXPRESSION_LIMIT", message, position: 0 });
    return undefined;
  }
  try {
    return parser.parse(source).ast;
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    flaws.push(parseFlaw(error, source));
    return undefined;
  }
}

function parseFlaw(error: ParseError, source: string): Flaw {
  const position = error.range?.start ?? 0;
  if (error.code === "limit_exceeded") {
    const message = `The expression has more than ${MAX_NODES} parts, or nests deeper than ${MAX_DEPTH}; move part of it into a task`;
    return { code: "EXPRESSION_LIMIT", message, position };
  }
  if (source === "") return { code: "EXPRESSION_SYNTAX", message: "The expression is empty", position };
  const hint = source.startsWith("{{") ? "; an expression that stands alone has no {{ }} around it" : "";
  return { code: "EXPRESSION_SYNTAX", message: `${error.summary}${hint}`, position };
}

/**
 * Expressions: CEL over JSON (contract.md §1). They are total and metered, read nothing but their context, and name the
 * tasks they read in the source, so that a workflow can be checked before it runs.
 */
import { newMeter, programOf, quotePart, runProgram } from "./cel/evaluate.ts";
import type { ExpressionContext, Flaw } from "./cel/frame.ts";
import type { Program } from "./cel/program.ts";
import { type Issue, SkeinError } from "./errors.ts";
import type { Json } from "./json.ts";
import { buildJson } from "./json-build.ts";
import { didYouMean } from "./near-miss.ts";

export type { ExpressionContext } from "./cel/frame.ts";

type RootName = keyof ExpressionContext;

/** What an expression may name at the place where it stands. */
export interface ExpressionScope {
  taskIds: ReadonlySet<string>;
  /** The tasks this one needs, directly or not; for a workflow's `outputs`, all tasks. */
  needs: Pick<ReadonlySet<string>, "has">;
  names: ReadonlySet<RootName>;
}

/** What an expression reads, known without running it: a caller need not load anything else into the context. */
export interface References {
  tasks: ReadonlySet<string>;
  names: ReadonlySet<RootName>;
}

export interface CompiledExpression {
  readonly source: string;
  readonly references: References;
  /** Throws EXPRESSION_NO_SUCH_FIELD, EXPRESSION_TYPE or EXPRESSION_LIMIT. The result is the caller's to keep and change. */
  evaluate(context: ExpressionContext): Json;
}

/**
 * Compiles `source`, or throws a SkeinError with every flaw in its `issues`. Without a scope, names are not checked: for a
 * source that was checked when its workflow was registered. Compiled sources are cached.
 */
export function compileExpression(source: string, scope?: ExpressionScope): CompiledExpression {
  throwIssues(checkExpression(source, scope, ""));
  const program = programOf(source);
  return {
    source: program.source,
    references: referencesOf([program]),
    evaluate: (context) => buildJson(runProgram(program, context, newMeter())),
  };
}

/** The boolean of a `when` or `until`; any other value is EXPRESSION_TYPE, because "truthy" differs between languages. */
export function evaluateCondition(compiled: CompiledExpression, context: ExpressionContext): boolean {
  const value = compiled.evaluate(context);
  if (typeof value === "boolean") return value;
  const shown = JSON.stringify(value).slice(0, 64);
  throw new SkeinError(
    "EXPRESSION_TYPE",
    `${quotePart(compiled.source)}: A condition must be true or false, not ${shown}`,
  );
}

/** Every flaw of an expression that stands at `pointer`. */
export function checkExpression(source: string, scope: ExpressionScope | undefined, pointer: string): Issue[] {
  const program = programOf(source);
  const flaws = scope ? withScopeFlaws(program, scope) : program.flaws;
  return flaws.map(({ code, message, position }) => {
    return { code, message: `${quotePart(program.source)}, character ${position + 1}: ${message}`, pointer };
  });
}

export function referencesOf(programs: readonly Program[]): References {
  return {
    tasks: new Set(programs.flatMap((program) => [...program.tasks.keys()])),
    names: new Set(programs.flatMap((program) => [...program.names.keys()] as RootName[])),
  };
}

/** Does nothing without issues; else throws the first as a SkeinError that carries them all. */
export function throwIssues(issues: readonly Issue[]): void {
  const [first] = issues;
  if (!first) return;
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : "";
  throw new SkeinError(first.code, `${first.message}${more}`, { issues });
}

function withScopeFlaws(program: Program, scope: ExpressionScope): readonly Flaw[] {
  const flaws = [...program.flaws, ...nameFlaws(program, scope), ...taskFlaws(program, scope)];
  if (flaws.length === 0) return flaws;
  const unquoted = findUnquotedTask(program.source, scope.taskIds);
  if (!unquoted) return flaws;
  const message = `"${unquoted.id}" is not a CEL identifier: write tasks["${unquoted.id}"]`;
  const others = flaws.filter(({ position }) => position < unquoted.start || position > unquoted.end);
  return [{ code: "EXPRESSION_UNKNOWN_NAME", message, position: unquoted.start }, ...others];
}

function nameFlaws(program: Program, { names, taskIds }: ExpressionScope): Flaw[] {
  const unknown = [...program.names].filter(([name]) => !(names as ReadonlySet<string>).has(name));
  return unknown.map(([name, position]) => {
    return { code: "EXPRESSION_UNKNOWN_NAME", message: explainName(name, names, taskIds), position };
  });
}

function explainName(name: string, names: ReadonlySet<RootName>, taskIds: ReadonlySet<string>): string {
  if (name === "item" || name === "index") return `"${name}" exists only in a task with for_each`;
  const message = `There is no name "${name}" here; there are ${[...names].join(", ")}.`;
  return taskIds.has(name) ? `${message} The task is tasks.${name}` : `${message}${didYouMean(name, names)}`;
}

function taskFlaws(program: Program, { taskIds, needs }: ExpressionScope): Flaw[] {
  const flaws: Flaw[] = [];
  for (const [id, position] of program.tasks) {
    if (!taskIds.has(id)) {
      const message = `There is no task "${id}".${didYouMean(id, taskIds)}`;
      flaws.push({ code: "EXPRESSION_UNKNOWN_NAME", message, position });
    } else if (!needs.has(id)) {
      const message = `The task "${id}" is not among the tasks this one needs; add it to needs`;
      flaws.push({ code: "EXPRESSION_NOT_A_NEED", message, position });
    }
  }
  return flaws;
}

const dottable = /^(?!(?:in|true|false|null)$)[A-Za-z_]\w*$/;

/**
 * A task whose id CEL cannot read after a dot (`tasks.my-task` is a subtraction, `tasks.in` a syntax error), with the range
 * in which every flaw comes from that.
 */
function findUnquotedTask(source: string, taskIds: ReadonlySet<string>) {
  for (const match of source.matchAll(/\btasks\s*\.\s*([A-Za-z_][\w.-]*)/g)) {
    const written = match[1]!;
    const idStart = match.index + match[0].length - written.length;
    for (let length = written.length; length > 0; length--) {
      const id = written.slice(0, length);
      const endsHere = length === written.length || /\W/.test(written[length]!);
      if (endsHere && taskIds.has(id) && !dottable.test(id)) return { id, start: match.index, end: idStart + length };
    }
  }
  return undefined;
}

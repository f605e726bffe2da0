/**
 * Regular expressions that users write, matched in linear time: a Thompson automaton, all of whose states advance together
 * (R. Cox, "Regular Expression Matching Can Be Simple And Fast", 2007), instead of backtracking, where 26 characters of
 * `(a+)+$` block the process for 2 s. What an automaton cannot do, look-around and back-references, is refused.
 */
import { SkeinError } from "./errors.ts";

const MAX_SOURCE_LENGTH = 1_000;
/** Time for one character of text is proportional to this; `{m,n}` multiplies what it repeats. */
const MAX_INSTRUCTIONS = 1_000;

export interface Pattern {
  /** Whether the pattern occurs in `text`. `spend` is told the work of each character, in steps of about 50 ns, and may throw. */
  test(text: string, spend: (steps: number) => void): boolean;
}

type Predicate = (character: string) => boolean;
type Assertion = (before: string | undefined, after: string | undefined) => boolean;

type Instruction =
  | { op: "character"; accepts: Predicate }
  | { op: "assert"; holds: Assertion }
  | { op: "fork"; to: number[] }
  | { op: "match" };

/** Compiles an ECMAScript pattern (with the `u` flag, as JSON Schema asks). Throws WORKFLOW_SCHEMA_INVALID with the reason. */
export function compilePattern(source: string): Pattern {
  if (source.length > MAX_SOURCE_LENGTH) throw refusal(source, `is longer than ${MAX_SOURCE_LENGTH} characters`);
  try {
    new RegExp(source, "u"); // compiles only: from here on the syntax is known to be right
  } catch (error) {
    throw refusal(source, `is not a regular expression (${(error as Error).message})`);
  }
  const program = emit(source, parse(source));
  return { test: (text, spend) => run(program, text, spend) };
}

function refusal(source: string, reason: string): SkeinError {
  const shown = source.length > 80 ? `${source.slice(0, 80)}…` : source;
  return new SkeinError("WORKFLOW_SCHEMA_INVALID", `The pattern ${JSON.stringify(shown)} ${reason}`);
}

type Syntax =
  | { kind: "character"; accepts: Predicate }
  | { kind: "assert"; holds: Assertion }
  | { kind: "sequence"; items: Syntax[] }
  | { kind: "choice"; options: Syntax[] }
  | { kind: "repeat"; item: Syntax; least: number; most: number };

/** Recursive descent; the depth is bounded by MAX_SOURCE_LENGTH. */
function parse(source: string): Syntax {
  let at = 0;
  return parseChoice();

  function parseChoice(): Syntax {
    const options = [parseSequence()];
    while (source[at] === "|") {
      at++;
      options.push(parseSequence());
    }
    return options.length === 1 ? options[0]! : { kind: "choice", options };
  }

  function parseSequence(): Syntax {
    const items: Syntax[] = [];
    while (at < source.length && source[at] !== "|" && source[at] !== ")") items.push(parseQuantified());
    return { kind: "sequence", items };
  }

  function parseQuantified(): Syntax {
    const item = source[at] === "(" ? parseGroup() : parseAtom();
    const quantifier = take(/[*+?]\??|\{(\d+)(,?)(\d*)\}\??/uy);
    if (!quantifier) return item;
    const [text, least, comma, most] = quantifier;
    if (text[0] === "*") return { kind: "repeat", item, least: 0, most: Infinity };
    if (text[0] === "+") return { kind: "repeat", item, least: 1, most: Infinity };
    if (text[0] === "?") return { kind: "repeat", item, least: 0, most: 1 };
    const bound = comma ? (most === "" ? Infinity : Number(most)) : Number(least);
    return { kind: "repeat", item, least: Number(least), most: bound };
  }

  function parseGroup(): Syntax {
    const opening = take(/\((?:\?:|\?<[^=!>]+>|(?!\?))/uy);
    if (!opening) throw refusal(source, "uses look-around, which is not supported; use allOf and not instead");
    const body = parseChoice();
    at++; // the closing parenthesis, which is known to be there
    return body;
  }

  function parseAtom(): Syntax {
    const assertion = take(/\^|\$|\\[bB]/uy);
    if (assertion) return { kind: "assert", holds: assertions[assertion[0]]! };
    if (take(/\\(?:[1-9]|k<)/uy)) throw refusal(source, "uses a back-reference, which is not supported");
    const set = take(
      /\.|\[(?:\\.|[^\]\\])*\]|\\(?:[pP]\{[^}]*\}|u\{[^}]*\}|u[dD][89abAB]..\\u[dD][c-fC-F]..|u.{4}|x..|c.|.)/suy,
    );
    if (set) return { kind: "character", accepts: setOf(set[0]) };
    const [literal] = take(/./suy)!;
    return { kind: "character", accepts: (character) => character === literal };
  }

  function take(sticky: RegExp): RegExpExecArray | null {
    sticky.lastIndex = at;
    const match = sticky.exec(source);
    if (match) at = sticky.lastIndex;
    return match;
  }
}

/** JavaScript's own engine decides about a single character, which cannot backtrack. */
function setOf(source: string): Predicate {
  const single = new RegExp(`^${source}$`, "u");
  return (character) => single.test(character);
}

const word = /^\w$/;
const isWord = (character: string | undefined) => character !== undefined && word.test(character);

const assertions: Readonly<Record<string, Assertion>> = {
  "^": (before) => before === undefined,
  $: (_, after) => after === undefined,
  "\\b": (before, after) => isWord(before) !== isWord(after),
  "\\B": (before, after) => isWord(before) === isWord(after),
};

function emit(source: string, syntax: Syntax): Instruction[] {
  const program: Instruction[] = [];
  let visits = 0; // counted apart, because repeating nothing a million times emits nothing
  visit(syntax);
  program.push({ op: "match" });
  return program;

  function visit(node: Syntax): void {
    if (++visits > 10 * MAX_INSTRUCTIONS || program.length > MAX_INSTRUCTIONS) {
      throw refusal(
        source,
        `is too large: repetitions count as often as they repeat, ${MAX_INSTRUCTIONS} parts at most`,
      );
    }
    switch (node.kind) {
      case "character":
        program.push({ op: "character", accepts: node.accepts });
        break;
      case "assert":
        program.push({ op: "assert", holds: node.holds });
        break;
      case "sequence":
        node.items.forEach(visit);
        break;
      case "choice":
        visitChoice(node.options);
        break;
      case "repeat":
        visitRepeat(node);
    }
  }

  function visitChoice(options: Syntax[]): void {
    const fork = push();
    const exits = options.map((option) => {
      fork.push(program.length);
      visit(option);
      return push();
    });
    for (const exit of exits) exit.push(program.length);
  }

  function visitRepeat({ item, least, most }: Extract<Syntax, { kind: "repeat" }>): void {
    for (let i = 0; i < least; i++) visit(item);
    if (most === Infinity) {
      const start = program.length;
      const fork = push();
      fork.push(program.length);
      visit(item);
      push().push(start);
      fork.push(program.length);
      return;
    }
    const skips: number[][] = [];
    for (let i = least; i < most; i++) {
      const skip = push();
      skip.push(program.length);
      skips.push(skip);
      visit(item);
    }
    for (const skip of skips) skip.push(program.length);
  }

  /** A fork whose targets are filled in as they become known. */
  function push(): number[] {
    const to: number[] = [];
    program.push({ op: "fork", to });
    return to;
  }
}

/** What a character costs besides the states it visits, so that a step is about 50 ns. */
const STEPS_PER_CHARACTER = 4;

/** All states advance by one character at a time, so the work is at most instructions × characters. */
function run(program: Instruction[], text: string, spend: (steps: number) => void): boolean {
  const seenAt = new Int32Array(program.length).fill(-1);
  let states: number[] = [];
  let before: string | undefined;
  let position = 0;
  for (const after of text) {
    if (follow(states, before, after)) return true;
    const next: number[] = [];
    for (const state of states) {
      const instruction = program[state]!;
      if (instruction.op === "character" && instruction.accepts(after)) next.push(state + 1);
    }
    states = next;
    before = after;
    position++;
  }
  return follow(states, before, undefined);

  /** Replaces forks and assertions among `states` by what they lead to; true when one of them is the match. */
  function follow(current: number[], before: string | undefined, after: string | undefined): boolean {
    const pending = [...current.reverse(), 0]; // a match may start at any position
    current.length = 0;
    let visited = STEPS_PER_CHARACTER;
    for (let state = pending.pop(); state !== undefined; state = pending.pop()) {
      visited++;
      if (seenAt[state] === position) continue;
      seenAt[state] = position;
      const instruction = program[state]!;
      if (instruction.op === "match") return true;
      if (instruction.op === "character") current.push(state);
      else if (instruction.op === "fork") pending.push(...instruction.to);
      else if (instruction.holds(before, after)) pending.push(state + 1);
    }
    spend(visited);
    return false;
  }
}

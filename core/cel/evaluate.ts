/** Programs from a cache, and running them. */
import { boundedCache } from "../bounded-cache.ts";
import { SkeinError } from "../errors.ts";
import type { ExpressionContext, Frame } from "./frame.ts";
import { compileProgram, type Program } from "./program.ts";
import { MAX_STEPS, type Meter, type Value } from "./value.ts";

/** Characters of source kept compiled: thousands of usual expressions, or about 25 MB of the densest ones. */
const MAX_CACHED_CHARACTERS = 256 * 1024;

const programs = boundedCache<Program>(MAX_CACHED_CHARACTERS);

/** Spaces around a source do not matter, so they are not part of a program's. */
export function programOf(source: string): Program {
  return programs.get(source.trim(), compileProgram);
}

export function newMeter(): Meter {
  return { steps: MAX_STEPS };
}

/** The value of a program without flaws. An error names the part of the source it arose in. */
export function runProgram(program: Program, context: ExpressionContext, meter: Meter): Value {
  const frame: Frame = { context, meter, locals: [], at: undefined };
  try {
    return program.run(frame);
  } catch (error) {
    if (!(error instanceof SkeinError)) throw error;
    throw new SkeinError(error.code, `${quotePart(program.source, frame.at)}: ${error.message}`, { cause: error });
  }
}

const MAX_QUOTED = 120;

/** The part of a source, in backquotes, shortened in the middle. */
export function quotePart(source: string, part?: { start: number; end: number }): string {
  const text = part ? source.slice(part.start, part.end) : source;
  if (text.length <= MAX_QUOTED) return `\`${text}\``;
  return `\`${text.slice(0, MAX_QUOTED / 2)}…${text.slice(-MAX_QUOTED / 2)}\``;
}

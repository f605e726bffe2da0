/** What the options and arguments of commands have in common: how they are read, and how an action is loaded. */
import { InvalidArgumentError } from "commander";
import { isDuration, parseDuration } from "../../core/duration.ts";
import type { Context } from "../context.ts";
import { UsageError } from "../problem.ts";

/** Takes its context, then its arguments and options. A number that it answers is the exit code. */
export type Work = (context: Context, ...rest: never[]) => Promise<unknown>;
export type Does = (load: () => Promise<Work>) => (...args: unknown[]) => Promise<void>;

export const collect = (value: string, previous: string[] = []) => [...previous, value];

export function wholeNumber(least: number, most: number) {
  return (text: string) => {
    const number = Number(text);
    if (/^\d+$/.test(text) && number >= least && number <= most) return number;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  };
}

export function requireRunId(text: string): void {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) return;
  throw new UsageError(`"${text}" is not the id of a run; \`skein runs list\` shows the ids.`);
}

export const port = wholeNumber(0, 65_535);
export const limit = wholeNumber(1, 100_000);
export const LIMIT_DEFAULT = 50;

export function notNegative(text: string): number {
  const number = Number(text);
  if (text.trim() !== "" && Number.isFinite(number) && number >= 0) return number;
  throw new InvalidArgumentError("It must be a number, such as 0.01.");
}

export function duration(text: string): number {
  if (isDuration(text)) return parseDuration(text);
  throw new InvalidArgumentError("It must be a duration, such as 500ms or 2s.");
}

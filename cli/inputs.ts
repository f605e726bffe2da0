/** A run's inputs from the command line: a file, and single values that come before it. */
import type { Json, JsonObject } from "../core/json.ts";
import type { Context } from "./context.ts";
import { UsageError } from "./problem.ts";
import { readObject } from "./read-file.ts";

export interface InputOptions {
  /** `k=v` pairs. */
  input?: string[];
  /** A JSON or YAML file. */
  inputs?: string;
}

/** Undefined when none are given. */
export async function readInputs(context: Context, { input, inputs }: InputOptions): Promise<JsonObject | undefined> {
  if (!input && !inputs) return undefined;
  const fromFile = inputs ? await readObject(context, inputs) : {};
  return Object.fromEntries([...Object.entries(fromFile), ...(input ?? []).map(readPair)]);
}

/** `n=5` is a number, `name=geese` a text, `name="5"` a text, too: a value is JSON where it parses as such. */
export function readPair(pair: string): [string, Json] {
  const equals = pair.indexOf("=");
  if (equals < 1) throw new UsageError(`--input must be name=value, not "${pair}".`);
  const text = pair.slice(equals + 1);
  try {
    return [pair.slice(0, equals), JSON.parse(text) as Json];
  } catch {
    return [pair.slice(0, equals), text];
  }
}

/** What zod found wrong, in sentences, each with a pointer. */
import type { z } from "zod";
import type { ErrorCode, Issue } from "../errors.ts";
import { pointerTo } from "../json.ts";
import { didYouMean } from "../near-miss.ts";

/** `whole` names the value itself; `keys` are those that an unknown one may have been meant for. */
export function flawsOf(error: z.ZodError, code: ErrorCode, whole: string, keys: readonly string[]): Issue[] {
  return error.issues.flatMap((issue) => describe(issue, code, whole, keys));
}

function describe(issue: z.core.$ZodIssue, code: ErrorCode, whole: string, keys: readonly string[]): Issue[] {
  const pointer = issue.path.reduce<string>((parent, segment) => pointerTo(parent, String(segment)), "");
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => {
      const remedy = didYouMean(key, keys) || " Remove it.";
      const at = pointerTo(pointer, key);
      return { code, message: `${at} is not a key that this has.${remedy}`, pointer: at };
    });
  }
  const meant = issue.code === "invalid_union" ? meantForm(issue) : undefined;
  if (meant) {
    return meant.flatMap((inner) => describe({ ...inner, path: [...issue.path, ...inner.path] }, code, whole, keys));
  }
  return [{ code, message: `${pointer || whole} ${sentence(issue)}.`, pointer }];
}

/** Of several forms, the one whose flaws lie deeper than the value itself, or else one of its type. */
function meantForm({ errors }: z.core.$ZodIssueInvalidUnion): z.core.$ZodIssue[] | undefined {
  const isInside = ({ path, code }: z.core.$ZodIssue) => path.length > 0 || code === "unrecognized_keys";
  return errors.find((flaws) => flaws.every(isInside)) ?? errors.find((flaws) => !flaws.some(isType));
}

function isType({ code }: z.core.$ZodIssue): boolean {
  return code === "invalid_type";
}

const typeNames: Record<string, string> = {
  string: "a text",
  array: "a list",
  object: "an object",
  int: "a whole number",
  number: "a number",
  boolean: "true or false",
};

/** `error` texts of our own schemas are written to fit here. */
function sentence(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return `must be ${typeNames[issue.expected] ?? issue.expected}`;
    case "invalid_value":
      return `must be ${issue.values.length > 1 ? "one of " : ""}${issue.values.join(", ")}`;
    case "too_small":
      return bound(issue.origin, issue.inclusive ? "at least" : "more than", Number(issue.minimum));
    case "too_big":
      return bound(issue.origin, "at most", Number(issue.maximum));
    default:
      return issue.message;
  }
}

function bound(origin: string, which: string, count: number): string {
  if (origin === "string") return `must have ${which} ${count} ${count === 1 ? "character" : "characters"}`;
  if (origin === "array") return `must have ${which} ${count} ${count === 1 ? "item" : "items"}`;
  return `must be ${which} ${count}`;
}

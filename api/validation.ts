/** Checks what comes in against the zod schemas of a route, and says in sentences what is wrong with it. */
import type { FastifySchemaCompiler } from "fastify";
import type { z } from "zod";
import type { Issue } from "../core/errors.ts";
import { refusal } from "../core/issues.ts";
import { pointerTo } from "../core/json.ts";

/**
 * Pointers lead into the body; those of other parts begin with `/params` or `/querystring`. Throws (the way Fastify
 * wants it: as an answer) REQUEST_INVALID with every flaw in its `issues`.
 */
export const compileShape: FastifySchemaCompiler<z.ZodType> = ({ schema, httpPart = "body" }) => {
  const root = httpPart === "body" ? "" : `/${httpPart}`;
  return (data) => {
    const parsed = schema.safeParse(data);
    if (parsed.success) return { value: parsed.data };
    const issues = parsed.error.issues.flatMap((issue) => describe(issue, root));
    return { error: refusal("REQUEST_INVALID", issues) };
  };
};

function describe(issue: z.core.$ZodIssue, root: string): Issue[] {
  const pointer = issue.path.reduce<string>((parent, segment) => pointerTo(parent, String(segment)), root);
  if (issue.code === "invalid_union") {
    // The form that was meant is the one whose flaws lie deeper than the value itself, or else one of its type.
    const meant =
      issue.errors.find((flaws) => flaws.every(isInside)) ?? issue.errors.find((flaws) => !flaws.some(isType));
    if (meant) return meant.flatMap((inner) => describe(inner, pointer));
  }
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => flaw(pointerTo(pointer, key), "is not a key of this object; remove it"));
  }
  return [flaw(pointer, sentence(issue))];
}

function isInside(issue: z.core.$ZodIssue): boolean {
  return issue.path.length > 0 || issue.code === "unrecognized_keys";
}

function isType(issue: z.core.$ZodIssue): boolean {
  return issue.code === "invalid_type";
}

function flaw(pointer: string, reason: string): Issue {
  return { code: "REQUEST_INVALID", message: `${pointer || "The body"} ${reason}.`, pointer };
}

const typeNames: Record<string, string> = {
  string: "a string",
  array: "a list",
  object: "an object",
  record: "an object",
  int: "a whole number",
  number: "a number",
  boolean: "true or false",
};

/** What follows the name of the value; `error` texts of our own schemas are written to fit here. */
function sentence(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      // Of what may be any JSON.
      if (issue.expected === "nonoptional") return "is missing";
      return `must be ${typeNames[issue.expected] ?? issue.expected}`;
    case "invalid_value":
      return `must be ${issue.values.length > 1 ? "one of " : ""}${issue.values.join(", ")}`;
    case "too_small":
      return `must ${bound(issue.origin)} at least ${issue.minimum}${unit(issue.origin, Number(issue.minimum))}`;
    case "too_big":
      return `must ${bound(issue.origin)} at most ${issue.maximum}${unit(issue.origin, Number(issue.maximum))}`;
    case "invalid_format":
      return formNames[issue.format] ?? issue.message;
    case "invalid_key":
      return "is a key of the wrong form: keys have 1 to 63 characters";
    default:
      return issue.message;
  }
}

const formNames: Record<string, string> = {
  uuid: "must be a UUID",
  datetime: "must be a time such as 2026-01-31T12:00:00Z",
};

function bound(origin: string): string {
  return origin === "string" || origin === "array" ? "have" : "be";
}

function unit(origin: string, count: number): string {
  const noun = origin === "string" ? " character" : origin === "array" ? " item" : "";
  return noun && count !== 1 ? `${noun}s` : noun;
}

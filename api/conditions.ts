/** Conditions of writes, as HTTP has them: RFC 9110, an entity tag in quotes, which here is a revision. */
import type { FastifyRequest } from "fastify";
import { SkeinError } from "../core/errors.ts";

export function etagOf({ revision }: { revision: number }): string {
  return `"${revision}"`;
}

/** The revision that a write expects; 0: that there is nothing yet. Undefined: it takes place over whatever there is. */
export function conditionOf({ headers }: Pick<FastifyRequest, "headers">): { revision: number } | undefined {
  const { "if-none-match": absent, "if-match": match } = headers;
  if (absent === undefined && match === undefined) return undefined;
  if (absent === "*" && match === undefined) return { revision: 0 };
  const [, revision] = /^"([1-9]\d{0,14})"$/.exec(match ?? "") ?? [];
  if (absent === undefined && revision !== undefined) return { revision: Number(revision) };
  throw new SkeinError(
    "REQUEST_INVALID",
    "Send either `If-None-Match: *`, or `If-Match` with the ETag of what is written as it was read.",
  );
}

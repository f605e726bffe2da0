/** The header `Idempotency-Key`: what is asked for under one is made once. */
import type { FastifyRequest } from "fastify";
import { SkeinError } from "../core/errors.ts";

const MAX_IDEMPOTENCY_KEY = 255;

export function idempotencyKey(request: FastifyRequest): string | undefined {
  const key = request.headers["idempotency-key"];
  if (key === undefined) return undefined;
  if (typeof key === "string" && key.length > 0 && key.length <= MAX_IDEMPOTENCY_KEY) return key;
  throw new SkeinError("REQUEST_INVALID", `Idempotency-Key must be 1 to ${MAX_IDEMPOTENCY_KEY} characters.`);
}

/** `asked`: what the key has been used for, "submitted another body". */
export function keyReused(asked: string, remedy: string): SkeinError {
  return new SkeinError("IDEMPOTENCY_KEY_REUSED", `This Idempotency-Key has ${asked} before; ${remedy}.`);
}

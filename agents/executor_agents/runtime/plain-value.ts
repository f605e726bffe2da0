/** What a handler gives away, as it will arrive. */
import { failureKinds } from "../../../core/errors.ts";
import { findJsonFlaw, type Json } from "../../../core/json.ts";
import { NonRetryableError, plainJson } from "../../../sdk/executor.ts";
import { messageOf } from "../../../sdk/repeat.ts";

/**
 * A copy. Throws a NonRetryableError for what JSON cannot hold (with `code`) or the database cannot (OUTPUT_UNSTORABLE);
 * `what` begins its message, up to the verb: `The spawned tasks are`.
 */
export function plainValue(value: unknown, what: string, code: string): Json {
  let plain: Json;
  try {
    plain = plainJson(value);
  } catch (cause) {
    throw new NonRetryableError(`${what} not JSON: ${messageOf(cause)}`, { code, cause });
  }
  const flaw = findJsonFlaw(plain);
  if (!flaw) return plain;
  throw new NonRetryableError(`${what} not storable: ${flaw.pointer} ${flaw.reason}; remove or encode it.`, {
    code: failureKinds.outputUnstorable,
  });
}

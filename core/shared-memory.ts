/** Keys that agents share, by scope: what may be written, and why not. */
import { type Refusal, refuseSharedValue } from "./agent-data.ts";
import type { Json } from "./json.ts";
import { formatCount, type Limits, limitSentence } from "./limits.ts";

/** The revision that a key must have for a write to take place; 0: there must be none. */
export type KeyCondition = { revision: number };

export interface KeyWish {
  key: string;
  /** Of the value there is; 0: there is none. */
  revision: number;
  /** Undefined takes the value away. */
  value: Json | undefined;
  condition: KeyCondition | undefined;
  /** Keys of the scope that have a value. Asked where one is added. */
  keys: number;
}

/** Undefined: it is written. */
export function refuseKey({ key, revision, value, condition, keys }: KeyWish, limits: Limits): Refusal | undefined {
  if (condition && condition.revision !== revision) {
    const found = revision === 0 ? "there is none" : `it has revision ${revision}`;
    const expected = condition.revision === 0 ? "there to be none" : `revision ${condition.revision}`;
    return {
      code: "MEMORY_CONFLICT",
      message: `The write expects ${expected} of the key "${key}", but ${found}; read it and decide again.`,
    };
  }
  if (value === undefined) return undefined;
  if (revision === 0 && keys >= limits.sharedKeys) {
    const message = `With "${key}" the scope would have ${formatCount(keys + 1)} keys; ${limitSentence("sharedKeys", limits)}. Else delete some, or give them a ttl.`;
    return { code: "MEMORY_FULL", message, excess: keys + 1 - limits.sharedKeys };
  }
  return refuseSharedValue(value, limits);
}

/** Idempotency-Keys: what is made under one is made once. Kept for 30 days, per namespace. */

/** What a request is made under. */
export interface Idempotency {
  key: string;
  /** Of what the request means: under the same key it has to be the same. */
  bodyHash: string;
}

/** What a key stands for. */
export interface Keyed {
  /** The run that was made, or of a goal that waits for a review the plan. */
  id: string;
  bodyHash: string;
}

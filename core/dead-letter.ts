/** `open`: nobody has done anything about it. `redriven`: a retry of its run does its work again. `discarded`: nothing is to be done. */
export const letterStates = ["open", "redriven", "discarded"] as const;
export type LetterState = (typeof letterStates)[number];

/** What is written on a failed task when somebody has seen to it. `at` is RFC 3339. */
export interface Settlement {
  state: Exclude<LetterState, "open">;
  at: string;
  /** Who discarded it. */
  by?: string;
  reason?: string | null;
  /** Of what is redriven: the run that does its work again. */
  run_id?: string;
}

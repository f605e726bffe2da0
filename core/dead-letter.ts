/** `open`: nobody has done anything about it. `redriven`: a retry of its run does its work again. `discarded`: nothing is to be done. */
export const letterStates = ["open", "redriven", "discarded"] as const;
export type LetterState = (typeof letterStates)[number];

/** What is written on a failed task when somebody has seen to it. `at` is RFC 3339. */
export type Settlement =
  | { state: "discarded"; at: string; by: string; reason: string | null }
  /** In the run that does its work again. */
  | { state: "redriven"; at: string; run_id: string };

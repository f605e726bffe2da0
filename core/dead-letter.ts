/** `open`: nobody has done anything about it. `redriven`: a retry of its run does its work again. `discarded`: nothing is to be done. */
export const letterStates = ["open", "redriven", "discarded"] as const;
export type LetterState = (typeof letterStates)[number];

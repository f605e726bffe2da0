/** How the input or output of a capability that breaks its schema is told, wherever it is noticed. */

/** One way in which a value breaks a contract: where, and what was expected there. */
export interface ContractFlaw {
  pointer: string;
  message: string;
}

/** Flaws listed in one message; the rest are counted. */
const FLAWS_SHOWN = 5;

/** A pointer may be as long as the value. */
const MAX_POINTER_CHARS = 200;

export function brokenContract(side: "input" | "output", capability: string, flaws: readonly ContractFlaw[]): string {
  const shown = flaws
    .slice(0, FLAWS_SHOWN)
    .map(({ pointer, message }) => `${brief(pointer) || "(the whole)"}: ${message}`);
  const more = flaws.length > FLAWS_SHOWN ? ` (and ${flaws.length - FLAWS_SHOWN} more)` : "";
  return `The ${side} of "${capability}" is not valid: ${shown.join("; ")}${more}`;
}

function brief(pointer: string): string {
  return pointer.length > MAX_POINTER_CHARS ? `${pointer.slice(0, MAX_POINTER_CHARS).toWellFormed()}…` : pointer;
}

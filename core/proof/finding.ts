/** What a look at a workflow finds before it runs. */
import type { ErrorCode } from "../errors.ts";

/** `error`: certainly wrong, and refused at submit, too; `warning`: hardly what is meant; `info`: good to know. */
export const severities = ["error", "warning", "info"] as const;
export type Severity = (typeof severities)[number];

/** What is found beside errors, by stable code. */
export const findingTitles = {
  TASK_NEVER_STARTS: "The task can never start",
  TASK_NEVER_COMPLETES: "The task can start, but never complete",
  CAPABILITY_NOT_OFFERED: "No agent that is there now can run the task",
  INPUT_MISFIT: "The input cannot be what the capability takes",
  OUTPUT_UNUSED: "Nobody reads what the task gives",
  INPUT_UNUSED: "Nobody reads an input of the run",
  MAY_EXCEED_LIMIT: "The run may grow beyond a limit",
  BUDGET_TOO_SMALL: "The budget does not suffice even when all goes well",
  DEADLINE_TOO_SHORT: "The deadline passes before the run can have completed",
} as const;
export type FindingCode = keyof typeof findingTitles | ErrorCode;

export interface Finding {
  severity: Severity;
  code: FindingCode;
  /** A sentence that names the thing and the remedy. */
  message: string;
  /** RFC 6901 pointer into the definition. */
  pointer: string;
}

export function warning(code: FindingCode, message: string, pointer: string): Finding {
  return { severity: "warning", code, message, pointer };
}

export function info(code: FindingCode, message: string, pointer: string): Finding {
  return { severity: "info", code, message, pointer };
}

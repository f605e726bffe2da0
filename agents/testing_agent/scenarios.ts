/** All scenarios, in the order they are played: from the simplest on. */
import type { Scenario } from "./scenario.ts";
import { badInput } from "./scenarios/bad-input.ts";
import { cancelRunning } from "./scenarios/cancel-running.ts";
import { expressions } from "./scenarios/expressions.ts";
import { failureExplained } from "./scenarios/failure-explained.ts";
import { fanOut } from "./scenarios/fan-out.ts";
import { helloDiamond } from "./scenarios/hello-diamond.ts";
import { idempotentSubmit } from "./scenarios/idempotent-submit.ts";
import { ownExecutor } from "./scenarios/own-executor.ts";
import { pictures } from "./scenarios/pictures.ts";

export const scenarios: readonly Scenario[] = [
  helloDiamond,
  ownExecutor,
  failureExplained,
  cancelRunning,
  idempotentSubmit,
  badInput,
  pictures,
  fanOut,
  expressions,
];

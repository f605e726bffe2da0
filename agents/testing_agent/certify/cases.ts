/** All cases, in the order they are played: from the simplest on; those that end the executor come last. */
import { bigOutput, echo, failures, invalidOutput, registration, slots } from "./cases/basics.ts";
import { cancel, heartbeatGap, heartbeatLost, slowReport, staleLease } from "./cases/leases.ts";
import { duplicates, lostClaim, lostReport } from "./cases/lost-answers.ts";
import { crash, drain } from "./cases/process.ts";
import { forgotten, serverAway, unknownFields } from "./cases/server.ts";
import type { Case } from "./rig.ts";

export const cases: readonly Case[] = [
  registration,
  echo,
  slots,
  failures,
  bigOutput,
  invalidOutput,
  duplicates,
  lostClaim,
  lostReport,
  slowReport,
  staleLease,
  cancel,
  heartbeatGap,
  heartbeatLost,
  serverAway,
  forgotten,
  unknownFields,
  crash,
  drain,
];

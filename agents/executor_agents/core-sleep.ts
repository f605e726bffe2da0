/**
 * `core.sleep` — waits. Input `{ ms }` or `{ duration: "500ms" }`, at most a day; output `{ slept_ms }`, the time asked for.
 * Ends at once when the attempt is aborted. It occupies a slot: a long wait belongs in the workflow, not in an executor.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { isDuration, parseDuration } from "../../core/duration.ts";
import { defineExecutor } from "../../sdk/executor.ts";

const MAX_SLEEP_MS = 86_400_000;

const duration = z
  .string()
  .refine(isDuration, "is not a duration; write one such as 500ms, 30s or 5m")
  .refine((text) => !isDuration(text) || parseDuration(text) <= MAX_SLEEP_MS, "is longer than a day");

export const coreSleep = defineExecutor({
  capability: "core.sleep",
  description: "Waits for a time given in milliseconds or as a duration",
  input: z
    .strictObject({
      ms: z.int().min(0).max(MAX_SLEEP_MS).optional().describe("Milliseconds"),
      duration: duration.optional().describe("A duration such as 500ms, 30s or 5m"),
    })
    .refine(({ ms, duration }) => (ms === undefined) !== (duration === undefined), "needs either ms or duration"),
  output: z.strictObject({ slept_ms: z.int().describe("The milliseconds asked for") }),
  async run({ input, signal }) {
    const ms = input.ms ?? parseDuration(input.duration!);
    signal.throwIfAborted();
    await sleep(ms, undefined, { signal }).catch((error) => {
      throw signal.aborted ? signal.reason : error;
    });
    return { slept_ms: ms };
  },
});

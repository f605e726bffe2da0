/**
 * The newsroom on the day on which nobody writes leads, and with somebody who looks at what is printed:
 * skein plan --goal examples/planning/goal.yaml --verify news.proof --executors examples/planning/strike.ts \
 *   --accept --on-failure replan
 */
import { z } from "zod";
// In a project of your own: from "skein"
import { defineExecutor, NonRetryableError } from "../../index.ts";
import * as newsroom from "./newsroom.ts";

export const { sentences, keywords, brief, ghostwriter } = newsroom;

export const lead = {
  ...newsroom.lead,
  run: () => Promise.reject(new NonRetryableError("We are on strike.", { code: "STRIKE" })),
};

/** A verifier completes where there is nothing to find fault with, and fails with this code where there is. */
export const proof = defineExecutor({
  capability: "news.proof",
  description: "Finds empty briefs",
  input: z.strictObject({ brief: z.string() }),
  consumes: { brief: "news.brief" },
  run: ({ input }) => {
    if (input.brief.trim() === "") throw new NonRetryableError("The brief is empty.", { code: "VERIFICATION_FAILED" });
    return {};
  },
});

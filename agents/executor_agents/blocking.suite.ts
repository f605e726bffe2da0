/** An executor that blocks its thread, for the process under test. */
import { z } from "zod";
import { defineExecutor } from "../../sdk/executor.ts";

export const block = defineExecutor({
  capability: "test.block",
  input: z.object({ ms: z.number() }),
  run: ({ input }) => {
    const startedAt = performance.now();
    while (performance.now() - startedAt < input.ms);
    return performance.now() - startedAt;
  },
});

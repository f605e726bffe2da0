/** `core.echo` — answers with its input, unchanged. For first steps, tests and joining the outputs of other tasks. No limits of its own. */

import { defineExecutor } from "../../sdk/executor.ts";

export const coreEcho = defineExecutor({
  capability: "core.echo",
  description: "Answers with its input",
  run: ({ input }) => input,
});

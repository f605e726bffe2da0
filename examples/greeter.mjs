// @ts-nocheck: the package imports itself, which only its build can resolve
import { defineExecutor } from "skein";

export const greet = defineExecutor({
  capability: "demo.greet",
  run: ({ input, log }) => {
    log.info("greeting somebody");
    return { text: `Hello, ${input.name}!` };
  },
});

// @ts-nocheck: the package imports itself, which only its build can resolve
import { defineExecutor } from "skein";

export const countWords = defineExecutor({
  capability: "text.count",
  input: { type: "object", required: ["text"], properties: { text: { type: "string" } } },
  run: ({ input }) => ({ words: input.text.split(/\s+/).filter(Boolean).length }),
});

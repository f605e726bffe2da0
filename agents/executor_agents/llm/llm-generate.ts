/** `llm.generate` — asks a language model for text: docs/executors/llm.generate.md. */
import { z } from "zod";
import { defineExecutor } from "../../../sdk/executor.ts";
import { eitherPromptOrMessages, requestFields, toRequest } from "./input.ts";
import type { Llm } from "./llm.ts";
import { usageFields } from "./meter.ts";

export function llmGenerate(llm: Llm) {
  return defineExecutor({
    capability: "llm.generate",
    description: "Asks a language model and answers with its text",
    input: z.strictObject(requestFields).refine(...eitherPromptOrMessages),
    output: z.strictObject({
      text: z.string(),
      finish_reason: z.string().describe("stop, length (max_output_tokens was reached), content-filter or other"),
      model: z.string(),
      ...usageFields,
    }),
    async run(context) {
      const { ask, meter, model } = await llm.open(context, context.input.model);
      const { text, finishReason } = await ask(toRequest(context.input));
      return { text, finish_reason: finishReason, model, ...meter.total() };
    },
  });
}

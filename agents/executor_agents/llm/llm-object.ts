/** `llm.object` — asks a language model for JSON that fits a schema: docs/executors/llm.object.md. */
import { z } from "zod";
import { defineExecutor } from "../../../sdk/executor.ts";
import { eitherPromptOrMessages, requestFields, toRequest } from "./input.ts";
import type { Llm } from "./llm.ts";
import { usageFields } from "./meter.ts";
import { askForObject, objectFields, schemaField, wishFor, withSchema } from "./object.ts";

export function llmObject(llm: Llm) {
  return defineExecutor({
    capability: "llm.object",
    description: "Asks a language model for JSON that fits a schema",
    input: z.strictObject({ ...requestFields, schema: schemaField, ...objectFields }).refine(...eitherPromptOrMessages),
    output: z.strictObject({
      object: z.unknown().describe("It fits the schema"),
      repairs: z.int().describe("How often the model had to be asked again"),
      model: z.string(),
      ...usageFields,
    }),
    async run(context) {
      const { input } = context;
      const wish = wishFor(input.schema, input);
      const session = await llm.open(context, input.model);
      const question = withSchema(session, toRequest(input, input), wish);
      const { object, repairs } = await askForObject(session, question, wish);
      return { object, repairs, model: session.model, ...session.meter.total() };
    },
  });
}

/**
 * An executor of one's own. Start the system with it: skein dev --executors examples/greeter.ts
 * Or add an executor process to a system that runs: skein executor --import examples/greeter.ts
 */
import { z } from "zod";
// In a project of your own: from "skein"
import { defineExecutor, NonRetryableError } from "../index.ts";

const greetings: Record<string, string> = { en: "Hello", fr: "Bonjour", de: "Hallo" };

export const greeter = defineExecutor({
  capability: "example.greet",
  description: "Greets in the language asked for",
  input: z.strictObject({ name: z.string().min(1), language: z.string().default("en") }),
  output: z.strictObject({ text: z.string() }),
  async run({ input, log }) {
    const greeting = greetings[input.language];
    // Thrown errors are retried, except for this kind: trying again does not teach a language.
    if (!greeting) throw new NonRetryableError(`no greeting in ${input.language}`, { code: "LANGUAGE_UNKNOWN" });
    log.info("greeting", { language: input.language });
    return { text: `${greeting}, ${input.name}!` };
  },
});

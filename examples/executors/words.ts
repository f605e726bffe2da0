import { defineExecutor, NonRetryableError } from "skein";
import { z } from "zod";

export const countWords = defineExecutor({
  capability: "text.count",
  description: "Counts the words of a text",
  input: z.strictObject({ text: z.string(), language: z.string().default("en") }),
  output: z.strictObject({ words: z.int() }),
  run({ input, log }) {
    if (Intl.Segmenter.supportedLocalesOf(input.language).length === 0) {
      throw new NonRetryableError(`no rules for words in ${input.language}`, { code: "LANGUAGE_UNKNOWN" });
    }
    const segmenter = new Intl.Segmenter(input.language, { granularity: "word" });
    const words = [...segmenter.segment(input.text)].filter(({ isWordLike }) => isWordLike).length;
    log.info("counted", { words });
    return { words };
  },
});

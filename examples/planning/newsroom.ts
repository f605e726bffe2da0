/**
 * A newsroom whose capabilities say what they take and give, so that goals can be planned. To see the plan and run it:
 * skein plan --goal examples/planning/goal.yaml --executors examples/planning/newsroom.ts --accept
 */
import { z } from "zod";
// In a project of your own: from "skein"
import { defineExecutor } from "../../index.ts";

const text = z.string().min(1);

export const sentences = defineExecutor({
  capability: "news.sentences",
  description: "Takes an article apart",
  input: z.strictObject({ text }),
  output: z.strictObject({ sentences: z.array(text).min(1) }),
  consumes: { text: "article.text" },
  produces: { sentences: "article.sentences" },
  cost: 1,
  run: ({ input }) => ({ sentences: input.text.match(/[^.!?]+[.!?]*/g)!.map((sentence) => sentence.trim()) }),
});

export const lead = defineExecutor({
  capability: "news.lead",
  description: "Chooses the sentence that says most: the first",
  input: z.strictObject({ sentences: z.array(text).min(1) }),
  output: z.strictObject({ lead: text }),
  consumes: { sentences: "article.sentences" },
  produces: { lead: "article.lead" },
  cost: 1, // in a unit that your capabilities share
  durationMs: 200, // about
  reliability: 0.99, // the share of tasks that complete
  run: ({ input }) => ({ lead: input.sentences[0]! }),
});

/** In one task what the two above do in two, and dearer: whether it is planned with depends on what the goal prefers. */
export const ghostwriter = defineExecutor({
  capability: "news.ghostwriter",
  description: "Writes a lead of its own",
  input: z.strictObject({ text }),
  output: z.strictObject({ lead: text }),
  consumes: { text: "article.text" },
  produces: { lead: "article.lead" },
  cost: 20,
  run: ({ input }) => ({ lead: `You will not believe this: ${input.text.slice(0, 20)}…` }),
});

export const keywords = defineExecutor({
  capability: "news.keywords",
  description: "Finds the long words",
  input: z.strictObject({ text }),
  output: z.strictObject({ keywords: z.array(text) }),
  consumes: { text: "article.text" },
  produces: { keywords: "article.keywords" },
  cost: 1,
  run: ({ input }) => ({ keywords: [...new Set(input.text.toLowerCase().match(/\p{L}{7,}/gu) ?? [])].sort() }),
});

export const brief = defineExecutor({
  capability: "news.brief",
  description: "Puts a brief together",
  input: z.strictObject({ lead: text, keywords: z.array(text) }),
  output: z.strictObject({ brief: text }),
  consumes: { lead: "article.lead", keywords: "article.keywords" },
  produces: { brief: "news.brief" },
  cost: 1,
  run: ({ input }) => ({ brief: `${input.lead} [${input.keywords.join(", ")}]` }),
});

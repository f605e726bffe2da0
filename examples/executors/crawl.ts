import { defineExecutor } from "skein";
import { z } from "zod";

/** Follows links from page to page. */
export const crawl = defineExecutor({
  capability: "example.crawl",
  input: z.strictObject({ start: z.string(), links: z.record(z.string(), z.array(z.string())) }),
  output: z.strictObject({ found: z.int() }),
  async run({ input, signal, progress, emit, spawn }) {
    const found = new Set([input.start]);
    for (const page of found) {
      signal.throwIfAborted();
      await emit("pages", [{ item: page, key: page }]);
      for (const link of input.links[page] ?? []) found.add(link);
      progress({ found: found.size });
    }
    await emit("pages", [], { close: true });
    if (found.size > 3) spawn([{ id: "review", capability: "core.echo", input: "many pages" }]);
    return { found: found.size };
  },
});

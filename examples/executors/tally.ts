import { defineExecutor } from "skein";
import { z } from "zod";

/** Counts birds across all tasks, remembers what was seen, and tells the clerk of every third. */
export const tally = defineExecutor({
  capability: "example.tally",
  input: z.strictObject({ bird: z.string() }),
  output: z.strictObject({ total: z.int(), seenBefore: z.int() }),
  async run({ input, state, memory, send }) {
    const total = ((await state.get<number>()) ?? 0) + 1;
    const { data: before } = await memory.list({ type: "observation", search: input.bird });
    state.set(total);
    memory.add("observation", { bird: input.bird }, { ttl: "30d" });
    if (total % 3 === 0) send("clerk", { total, last: input.bird }, { type: "milestone" });
    return { total, seenBefore: before.length };
  },
});

/** Reads what its agent was told, keeps it in mind, and acknowledges it. */
export const report = defineExecutor({
  capability: "example.report",
  output: z.array(z.unknown()),
  async run({ inbox, memory }) {
    const messages = await inbox.read({ wait: 5 });
    for (const { body } of messages) memory.add("message", body);
    inbox.acknowledge(messages.map(({ id }) => id));
    return messages.map(({ body }) => body);
  },
});

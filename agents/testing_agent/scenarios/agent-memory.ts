import { equal } from "../expect.ts";
import type { Scenario } from "../scenario.ts";

export const agentMemory: Scenario = {
  name: "agent-memory",
  title: "An agent remembers entries of a type, reads them back in order, and finds them by their words",
  async play({ unique, join, step }) {
    const { memory } = (await join(unique)).data;

    step("remember");
    await memory.add([
      { type: "observation", content: { saw: "a grey goose", where: "by the pond" } },
      { type: "observation", content: { saw: "a duck", where: "by the pond" } },
      { type: "thought", content: "Geese fly south, and so did the grey goose." },
    ]);
    await memory.add([{ type: "diary", content: "Nothing today.", ttl: "1h" }]);

    step("read it back, the newest first");
    const { data } = await memory.list();
    const types = data.map(({ type }) => type);
    equal("the types of the entries", types, ["diary", "thought", "observation", "observation"]);
    const first = await memory.list({ limit: 3 });
    equal("the first page", first.data, data.slice(0, 3));
    equal("the page after it", (await memory.list({ limit: 3, cursor: first.next_cursor! })).data, data.slice(3));

    step("search");
    const found = async (search: string, type?: string) =>
      (await memory.list({ search, type })).data.map((entry) => entry.type);
    equal("what has both words", await found("grey pond"), ["observation"]);
    equal("what has the phrase", await found('"grey goose"'), ["thought", "observation"]);
    equal("what has one word and not the other", await found("pond -duck"), ["observation"]);
    equal("what has either", await found("duck or geese"), ["thought", "observation"]);
    equal("what of a type has a word", await found("goose", "thought"), ["thought"]);
    equal("what has a word that nobody wrote", await found(unique), []);

    step("forget");
    equal("how many observations are forgotten", (await memory.forget({ type: "observation" })).deleted, 2);
    equal("what is left", (await memory.list()).data, data.slice(0, 2));
  },
};

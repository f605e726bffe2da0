import type { Json } from "../../../core/json.ts";
import { type Speak, takePart } from "../../../sdk/participant.ts";
import { equal } from "../expect.ts";
import type { Scenario } from "../scenario.ts";

export const conversationTask: Scenario = {
  name: "conversation-task",
  title: "A task of a run is a conversation of a team, by whichever protocol its capability names",
  async play({ client, unique, submit, join, watch, signal, step }) {
    step("let three agents take part");
    const team = await Promise.all(["ada", "bob", "eve"].map((who) => join(unique, who)));
    for (const [n, member] of team.entries()) void takePart(member, speaker(n + 1), { signal }).catch(() => {});
    const members = team.map(({ name }) => name);

    for (const [protocol, field, expected] of outcomes) {
      step(`run a task by ${protocol}`);
      const input = { topic: "a nest of nine", members, turn_deadline: "20s", deadline: "40s" };
      const tasks = [
        { id: "talk", capability: `conversation.${protocol}`, input },
        { id: "after", needs: ["talk"], capability: "core.echo", input: `{{ tasks.talk.output.result.${field} }}` },
      ];
      const run = await submit({
        definition: { name: "conversation-task", tasks, outputs: "{{ tasks.after.output }}" },
      });
      await watch(run.id);
      const { status, error, outputs } = await client.runs.result(run.id);
      equal(`how the run with ${protocol} ended`, { status, error }, { status: "completed", error: null });
      const made = typeof outputs === "string" ? outputs.replace(`${unique}-`, "") : outputs;
      equal(`what comes of ${protocol}`, made, expected);
    }
  },
};

/** Protocol, what of its result is asked for, and what it comes to with these speakers. */
const outcomes: [string, string, Json][] = [
  ["contract-net", "content", "built for 10"],
  ["vote", "winner", "reeds"],
  ["auction", "winner", "eve"],
];

/** Says the same whoever asks; the first of them works cheapest, and the last bids most. */
function speaker(place: number): Speak {
  return ({ type, protocol, expects }) => {
    if (!expects) return undefined;
    if (type === "award") return { type: "result", body: { content: `built for ${place * 10}` } };
    if (protocol === "contract-net") return { type: "bid", body: { cost: place * 10 } };
    if (protocol === "vote") return { type: "vote", body: { choice: "reeds" } };
    return { type: "bid", body: { amount: place } };
  };
}

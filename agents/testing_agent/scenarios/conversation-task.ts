import type { Json, JsonObject } from "../../../core/json.ts";
import { type Speak, takePart } from "../../../sdk/participant.ts";
import { equal } from "../expect.ts";
import type { Scenario } from "../scenario.ts";

/** Ten conversations, one after the other. */
const DEADLINE_MS = 120_000;

export const conversationTask: Scenario = {
  name: "conversation-task",
  title: "A task of a run is a conversation of a team, by whichever of the ten protocols its capability names",
  deadlineMs: DEADLINE_MS,
  async play({ client, unique, submit, join, watch, signal, step }) {
    step("let three agents take part");
    const team = await Promise.all(["ada", "bob", "eve"].map((who) => join(unique, who)));
    const members = team.map(({ name }) => name);
    for (const [place, member] of team.entries()) {
      void takePart(member, speaker(place, members), { signal }).catch(() => {});
    }

    for (const { protocol, asked, expected, terms } of talks) {
      step(`run a task by ${protocol}`);
      const input = { topic: "a nest of nine", members, turn_deadline: "20s", deadline: "40s", ...terms };
      const tasks = [
        { id: "talk", capability: `conversation.${protocol}`, input },
        { id: "after", needs: ["talk"], capability: "core.echo", input: `{{ ${asked("tasks.talk.output.result")} }}` },
      ];
      const run = await submit({
        definition: { name: "conversation-task", tasks, outputs: "{{ tasks.after.output }}" },
      });
      await watch(run.id);
      const { status, error, outputs } = await client.runs.result(run.id);
      equal(`how the run with ${protocol} ended`, { status, error }, { status: "completed", error: null });
      const made = JSON.parse(JSON.stringify(outputs).replaceAll(`${unique}-`, "")) as Json;
      equal(`what comes of ${protocol}`, made, expected);
    }
  },
};

interface Talk {
  protocol: string;
  /** What of the result is asked for, as an expression. */
  asked: (result: string) => string;
  /** What it comes to with these speakers. */
  expected: Json;
  terms?: JsonObject;
}

/** In the order in which they speak, where that is given. */
const talks: Talk[] = [
  { protocol: "contract-net", asked: (result) => `${result}.content`, expected: "built for 10" },
  { protocol: "vote", asked: (result) => `${result}.winner`, expected: "reeds" },
  { protocol: "auction", asked: (result) => `${result}.winner`, expected: "eve" },
  { protocol: "debate", asked: (result) => `${result}.position`, expected: "reeds" },
  { protocol: "request-reply", asked: (result) => `size(${result}.replies)`, expected: 3 },
  { protocol: "supervisor", asked: (result) => `${result}.content`, expected: "done", terms: { rounds: 2 } },
  { protocol: "gossip", asked: (result) => `${result}.residue`, expected: 0, terms: { fanout: 2 } },
  {
    protocol: "round-robin",
    asked: (result) => `${result}.contributions.map(said, said.member)`,
    expected: ["ada", "bob", "eve"],
    terms: { rounds: 1 },
  },
  { protocol: "blackboard", asked: (result) => `size(${result}.board)`, expected: 3, terms: { rounds: 1 } },
  { protocol: "publish-subscribe", asked: (result) => `${result}.publications[0].member`, expected: "ada" },
];

/** Says the same whoever asks; the first of them works cheapest, leads and publishes, and the last bids most. */
function speaker(place: number, members: readonly string[]): Speak {
  const content = "of reeds";
  const own = members[place]!.split("-").at(-1)!;
  return ({ type, protocol, body, expects }) => {
    if (!expects) return undefined;
    switch (`${protocol} ${type}`) {
      case "contract-net call":
        return { type: "bid", body: { cost: (place + 1) * 10 } };
      case "contract-net award":
        return { type: "result", body: { content: `built for ${(place + 1) * 10}` } };
      case "vote call":
        return { type: "vote", body: { choice: "reeds" } };
      case "auction call":
        return { type: "bid", body: { amount: place + 1 } };
      case "debate turn":
        return { type: "statement", body: { content, position: "reeds" } };
      case "request-reply request":
        return { type: "reply", body: { content } };
      case "supervisor supervise":
        return expects.types.includes("assign")
          ? { type: "assign", body: { to: members[1]!, content: "Build it." } }
          : { type: "finish", body: { content: "done" } };
      case "supervisor work":
        return { type: "report", body: { content } };
      case "gossip spread":
        return { type: "gossip", body: { content: body.content ?? null } };
      case "round-robin turn":
        return { type: "say", body: { content } };
      case "blackboard open":
        return [
          { type: "write", body: { key: own, content } },
          { type: "pass", body: {} },
        ];
      case "publish-subscribe open":
        return place === 0
          ? [
              { type: "publish", body: { content } },
              { type: "done", body: {} },
            ]
          : { type: "done", body: {} };
      default:
        return undefined;
    }
  };
}

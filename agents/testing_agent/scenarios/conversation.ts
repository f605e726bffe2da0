import { equal, includes, refused } from "../expect.ts";
import type { Member, Scenario } from "../scenario.ts";

export const conversation: Scenario = {
  name: "conversation",
  title: "Agents hold a vote: who breaks its rules is refused and shown, who may not take part does not see it",
  async play({ client, unique, join, signal, step }) {
    const [ada, bob, eve] = await Promise.all(["ada", "bob", "eve"].map((who) => join(unique, who)));
    const members = [ada!, bob!, eve!].map(({ name }) => name);

    step("call a vote");
    const body = { protocol: "vote", question: "Where to?", options: ["north", "south"], members, deadline: "1m" };
    const begun = await client.conversations.start(body, { idempotencyKey: unique });
    equal(
      "the same vote, called again",
      (await client.conversations.start(body, { idempotencyKey: unique })).id,
      begun.id,
    );
    const { id } = begun;
    const vote = (member: Member, choice: string, more = {}) =>
      member.conversations.say(id, { type: "vote", body: { choice, ...more } });
    const [call] = (await ada!.data.inbox.read({ wait: 10 }, signal)).messages.filter((one) => one.conversation === id);
    equal("what a member is told", [call?.from.kind, call?.type], ["system", "call"]);

    step("vote, and break the rules");
    await refused("a forged sender", "CONVERSATION_SENDER_FORGED", vote(ada!, "north", { from: bob!.name }));
    await vote(ada!, "south");
    await refused("a second vote", "CONVERSATION_OUT_OF_TURN", vote(ada!, "north"));
    await refused("what is no option", "CONVERSATION_MESSAGE_INVALID", vote(bob!, "up"));
    await vote(bob!, "north");
    const mallory = await join(unique, "mallory");
    await refused("a stranger's vote", "CONVERSATION_NOT_FOUND", vote(mallory, "north"));
    await refused("a stranger's look", "CONVERSATION_NOT_FOUND", mallory.conversations.get(id));
    await vote(eve!, "south");

    step("read the result and the transcript");
    const { status, result } = await client.conversations.end(id, signal);
    equal("how it ended", [status, Object(result).winner], ["completed", "south"]);
    const { data } = await client.conversations.transcript(id);
    const said = data
      .filter(({ from }) => from !== null)
      .map(({ from, type, misbehaviour }) => [from, type, misbehaviour]);
    equal("what was said", said, [
      [ada!.name, "vote", "forging"],
      [ada!.name, "vote", null],
      [ada!.name, "vote", "out_of_turn"],
      [bob!.name, "vote", "malformed"],
      [bob!.name, "vote", null],
      [eve!.name, "vote", null],
    ]);
    includes("the sequence diagram", await client.conversations.draw(id, "mermaid"), "sequenceDiagram");
    await refused("a vote after the end", "CONVERSATION_OVER", vote(eve!, "north"));
  },
};

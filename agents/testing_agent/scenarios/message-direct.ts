import { equal, refused } from "../expect.ts";
import type { Scenario } from "../scenario.ts";

export const messageDirect: Scenario = {
  name: "message-direct",
  title:
    "Messages from one agent to another arrive in order, once, and from whom they are; an inbox waits for its agent",
  async play({ unique, join, step }) {
    const ann = await join(unique, "ann");
    const bob = await join(unique, "bob");
    // Somebody may say something to all agents meanwhile: a conversation tells ours apart.
    const conversation = unique;
    const told = async () =>
      (await bob.data.inbox.read()).messages.filter((message) => message.conversation === conversation);

    step("send three messages, and repeat one whose answer might have been lost");
    const say = (n: number) => ({ to: bob.name, body: { n }, type: "count", conversation, key: `say-${n}` });
    const one = await ann.send([say(1)]);
    await ann.send([say(2), say(3)]);
    const again = await ann.send([say(1)]);
    equal("the answer to the repeated one", again.messages, [{ id: one.messages[0]!.id, repeated: true }]);

    step("read the inbox");
    const messages = await told();
    const bodies = messages.map(({ body }) => body);
    equal("the bodies in the inbox", bodies, [{ n: 1 }, { n: 2 }, { n: 3 }]);
    const { id, from, to, type } = messages[0]!;
    const expected = { id: one.messages[0]!.id, from: { kind: "agent", name: ann.name }, to: bob.name, type: "count" };
    equal("the envelope", { id, from, to, type }, expected);

    step("acknowledge two of them");
    const ids = messages.slice(0, 2).map((message) => message.id);
    equal("how many are acknowledged", (await bob.data.inbox.acknowledge(ids)).acknowledged, 2);
    equal("how many of them are left to acknowledge", (await bob.data.inbox.acknowledge(ids)).acknowledged, 0);
    equal("what is left in the inbox", await told(), messages.slice(2));

    step("write to somebody who is not there yet");
    const later = `${unique}-carol`;
    await refused("what has to arrive", "AGENT_NOT_FOUND", ann.send([{ to: later, body: "hello", must_route: true }]));
    await ann.send([{ to: later, body: "welcome", conversation, ttl: "1m" }]);
    const carol = await join(unique, "carol");
    const kept = (await carol.data.inbox.read()).messages.filter((message) => message.conversation === conversation);
    equal(
      "what has waited for her",
      kept.map(({ body }) => body),
      ["welcome"],
    );

    step("look into somebody else's inbox");
    await refused("another's inbox", "AGENT_NOT_FOUND", ann.api.agentData(bob.name).inbox.read());
  },
};

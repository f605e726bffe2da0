import { equal, isTrue } from "../expect.ts";
import type { Member, Scenario } from "../scenario.ts";

export const messageBroadcast: Scenario = {
  name: "message-broadcast",
  title: "What is said to all comes once to every agent that is there, under one id",
  async play({ unique, join, step }) {
    const ann = await join(unique, "ann");
    const others = await Promise.all(["bob", "carol"].map((who) => join(unique, who)));
    const heard = async (member: Member) =>
      (await member.data.inbox.read()).messages.filter((message) => message.conversation === unique);

    step("speak to all");
    // Agents that have nothing to do with this hear it, too: it is soon gone.
    const said = await ann.send([{ to: { broadcast: true }, body: "south!", conversation: unique, ttl: "30s" }]);
    const { id, recipients = 0 } = said.messages[0]!;
    isTrue("at least two inboxes have it", recipients >= 2, said);

    step("read the inboxes");
    for (const member of others) {
      const messages = await heard(member);
      equal(
        "what is in an inbox",
        messages.map((message) => [message.id, message.body, message.to]),
        [[id, "south!", { broadcast: true }]],
      );
    }
    equal("what the speaker hears of itself", await heard(ann), []);

    step("come later");
    equal("what comes to who was not there", await heard(await join(unique, "dave")), []);
  },
};

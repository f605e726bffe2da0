import { equal } from "../expect.ts";
import type { Member, Scenario } from "../scenario.ts";

export const messageTopic: Scenario = {
  name: "message-topic",
  title: "What is said to a topic comes to all that are subscribed to it, and to nobody else",
  async play({ unique, join, step }) {
    const [ann, bob, carol, dave] = await Promise.all(["ann", "bob", "carol", "dave"].map((who) => join(unique, who)));
    const topic = unique;
    const heard = async (member: Member) =>
      (await member.data.inbox.read()).messages.filter((message) => message.conversation === unique);

    step("subscribe three agents, one of which speaks");
    for (const member of [ann!, bob!, carol!]) await member.data.subscriptions.add(topic);
    const { data } = await bob!.data.subscriptions.list();
    const topics = data.map((subscription) => subscription.topic);
    equal("the topics of one of them", topics, [topic]);

    step("speak");
    const said = await ann!.send([{ to: { topic }, body: "honk", conversation: unique }]);
    equal("who has it", said.messages[0], { id: said.messages[0]!.id, repeated: false, recipients: 2, missed: 0 });
    for (const member of [bob!, carol!]) {
      const [message] = await heard(member);
      const { id, from, to, body } = message ?? {};
      equal(
        "what is in an inbox",
        { id, from, to, body },
        { id: said.messages[0]!.id, from: { kind: "agent", name: ann!.name }, to: { topic }, body: "honk" },
      );
    }
    equal("what the speaker hears of itself", await heard(ann!), []);
    equal("what comes to who is not subscribed", await heard(dave!), []);

    step("end a subscription");
    await carol!.data.subscriptions.remove(topic);
    const rest = await ann!.send([{ to: { topic }, body: "honk again", conversation: unique }]);
    equal("how many hear it now", rest.messages[0]?.recipients, 1);
    equal("how many messages the others have", [(await heard(bob!)).length, (await heard(carol!)).length], [2, 1]);
  },
};

import { equal, refused } from "../expect.ts";
import type { Member, Scenario } from "../scenario.ts";

export const requestReply: Scenario = {
  name: "request-reply",
  title: "A question is answered with its reply, or when its deadline passes with the news that none has come",
  async play({ unique, join, signal, step }) {
    const asker = await join(unique, "asker");
    const clerk = await join(unique, "clerk");
    const ask = (deadline: string) =>
      asker.request({ to: clerk.name, body: { sum: [2, 3] }, type: "sum", conversation: unique, deadline }, signal);

    step("ask, and be replied to");
    const [reply] = await Promise.all([ask("30s"), answer(clerk, unique)]);
    equal("the reply", reply.body, 5);
    equal("who has replied", reply.from, { kind: "agent", name: clerk.name });

    step("ask, and hear nothing until the deadline");
    await refused("silence", "NO_REPLY", ask("1s"));

    step("look for what is left in the asker's inbox");
    const { messages } = await asker.data.inbox.read();
    const left = messages.filter((message) => message.conversation === unique);
    equal("what is left, as all has been acknowledged", left, []);
  },
};

async function answer(clerk: Member, conversation: string): Promise<void> {
  for (;;) {
    const { messages } = await clerk.data.inbox.read({ wait: 5 });
    const question = messages.find((message) => message.conversation === conversation);
    // Somebody said something else to all.
    if (messages.length > 0 && !question) await clerk.data.inbox.acknowledge(messages.map(({ id }) => id));
    if (!question) continue;
    const { sum } = question.body as { sum: number[] };
    const to = question.from.name;
    await clerk.send([{ to, body: sum.reduce((a, b) => a + b), reply_to: question.id, conversation }]);
    await clerk.data.inbox.acknowledge([question.id]);
    return;
  }
}

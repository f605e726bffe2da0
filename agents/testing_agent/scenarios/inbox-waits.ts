import type { MessageBody } from "../../../core/protocol/agent-data.ts";
import { equal } from "../expect.ts";
import type { Member, Scenario } from "../scenario.ts";
import { nextOf } from "../streams.ts";

export const inboxWaits: Scenario = {
  name: "inbox-waits",
  title: "Whoever waits at an inbox, by long-poll or on a stream, is given a message as soon as it is sent",
  async play({ unique, join, signal, step }) {
    const ann = await join(unique, "ann");
    const bob = await join(unique, "bob");
    const say = (body: string) => ann.send([{ to: bob.name, body, conversation: unique }]);
    const isOurs = (message: MessageBody): message is MessageBody => message.conversation === unique;

    step("wait by long-poll, and only then send");
    const polled = poll(bob, isOurs, signal);
    await say("first");
    const first = await polled;
    equal("what the long-poll answers", first.body, "first");

    step("open a stream, which begins with what is not acknowledged");
    const stream = bob.data.inbox.stream(signal);
    equal("what the stream begins with", (await nextOf(stream, isOurs)).id, first.id);

    step("send while the stream is open");
    const bodies = ["second", "third", "fourth"];
    for (const body of bodies) await say(body);
    for (const body of bodies) equal("what the stream tells next", (await nextOf(stream, isOurs)).body, body);

    step("acknowledge, and open another stream");
    const { messages } = await bob.data.inbox.read();
    await bob.data.inbox.acknowledge(messages.map(({ id }) => id));
    const other = bob.data.inbox.stream(signal);
    await say("fifth");
    equal("what the new stream begins with", (await nextOf(other, isOurs)).body, "fifth");
  },
};

/** Seconds of one long-poll. */
const WAIT_SECONDS = 20;

/** The first of them; others are acknowledged, else the next long-poll would not wait. */
async function poll(
  member: Member,
  isOurs: (message: MessageBody) => boolean,
  signal: AbortSignal,
): Promise<MessageBody> {
  for (;;) {
    const { messages } = await member.data.inbox.read({ wait: WAIT_SECONDS }, signal);
    const ours = messages.find(isOurs);
    if (ours) return ours;
    if (messages.length > 0) await member.data.inbox.acknowledge(messages.map(({ id }) => id));
  }
}

/**
 * Publish and subscribe by topic (Eugster, Felber, Guerraoui and Kermarrec, "The many faces of publish/subscribe", 2003): what
 * is published goes to whoever subscribes to its topic, and neither side knows the other. Everybody does both, unless the
 * roles `publisher` and `subscriber` part them; everybody gets everything, until it says what it wants. A round is over when
 * every publisher is done, and the last is the one in which nothing was published.
 */
import { z } from "zod";
import type { Json } from "../json.ts";
import { ask, beginRound, conclude, type Floor, type Protocol, present, presentBut } from "./floor.ts";
import { bodyOf, content } from "./message.ts";

type Publication = { member: string; topic: string; content: Json; receivers: number };
type Inner = { publications: Publication[]; subscriptions: { member: string; topics: string[] }[]; isQuiet: boolean };

const topicName = z.string().min(1).max(128);
const DEFAULT_TOPIC = "main";

export const publishSubscribe: Protocol<unknown, Inner> = {
  roles: ["publisher", "subscriber"],
  fewestMembers: 2,
  rounds: 1,
  options: {},
  messages: {
    publish: {
      body: bodyOf({ topic: topicName.default(DEFAULT_TOPIC), content }),
      keepsFloor: true,
      audience: (floor, { from, body }) => subscribersOf(floor, (body as Named).topic).filter((name) => name !== from),
    },
    subscribe: { body: bodyOf({ topics: z.array(topicName).max(100) }), keepsFloor: true },
    done: { body: bodyOf({}) },
  },
  flaw(_, members) {
    const isAll = (role: string) => members.every((member) => member.role === role);
    if (isAll("subscriber")) return "has nobody to publish: all members have the role `subscriber`";
    return isAll("publisher") ? "has nobody to publish to: all members have the role `publisher`" : undefined;
  },
  inner: () => ({ publications: [], subscriptions: [], isQuiet: true }),
  begin: open,
  hear(floor, { from, type, body }) {
    const { inner } = floor.state;
    if (type === "subscribe") {
      const others = inner.subscriptions.filter(({ member }) => member !== from);
      inner.subscriptions = [...others, { member: from, topics: (body as { topics: string[] }).topics }];
    }
    if (type !== "publish") return;
    const { topic, content } = body as Named;
    const receivers = subscribersOf(floor, topic).filter((name) => name !== from).length;
    inner.publications.push({ member: from, topic, content, receivers });
    inner.isQuiet = false;
  },
  proceed(floor) {
    const { inner } = floor.state;
    if (inner.isQuiet || presentBut(floor, "subscriber").length === 0) conclude(floor, "protocol");
    else if (beginRound(floor)) {
      inner.isQuiet = true;
      open(floor);
    }
  },
  conclusion({ state: { inner } }) {
    const { publications } = inner;
    return publications.length > 0 ? { result: { publications } } : { failure: "nothing_published", partial: null };
  },
};

type Named = { topic: string; content: Json };

/** Nobody is hurried: publishers have the floor until they are done, or the conversation ends. */
function open(floor: Floor<unknown, Inner>): void {
  const publishers = presentBut(floor, "subscriber");
  const listeners = present(floor, "subscriber");
  const reads = new Set(presentBut(floor, "publisher"));
  ask(floor, listeners, { type: "open", answers: ["subscribe"], isOptional: true, forMs: null });
  const both = publishers.filter((name) => reads.has(name));
  const only = publishers.filter((name) => !reads.has(name));
  ask(floor, both, { type: "open", answers: ["publish", "subscribe", "done"], forMs: null });
  ask(floor, only, { type: "open", answers: ["publish", "done"], forMs: null });
}

/** `news.*` is every topic that begins with `news.`, and `*` is every topic. */
function subscribersOf(floor: Floor<unknown, Inner>, topic: string): string[] {
  const { subscriptions } = floor.state.inner;
  const matches = (pattern: string) =>
    pattern.endsWith("*") ? topic.startsWith(pattern.slice(0, -1)) : pattern === topic;
  return presentBut(floor, "publisher").filter((name) => {
    const { topics = ["*"] } = subscriptions.find(({ member }) => member === name) ?? {};
    return topics.some(matches);
  });
}

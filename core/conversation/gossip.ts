/**
 * Gossip (Demers and others, "Epidemic algorithms for replicated database maintenance", 1987): rumour mongering. In each round
 * everybody who knows the rumour and is still interested tells it to `fanout` others, drawn by lot; who has told it in vain,
 * to somebody who knew it, `stop_after` times loses interest. Whoever has the role `source`, or else the first member, knows
 * it at the beginning. It ends when all know it, or nobody is interested; what is measured then is the paper's residue (the
 * share that never heard it), traffic (messages a member) and the rounds it took. What each has heard first is kept, as
 * a member may tell something else than it was told.
 */
import { z } from "zod";
import type { Json } from "../json.ts";
import { ask, beginRound, conclude, draw, type Floor, type Protocol, present } from "./floor.ts";
import { bodyOf, content } from "./message.ts";
import { MAX_MEMBERS } from "./parameters.ts";
import type { Heard } from "./state.ts";

const MAX_FANOUT = 10;

type Options = { fanout: number; stop_after: number };
type Knower = { member: string; content: Json; since: number; inVain: number };
type Inner = {
  knowers: Knower[];
  /** Whom each is to tell in this round. */
  partners: { member: string; tells: string[] }[];
  told: number;
};
type Gossip = Floor<Options, Inner>;

export const gossip: Protocol<Options, Inner> = {
  roles: ["source"],
  fewestMembers: 2,
  rounds: 20,
  options: {
    fanout: z.int().min(1).max(MAX_FANOUT).default(1).meta({ description: "How many others each tells in a round" }),
    stop_after: z
      .int()
      .min(1)
      .max(MAX_MEMBERS)
      .default(2)
      .meta({ description: "So often in vain, and it loses interest" }),
  },
  messages: {
    gossip: {
      body: bodyOf({ content }),
      audience: (floor, message) => partnersOf(floor, message).filter((name) => present(floor).includes(name)),
    },
  },
  flaw(_, members) {
    const sources = members.filter(({ role }) => role === "source").length;
    return sources === members.length ? "has nobody to tell: all members have the role `source`" : undefined;
  },
  inner({ members, topic }) {
    const sources = members.filter(({ role }) => role === "source");
    const first = sources.length > 0 ? sources : members.slice(0, 1);
    const knowers = first.map(({ name }) => ({ member: name, content: topic, since: 0, inVain: 0 }));
    return { knowers, partners: [], told: 0 };
  },
  begin: spread,
  hear(floor, message) {
    const { inner, round } = floor.state;
    const { content } = message.body as { content: Json };
    const teller = knowerOf(inner, message.from)!;
    for (const name of partnersOf(floor, message).filter((partner) => present(floor).includes(partner))) {
      inner.told += 1;
      const known = knowerOf(inner, name);
      if (known) teller.inVain += 1;
      else inner.knowers.push({ member: name, content, since: round, inVain: 0 });
    }
  },
  proceed(floor) {
    const isKnown = present(floor).every((name) => knowerOf(floor.state.inner, name));
    if (isKnown || interested(floor).length === 0) conclude(floor, "protocol");
    else if (beginRound(floor)) spread(floor);
  },
  conclusion({ state }) {
    const { inner, members, round } = state;
    const heard = inner.knowers.map(({ member, content, since }) => ({ member, content, round: since }));
    const measured = {
      rounds: round,
      residue: (members.length - heard.length) / members.length,
      traffic: inner.told / members.length,
    };
    const result = { heard, ...measured };
    return inner.told > 0 ? { result, told: measured } : { failure: "not_spread", partial: result };
  },
};

function interested(floor: Gossip): string[] {
  const { inner, options } = floor.state;
  return present(floor).filter((name) => (knowerOf(inner, name)?.inVain ?? options.stop_after) < options.stop_after);
}

function spread(floor: Gossip): void {
  const { inner, options } = floor.state;
  inner.partners = interested(floor).map((member) => {
    const others = present(floor).filter((name) => name !== member);
    return { member, tells: draw(floor, others, options.fanout) };
  });
  for (const { member, tells } of inner.partners) {
    const body = { content: knowerOf(inner, member)!.content, tells };
    ask(floor, [member], { type: "spread", body, answers: ["gossip"] });
  }
}

function partnersOf({ state: { inner } }: Gossip, { from }: Heard): string[] {
  return inner.partners.find(({ member }) => member === from)?.tells ?? [];
}

function knowerOf({ knowers }: Inner, name: string): Knower | undefined {
  return knowers.find(({ member }) => member === name);
}

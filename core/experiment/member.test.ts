import { describe, expect, it } from "vitest";
import type { Json } from "../json.ts";
import { type BehaviourSpec, behaviourNames, behaviourOf, type FailureKind, failures } from "./behaviour.ts";
import { decisionIn } from "./decision.ts";
import { hear } from "./member.ts";
import { type Act, beginMind, type Incoming, type Mind } from "./mind.ts";

const options = ["yes", "no", "perhaps"];
const team = ["ada", "bob", "eve"];

function mindOf(spec: BehaviourSpec, random = 1, name = "ada"): Mind {
  return beginMind({ name, team, options, truth: "yes", behaviour: behaviourOf(spec), failure: null, random });
}

let seq = 0;
/** Asked by the conversation at time 0, with a second to answer. */
function ask(type: string, types: string[], body: Json = {}): Incoming {
  seq += 1;
  return { seq, at: 0, from: null, type, body, expects: { types, by: 1_000 } };
}

function told(from: string | null, type: string, body: Json): Incoming {
  seq += 1;
  return { seq, at: 0, from, type, body, expects: null };
}

function frozen<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    for (const child of Object.values(value)) frozen(child);
    Object.freeze(value);
  }
  return value;
}

/** One message after the other; what the mind is then, and what it did at last. The minds that are given are frozen. */
function through(mind: Mind, ...messages: Incoming[]): { mind: Mind; acts: Act[] } {
  let reaction: { mind: Mind; acts: Act[] } = { mind, acts: [] };
  for (const message of messages) reaction = hear(frozen(reaction.mind), frozen(message));
  expect(JSON.parse(JSON.stringify(reaction))).toEqual(reaction);
  return reaction;
}

const said = (acts: readonly Act[]) => acts.map((act) => (act.act === "say" ? [act.type, act.body] : act.act));

const targetOf = ([act]: readonly Act[]) => (act?.act === "say" ? act.body.to : undefined);

describe("members", () => {
  it.each<[asked: string, Incoming, expected: unknown]>([
    ["a request", ask("request", ["reply", "refuse"]), [["reply", { content: "yes" }]]],
    [
      "to publish",
      ask("open", ["publish", "subscribe", "done"]),
      [
        ["publish", { content: "yes" }],
        ["done", {}],
      ],
    ],
    ["to subscribe", ask("open", ["subscribe"]), [["subscribe", { topics: ["*"] }]]],
    ["to bid a cost", ask("call", ["bid", "decline"]), [["bid", { cost: 4 }]]],
    [
      "whom to award",
      ask("choose", ["award"], {
        bids: [
          { member: "bob", cost: 3 },
          { member: "eve", cost: 2 },
        ],
      }),
      [["award", { to: "eve" }]],
    ],
    ["to do the work", ask("award", ["result", "failure"]), [["result", { content: "yes" }]]],
    ["to state", ask("turn", ["statement"]), [["statement", { content: "yes", position: "yes" }]]],
    ["to judge", ask("judge", ["verdict"]), [["verdict", { content: "yes" }]]],
    ["to vote", ask("call", ["vote", "abstain"], { method: "majority", options }), [["vote", { choice: "yes" }]]],
    [
      "to vote on what is left",
      ask("call", ["vote", "abstain"], { method: "majority", options: ["no"] }),
      [["vote", { choice: "no" }]],
    ],
    [
      "to write",
      ask("open", ["write", "pass"]),
      [
        ["write", { key: "ada", content: "yes", revision: 0 }],
        ["pass", {}],
      ],
    ],
    ["to speak", ask("turn", ["say", "pass"]), [["say", { content: "yes" }]]],
    ["to work", ask("work", ["report", "hand_off"]), [["report", { content: "yes" }]]],
    [
      "to spread",
      ask("spread", ["gossip"], { content: "Who leads?", tells: ["bob"] }),
      [["gossip", { content: "yes" }]],
    ],
    ["to bid by the second price", ask("call", ["bid", "pass"], { price: "second" }), [["bid", { amount: 96 }]]],
    ["to bid by the first price", ask("call", ["bid", "pass"], { price: "first" }), [["bid", { amount: 64 }]]],
    ["to raise", ask("call", ["bid", "pass"], { price: "second", least: 96 }), [["bid", { amount: 96 }]]],
    ["to raise beyond what it is worth", ask("call", ["bid", "pass"], { price: "second", least: 97 }), [["pass", {}]]],
    ["to finish only", ask("supervise", ["finish"], { workers: ["bob"] }), [["finish", { content: "I do not know" }]]],
    ["what means nothing to them", ask("sing", ["song"]), []],
  ])("asked %s answer", (_, message, expected) => {
    const { acts } = through(mindOf({ kind: "honest", cost: 4 }), message);
    const withoutUsage = acts.map((act) => {
      if (act.act === "work") return act;
      const { usage: _usage, ...body } = act.body;
      return { ...act, body };
    });
    expect(said(withoutUsage)).toEqual(expected);
    for (const { afterMs } of acts) expect(afterMs).toBeGreaterThan(0);
  });

  it("tell what their work costs, and think and work as long as they are made to", () => {
    const spec = { kind: "honest", cost: 2.5, think: "10ms", work: "90ms" } as const;
    expect(through(mindOf(spec), ask("request", ["reply"])).acts).toEqual([
      { act: "say", afterMs: 100, type: "reply", body: { content: "yes", usage: { cost: 2.5 } }, cost: 2.5 },
    ]);
    expect(through(mindOf(spec), ask("call", ["vote"], { method: "majority" })).acts).toMatchObject([
      { afterMs: 10, cost: 0 },
    ]);
  });

  it("make nothing of a message that comes again", () => {
    const message = ask("request", ["reply"]);
    const first = through(mindOf("honest"), message);
    const again = through(first.mind, message);
    expect(again).toEqual({ mind: first.mind, acts: [] });
  });

  it("with a skill of nothing fail, refuse, or hand on; and do the work after all when they cannot", () => {
    const mind = mindOf({ kind: "worker", skill: 0 });
    expect(said(through(mind, ask("award", ["result", "failure"])).acts)[0]![0]).toBe("failure");
    expect(said(through(mind, ask("request", ["reply", "refuse"])).acts)).toEqual([["refuse", {}]]);
    const handedOn = through(mind, ask("work", ["report", "hand_off"]));
    expect(said(handedOn.acts)[0]![0]).toBe("hand_off");
    expect(["bob", "eve"]).toContain(targetOf(handedOn.acts));
    const refused = told(null, "refused", { type: "hand_off", reason: "malformed" });
    expect(said(through(handedOn.mind, refused).acts)[0]![0]).toBe("report");
  });

  it("that supervise assign to who has had nothing, and finish with what most have reported", () => {
    const supervise = () => ask("supervise", ["assign", "finish"], { workers: ["bob", "eve"] });
    const first = through(mindOf({ kind: "supervisor", reports: 3 }), supervise());
    const second = through(first.mind, told("bob", "report", { content: "no" }), supervise());
    const targets = [first, second].map(({ acts }) => targetOf(acts));
    expect(targets.toSorted()).toEqual(["bob", "eve"]);
    // There is nobody left to ask for a third.
    const last = through(second.mind, told("eve", "report", { content: "no" }), supervise());
    expect(said(last.acts)).toEqual([["finish", { content: "no" }]]);
  });

  it("are persuaded by the majority as likely as they are made to be", () => {
    const heard = [
      told("bob", "statement", { content: "no", position: "no" }),
      told("eve", "statement", { content: "no", position: "no" }),
    ];
    const heldAfter = (persuasion: number, random: number) =>
      through(mindOf({ kind: "debater", position: "yes", persuasion }, random), ...heard, ask("turn", ["statement"]))
        .mind.position;
    const seeds = Array.from({ length: 400 }, (_, index) => index * 7_919);
    expect(new Set(seeds.map((random) => heldAfter(0, random)))).toEqual(new Set(["yes"]));
    expect(new Set(seeds.map((random) => heldAfter(1, random)))).toEqual(new Set(["no"]));
    expect(seeds.filter((random) => heldAfter(0.3, random) === "no").length / seeds.length).toBeCloseTo(0.3, 1);
  });

  it("that know nothing believe what they hear first, and others do not at once", () => {
    const rumour = told("bob", "gossip", { content: "perhaps" });
    expect(mindOf("gossiper").position).toBeNull();
    expect(said(through(mindOf("gossiper"), ask("call", ["vote", "abstain"])).acts)).toEqual([["abstain", {}]]);
    expect(through(mindOf("gossiper"), rumour).mind.position).toBe("perhaps");
    expect(through(mindOf("honest"), rumour).mind.position).toBe("yes");
  });

  it("know the truth as likely as they are made to", () => {
    const seeds = Array.from({ length: 1_000 }, (_, index) => index * 104_729);
    const right = seeds.filter((random) => mindOf({ kind: "debater", knows: 0.7 }, random).position === "yes");
    expect(right.length / seeds.length).toBeCloseTo(0.7, 1);
  });

  it("rank the options they prefer first, and the others in any order", () => {
    const { ranking, position } = mindOf({ kind: "voter", preference: ["perhaps", "no"] });
    expect([position, ranking]).toEqual(["perhaps", ["perhaps", "no", "yes"]]);
    const ballot = ask("call", ["vote", "abstain"], { method: "ranked", options });
    expect(said(through(mindOf({ kind: "voter", preference: ["no"] }), ballot).acts)[0]![0]).toBe("vote");
  });

  it("that judge go by what most have stated, whoever told them", () => {
    const heard = ["bob", "eve"].map((member) => told(null, "heard", { member, content: "So it is", position: "no" }));
    const stated = ["bob", "eve"].map((member) => told(member, "statement", { content: "So it is", position: "no" }));
    for (const messages of [heard, stated]) {
      const { acts } = through(mindOf("honest"), ...messages, ask("judge", ["verdict"]));
      expect(said(acts)).toEqual([["verdict", { content: "no", winner: "bob" }]]);
    }
  });

  it("are bound by what a judge or a supervisor says, and liars are not", () => {
    for (const type of ["verdict", "finish"]) {
      expect(through(mindOf("honest"), told("bob", type, { content: "no" })).mind.position).toBe("no");
      expect(through(mindOf("honest"), told("bob", type, { content: "rubbish" })).mind.position).toBe("yes");
      expect(through(mindOf("liar"), told("bob", type, { content: "no" })).mind.position).toBe("yes");
    }
  });

  it("think over what they have heard when it ends without a decision", () => {
    const heard = ["bob", "eve"].map((member) => told(member, "say", { content: "no" }));
    const ended = told(null, "ended", { status: "completed", ended_by: "rounds" });
    const positionAfter = (persuasion: number) =>
      through(mindOf({ kind: "honest", persuasion }), ...heard, ended).mind.position;
    expect([positionAfter(0), positionAfter(1)]).toEqual(["yes", "no"]);
  });

  it("take over what was decided, and do the work that they have won", () => {
    const ended = (result: Json) => told(null, "ended", { status: "completed", result });
    expect(through(mindOf("honest"), ended({ winner: "no" })).mind.position).toBe("no");
    expect(through(mindOf("liar"), ended({ winner: "no" })).mind.position).toBe("yes");
    expect(said(through(mindOf("honest"), ended({ winner: "ada", price: 3 })).acts)).toEqual(["work"]);
    expect(through(mindOf("honest"), ended({ winner: "bob", price: 3 })).acts).toEqual([]);
    expect(through(mindOf("honest"), told(null, "ended", { status: "failed", error: {} })).mind.position).toBe("yes");
  });
});

describe("members that fail", () => {
  const request = () => ask("request", ["reply", "refuse"]);
  const acts: Record<FailureKind, (acts: Act[]) => void> = {
    liar: (done) => expect(said(done)).not.toEqual([["reply", { content: "yes", usage: { cost: 1 } }]]),
    silent: (done) => expect(done).toEqual([]),
    flooder: (done) => expect(done).toHaveLength(120),
    late: ([act]) => expect(act!.afterMs).toBe(2_000),
    interrupter: (done) => expect(said(done)).toEqual([said(done)[0], said(done)[0]]),
    forger: (done) => expect(done).toMatchObject([{ type: "reply", body: { content: "yes", from: "bob" } }]),
    crasher: (done) => expect(done).toHaveLength(1),
  };

  it.each(failures)("as %s do so by behaviour and by fault alike", (kind) => {
    acts[kind](through(mindOf(kind), request()).acts);
    const behaviour = behaviourOf("honest");
    const failing = beginMind({ name: "ada", team, options, truth: "yes", behaviour, failure: { kind }, random: 1 });
    acts[kind](through(failing, request()).acts);
  });

  it("lie in everything: what they say, what they bid, what they judge", () => {
    const liar = mindOf({ kind: "liar", cost: 10 });
    expect(options.slice(1)).toContain(liar.lie);
    const { lie } = liar;
    expect(said(through(liar, ask("call", ["vote"], { method: "majority", options })).acts)).toEqual([
      ["vote", { choice: lie }],
    ]);
    expect(said(through(liar, ask("call", ["bid", "decline"])).acts)).toEqual([["bid", { cost: 1 }]]);
    expect(said(through(liar, ask("call", ["bid", "pass"], { price: "second" })).acts)).toEqual([
      ["bid", { amount: 180 }],
    ]);
    expect(said(through(liar, ask("judge", ["verdict"])).acts)).toEqual([["verdict", { content: lie }]]);
    expect(said(through(liar, ask("spread", ["gossip"], { content: "yes" })).acts)).toEqual([
      ["gossip", { content: lie }],
    ]);
  });

  it("draw nothing else by it: the team is the same with and without", () => {
    const behaviour = behaviourOf("bidder");
    for (const kind of failures) {
      const [sound, failing] = [null, { kind }].map((failure) =>
        beginMind({ name: "ada", team, options, truth: "yes", behaviour, failure, random: 99 }),
      );
      expect({ ...failing, failure: null }).toEqual(sound);
    }
  });
});

describe("decisionIn", () => {
  it.each<[{ [key: string]: Json }, string | null]>([
    [{ winner: "no", counts: [] }, "no"],
    [{ position: "yes", statements: [] }, "yes"],
    [{ position: "yes", verdict: { member: "eve", winner: "bob", content: "no" } }, "no"],
    [{ content: "perhaps", reports: [] }, "perhaps"],
    [{ content: "rubbish" }, null],
    [{ winner: "no", price: 3, bids: [] }, null],
    [
      {
        replies: [
          { member: "a", content: "no" },
          { member: "b", content: "no" },
          { member: "c", content: "yes" },
        ],
      },
      "no",
    ],
    [
      {
        replies: [
          { member: "a", content: "no" },
          { member: "b", content: "yes" },
        ],
      },
      null,
    ],
    [
      {
        contributions: [
          { member: "a", content: "no" },
          { member: "a", content: "yes" },
          { member: "b", content: "yes" },
        ],
      },
      "yes",
    ],
    [{ board: [{ member: "a", content: "no", key: "a", revision: 1 }] }, "no"],
    [{ heard: [{ member: "a", content: "yes" }] }, null],
    [{}, null],
  ])("of %j is %s", (result, decision) => {
    expect(decisionIn(result, options)).toBe(decision);
  });
});

it("every behaviour is there by name", () => {
  expect(behaviourNames).toEqual([
    "honest",
    "bidder",
    "debater",
    "voter",
    "gossiper",
    "supervisor",
    "worker",
    ...failures,
  ]);
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { requireLawful, ticksFrom } from "./conversation/explore.suite.ts";
import { nextDeadline } from "./conversation/floor.ts";
import { MAX_BODY_BYTES } from "./conversation/message.ts";
import { MAX_MEMBERS, MAX_TOPIC_BYTES } from "./conversation/parameters.ts";
import { eventOf, linesOf, type Move, play, START, start, step } from "./conversation/play.suite.ts";
import { type ProtocolName, protocolNames } from "./conversation/state.ts";
import {
  advance,
  type ConversationEvent,
  type ConversationState,
  conversationSchema,
  protocols,
  readConversation,
  refusalError,
  refusalOf,
  startConversation,
} from "./conversation.ts";
import { SkeinError } from "./errors.ts";
import type { Json, JsonObject } from "./json.ts";

const team = { protocol: "round-robin", topic: "geese", members: ["a", "b"] };

function flawsOf(value: unknown): string[] {
  try {
    readConversation(value);
    return [];
  } catch (error) {
    const { code, issues } = error as SkeinError;
    expect(code).toBe("CONVERSATION_INVALID");
    return issues.map(({ message }) => message);
  }
}

describe("readConversation", () => {
  it.each(protocolNames)("needs a topic and members, and nothing else, for %s", (protocol) => {
    const parameters = { protocol, topic: "geese", members: ["a", "b", "c"] };
    expect(flawsOf(parameters)).toEqual([]);
    expect(conversationSchema.safeParse(parameters).success).toBe(true);
    expect(start(parameters).state).toMatchObject({
      protocol,
      status: "open",
      topic: "geese",
      seq: expect.any(Number),
    });
  });

  it("lets a team change its protocol by one word, with its roles and weights", () => {
    const roles = [...new Set(protocolNames.flatMap((name) => protocols[name].roles))];
    const members = ["a", "b", "c"].map((name, index) => ({
      name,
      role: index === 0 ? "judge" : undefined,
      weight: 2,
    }));
    for (const role of roles) {
      const others = [{ name: "x", role }, ...members.slice(1)].map((member) => JSON.parse(JSON.stringify(member)));
      for (const protocol of protocolNames) {
        expect([
          protocol,
          role,
          flawsOf({ protocol, question: "?", members: others, rounds: 3, budget: { cost: 1 } }),
        ]).toEqual([protocol, role, []]);
      }
    }
  });

  it.each<[string, unknown, string[]]>([
    ["no object", [], ["The conversation must be an object."]],
    [
      "no protocol",
      { topic: "x", members: ["a"] },
      [expect.stringMatching(/^\/protocol must be one of request-reply, .*, auction\.$/)],
    ],
    ["a slip in the protocol", { ...team, protocol: "debat" }, [expect.stringMatching(/Did you mean "debate"\?$/)]],
    ["no topic and no members", { protocol: "vote" }, ["/members must be a list."]],
    [
      "no topic",
      { protocol: "vote", members: ["a"] },
      ["/topic is missing: say what it is about, as `topic`, `question` or `task`."],
    ],
    ["two topics", { ...team, task: "x" }, ["/task stands beside `topic`, which is the same; give one of them."]],
    ["a slip in a key", { ...team, round: 2 }, ['/round is not a key that this has. Did you mean "rounds"?']],
    ["a key of another protocol", { ...team, quorum: 2 }, ["/quorum is not a key that this has. Remove it."]],
    ["a member twice", { ...team, members: ["a", { name: "a" }] }, ["/members/1 is a member already; name each once."]],
    [
      "no such role",
      { ...team, members: [{ name: "a", role: "boss" }] },
      [expect.stringMatching(/^\/members\/0\/role must be one of judge, manager, /)],
    ],
    [
      "a weight of nothing",
      { ...team, members: [{ name: "a", weight: 0 }] },
      ["/members/0/weight must be more than 0."],
    ],
    ["nobody", { ...team, members: [] }, ["/members must be at least 1 for round-robin."]],
    [
      "a crowd",
      { ...team, members: Array.from({ length: MAX_MEMBERS + 1 }, (_, i) => `a${i}`) },
      ["/members must have at most 100 items."],
    ],
    ["too few", { ...team, protocol: "debate", members: ["a"] }, ["/members must be at least 2 for debate."]],
    ["rounds without number", { ...team, rounds: "many" }, ["/rounds must be a number."]],
    ["no round", { ...team, rounds: 0 }, ["/rounds must be at least 1."]],
    [
      "no duration",
      { ...team, deadline: "soon" },
      [expect.stringMatching(/^\/deadline "soon" is not a duration; write /)],
    ],
    [
      "a budget of nothing",
      { ...team, budget: { messages: 0, tokens: 0 } },
      ["/budget/messages must be at least 1.", "/budget/tokens must be more than 0."],
    ],
    [
      "what cannot be stored",
      { ...team, topic: "\u0000" },
      [expect.stringMatching(/^\/topic contains the character U\+0000/)],
    ],
    [
      "a topic that is too long",
      { ...team, topic: "x".repeat(MAX_TOPIC_BYTES) },
      ["/topic must have at most 8 KiB as JSON."],
    ],
    [
      "names that are too long together",
      { ...team, members: Array.from({ length: 100 }, (_, i) => `${"\u{1fabf}".repeat(60)}${i}`) },
      ["/members must have names of at most 16 KiB together."],
    ],
    [
      "an option that is too long",
      { ...team, protocol: "vote", options: ["x".repeat(255)] },
      ["/options/0 must have at most 256 bytes as JSON."],
    ],
    [
      "two judges",
      { ...team, protocol: "debate", members: ["a", "b", { name: "c", role: "judge" }, { name: "d", role: "judge" }] },
      ["The conversation has several members with the role `judge`; one judges."],
    ],
    [
      "a quorum beyond the team",
      { ...team, protocol: "vote", quorum: 3 },
      ["The conversation wants 3 of 2 members to vote; want fewer."],
    ],
    [
      "more replies than members",
      { ...team, protocol: "request-reply", replies: 3 },
      ["The conversation wants 3 replies of 2 members that are asked; want fewer."],
    ],
    ["an option twice", { ...team, protocol: "vote", options: ["x", "x"] }, ["/options must have each option once."]],
  ])("says what is wrong with %s", (_, value, flaws) => {
    expect(flawsOf(value)).toEqual(flaws);
  });
});

describe("what binds every conversation", () => {
  const say = (member: string, usage?: Json): Move => [
    member,
    "say",
    usage === undefined ? { content: "x" } : { content: "x", usage },
  ];

  it.each<[string, object, Move[], string]>([
    ["messages", { messages: 2 }, [say("a"), say("b")], "budget"],
    ["bytes", { bytes: 30 }, [say("a"), say("b")], "budget"],
    ["tokens", { tokens: 100 }, [say("a", { tokens: 60 }), say("b", { tokens: 40 })], "budget"],
    ["cost", { cost: 0.5 }, [say("a", { cost: 0.2, tokens: 1e9 }), say("b", { cost: 0.4 })], "budget"],
  ])("is a budget of %s", (_, budget, moves, endedBy) => {
    expect(play({ ...team, budget }, moves.slice(0, -1)).state.status).toBe("open");
    const { state, transcript } = play({ ...team, budget }, moves);
    expect(state.outcome).toMatchObject({ status: "completed", endedBy, result: { contributions: [{}, {}] } });
    // Nobody is given the floor for nothing.
    expect(linesOf(transcript).slice(-2)).toEqual(["b > a: say", "* > a, b: ended"]);
  });

  it("a budget, that lets the last message be what it was waited for", () => {
    const vote = { protocol: "vote", topic: "?", members: ["a", "b"], budget: { messages: 2 } };
    const { state } = play(vote, [
      ["a", "vote", { choice: "x" }],
      ["b", "vote", { choice: "x" }],
    ]);
    expect(state.outcome).toMatchObject({ status: "completed", endedBy: "protocol" });
  });

  it("a budget, that does not count what was refused", () => {
    const { state } = play({ ...team, budget: { messages: 1, tokens: 1 } }, [
      ["b", "say", { content: 1, usage: { tokens: 5 } }],
      ["a", "say", { usage: { tokens: 5 } }],
    ]);
    expect(state).toMatchObject({ status: "open", spent: { messages: 0, tokens: 0 } });
  });

  it("the deadline, whoever is waited for", () => {
    const { state, transcript } = play({ ...team, deadline: "90s" }, [say("a"), "tick", "tick"]);
    expect(state.outcome).toMatchObject({ status: "completed", endedBy: "deadline" });
    expect(transcript.map(({ at }) => at - START)).toEqual([0, 0, 0, 60_000, 60_000, 90_000, 90_000]);
  });

  it("time, which whatever happens brings along: a tick may be late, early, twice, or never come", () => {
    const late = play(team, [{ wait: 61_000 }, say("b")]);
    expect(linesOf(late.transcript)).toEqual(["* > a: turn", "a silent", "* > b: turn", "b > a: say", "* > a: turn"]);
    const overslept = play(team, [{ wait: 3_600_000 }, say("b")]);
    expect(linesOf(overslept.transcript)).toEqual(["* > a: turn", "a silent", "* > a, b: ended"]);

    const { state } = start(team);
    const early = step(state, { event: "tick", at: START + 59_999 });
    expect(early.effects).toEqual([]);
    expect(early.state).toEqual({ ...state, at: START + 59_999 });
    const backwards = step(early.state, { event: "tick", at: START });
    expect(backwards).toEqual({ state: early.state, effects: [] });
  });

  it("asks for a tick whenever the next deadline is another, and for none when it is over", () => {
    const { effects } = play({ ...team, rounds: 1 }, [{ wait: 1_000 }, say("a"), "tick"]);
    expect(effects.filter(({ effect }) => effect === "deadline")).toEqual([
      { effect: "deadline", at: START + 60_000 },
      { effect: "deadline", at: START + 61_000 },
      { effect: "deadline", at: null },
    ]);
  });

  it("tells what is expected of those who have the floor, and until when", () => {
    const [turn] = start({ ...team, deadline: "30s" }).effects;
    expect(turn).toEqual({
      effect: "message",
      seq: 1,
      at: START,
      id: null,
      from: null,
      to: ["a"],
      type: "turn",
      body: { topic: "geese", round: 1 },
      expects: { types: ["say", "pass"], by: START + 30_000 },
    });
  });

  it("can be cancelled, once, and tells everybody", () => {
    const { state, effects } = play(team, [{ cancel: "No more geese" }, { cancel: "Again" }, "tick", { left: "a" }]);
    expect(state.outcome).toEqual({ status: "cancelled", reason: "No more geese" });
    expect(effects.slice(2)).toMatchObject([
      { effect: "message", type: "ended", to: ["a", "b"], body: { status: "cancelled", reason: "No more geese" } },
      { effect: "ended", outcome: { status: "cancelled" } },
      { effect: "deadline", at: null },
    ]);
  });

  it("ends when nobody is left", () => {
    const { state, transcript } = play(team, [
      say("a"),
      { left: "a" },
      { left: "a" },
      { left: "nobody" },
      { left: "b" },
    ]);
    expect(linesOf(transcript).slice(3)).toEqual(["a > *: left", "b > *: left", "* > *: ended"]);
    expect(state.outcome).toMatchObject({ status: "completed", endedBy: "members" });
  });
});

describe("refusalOf", () => {
  it("is the error that the sender gets, and nothing for what was taken", () => {
    const { state } = start(team);
    const event = (from: string): ConversationEvent & { event: "message" } => ({
      event: "message",
      at: START,
      id: "m",
      from,
      type: "say",
      body: { content: "x" },
    });
    const refused = refusalOf(advance(state, event("b")).effects, event("b"))!;
    expect(refused).toMatchObject({ reason: "out_of_turn", code: "CONVERSATION_OUT_OF_TURN" });
    const error = refusalError(refused);
    expect(error).toBeInstanceOf(SkeinError);
    expect([error.code, error.message]).toEqual([
      "CONVERSATION_OUT_OF_TURN",
      '"b" does not have the floor for "say"; it is told when it has it.',
    ]);
    expect(refusalOf(advance(state, event("a")).effects, event("a"))).toBeUndefined();
  });
});

describe("any conversation, whatever happens in it", () => {
  const names = ["a", "b", "c"];
  const text = fc.oneof(fc.string(), fc.constantFrom("__proto__", "a", "b", "<b>", "\u0000", "\ud800", "%%{init}%%"));
  /** What may be said somewhere, what may not, and anything. */
  const bodies = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.constantFrom<Json>(
        { content: "x" },
        {},
        { cost: 2, content: 1 },
        { to: "b", content: 1 },
        { to: "a" },
      ),
    },
    {
      weight: 4,
      arbitrary: fc.constantFrom<Json>(
        { choice: "x" },
        { ranking: ["x", "y"] },
        { amount: 3 },
        { amount: 9 },
        { key: "k", content: 1 },
      ),
    },
    {
      weight: 2,
      arbitrary: fc.constantFrom<Json>(
        { content: "x", from: "b" },
        { content: "x", round: 1 },
        { content: "x", usage: { tokens: 1, cost: 1e12 } },
      ),
    },
    { weight: 1, arbitrary: fc.jsonValue() as fc.Arbitrary<Json> },
    { weight: 1, arbitrary: fc.record({ content: text, from: text }) as fc.Arbitrary<Json> },
  );
  const allTypes = [...new Set(protocolNames.flatMap((name) => Object.keys(protocols[name].messages)))];
  const events = fc.record({
    kind: fc.oneof(
      { weight: 12, arbitrary: fc.constant("right") },
      { weight: 6, arbitrary: fc.constant("message") },
      { weight: 3, arbitrary: fc.constant("tick") },
      { weight: 1, arbitrary: fc.constantFrom("left", "cancelled") },
    ),
    who: fc.constantFrom(...names, ...names, ...names, "stranger"),
    type: fc.oneof(fc.constantFrom(...allTypes), text),
    body: bodies.map((body) => JSON.parse(JSON.stringify(body)) as Json),
    id: fc.nat(200),
    wait: fc.constantFrom(0, 0, 0, 1, 1_000, 59_999, 60_000, 200_000, -5),
    pick: fc.nat(),
  });
  const teams = fc.record({
    roles: fc.constantFrom(
      [null, null, null],
      ["judge", null, null],
      [null, "manager", null],
      ["source", null, "supervisor"],
      ["requester", null, null],
      ["publisher", "subscriber", null],
    ),
    rounds: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
    max_strikes: fc.integer({ min: 1, max: 6 }),
    flood_limit: fc.integer({ min: 1, max: 12 }),
    budget: fc.constantFrom({}, { messages: 4 }, { bytes: 60 }, { tokens: 2 }, { cost: 3 }),
    deadline: fc.constantFrom("10m", "30d"),
    seed: fc.nat(1_000),
  });

  type Happening = typeof events extends fc.Arbitrary<infer T> ? T : never;

  function eventFor(
    { kind, who, type, body, id, pick }: Happening,
    state: ConversationState,
    at: number,
  ): ConversationEvent {
    if (kind === "tick") return { event: "tick", at: nextDeadline(state) ?? at };
    if (kind === "left") return { event: "left", at, member: who };
    if (kind === "cancelled") return { event: "cancelled", at, reason: "enough" };
    const turn = kind === "right" ? state.awaited[pick % Math.max(1, state.awaited.length)] : undefined;
    const [from, said] = turn ? [turn.member, turn.types[pick % turn.types.length]!] : [who, type];
    return { event: "message", at, id: `m${id}`, from, type: said, body };
  }

  /** All of it, from the beginning. */
  function act(parameters: object, happenings: readonly Happening[]) {
    let { state, effects } = start(parameters);
    const all = [...effects];
    let at = START;
    for (const happening of happenings) {
      at += happening.wait;
      const event = eventFor(happening, state, at);
      const after = step(state, event);
      const isRepeated = after.effects.some(({ effect }) => effect === "repeated");
      if (!isRepeated) requireLawful(state, event, after);
      ({ state, effects } = after);
      all.push(...effects);
    }
    return { state, all };
  }

  it.each(protocolNames)("%s keeps the rules, ends within a number of ticks, and is the same again", (protocol) => {
    const property = fc.property(
      teams,
      fc.array(events, { maxLength: 60 }),
      ({ roles, rounds, ...terms }, happenings) => {
        const members = names.map((name, index) => (roles[index] === null ? { name } : { name, role: roles[index] }));
        const parameters = { protocol, topic: "geese", members, ...(rounds !== undefined && { rounds }), ...terms };
        const { state, all } = act(parameters, happenings);
        // At worst every member is silent in every turn of every round, and each turn takes a minute of the time there is.
        const minutes = terms.deadline === "10m" ? 10 : Number.POSITIVE_INFINITY;
        const turns = state.terms.rounds * (names.length + 1) + 2 * names.length;
        expect(ticksFrom(state)).toBeLessThanOrEqual(Math.min(turns, minutes));
        expect(all.filter(({ effect }) => effect === "ended")).toHaveLength(state.status === "open" ? 0 : 1);
        expect(JSON.stringify(act(parameters, happenings))).toBe(JSON.stringify({ state, all }));
      },
    );
    fc.assert(property, { numRuns: 150 });
  });

  it("is decided by the first deadline after its end at the latest, however much is said", () => {
    for (const protocol of protocolNames) {
      let { state } = startConversation(readConversation({ protocol, topic: "geese", members: names }), { at: START });
      const after = advance(state, eventOf(["a", "say", { content: "x" }], state, state.endsAt, "m"));
      state = after.state;
      expect([protocol, state.status === "open"]).toEqual([protocol, false]);
    }
  });
});

describe("messages of the conversation", () => {
  /** That of an agent may have 64 KiB, and an envelope is around it. */
  const LARGEST = 60 * 1_024;
  const wide = "\u{1fabf}";
  const members = Array.from({ length: MAX_MEMBERS }, (_, index) => wide.repeat(38) + String(index).padStart(4, "0"));
  const content = "y".repeat(MAX_BODY_BYTES - 5_120);
  /** The largest that may be said; `index` makes it another each time. */
  const bodyOf = (protocol: ProtocolName, type: string, index: number): JsonObject => {
    if (protocol === "auction") return { amount: index };
    if (type === "vote") return { choice: wide.repeat(62) + String(index).padStart(4, "0") };
    if (type === "bid") return { cost: 1, content };
    if (type === "award") return { to: members[1]! };
    if (type === "assign") return { to: members[(index % 98) + 1]!, content };
    if (type === "write") return { key: `k${index}`, content };
    return type === "statement" ? { content, position: wide.repeat(512) } : { content };
  };
  const wordy: [ProtocolName, object][] = [
    ...protocolNames.map((protocol): [ProtocolName, object] => [protocol, {}]),
    ["debate", { order: "at_once" }],
    ["gossip", { fanout: 10 }],
  ];

  it.each(wordy)("are never large, however much is said in %s %j", (protocol, more) => {
    const role = protocols[protocol].roles.find((name) => name === "judge" || name === "manager");
    const team = members.map((name, index) => (index === 0 && role ? { name, role } : name));
    const budget = { messages: 150, bytes: 8 * 1_024 ** 2 };
    let { state, effects } = start({
      protocol,
      topic: "x".repeat(MAX_TOPIC_BYTES - 2),
      members: team,
      budget,
      ...more,
    });
    const sizes: number[] = [];
    const measure = () => {
      for (const effect of effects) {
        if (effect.effect === "message") sizes.push(Buffer.byteLength(JSON.stringify(effect.body)));
      }
    };
    for (let index = 0; state.status === "open"; index++) {
      measure();
      const { member, types } = state.awaited[index % state.awaited.length]!;
      const said = bodyOf(protocol, types[0]!, index);
      ({ state, effects } = advance(state, eventOf([member, types[0]!, said], state, state.at, `m${index}`)));
      expect(refusalOf(effects, { id: `m${index}`, from: member })).toBeUndefined();
    }
    measure();
    expect(Math.max(...sizes)).toBeGreaterThan(MAX_TOPIC_BYTES);
    expect(Math.max(...sizes)).toBeLessThan(LARGEST);
  });
});

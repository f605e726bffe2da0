import { describe, expect, it } from "vitest";
import { SkeinError } from "../errors.ts";
import { type Experiment, parseExperiment, withSeeds } from "./experiment.ts";

const least = {
  name: "least",
  question: "Who leads?",
  team: { members: [{ name: "ada" }, { name: "bob" }] },
  matrix: { protocol: "vote" },
};

const parse = (value: unknown): Experiment => parseExperiment(JSON.stringify(value));

function refusalOf(read: () => unknown): SkeinError {
  try {
    read();
  } catch (error) {
    if (error instanceof SkeinError) return error;
    throw error;
  }
  throw new Error("It was not refused.");
}

describe("parseExperiment", () => {
  it("fills in what is not said", () => {
    const { cells, ...rest } = parse(least);
    expect(rest).toEqual({
      name: "least",
      description: "",
      notes: "",
      question: "Who leads?",
      options: ["yes", "no"],
      truth: "yes",
      seeds: [1],
      repetitions: 10,
    });
    expect(cells).toHaveLength(1);
    expect(cells[0]).toMatchObject({ number: 1, protocol: "vote", policy: "default", teamSize: 2, faultsName: "none" });
    expect(cells[0]!.faults).toEqual({ loss: 0, duplication: 0, reordering: 0, delay: "10ms", members: [] });
    expect(cells[0]!.parameters).toMatchObject({ protocol: "vote", topic: "Who leads?", options: ["yes", "no"] });
    expect(cells[0]!.team.map(({ name, behaviour }) => [name, behaviour.name])).toEqual([
      ["ada", "honest"],
      ["bob", "honest"],
    ]);
  });

  it("has a cell for each protocol with each of its policies, team size and fault profile, in this order", () => {
    const { cells } = parse({
      ...least,
      faults: { lossy: { loss: 0.1 } },
      matrix: {
        protocol: ["debate", "vote", "gossip"],
        policy: { debate: [{ order: "in_turn" }, { order: "at_once", rounds: 3 }], auction: { price: "first" } },
        team_size: [2, 5],
        faults: ["none", "lossy"],
      },
    });
    expect(cells.map((cell) => `${cell.protocol} ${cell.policy} ${cell.teamSize} ${cell.faultsName}`)).toEqual(
      ["debate order=in_turn", "debate order=at_once, rounds=3", "vote default", "gossip default"].flatMap((kind) =>
        ["2 none", "2 lossy", "5 none", "5 lossy"].map((rest) => `${kind} ${rest}`),
      ),
    );
    expect(cells.map(({ number }) => number)).toEqual(cells.map((_, index) => index + 1));
    expect(cells[4]!.parameters).toMatchObject({ order: "at_once", rounds: 3 });
  });

  it("changes its protocol by one field, whatever the behaviours, roles and terms", () => {
    const file = {
      ...least,
      terms: { turn_deadline: "2s", rounds: 3 },
      team: {
        members: [
          { name: "lead", role: "manager", behaviour: "supervisor" },
          { name: "ada", behaviour: { kind: "bidder", cost: 3 }, weight: 2 },
          { name: "bob", behaviour: "voter" },
        ],
      },
    };
    for (const protocol of ["contract-net", "vote", "debate", "auction", "gossip", "supervisor", "blackboard"]) {
      const { cells } = parse({ ...file, matrix: { protocol } });
      expect(cells[0]!.parameters).toMatchObject({ protocol, turn_deadline: "2s", rounds: 3 });
    }
  });

  it("makes larger teams of those without a role, in turn, and smaller ones of the first", () => {
    const names = (team_size: number, members: unknown[]) =>
      parse({ ...least, team: { members }, matrix: { protocol: "vote", team_size } }).cells[0]!.team.map(
        ({ name, role }) => `${name}${role ? ` (${role})` : ""}`,
      );
    const members = [{ name: "eve", role: "judge" }, { name: "ada" }, { name: "bob" }];
    expect(names(2, members)).toEqual(["eve (judge)", "ada"]);
    expect(names(7, members)).toEqual(["eve (judge)", "ada", "bob", "ada-2", "bob-2", "ada-3", "bob-3"]);
    expect(names(3, [{ name: "eve", role: "judge" }])).toEqual(["eve (judge)", "eve-2", "eve-3"]);
  });

  it("takes other seeds and repetitions, within the same bounds", () => {
    const experiment = parse(least);
    expect(withSeeds(experiment, {})).toEqual(experiment);
    expect(withSeeds(experiment, { seed: [7, 8, 7], repetitions: 3 })).toMatchObject({ seeds: [7, 8], repetitions: 3 });
    expect(refusalOf(() => withSeeds(experiment, { seed: [...Array(30).keys()], repetitions: 1_000 })).code).toBe(
      "EXPERIMENT_TOO_LARGE",
    );
  });
});

const matrix = (more: object) => ({ ...least, matrix: { ...least.matrix, ...more } });
const member = (behaviour: unknown) => ({ ...least, team: { members: [{ name: "ada", behaviour }, { name: "bob" }] } });
const faults = (profile: unknown) => ({ ...least, faults: { bad: profile } });

describe("a bad file", () => {
  it.each<[what: string, file: unknown, pointer: string, message: RegExp | string]>([
    ["is a list", [], "", "The experiment must be an object."],
    ["has no name", { ...least, name: undefined }, "/name", /must be a text/],
    ["has a name that is no folder", { ...least, name: "../x" }, "/name", /lower-case letters/],
    ["has a key that means nothing", { ...least, matrx: 1 }, "/matrx", /Did you mean "matrix"\?/],
    ["has one option", { ...least, options: ["a"] }, "/options", /at least 2 items/],
    ["has an option twice", { ...least, options: ["a", "a"] }, "/options", /each option once/],
    ["has a truth that is no option", { ...least, truth: "yess" }, "/truth", /Did you mean "yes"\?/],
    ["has no members", { ...least, team: { members: [] } }, "/team/members", /at least 1 item/],
    [
      "names a member twice",
      { ...least, team: { members: [{ name: "a" }, { name: "a" }] } },
      "/team/members/1",
      /each once/,
    ],
    [
      "has a role nobody knows",
      { ...least, team: { members: [{ name: "a", role: "king" }] } },
      "/team/members/0/role",
      /one of/,
    ],
    ["has a behaviour nobody has", member("honst"), "/team/members/0/behaviour", /must be one of honest/],
    [
      "has a behaviour with a stray trait",
      member({ kind: "liar", colour: 1 }),
      "/team/members/0/behaviour/colour",
      /not a key/,
    ],
    ["has a trait out of bounds", member({ kind: "honest", knows: 2 }), "/team/members/0/behaviour/knows", /at most 1/],
    [
      "has a cost the wrong way round",
      member({ kind: "bidder", cost: { min: 2, max: 1 } }),
      "/team/members/0/behaviour/cost",
      /`min`/,
    ],
    [
      "has a position that is no option",
      member({ kind: "voter", position: "maybe" }),
      "/team/members/0/behaviour/position",
      /Add it to \/options/,
    ],
    [
      "prefers what is no option",
      member({ kind: "voter", preference: ["no", "nope"] }),
      "/team/members/0/behaviour/preference/1",
      /Did you mean "no"\?/,
    ],
    ["has an unknown protocol", matrix({ protocol: "votes" }), "/matrix/protocol", /must be one of request-reply/],
    ["has an unknown protocol in a list", matrix({ protocol: ["vote", "x"] }), "/matrix/protocol/1", /must be one of/],
    ["has a protocol twice", matrix({ protocol: ["vote", "vote"] }), "/matrix/protocol/1", /twice/],
    ["has a seed twice", matrix({ seed: [3, 4, 3] }), "/matrix/seed/2", /twice/],
    ["has no repetitions", matrix({ repetitions: 0 }), "/matrix/repetitions", /at least 1/],
    ["has a team of none", matrix({ team_size: [2, 0] }), "/matrix/team_size/1", /at least 1/],
    [
      "has a team too small for its protocol",
      matrix({ protocol: "debate", team_size: 1 }),
      "/team/members",
      /at least 2 for debate/,
    ],
    [
      "has a policy with a stray parameter",
      matrix({ policy: { vote: { metod: "ranked" } } }),
      "/matrix/policy/vote/metod",
      /Did you mean "method"\?/,
    ],
    [
      "has a policy with a wrong value",
      matrix({ policy: { vote: [{}, { method: "x" }] } }),
      "/matrix/policy/vote/1/method",
      /majority/,
    ],
    [
      "has a wrong policy of what is not played",
      matrix({ policy: { auction: { prize: "x" } } }),
      "/matrix/policy/auction/prize",
      /Did you mean "price"\?/,
    ],
    [
      "sets the members in a policy",
      matrix({ policy: { vote: { members: ["x"] } } }),
      "/matrix/policy/vote/members",
      /set by the experiment itself/,
    ],
    ["has a policy of no protocol", matrix({ policy: { votes: {} } }), "/matrix/policy/votes", /./],
    [
      "has terms that are none",
      { ...least, terms: { turn_deadline: "soon" } },
      "/terms/turn_deadline",
      /is not a duration/,
    ],
    ["has unknown terms", { ...least, terms: { turns: 3 } }, "/terms/turns", /not a key/],
    [
      "names faults that are not there",
      matrix({ faults: ["none", "lossy"] }),
      "/matrix/faults/1",
      /Describe it in \/faults/,
    ],
    ["has a probability above one", faults({ loss: 1.5 }), "/faults/bad/loss", /at most 1/],
    ["has a delay that is none", faults({ delay: "fast" }), "/faults/bad/delay", /is not a duration/],
    [
      "has a distribution nobody knows",
      faults({ delay: { distribution: "pareto" } }),
      "/faults/bad/delay/distribution",
      /uniform, exponential or normal/,
    ],
    [
      "has a distribution without its mean",
      faults({ delay: { distribution: "exponential" } }),
      "/faults/bad/delay/mean",
      /must be a text/,
    ],
    [
      "has a failure of nobody",
      faults({ members: [{ kind: "liar" }] }),
      "/faults/bad/members/0",
      /one of `member`, `count` and `share`/,
    ],
    [
      "has a failure of somebody else",
      faults({ members: [{ kind: "liar", member: "bab" }] }),
      "/faults/bad/members/0/member",
      /Did you mean "bob"\?/,
    ],
    [
      "has an unknown failure",
      faults({ members: [{ kind: "thief", count: 1 }] }),
      "/faults/bad/members/0/kind",
      /liar, silent/,
    ],
  ])("that %s is refused", (_, file, pointer, message) => {
    const { code, issues } = refusalOf(() => parse(file));
    expect(code).toBe("EXPERIMENT_INVALID");
    expect(issues.map((issue) => issue.pointer)).toContain(pointer);
    const issue = issues.find((one) => one.pointer === pointer)!;
    if (typeof message === "string") expect(issue.message).toBe(message);
    else expect(issue.message).toMatch(message);
  });

  it.each([
    [
      "cells",
      {
        protocol: ["vote", "debate"],
        team_size: Array.from({ length: 100 }, (_, index) => index + 2).slice(0, 99),
        faults: ["none", "a", "b"],
      },
      /594 cells/,
    ],
    ["conversations", { seed: [...Array(100).keys()], repetitions: 1_000 }, /100,000 conversations/],
    [
      "members",
      { team_size: [3, 100], repetitions: 200 },
      /2,001,800 pairs of members that talk, and at most 2,000,000/,
    ],
  ])("that asks for too many %s is refused before anything runs", (_, more, message) => {
    const error = refusalOf(() => parse({ ...matrix(more), faults: { a: {}, b: {} } }));
    expect(error.code).toBe("EXPERIMENT_TOO_LARGE");
    expect(error.message).toMatch(message);
    expect(error.issues[0]!.pointer).toBe("/matrix");
  });

  it("is refused with all that is wrong, by line and column", () => {
    const text = [
      "name: x",
      "question: Who?",
      "team:",
      "  members:",
      "    - { name: a, role: king }",
      "matrix:",
      "  protocol: [vote, veto]",
      "  seed: -1",
    ].join("\n");
    const { issues, code } = refusalOf(() => parseExperiment(text));
    expect(code).toBe("EXPERIMENT_INVALID");
    expect(issues.map(({ line, column, pointer }) => [line, column, pointer])).toEqual([
      [7, 20, "/matrix/protocol/1"],
      [8, 9, "/matrix/seed"],
    ]);
  });

  it.each([
    ["no YAML", "name: [", "YAML_INVALID"],
    ["a file of a megabyte", `# ${"x".repeat(1_000_000)}`, "EXPERIMENT_TOO_LARGE"],
  ])("that is %s is refused at once", (_, text, code) => {
    expect(refusalOf(() => parseExperiment(text)).code).toBe(code);
  });
});

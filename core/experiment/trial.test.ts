import { describe, expect, it } from "vitest";
import { protocolNames } from "../conversation/state.ts";
import { behaviourNames, failures } from "./behaviour.ts";
import { type Experiment, parseExperiment } from "./experiment.ts";
import { jsonLines } from "./raw-data.ts";
import { simulate, startTrial, type TrialResult } from "./trial.ts";
import { trialsOf } from "./trials.ts";
import { createVirtualBus } from "./virtual-bus.ts";

const base = {
  name: "trial",
  question: "Who leads?",
  options: ["yes", "no", "perhaps"],
  terms: { turn_deadline: "2s", deadline: "1m" },
};

function experimentOf(more: { team?: unknown; matrix: object; faults?: object }): Experiment {
  const team = { members: [{ name: "ada", behaviour: "bidder" }] };
  return parseExperiment(JSON.stringify({ ...base, team, ...more }));
}

const play = (experiment: Experiment): TrialResult[] => trialsOf(experiment).map((trial) => simulate(trial).result);

const total = (results: readonly TrialResult[], pick: (result: TrialResult) => number) =>
  results.reduce((sum, result) => sum + pick(result), 0);

describe("a trial", () => {
  it.each(protocolNames)(
    "under %s comes to an end with every behaviour, and without faults to a good one",
    (protocol) => {
      for (const behaviour of behaviourNames) {
        const members = [
          { name: "ada", behaviour: "honest" },
          { name: "bob", behaviour: behaviour === "flooder" ? { kind: behaviour, copies: 15 } : behaviour },
          { name: "eve", behaviour: "honest" },
        ];
        const matrix = { protocol, repetitions: 4 };
        for (const result of play(experimentOf({ team: { members }, matrix }))) {
          expect(["completed", "failed"]).toContain(result.status);
          expect(result.latency_ms).toBeLessThanOrEqual(61_000);
          if (behaviour === "honest" || behaviour === "bidder") {
            expect(result).toMatchObject({
              success: true,
              refused: 0,
              silent: 0,
              lost: 0,
              failing: [],
              agreement: 1,
              accuracy: 1,
            });
          }
        }
      }
    },
  );

  it.each(protocolNames)("under %s is taken at its word: every message of a sound team is accepted", (protocol) => {
    const members = ["voter", "debater", "bidder", "honest"].map((behaviour, index) => ({
      name: `m${index}`,
      behaviour,
    }));
    const policy = {
      auction: [{}, { price: "first" }],
      debate: [{}, { order: "at_once" }],
      vote: [{}, { method: "ranked" }],
    };
    const results = play(
      experimentOf({ team: { members }, matrix: { protocol, policy, team_size: [4, 7], repetitions: 10 } }),
    );
    expect(total(results, ({ refused }) => refused)).toBe(0);
    expect(total(results, ({ silent }) => silent)).toBe(0);
  });

  it("of an open auction goes on until nobody raises any more: bids that were overtaken are refused, and made anew", () => {
    const members = [5, 3, 9].map((cost, index) => ({ name: `m${index}`, behaviour: { kind: "bidder", cost } }));
    const policy = { auction: { sealed: false, increment: 5 } };
    const results = play(experimentOf({ team: { members }, matrix: { protocol: "auction", policy, repetitions: 10 } }));
    expect(results.map(({ success, ended_by }) => [success, ended_by])).toEqual(results.map(() => [true, "protocol"]));
    expect(total(results, ({ refused }) => refused)).toBeGreaterThan(0);
    // Within the increment of what the next best would give, who wins may be either.
    for (const { cost } of results) expect([3, 5]).toContain(cost);
  });

  it("with roles has them play their part", () => {
    const team = {
      members: [
        { name: "lead", role: "manager" },
        { name: "ada", behaviour: { kind: "bidder", cost: 5 } },
        { name: "bob", behaviour: { kind: "bidder", cost: 3 } },
      ],
    };
    const [net] = play(experimentOf({ team, matrix: { protocol: "contract-net", repetitions: 1 } }));
    // Only the work is paid for, and the cheaper has it; the manager's award is one more message that is accepted.
    expect(net).toMatchObject({ success: true, cost: 3, accepted: 4 });
    const judged = { members: [{ name: "eve", role: "judge" }, { name: "ada" }, { name: "bob" }] };
    const [debate] = play(experimentOf({ team: judged, matrix: { protocol: "debate", repetitions: 1 } }));
    expect(debate).toMatchObject({ success: true, rounds: 2, accepted: 5 });
  });

  it("has the work of an auction done by who won it, and is no success where it is not", () => {
    const members = [5, 3, 9].map((cost, index) => ({ name: `m${index}`, behaviour: { kind: "bidder", cost } }));
    const faults = { crash: { members: [{ member: "m1", kind: "crasher" }] } };
    const [sound, crashed] = play(
      experimentOf({
        team: { members },
        faults,
        matrix: { protocol: "auction", faults: ["none", "crash"], repetitions: 1 },
      }),
    );
    expect(sound).toMatchObject({ status: "completed", success: true, cost: 3 });
    expect(crashed).toMatchObject({ status: "completed", success: false, cost: 0 });
  });

  it("is broken off where it would not end, and says so", () => {
    const experiment = experimentOf({ matrix: { protocol: "vote", team_size: 3, repetitions: 1 } });
    const bus = createVirtualBus();
    const started = startTrial(trialsOf(experiment)[0]!, bus);
    expect(bus.run(3)).toBe(false);
    expect(started.finish(true).result).toMatchObject({ status: "stopped", success: false });
  });
});

describe("the same seed", () => {
  const matrix = {
    protocol: protocolNames,
    team_size: [3, 5],
    faults: ["none", "rough"],
    seed: [1, 2],
    repetitions: 2,
  };
  const faults = {
    rough: {
      loss: 0.1,
      duplication: 0.1,
      reordering: 0.1,
      delay: { distribution: "normal", mean: "30ms", deviation: "20ms" },
      members: [{ share: 0.3, kind: "liar" }],
    },
  };

  it("gives the same JSON Lines to the byte, and the same transcripts", () => {
    const [first, second] = [0, 1].map(() => trialsOf(experimentOf({ matrix, faults })).map(simulate));
    expect(jsonLines(first!.map(({ result }) => result))).toBe(jsonLines(second!.map(({ result }) => result)));
    expect(JSON.stringify(first)).toBe(JSON.stringify(second));
  });

  it("whatever was played before, and in whatever order", () => {
    const trials = trialsOf(experimentOf({ matrix, faults }));
    const forwards = trials.map((trial) => JSON.stringify(simulate(trial)));
    const backwards = trials.toReversed().map((trial) => JSON.stringify(simulate(trial)));
    expect(backwards.toReversed()).toEqual(forwards);
  });

  it("draws the same team in every cell, and another for another seed or repetition", () => {
    const experiment = experimentOf({
      matrix: { protocol: ["contract-net", "auction"], team_size: 4, seed: [1, 2], repetitions: 5 },
    });
    const costs = play(experiment).map(({ cost }) => cost);
    // Without faults both give the work to the cheapest.
    expect(costs.slice(0, 10)).toEqual(costs.slice(10));
    expect(new Set(costs).size).toBe(10);
  });
});

describe("every fault has an effect", () => {
  const repetitions = 20;
  const compare = (profile: object, protocol = "vote", team_size = 5) => {
    const faults = { bad: profile };
    const results = play(
      experimentOf({ faults, matrix: { protocol, team_size, faults: ["none", "bad"], repetitions } }),
    );
    return { sound: results.slice(0, repetitions), bad: results.slice(repetitions) };
  };

  it.each<[what: string, profile: object, effect: (sound: TrialResult[], bad: TrialResult[]) => void]>([
    [
      "loss",
      { loss: 0.3 },
      (_, bad) => {
        expect(total(bad, ({ lost }) => lost)).toBeGreaterThan(0);
        expect(total(bad, ({ silent }) => silent)).toBeGreaterThan(0);
      },
    ],
    [
      "delay",
      { delay: "500ms" },
      (sound, bad) => {
        // There and back.
        const later = bad.map(({ latency_ms }, index) => latency_ms - sound[index]!.latency_ms);
        expect(later).toEqual(later.map(() => 2 * 490));
      },
    ],
    [
      "a delay that is longer than the deadline",
      { delay: "1500ms" },
      (_, bad) => {
        expect(bad.map(({ success }) => success)).not.toContain(true);
        expect(total(bad, ({ silent }) => silent)).toBe(5 * repetitions);
      },
    ],
    [
      "duplication, which changes nothing else",
      { duplication: 1 },
      (sound, bad) => {
        expect(bad.map(({ duplicated, messages }) => [duplicated, messages])).toEqual(
          bad.map(({ messages }) => [messages, messages]),
        );
        const without = ({ duplicated: _, cell: __, faults: ___, ...rest }: TrialResult) => rest;
        expect(bad.map(without)).toEqual(sound.map(without));
      },
    ],
    [
      "reordering",
      { reordering: 0.5 },
      (_, bad) => expect(total(bad, ({ reordered }) => reordered)).toBeGreaterThan(0),
    ],
    [
      "a crash at once",
      { members: [{ count: 3, kind: "crasher", after: 0 }] },
      (_, bad) => {
        expect(bad.map(({ failure, accepted }) => [failure, accepted])).toEqual(bad.map(() => ["no_quorum", 2]));
      },
    ],
    [
      "a crash at a time that is noticed",
      { members: [{ count: 3, kind: "crasher", at: "1ms", noticed_after: "5ms" }] },
      (_, bad) => {
        expect(bad.map(({ silent, failure }) => [silent, failure])).toEqual(bad.map(() => [0, "no_quorum"]));
        for (const { latency_ms } of bad) expect(latency_ms).toBeLessThan(1_000);
      },
    ],
    [
      "liars",
      { members: [{ share: 0.6, kind: "liar" }] },
      (sound, bad) => {
        expect(total(sound, ({ accuracy }) => accuracy!)).toBe(repetitions);
        expect(total(bad, ({ accuracy }) => accuracy!)).toBeLessThan(repetitions);
        expect(new Set(bad.map(({ failing }) => failing.length))).toEqual(new Set([3]));
      },
    ],
    [
      "silent members",
      { members: [{ member: "ada", kind: "silent" }] },
      (_, bad) => expect(bad.map(({ silent, success }) => [silent, success])).toEqual(bad.map(() => [1, true])),
    ],
    [
      "flooders",
      { members: [{ member: "ada", kind: "flooder", copies: 10 }] },
      (sound, bad) =>
        expect(total(bad, ({ messages }) => messages)).toBeGreaterThan(total(sound, ({ messages }) => messages)),
    ],
    [
      "members that interrupt",
      { members: [{ member: "ada", kind: "interrupter" }] },
      (_, bad) => expect(bad.map(({ refused, success }) => [refused, success])).toEqual(bad.map(() => [1, true])),
    ],
    [
      "forgers, who are heard as little as who is silent",
      { members: [{ member: "ada", kind: "forger" }] },
      (_, bad) => expect(bad.map(({ refused, silent }) => [refused, silent])).toEqual(bad.map(() => [1, 1])),
    ],
    [
      "late ones",
      { members: [{ member: "ada", kind: "late", by: "100ms" }] },
      (_, bad) => {
        expect(bad.map(({ silent, refused }) => [silent, refused])).toEqual(bad.map(() => [1, 1]));
      },
    ],
  ])("%s", (_, profile, effect) => {
    const { sound, bad } = compare(profile);
    effect(sound, bad);
  });

  it.each(protocolNames)("under %s, of whatever kind, and none keeps it from ending", (protocol) => {
    const many = { count: 3, copies: 15, after: 0 };
    const profiles = Object.fromEntries([
      ...failures.map((kind) => [kind, { members: [{ ...many, kind }] }]),
      ["lossy", { loss: 0.3 }],
      ["rough", { duplication: 0.4, reordering: 0.4, delay: { distribution: "exponential", mean: "200ms" } }],
    ]);
    const names = ["none", ...Object.keys(profiles)];
    const matrix = { protocol, team_size: 4, faults: names, repetitions: 8 };
    const behaviour = { kind: "debater", knows: 0.8, persuasion: 0.8 };
    const team = { members: [{ name: "ada", behaviour }] };
    const results = play(experimentOf({ team, faults: profiles, matrix }));
    expect(results.map(({ status }) => status)).not.toContain("stopped");
    const told = (name: string) =>
      JSON.stringify(
        results.filter(({ faults }) => faults === name).map(({ cell: _, faults: __, failing: ___, ...rest }) => rest),
      );
    for (const name of names.slice(1)) expect([name, told(name) !== told("none")]).toEqual([name, true]);
  });

  it("falls on whom it names, or on so many by lot, and on nobody twice", () => {
    const members = [
      { member: "ada", kind: "liar" },
      { count: 1, kind: "silent" },
      { share: 0.5, kind: "late" },
    ];
    const { bad } = compare({ members }, "vote", 4);
    for (const { failing } of bad) {
      expect(failing).toContainEqual({ member: "ada", kind: "liar" });
      expect(failing.map(({ kind }) => kind).toSorted()).toEqual(["late", "late", "liar", "silent"]);
      expect(new Set(failing.map(({ member }) => member)).size).toBe(4);
    }
    expect(new Set(bad.map(({ failing }) => failing.find(({ kind }) => kind === "silent")!.member)).size).toBe(3);
    expect(bad[0]).toMatchObject({ agreement: null, accuracy: null });
  });
});

import { describe, expect, it } from "vitest";
import {
  type Applicant,
  admit,
  afterStart,
  areConstant,
  blockOf,
  burstOf,
  flowKeys,
  freeAt,
  type KeyState,
  keyLimits,
  type Rate,
  take,
  unusedKey,
} from "./flow-limits.ts";

const state = (more: Partial<KeyState> = {}): KeyState => ({ ...unusedKey, ...more });
const perSecond = (limit: number): Rate => ({ limit, perMs: 1_000 });
const perMinute = (limit: number): Rate => ({ limit, perMs: 60_000 });
const T0 = 1_700_000_000_000;

describe("the keys of a task", () => {
  it("are those of both constructs, one entry a key", () => {
    expect(keyLimits({ key: "a", limit: 2 }, { key: "b", limit: 5, per: "1s" })).toEqual([
      { key: "a", concurrency: 2 },
      { key: "b", rate: perSecond(5) },
    ]);
    expect(keyLimits({ key: "a" }, { key: "a", limit: 5, per: "1s" })).toEqual([{ key: "a", rate: perSecond(5) }]);
    expect(keyLimits(undefined, undefined)).toEqual([]);
  });

  it("are evaluated to texts", () => {
    const limits = [{ key: "crm-{{ inputs.n }}" }, { key: "{{ inputs.n }}" }, { key: "plain" }];
    expect(areConstant(limits)).toBe(false);
    expect(flowKeys(limits, { inputs: { n: 7 } })).toEqual(["crm-7", "7", "plain"]);
    expect(areConstant([{ key: "plain" }])).toBe(true);
  });

  it.each([[null], [[]], [{}], [""], ["x".repeat(257)], ["a\u0000b"], ["\ud800"]])(
    "are refused when they come to %j",
    (value) => {
      expect(() => flowKeys([{ key: "{{ inputs.v }}" }], { inputs: { v: value } })).toThrow(
        expect.objectContaining({ code: "FLOW_KEY_INVALID" }),
      );
    },
  );

  it.each(["@namespace", "@capability:work", "@acme"])(
    "are refused when they come to %s, which is kept for wholes",
    (v) => {
      expect(() => flowKeys([{ key: "{{ inputs.v }}" }], { inputs: { v } })).toThrow(
        expect.objectContaining({ code: "FLOW_KEY_RESERVED" }),
      );
    },
  );
});

describe("a rate", () => {
  it.each<[Rate, number]>([
    [perMinute(600), 8],
    [perMinute(60), 1],
    [perMinute(1), 1],
    [perSecond(100), 76],
    [perSecond(5), 4],
    [{ limit: 1_000_000, perMs: 1_000 }, 750_001],
  ])("%j may be used %i times at once", (rate, burst) => {
    expect(burstOf(rate)).toBe(burst);
  });

  it.each([perMinute(600), perMinute(37), perSecond(100), perSecond(3), { limit: 7, perMs: 250 }])(
    "of %j is kept within 2 % over a minute, however eagerly it is used, and is used up",
    (rate) => {
      const starts: number[] = [];
      let used: number | null = null;
      // Whoever asks every 7 ms takes all that is free.
      for (let now = T0; now < T0 + 180_000; now += 7) {
        while (freeAt(rate, used) <= now) {
          used = afterStart(rate, used, now);
          starts.push(now);
        }
      }
      const allowed = (rate.limit * 60_000) / rate.perMs;
      for (const from of [0, 13_000, 60_000, 101_000]) {
        const inMinute = starts.filter((at) => at >= T0 + from && at < T0 + from + 60_000).length;
        expect(inMinute).toBeLessThanOrEqual(allowed * 1.013 + 1);
        expect(inMinute).toBeGreaterThanOrEqual(allowed * 0.99 - 1);
      }
    },
  );

  it("saves no more than a burst in a long rest", () => {
    const rate = perMinute(600);
    const burst = burstOf(rate);
    let used: number | null = null;
    for (const at of [T0, T0 + 3_600_000]) {
      for (let n = 0; n < burst; n++) {
        expect(freeAt(rate, used)).toBeLessThanOrEqual(at);
        used = afterStart(rate, used, at);
      }
      expect(freeAt(rate, used)).toBeCloseTo(at + 50, 3);
    }
  });
});

describe("who may start", () => {
  const one = (key: string, concurrency = 1): Applicant => ({ limits: [{ key, concurrency }] });
  const pause = { by: "ann", at: T0, reason: null };

  it.each<[string, Applicant, Record<string, KeyState>, string | undefined]>([
    ["nothing is held", one("a"), {}, undefined],
    ["a place is free", one("a", 2), { a: state({ holders: 1 }) }, undefined],
    ["all places are held", one("a", 2), { a: state({ holders: 2 }) }, "concurrency"],
    ["the namespace allows more", one("a", 2), { a: state({ holders: 2, concurrency: 3 }) }, undefined],
    ["the namespace allows less", one("a", 2), { a: state({ holders: 1, concurrency: 1 }) }, "concurrency"],
    [
      "only the namespace limits it",
      { limits: [{ key: "a" }] },
      { a: state({ holders: 1, concurrency: 1 }) },
      "concurrency",
    ],
    ["nobody limits it", { limits: [{ key: "a" }] }, { a: state({ holders: 99 }) }, undefined],
    [
      "its rate is used up",
      { limits: [{ key: "a", rate: perMinute(1) }] },
      { a: state({ usedUntil: T0 + 751 }) },
      "rate",
    ],
    [
      "its rate is free again",
      { limits: [{ key: "a", rate: perMinute(1) }] },
      { a: state({ usedUntil: T0 + 750 }) },
      undefined,
    ],
    [
      "its second key is held",
      {
        limits: [
          { key: "a", concurrency: 1 },
          { key: "b", concurrency: 1 },
        ],
      },
      { b: state({ holders: 1 }) },
      "concurrency",
    ],
    ["it is paused", one("a", 2), { a: state({ pause }) }, "paused"],
    [
      "its second key is paused, whatever the first says",
      { limits: [{ key: "a", concurrency: 1 }, { key: "b" }] },
      { a: state({ holders: 1 }), b: state({ pause }) },
      "paused",
    ],
    ["another key is paused", one("a", 2), { b: state({ pause }) }, undefined],
  ])("when %s", (_, applicant, states, kind) => {
    expect(blockOf(applicant, new Map(Object.entries(states)), T0)?.kind).toBe(kind);
  });

  it("counts a key once that a task names twice", () => {
    const states = new Map<string, KeyState>();
    take(
      {
        limits: [
          { key: "a", concurrency: 5 },
          { key: "a", rate: perMinute(1) },
        ],
      },
      states,
      T0,
    );
    expect(states.get("a")).toMatchObject({ holders: 1, usedUntil: T0 + 60_000 });
  });

  it("is whoever comes first, as far as places go; who comes after one that waits for the same waits, too", () => {
    const all = [one("a", 2), one("b"), one("a", 2), one("b", 9), one("a", 2), one("c")];
    const { admitted } = admit(all, new Map([["b", state({ holders: 1 })]]), { now: T0, max: 10 });
    expect(admitted.map((applicant) => all.indexOf(applicant))).toEqual([0, 2, 5]);
    expect(admit(all, new Map(), { now: T0, max: 2 }).admitted).toHaveLength(2);
  });

  it("says when to look again for a rate: once a part of a burst is free", () => {
    const rate = perMinute(600);
    const many = Array.from({ length: 30 }, () => ({ limits: [{ key: "a", rate }] }));
    const { admitted, lookAgainAt } = admit(many, new Map(), { now: T0, max: 30 });
    expect(admitted).toHaveLength(8);
    expect(lookAgainAt).toBeCloseTo(T0 + 150, 3);
  });
});

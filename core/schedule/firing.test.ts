import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ticksBetween } from "./calendar.ts";
import { decideTicks, dueAfterChange, dueAt, type FiringTerms, firstDue, type Standing } from "./firing.ts";
import { catchUps, overlaps } from "./policies.ts";

const at = (time: string) => Date.parse(`2026-01-01T${time}Z`);
const terms: FiringTerms = {
  cron: "0 * * * *",
  timezone: "UTC",
  catchUp: "last",
  catchUpLimit: 100,
  overlap: "skip",
  jitterMs: 0,
  seed: "ns nightly",
};
const decide = (own: Partial<FiringTerms>, standing: Partial<Standing>) =>
  decideTicks({ ...terms, ...own }, { next: at("01:00"), now: at("01:00"), isOpen: false, waiting: [], ...standing });
/** `01:00 fired`, `02:00-04:00 missed`. */
const told = ({ ticks }: ReturnType<typeof decide>) =>
  ticks.map(({ at: tick, outcome, until }) => {
    const clock = (ms: number) => new Date(ms).toISOString().slice(11, 16);
    return `${clock(tick)}${until === undefined ? "" : `-${clock(until)}`} ${outcome}`;
  });

describe("a tick", () => {
  it("is fired when it is due, and not before", () => {
    expect(decide({}, { now: at("00:59:59.999") })).toEqual({
      ticks: [],
      cancelsRunning: false,
      next: { tick: at("01:00"), dueAt: at("01:00") },
    });
    expect(decide({}, { now: at("01:00:59") })).toEqual({
      ticks: [{ at: at("01:00"), isBackfill: false, outcome: "fired" }],
      cancelsRunning: false,
      next: { tick: at("02:00"), dueAt: at("02:00") },
    });
  });

  it("of a schedule that has none is not there", () => {
    expect(decide({}, { next: null })).toEqual({ ticks: [], cancelsRunning: false, next: null });
  });

  it("is later by its jitter, each always by the same, and different ones by different ones", () => {
    const jittered = { ...terms, jitterMs: 600_000 };
    const delays = Array.from({ length: 50 }, (_, hour) => {
      const tick = at("00:00") + hour * 3_600_000;
      expect(dueAt(jittered, tick)).toBe(dueAt(jittered, tick));
      return dueAt(jittered, tick) - tick;
    });
    expect(delays.every((delay) => delay >= 0 && delay <= 600_000)).toBe(true);
    expect(new Set(delays).size).toBeGreaterThan(40);
    expect(dueAt({ ...jittered, seed: "ns weekly" }, at("01:00"))).not.toBe(dueAt(jittered, at("01:00")));
    const due = dueAt(jittered, at("01:00"));
    expect(told(decide(jittered, { now: due - 1 }))).toEqual([]);
    expect(told(decide(jittered, { now: due }))).toEqual(["01:00 fired"]);
    expect(firstDue(jittered, at("00:30"))).toEqual({ tick: at("01:00"), dueAt: due });
  });
});

describe("a schedule that is changed", () => {
  const now = at("02:30");
  const on = (own: Partial<FiringTerms>, next: number | null) => dueAfterChange(terms, { ...terms, ...own }, next, now);
  const due = (time: string) => ({ tick: at(time), dueAt: at(time) });

  it.each<[string, Partial<FiringTerms>, number | null, ReturnType<typeof due> | null]>([
    ["keeps its next tick", { overlap: "allow" }, at("03:00"), due("03:00")],
    ["keeps a tick that is due and not decided", { catchUp: "all" }, at("01:00"), due("01:00")],
    ["goes on with the first tick after now by another cron", { cron: "45 * * * *" }, at("03:00"), due("02:45")],
    ["lets go what was due by the old cron", { cron: "45 * * * *" }, at("01:00"), due("02:45")],
    ["begins anew in another zone", { timezone: "Asia/Kolkata", cron: "0 9 * * *" }, at("03:00"), due("03:30")],
    ["has no ticks any more if it had none", { overlap: "queue" }, null, null],
    ["has ticks again by another cron", { cron: "0 5 * * *" }, null, due("05:00")],
  ])("%s", (_, own, next, expected) => {
    expect(on(own, next)).toEqual(expected);
  });

  it("fires its next tick by its new jitter", () => {
    const jittered = { ...terms, jitterMs: 600_000 };
    expect(on({ jitterMs: 600_000 }, at("03:00"))).toEqual({ tick: at("03:00"), dueAt: dueAt(jittered, at("03:00")) });
    expect(dueAfterChange(jittered, terms, at("02:00"), now)).toEqual(due("02:00"));
  });
});

describe("ticks that nobody was there to fire", () => {
  const late = { now: at("05:30") };
  it.each<[string, Partial<FiringTerms>, Partial<Standing>, string[]]>([
    ["are not made up", { catchUp: "none" }, late, ["01:00-05:00 missed"]],
    ["are made up by one", { catchUp: "last" }, late, ["01:00-04:00 missed", "05:00 fired"]],
    [
      "but not beside one that is on time",
      { catchUp: "last" },
      { now: at("05:00:10") },
      ["01:00-04:00 missed", "05:00 fired"],
    ],
    [
      "are made up, each",
      { catchUp: "all", overlap: "allow" },
      late,
      ["01:00 fired", "02:00 fired", "03:00 fired", "04:00 fired", "05:00 fired"],
    ],
    [
      "are made up as far as allowed",
      { catchUp: "all", catchUpLimit: 2, overlap: "allow" },
      late,
      ["01:00-03:00 missed", "04:00 fired", "05:00 fired"],
    ],
    [
      "are made up beside the one on time",
      { catchUp: "all", catchUpLimit: 1, overlap: "allow" },
      { now: at("05:00:10") },
      ["01:00-03:00 missed", "04:00 fired", "05:00 fired"],
    ],
    ["are none within a minute", { catchUp: "none" }, { now: at("01:01") }, ["01:00 fired"]],
    ["are one after a minute", { catchUp: "none" }, { now: at("01:01:00.001") }, ["01:00-01:00 missed"]],
    [
      "would each cancel the one before",
      { catchUp: "all", overlap: "cancel_running" },
      late,
      ["01:00-04:00 missed", "05:00 fired"],
    ],
  ])("%s", (_, own, standing, expected) => {
    expect(told(decide(own, standing))).toEqual(expected);
  });

  it("for a year are passed over at once", () => {
    const year = { now: at("00:00:30") + 365 * 86_400_000 };
    const decision = decide({ cron: "* * * * *", catchUp: "last" }, year);
    expect(decision.ticks.map(({ outcome }) => outcome)).toEqual(["missed", "fired"]);
  });
});

describe("a tick that is due while a run goes on", () => {
  const backfill = { at: at("00:00"), isBackfill: true };
  const live = { at: at("00:00"), isBackfill: false };
  const open = { isOpen: true };
  it.each<[string, FiringTerms["overlap"], Partial<Standing>, string[], boolean?]>([
    ["starts another", "allow", open, ["01:00 fired"]],
    ["is skipped", "skip", open, ["01:00 skipped"]],
    ["waits for it", "queue", open, ["01:00 queued"]],
    ["is skipped if another waits already", "queue", { ...open, waiting: [live] }, ["01:00 skipped"]],
    ["goes before what was asked for later", "queue", { ...open, waiting: [backfill] }, ["01:00 queued"]],
    ["waits behind the one that has waited", "queue", { waiting: [live] }, ["01:00 skipped", "00:00 fired"]],
    ["cancels it", "cancel_running", open, ["01:00 queued"], true],
    [
      "takes the place of the one that waits",
      "cancel_running",
      { ...open, waiting: [live] },
      ["00:00 skipped", "01:00 queued"],
      true,
    ],
    ["takes its place also when it could go", "cancel_running", { waiting: [live] }, ["00:00 skipped", "01:00 fired"]],
    ["is fired before what was asked for later", "skip", { waiting: [backfill] }, ["01:00 fired"]],
  ])("%s", (_, overlap, standing, expected, cancels = false) => {
    const decision = decide({ overlap }, standing);
    expect([told(decision), decision.cancelsRunning]).toEqual([expected, cancels]);
  });

  it("with others: the first is fired, and the policy is for the rest", () => {
    const every = { cron: "* * * * * *", catchUp: "all" as const };
    const three = { next: at("01:00:00"), now: at("01:00:02") };
    const outcomes = (overlap: FiringTerms["overlap"]) =>
      decide({ ...every, overlap }, three).ticks.map((one) => one.outcome);
    expect(outcomes("allow")).toEqual(["fired", "fired", "fired"]);
    expect(outcomes("skip")).toEqual(["fired", "skipped", "skipped"]);
    expect(outcomes("queue")).toEqual(["fired", "queued", "skipped"]);
    expect(outcomes("cancel_running")).toEqual(["skipped", "skipped", "fired"]);
  });

  it.each<[string, FiringTerms["overlap"], Partial<Standing>, string[]]>([
    ["all at once", "allow", {}, ["00:00 fired", "00:30 fired"]],
    ["one after the other", "skip", {}, ["00:00 fired"]],
    ["not while a run goes on", "queue", open, []],
  ])("what waits is fired %s", (_, overlap, standing, expected) => {
    const waiting = [backfill, { ...backfill, at: at("00:30") }];
    expect(told(decide({ overlap }, { now: at("00:45"), waiting, ...standing }))).toEqual(expected);
  });
});

it("every tick is decided once, whatever the policies, however late and however often one looks", () => {
  fc.assert(
    fc.property(
      fc.constantFrom("* * * * *", "*/7 * * * *", "*/10 * * * * *"),
      fc.constantFrom(...catchUps),
      fc.constantFrom(...overlaps),
      fc.integer({ min: 1, max: 5 }),
      fc.constantFrom(0, 5_000, 90_000),
      fc.array(fc.record({ pass: fc.integer({ min: 1, max: 400_000 }), ends: fc.boolean() }), { maxLength: 30 }),
      (cron, catchUp, overlap, catchUpLimit, jitterMs, looks) => {
        const own = { ...terms, cron, catchUp, overlap, catchUpLimit, jitterMs };
        const start = at("00:00:00.500");
        let now = start;
        let next = firstDue(own, now);
        let isOpen = false;
        const waiting = new Map<number, { at: number; isBackfill: boolean }>();
        const decided: number[] = [];
        const look = () => {
          const decision = decideTicks(own, { next: next!.tick, now, isOpen, waiting: [...waiting.values()] });
          for (const tick of decision.ticks) {
            const waited = waiting.delete(tick.at);
            if (tick.outcome === "missed") decided.push(...ticksBetween(own, tick.at, tick.until! + 1, 10_000));
            else if (!waited) decided.push(tick.at);
            if (tick.outcome === "queued") waiting.set(tick.at, tick);
            if (tick.outcome === "fired") {
              // Two at once are for `allow` alone.
              expect(overlap === "allow" || !isOpen).toBe(true);
              isOpen = true;
            }
          }
          next = decision.next;
          return decision.ticks.length > 0;
        };
        for (const { pass, ends } of looks) {
          now += pass;
          if (ends) isOpen = false;
          while (look());
        }
        expect(decided).toEqual(ticksBetween(own, start, next!.tick, 100_000));
      },
    ),
    { seed: 20261127, numRuns: 100 },
  );
});

import { describe, expect, it } from "vitest";
import type { Json } from "./json.ts";
import {
  type ArmedWait,
  armWait,
  asksApproval,
  awaitedSignals,
  type Decision,
  decideWait,
  describeWait,
  readTime,
  type Signal,
} from "./wait.ts";

const START = Date.parse("2026-01-31T12:00:00Z");
const spec = { kind: "wait" as const, timeoutMs: null };

function armed(definition: Json, timeoutMs: number | null = null): ArmedWait {
  const wait = armWait({ ...spec, timeoutMs }, definition, START);
  if ("code" in wait) throw new Error(wait.message);
  return wait;
}

const signal = (name: string, sentAt: number, id = name): Signal => ({ id, name, sentAt, payload: { from: id } });
const decision = (at: number, approved = true): Decision => ({ approved, by: "ann", comment: null, payload: 1, at });

describe("decideWait", () => {
  /** What can have happened by the time 100 ms after the start, each at its own moment. */
  const happenings = ["timer", "signal", "approval"] as const;
  const moments = [undefined, 10, 20, 30];

  it("ends with whatever of several things came first, for every order in which they may come", () => {
    const forms = (timer: number) => ({ any_of: [{ for: `${timer}ms` }, { signal: "s" }, { approval: {} }] });
    let cases = 0;
    for (const timer of [10, 20, 30, 500]) {
      for (const sent of moments) {
        for (const decided of moments) {
          cases++;
          const times = [timer <= 100 ? timer : undefined, sent, decided];
          const first = Math.min(...times.map((time) => time ?? Number.POSITIVE_INFINITY));
          const verdict = decideWait(armed(forms(timer)), {
            now: START + 100,
            signals: sent === undefined ? [] : [signal("s", START + sent)],
            decision: decided === undefined ? null : decision(START + decided),
          });
          if (first === Number.POSITIVE_INFINITY) {
            expect(verdict).toEqual({ type: "open", wakeAt: START + timer });
            continue;
          }
          const index = times.indexOf(first);
          expect(verdict).toMatchObject({ type: "completed", output: { event: happenings[index], index } });
        }
      }
    }
    expect(cases).toBe(64);
  });

  it("takes a signal from before the wait, unless it is transient", () => {
    const early = { now: START + 5, signals: [signal("s", START - 1_000)], decision: null };
    expect(decideWait(armed({ signal: "s" }), early)).toEqual({
      type: "completed",
      output: { event: "signal", index: 0, at: new Date(START).toISOString(), name: "s", payload: { from: "s" } },
      takenSignal: "s",
    });
    expect(decideWait(armed({ signal: "s", transient: true }), early)).toEqual({ type: "open", wakeAt: null });
  });

  it("takes the oldest signal of its name", () => {
    const signals = [signal("t", START + 1), signal("s", START + 2, "older"), signal("s", START + 3, "newer")];
    expect(decideWait(armed({ signal: "s" }), { now: START + 9, signals, decision: null })).toMatchObject({
      takenSignal: "older",
    });
  });

  it.each([
    ["before the timeout", 59_999, undefined, "open"],
    ["after the timeout", 60_000, undefined, "wait_timed_out"],
    ["with a signal that was in time, noticed late", 90_000, 59_999, "completed"],
    ["with a signal that was too late", 90_000, 60_001, "wait_timed_out"],
  ])("%s it is %s", (_, nowMs, sent, outcome) => {
    const signals = sent === undefined ? [] : [signal("s", START + sent)];
    const verdict = decideWait(armed({ signal: "s" }, 60_000), { now: START + nowMs, signals, decision: null });
    expect(verdict.type === "failed" ? verdict.failure.code : verdict.type).toBe(outcome);
  });

  it("fails when a person says no", () => {
    const no = { ...decision(START + 1, false), comment: "too dear" };
    expect(decideWait(armed({ approval: {} }), { now: START + 2, signals: [], decision: no })).toMatchObject({
      type: "failed",
      failure: { code: "rejected", message: "Rejected by ann: too dear", retryable: false },
    });
  });

  it("wakes at the earliest time that makes a difference", () => {
    const nothing = { now: START, signals: [], decision: null };
    expect(decideWait(armed({ any_of: [{ for: "2m" }, { for: "1m" }] }), nothing)).toMatchObject({
      wakeAt: START + 60_000,
    });
    expect(decideWait(armed({ for: "2m" }, 30_000), nothing)).toMatchObject({ wakeAt: START + 30_000 });
    expect(decideWait(armed({ signal: "s" }), nothing)).toMatchObject({ wakeAt: null });
  });
});

describe("armWait", () => {
  it.each([
    [{ for: 5 }, "is not a duration"],
    [{ for: "soon" }, "is not a duration"],
    [{ until: "tomorrow" }, "RFC 3339"],
    [{ until: 5 }, "RFC 3339"],
    [{ signal: 5 }, "no name"],
    [{ signal: "" }, "no name"],
    [{ approval: { assignee: 5 } }, "no text"],
  ])("refuses %j", (definition, words) => {
    expect(armWait(spec, definition, START)).toMatchObject({
      code: "EXPRESSION_TYPE",
      message: expect.stringContaining(words),
    });
  });

  it("names the signals, and whether it asks a person", () => {
    const definition = { any_of: [{ signal: "a" }, { for: "1s" }, { signal: "b" }, { approval: {} }] };
    expect(awaitedSignals(armed(definition))).toEqual(["a", "b"]);
    expect([asksApproval(definition), asksApproval({ for: "1s" }), asksApproval({ approval: {} })]).toEqual([
      true,
      false,
      true,
    ]);
  });
});

it.each([
  ["2026-01-31T12:00:00Z", START],
  ["2026-01-31T13:00:00.000+01:00", START],
  ["2026-01-31 12:00:00Z", undefined],
  ["2026-01-31T12:00:00", undefined],
  ["2026-13-31T12:00:00Z", undefined],
])("readTime(%s) is %s", (text, time) => expect(readTime(text)).toBe(time));

it.each([
  [{ for: "5m" }, "wait for 5m"],
  [{ until: "2027-01-01T00:00:00Z" }, "wait until 2027-01-01T00:00:00Z"],
  [{ any_of: [{ signal: "paid" }, { approval: { assignee: "ann" } }] }, "wait for signal paid or for approval by ann"],
  [{ approval: {} }, "wait for approval"],
])("describeWait(%j) is %s", (definition, text) => expect(describeWait(definition)).toBe(text));

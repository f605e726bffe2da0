import { describe, expect, it } from "vitest";
import { type KeyState, unusedKey } from "./flow-limits.ts";
import { admitRuns, type OnConflict, runLimits } from "./run-admission.ts";

const queued = (id: string, onConflict: OnConflict = "queue", concurrency = 1) => ({
  id,
  onConflict,
  limits: [{ key: "k", concurrency }],
});
const going = (...ids: string[]) => ids.map((id) => ({ id, isEnding: false }));
const states = (holders: number) => new Map<string, KeyState>([["k", { ...unusedKey, holders }]]);
const cancelled = ({ cancel }: ReturnType<typeof admitRuns>) => cancel.map(({ id }) => id);

describe("the limits of a run", () => {
  it("have the workflow's name as their key, unless it says another", () => {
    const concurrency = { limit: 2 };
    expect(runLimits({ name: "w", concurrency }, {}, "r")).toEqual({
      limits: [{ key: "w", concurrency: 2 }],
      onConflict: "queue",
    });
    const keyed = { name: "w", concurrency: { key: "t-{{ inputs.t }}" }, rate: { limit: 1, per: "1m" } };
    expect(runLimits(keyed, { t: 5 }, "r")?.limits).toEqual([
      { key: "t-5" },
      { key: "w", rate: { limit: 1, perMs: 60_000 } },
    ]);
    expect(runLimits({ name: "w" }, {}, "r")).toBeUndefined();
  });
});

describe("runs that wait", () => {
  it("start in their order, as many as there are places", () => {
    const admission = admitRuns([queued("c", "queue", 2), queued("d", "queue", 2)], going("a"), states(1), 0);
    expect(admission).toEqual({ start: ["c"], cancel: [] });
  });

  it("are cancelled where that is asked for, and none that finds a place", () => {
    const admission = admitRuns([queued("b", "cancel_new"), queued("c", "cancel_new")], going("a"), states(1), 0);
    expect(cancelled(admission)).toEqual(["b", "c"]);
    expect(admitRuns([queued("b", "cancel_new")], [], states(0), 0)).toEqual({ start: ["b"], cancel: [] });
  });

  it("have the oldest cancelled for them, and only the newest are kept", () => {
    expect(cancelled(admitRuns([queued("b", "cancel_running")], going("a"), states(1), 0))).toEqual(["a"]);
    const several = [queued("c", "cancel_running"), queued("d", "cancel_running")];
    expect(cancelled(admitRuns(several, going("a", "b"), states(2), 0))).toEqual(["a", "b", "c"]);
    const two = [queued("c", "cancel_running", 2)];
    expect(cancelled(admitRuns(two, going("a", "b"), states(2), 0))).toEqual(["a"]);
  });

  it("do not have cancelled again what is ending already", () => {
    const ending = [{ id: "a", isEnding: true }];
    expect(admitRuns([queued("b", "cancel_running")], ending, states(1), 0)).toEqual({ start: [], cancel: [] });
  });

  it.each(["queue", "cancel_new", "cancel_running"] as const)("wait for a resume, with %s", (onConflict) => {
    const pause = { by: "ann", at: 0, reason: null };
    const paused = new Map<string, KeyState>([["k", { ...unusedKey, holders: 1, pause }]]);
    expect(admitRuns([queued("b", onConflict)], going("a"), paused, 0)).toEqual({ start: [], cancel: [] });
  });

  it("wait for a rate whatever they say of conflicts", () => {
    const run = {
      id: "b",
      onConflict: "cancel_new" as const,
      limits: [{ key: "k", rate: { limit: 1, perMs: 1_000 } }],
    };
    const used = new Map<string, KeyState>([["k", { ...unusedKey, usedUntil: 1_000 }]]);
    expect(admitRuns([run], [], used, 0)).toEqual({ start: [], cancel: [], lookAgainAt: 250 });
  });
});

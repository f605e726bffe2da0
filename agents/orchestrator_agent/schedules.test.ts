import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Fired } from "../../store/store.ts";
import { createScheduler } from "./schedules.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const decided: Fired["ticks"][number] = {
  namespace: "ns",
  schedule: "nightly",
  tickAt: new Date(0),
  outcome: "fired",
  runId: "r",
  error: null,
};

function newScheduler(...answers: Partial<Fired>[]) {
  const lines: [string, string, object][] = [];
  const line = (level: string) => (fields: object, message: string) => {
    lines.push([level, message, fields]);
  };
  const wake = vi.fn();
  const count = vi.fn();
  const fire = vi.fn(async () => ({ ticks: [], failures: [], nextInMs: null, areQueued: false, ...answers.shift() }));
  const logger = { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
  return { ...createScheduler({ schedules: { fire }, logger, wake, count }), lines, wake, count };
}

describe("the loop of schedules", () => {
  it("sleeps until the next tick is due, and no longer than that", async () => {
    const { fire, wake } = newScheduler({ nextInMs: 1_500.4 });
    expect(await fire()).toBe(false);
    vi.advanceTimersByTime(1_500);
    expect(wake).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(wake).toHaveBeenCalledOnce();
  });

  it("sets no timer for what is far away, and none once it has stopped", async () => {
    const { fire, stop, wake } = newScheduler({ nextInMs: 3_600_000 }, { nextInMs: 1_000 });
    await fire();
    await fire();
    stop();
    vi.advanceTimersByTime(7_200_000);
    expect(wake).not.toHaveBeenCalled();
  });

  it("goes on at once where it did something and more is due, and leaves to others what they are at", async () => {
    const { fire, wake } = newScheduler({ ticks: [decided], nextInMs: 0 }, { nextInMs: -20 });
    expect([await fire(), await fire()]).toEqual([true, false]);
    expect(wake).not.toHaveBeenCalled();
    vi.runAllTimers();
    expect(wake).toHaveBeenCalledOnce();
  });

  it("looks when a run has ended only if a tick may have waited for that", async () => {
    const { fire, runEnded, wake } = newScheduler({ areQueued: true }, {});
    runEnded();
    await fire();
    runEnded();
    expect(wake).toHaveBeenCalledOnce();
    await fire();
    runEnded();
    expect(wake).toHaveBeenCalledOnce();
  });

  it("says and counts what became of each tick", async () => {
    const ticks: Fired["ticks"] = [
      decided,
      { ...decided, outcome: "missed", runId: null },
      { ...decided, outcome: "refused", runId: null, error: { code: "RUN_INPUTS_INVALID", message: "no" } },
    ];
    const failures = [{ namespace: "ns", schedule: "broken", error: new Error("x") }];
    const { fire, count, lines } = newScheduler({ ticks, failures });
    await fire();
    expect(count).toHaveBeenCalledWith(ticks);
    expect(lines.map(([level, message]) => `${level}: ${message}`)).toEqual([
      "info: a tick of a schedule was fired",
      "warn: ticks of a schedule were missed",
      "warn: a tick of a schedule was refused",
      "error: a schedule could not be decided and is looked at again",
    ]);
    expect(lines[2]![2]).toMatchObject({ schedule: "nightly", code: "RUN_INPUTS_INVALID" });
  });
});

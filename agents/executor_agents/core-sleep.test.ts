import { describe, expect, it } from "vitest";
import { coreSleep } from "./core-sleep.ts";
import { perform } from "./perform.suite.ts";

describe("core.sleep", () => {
  it.each([
    [{ ms: 20 }, 20],
    [{ ms: 0 }, 0],
    [{ duration: "30ms" }, 30],
  ])("sleeps for %j and says how long", async (input, sleptMs) => {
    const startedAt = performance.now();
    expect(await perform(coreSleep, input)).toEqual({ slept_ms: sleptMs });
    expect(performance.now() - startedAt).toBeGreaterThan(sleptMs - 2); // timers may fire a millisecond early
  });

  it("ends with the reason of the abort, long before its time", async () => {
    const abort = new AbortController();
    const sleeping = perform(coreSleep, { duration: "1h" }, { signal: abort.signal });
    abort.abort(new Error("cancelled by a person"));
    await expect(sleeping).rejects.toThrow("cancelled by a person");
  });

  it("does not begin when the attempt is aborted already", async () => {
    const signal = AbortSignal.abort(new Error("lease lost"));
    await expect(perform(coreSleep, { ms: 3_600_000 }, { signal })).rejects.toThrow("lease lost");
  });

  it.each([
    [{}],
    [{ ms: -1 }],
    [{ ms: 1.5 }],
    [{ ms: "20" }],
    [{ ms: 86_400_001 }],
    [{ duration: "soon" }],
    [{ duration: "2d" }],
    [{ ms: 1, duration: "1s" }],
    [{ milliseconds: 1 }],
  ])("refuses %j", (input) => {
    expect(() => coreSleep.parseInput(input)).toThrow(expect.objectContaining({ code: "INPUT_INVALID" }));
  });
});

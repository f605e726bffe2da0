import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { inTurn, startLoop } from "./loop.ts";

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Work that counts its pieces and answers as the test says; each piece takes until `finish`. */
function newWork() {
  const answers: (boolean | Error)[] = [];
  const state = { pieces: 0, finish: () => {} };
  const work = async () => {
    state.pieces++;
    await new Promise<void>((resolve) => {
      state.finish = resolve;
    });
    const answer = answers.shift() ?? false;
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return { answers, state, work };
}

const settle = () => vi.advanceTimersByTimeAsync(0);

describe("a loop", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("works at once, rests, and looks again when it is time", async () => {
    const { state, work } = newWork();
    const loop = startLoop({ name: "test", everyMs: 1_000, work, logger: silent });
    expect(state.pieces).toBe(1);
    state.finish();
    await vi.advanceTimersByTimeAsync(999);
    expect(state.pieces).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(state.pieces).toBe(2);
    state.finish();
    await loop.stop();
  });

  it("goes on without a rest while there is more", async () => {
    const { answers, state, work } = newWork();
    answers.push(true, true, false);
    const loop = startLoop({ name: "test", everyMs: 1_000, work, logger: silent });
    for (let n = 0; n < 3; n++) {
      state.finish();
      await settle();
    }
    expect(state.pieces).toBe(3);
    await loop.stop();
  });

  it("works when woken, and once more when woken during a piece", async () => {
    const { state, work } = newWork();
    const loop = startLoop({ name: "test", everyMs: 1_000, work, logger: silent });
    loop.wake();
    loop.wake();
    state.finish();
    await settle();
    expect(state.pieces).toBe(2);
    state.finish();
    await settle();
    expect(state.pieces).toBe(2);
    loop.wake();
    await settle();
    expect(state.pieces).toBe(3);
    state.finish();
    await loop.stop();
  });

  it("survives a failure, which it logs, and tries again after a second", async () => {
    const { answers, state, work } = newWork();
    answers.push(new Error("away"));
    const errors: string[] = [];
    const logger = { ...silent, error: (_: object, message: string) => errors.push(message) };
    const loop = startLoop({ name: "reap", everyMs: 60_000, work, logger });
    loop.wake();
    state.finish();
    await vi.advanceTimersByTimeAsync(999);
    expect([state.pieces, errors]).toEqual([1, ["reap failed and will try again"]]);
    await vi.advanceTimersByTimeAsync(1);
    expect(state.pieces).toBe(2);
    state.finish();
    await loop.stop();
  });

  it("stops after the piece in hand, as often as it is told to", async () => {
    const { state, work } = newWork();
    const loop = startLoop({ name: "test", everyMs: 1, work, logger: silent });
    let isStopped = false;
    const stopping = loop.stop().then(() => {
      isStopped = true;
    });
    await settle();
    expect(isStopped).toBe(false);
    state.finish();
    await stopping;
    await loop.stop();
    loop.wake();
    await vi.advanceTimersByTimeAsync(100);
    expect(state.pieces).toBe(1);
  });
});

describe("pieces in turn", () => {
  const broken = async () => {
    throw new Error("broken");
  };

  it("are all done, whatever fails, and say whether there was anything to do", async () => {
    const done: string[] = [];
    const piece = (name: string, count: number) => async () => {
      done.push(name);
      return count;
    };
    expect(await inTurn(piece("a", 0), broken, piece("b", 2))).toBe(true);
    expect(await inTurn(piece("c", 0), piece("d", 0))).toBe(false);
    expect(done).toEqual(["a", "b", "c", "d"]);
  });

  it("fail when nothing else was done", async () => {
    await expect(inTurn(async () => 0, broken)).rejects.toThrow("broken");
  });
});

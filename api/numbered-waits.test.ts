import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createNumberedWaits } from "./numbered-waits.ts";
import { createWakeups, LOOK_AGAIN_MS, type News, newsFor } from "./wakeups.ts";

const never = new AbortController().signal;
const LONG_MS = 60_000;
const heard = ({ inboxes }: News) => inboxes;

function stand(numbers: Record<string, number> = {}) {
  const asked: string[][] = [];
  const lastNumbers = async (inboxes: { name: string }[]) => {
    asked.push(inboxes.map(({ name }) => name));
    return inboxes.map(({ name }) => numbers[name] ?? 0);
  };
  const wakeups = createWakeups();
  const waits = createNumberedWaits({ heard, lastNumbers }, wakeups);
  return {
    wakeups,
    waits,
    numbers,
    asked,
    tell: (...inboxes: string[]) => wakeups.announce(newsFor("n", { inboxes })),
  };
}

/** Whether it has resolved once all that is ready to go on has. */
async function isDone(waiting: Promise<void>): Promise<boolean> {
  let done = false;
  void waiting.then(() => {
    done = true;
  });
  await new Promise(setImmediate);
  return done;
}

afterEach(() => {
  vi.useRealTimers();
});

describe("who waits for an inbox", () => {
  it("hears of its own and no other, in its own namespace", async () => {
    const { waits, tell, wakeups } = stand();
    const [a, b] = [waits.enter("n", "a"), waits.enter("n", "b")];
    const [first, second] = [a.news(0, LONG_MS, never), b.news(0, LONG_MS, never)];
    wakeups.announce(newsFor("other", { inboxes: ["a", "b"] }));
    tell("b");
    expect([await isDone(first), await isDone(second)]).toEqual([false, true]);
    tell("a");
    await first;
    a.leave();
    b.leave();
  });

  it("hears of what came while it looked, once", async () => {
    const { waits, tell } = stand();
    const wait = waits.enter("n", "a");
    tell("a");
    await wait.news(0, LONG_MS, never);
    expect(await isDone(wait.news(0, 1_000, never))).toBe(false);
    wait.leave();
  });

  it("is told with all that wait for the same inbox", async () => {
    const { waits, tell } = stand();
    const all = [waits.enter("n", "a"), waits.enter("n", "a")];
    const waiting = all.map((wait) => wait.news(0, LONG_MS, never));
    tell("a");
    await Promise.all(waiting);
    for (const wait of all) wait.leave();
  });

  it("goes on when its time is over, its client gone, or the server about to stop", async () => {
    const { waits, wakeups } = stand();
    const wait = waits.enter("n", "a");
    await wait.news(0, 1, never);
    const gone = new AbortController();
    const waiting = wait.news(0, LONG_MS, gone.signal);
    gone.abort();
    await waiting;
    const last = wait.news(0, LONG_MS, never);
    wakeups.close();
    await last;
    await wait.news(0, LONG_MS, never);
    wait.leave();
  });
});

it("one look a second finds what nobody told of, for all inboxes at once, and none while nobody waits", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  const { waits, asked, numbers } = stand({ a: 3, b: 7 });
  const waiting = [
    { wait: waits.enter("n", "a"), known: 3 },
    { wait: waits.enter("n", "a"), known: 2 },
    { wait: waits.enter("n", "b"), known: 7 },
  ];
  const told = waiting.map(({ wait, known }) => wait.news(known, LONG_MS, never));
  vi.advanceTimersByTime(LOOK_AGAIN_MS);
  await told[1];
  expect([await isDone(told[0]!), await isDone(told[2]!)]).toEqual([false, false]);
  numbers.b = 8;
  vi.advanceTimersByTime(LOOK_AGAIN_MS);
  await told[2];
  expect(asked).toEqual([
    ["a", "b"],
    ["a", "b"],
  ]);
  for (const { wait } of waiting) wait.leave();
  vi.advanceTimersByTime(LOOK_AGAIN_MS * 3);
  await sleep(1);
  expect(asked).toHaveLength(2);
});

it("an outage ends no wait", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  const wakeups = createWakeups();
  const lastNumbers = vi.fn().mockRejectedValueOnce(new Error("down")).mockResolvedValue([1]);
  const wait = createNumberedWaits({ heard, lastNumbers }, wakeups).enter("n", "a");
  const told = wait.news(0, LONG_MS, never);
  vi.advanceTimersByTime(LOOK_AGAIN_MS);
  expect(await isDone(told)).toBe(false);
  vi.advanceTimersByTime(LOOK_AGAIN_MS);
  await told;
  wait.leave();
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { faultyBus, type LinkFaults } from "./faulty-bus.ts";
import { createVirtualBus } from "./virtual-bus.ts";

const ENOUGH = 100_000;
const sound: LinkFaults = { loss: 0, duplication: 0, reordering: 0, delay: "10ms" };

describe("the virtual bus", () => {
  it("lets things happen in the order of their times, those of the same time as they were asked for", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 200 }), (times) => {
        const bus = createVirtualBus();
        const seen: [number, number][] = [];
        for (const [index, ms] of times.entries()) bus.wait(ms, () => seen.push([bus.now(), index]));
        expect(bus.run(ENOUGH)).toBe(true);
        const expected = times.map((ms, index): [number, number] => [ms, index]);
        expect(seen).toEqual(expected.toSorted((a, b) => a[0] - b[0] || a[1] - b[1]));
      }),
    );
  });

  it("counts waits from when they are asked for, and forgets those that are called off", () => {
    const bus = createVirtualBus();
    const seen: string[] = [];
    const cancel = bus.wait(30, () => seen.push("never"));
    bus.wait(10, () => {
      seen.push(`first at ${bus.now()}`);
      bus.wait(10, () => seen.push(`second at ${bus.now()}`));
      cancel();
      cancel();
    });
    expect(bus.run(ENOUGH)).toBe(true);
    expect(seen).toEqual(["first at 10", "second at 20"]);
    expect(bus.now()).toBe(20);
  });

  it("stops what would never end", () => {
    const bus = createVirtualBus();
    let count = 0;
    const again = () => {
      count += 1;
      bus.wait(1, again);
    };
    again();
    expect(bus.run(50)).toBe(false);
    expect(count).toBe(51);
  });

  it("goes on where it was stopped, and forgets nothing by it", () => {
    const bus = createVirtualBus();
    const seen: number[] = [];
    for (let ms = 1; ms <= 7; ms++) bus.wait(ms, () => seen.push(bus.now()));
    expect([bus.run(3), bus.run(3), bus.run(3), bus.run(3)]).toEqual([false, false, true, true]);
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });
});

/** Sends so many from a to b, one each millisecond; the numbers in the order in which they arrive, and when. */
function sendMany(count: number, faults: LinkFaults, seed = 5) {
  const virtual = createVirtualBus();
  const bus = faultyBus(virtual, faults, seed);
  const arrived: { number: number; at: number }[] = [];
  for (let number = 0; number < count; number++) {
    virtual.wait(number, () => {
      const parcel = { from: "a", to: "b", type: "say", body: null };
      bus.send(parcel, () => arrived.push({ number, at: bus.now() }));
    });
  }
  expect(virtual.run(ENOUGH)).toBe(true);
  return { arrived, counts: bus.counts };
}

const inOrder = (arrived: readonly { number: number }[]) =>
  arrived.every(({ number }, index) => index === 0 || number >= arrived[index - 1]!.number);

describe("a bus with faults", () => {
  it("without any takes its time, and nothing else", () => {
    const { arrived, counts } = sendMany(100, sound);
    expect(arrived).toEqual(Array.from({ length: 100 }, (_, number) => ({ number, at: number + 10 })));
    expect(counts).toEqual({ sent: 100, lost: 0, duplicated: 0, reordered: 0, arrived: 100 });
  });

  it.each([0.1, 0.5, 1])("loses the share %d", (loss) => {
    const { arrived, counts } = sendMany(2_000, { ...sound, loss });
    expect(counts.lost / 2_000).toBeCloseTo(loss, 1);
    expect(arrived.length).toBe(2_000 - counts.lost);
  });

  it.each([0.1, 0.5, 1])("repeats the share %d", (duplication) => {
    const { arrived, counts } = sendMany(2_000, { ...sound, duplication });
    expect(counts.duplicated / 2_000).toBeCloseTo(duplication, 1);
    expect(arrived.length).toBe(2_000 + counts.duplicated);
    expect(new Set(arrived.map(({ number }) => number)).size).toBe(2_000);
  });

  it("keeps the order of a link, however much delays differ", () => {
    const delay = { distribution: "exponential", mean: "50ms" } as const;
    const { arrived } = sendMany(1_000, { ...sound, delay });
    expect(arrived.length).toBe(1_000);
    expect(inOrder(arrived)).toBe(true);
  });

  it("lets some be overtaken, and loses none by it", () => {
    const { arrived, counts } = sendMany(1_000, { ...sound, reordering: 0.2 });
    expect(counts.reordered / 1_000).toBeCloseTo(0.2, 1);
    expect(inOrder(arrived)).toBe(false);
    expect(arrived.map(({ number }) => number).toSorted((a, b) => a - b)).toEqual([...Array(1_000).keys()]);
  });

  it("lets links overtake one another", () => {
    const virtual = createVirtualBus();
    const bus = faultyBus(virtual, { ...sound, delay: { distribution: "uniform", min: "1ms", max: "90ms" } }, 2);
    const arrived: string[] = [];
    for (const from of ["a", "b", "c", "d", "e", "f"]) {
      bus.send({ from, to: null, type: "say", body: null }, () => arrived.push(from));
    }
    virtual.run(ENOUGH);
    expect(arrived.toSorted()).toEqual(["a", "b", "c", "d", "e", "f"]);
    expect(arrived).not.toEqual(arrived.toSorted());
  });

  it("does the same for the same seed, and something else for another", () => {
    const faults: LinkFaults = { loss: 0.2, duplication: 0.2, reordering: 0.2, delay: "10ms" };
    expect(sendMany(200, faults, 1)).toEqual(sendMany(200, faults, 1));
    expect(sendMany(200, faults, 1)).not.toEqual(sendMany(200, faults, 2));
  });
});

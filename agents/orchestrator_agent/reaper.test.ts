import { describe, expect, it } from "vitest";
import type { UpkeepStore } from "../../store/store.ts";
import { createReaper } from "./reaper.ts";

/** A reaper under a clock of the test's own; `reaped` counts how often the store was asked. */
function newReaper(options: { found?: number; takesMs?: number } = {}) {
  const world = { ms: 0, reaped: 0, takesMs: options.takesMs ?? 0 };
  const reap: UpkeepStore["reap"] = async () => {
    world.reaped++;
    world.ms += world.takesMs;
    return options.found ?? 0;
  };
  const look = createReaper({ reap } as UpkeepStore, () => world.ms);
  const lookAfter = (ms: number) => {
    world.ms += ms;
    return look();
  };
  return { world, lookAfter };
}

describe("the reaper", () => {
  it("reaps at every look, and looks again at once when there may be more", async () => {
    const idle = newReaper();
    expect(await idle.lookAfter(1_000)).toBe(false);
    expect(await idle.lookAfter(1_000)).toBe(false);
    expect(idle.world.reaped).toBe(2);
    expect(await newReaper({ found: 200 }).lookAfter(1_000)).toBe(true);
  });

  it("spares everybody for a lease's length after it stood still itself", async () => {
    const { world, lookAfter } = newReaper();
    await lookAfter(6_000);
    for (let second = 0; second < 29; second++) await lookAfter(1_000);
    expect(world.reaped).toBe(0);
    await lookAfter(1_000);
    expect(world.reaped).toBe(1);
  });

  it("spares everybody after the database took long to answer", async () => {
    const { world, lookAfter } = newReaper();
    world.takesMs = 8_000;
    await lookAfter(1_000);
    world.takesMs = 0;
    for (let second = 0; second < 29; second++) await lookAfter(1_000);
    expect(world.reaped).toBe(1);
    await lookAfter(1_000);
    expect(world.reaped).toBe(2);
  });
});

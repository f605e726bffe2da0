import { expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";

export function whyCases(open: OpenTeam): void {
  it("tells of every task that is not running", async () => {
    const team = await open();
    const runId = await team.submit({
      first: {},
      after: { needs: ["first"] },
      nobody: { capability: "wrk" },
      pause: { wait: { any_of: [{ for: "1h" }, { signal: "go" }] } },
      each: { for_each: [1, 2, 3], max_concurrency: 1 },
      never: { when: "false" },
    });
    await team.settle();
    const why = async (key: string) => (await team.why(runId, key))[0]!;
    expect(await why("after")).toMatchObject({ code: "needs_open", tasks: ["first"] });
    expect(await why("nobody")).toMatchObject({ code: "no_agent", message: expect.stringContaining("nearest") });
    expect(await why("pause")).toMatchObject({ code: "waiting", until: expect.any(Number) });
    expect(await why("each")).toMatchObject({
      code: "children_open",
      message: expect.stringContaining("0 of 3 items"),
    });
    expect(await why("each[2]")).toMatchObject({ code: "held_by_map", tasks: ["each"] });
    expect(await why("never")).toMatchObject({ code: "settled" });
    await team.fail(await team.take(runId, "first"));
    expect(await why("first")).toMatchObject({ code: "backing_off", until: expect.any(Number) });
    await team.store.runs.pause(team.namespace, runId, "ann");
    expect(await why("each[0]")).toMatchObject({ code: "paused", message: expect.stringContaining("ann") });
    await team.store.runs.resume(team.namespace, runId, "ann");
    expect(await team.store.runs.why("elsewhere", runId, "first")).toBeUndefined();
    expect(await team.store.runs.why(team.namespace, runId, "absent")).toBeUndefined();
  });

  it("tells what comes before a ready task, and with whom it takes turns", async () => {
    const team = await open();
    const tasks = { a: {}, b: {}, c: {} };
    const first = await team.submit(tasks);
    const second = await team.submit(tasks, { fairKey: "acme" });
    await team.submit(tasks, { priority: 1 });
    await team.store.leases.dispatch([{ namespace: team.namespace, capability: "work", maxOutstanding: 4 }], 4);
    const queue = async (runId: string, key: string) => (await team.store.runs.why(team.namespace, runId, key))!.queue;
    const base = { priority: 0, isMore: false, sharers: 2 };
    expect(await queue(first, "a")).toEqual({ ...base, ahead: 3, fairKey: null });
    expect(await queue(second, "a")).toEqual({ ...base, ahead: 4, fairKey: "acme" });
    expect(await queue(first, "c")).toEqual({ ...base, ahead: 7, fairKey: null });
    await team.claim({ max: 5, door: "handoff" });
    expect(await queue(first, "a")).toBeNull();
    expect((await queue(second, "c"))!.ahead).toBe(3);
  });
}

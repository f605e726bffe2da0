import { setTimeout as sleep } from "node:timers/promises";
import { uuidv7 } from "uuidv7";
import { expect, it } from "vitest";
import type { RunEvent } from "../../core/event.ts";
import type { OpenTeam } from "../store.suite.ts";
import type { EventPage } from "../store.ts";
import type { Team } from "./team.ts";

export function eventCases(open: OpenTeam): void {
  /** Reads on with pages of this size until the run's end, as a stream does. */
  async function stream(team: Team, runId: string, limit: number, after?: string): Promise<RunEvent[]> {
    const events: RunEvent[] = [];
    for (let page: EventPage | undefined; !page?.ended; ) {
      page = await team.store.events.read(team.namespace, runId, { after: events.at(-1)?.id ?? after, limit });
      if (page!.events.length === 0 && !page!.ended) await sleep(5);
      for (const event of page!.events) {
        if (events.some((earlier) => earlier.id === event.id)) throw new Error(`The event ${event.id} came twice`);
        events.push(event);
      }
    }
    return events;
  }

  async function finishedRun(team: Team): Promise<string> {
    const runId = await team.submit({ a: {}, b: {}, c: { needs: ["a", "b"] }, d: { needs: ["c"], when: "false" } });
    await team.work();
    return runId;
  }

  it("tell the whole story of a run in order", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: { needs: ["a"] } });
    await team.work();
    const events = await team.events(runId);
    expect(events.map((event) => ("key" in event ? `${event.type} ${event.key}` : event.type))).toEqual([
      "run.submitted",
      "task.ready a",
      "task.claimed a",
      "task.completed a",
      "task.ready b",
      "task.claimed b",
      "task.completed b",
      "run.completed",
    ]);
    for (const event of events) {
      expect(event).toMatchObject({ run_id: runId, at: expect.stringMatching(/^\d{4}-.*Z$/), id: expect.any(String) });
    }
  });

  it("can be resumed after any of them, and give exactly the rest", async () => {
    const team = await open();
    const runId = await finishedRun(team);
    const all = await stream(team, runId, 1_000);
    expect(new Set(all.map((event) => event.id)).size).toBe(all.length);
    for (const limit of [1, 2, 3, 100]) expect(await stream(team, runId, limit)).toEqual(all);
    for (const [index, { id }] of all.entries()) {
      for (const limit of [1, 2, 100]) expect(await stream(team, runId, limit, id)).toEqual(all.slice(index + 1));
    }
  });

  it("say when they have ended, and not before", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    await team.events(runId);
    expect(await team.store.events.read(team.namespace, runId, { limit: 100 })).toMatchObject({ ended: false });
    await team.work();
    const all = await stream(team, runId, 100);
    const page = await team.store.events.read(team.namespace, runId, { limit: all.length - 1 });
    expect(page).toMatchObject({ ended: false });
    expect(await team.store.events.read(team.namespace, runId, { limit: 100, after: all.at(-1)!.id })).toEqual({
      events: [],
      ended: true,
    });
  });

  it("have ended for whoever asks from beyond the last of a finished run", async () => {
    const team = await open();
    const runId = await finishedRun(team);
    const last = (await stream(team, runId, 100)).at(-1)!;
    const [xid] = last.id.split("-") as [string];
    for (const after of [last.id, `${xid}-99`, `${Number(xid) + 1}-0`, "9999999999-0"]) {
      const page = await team.store.events.read(team.namespace, runId, { after, limit: 10 });
      expect(page).toEqual({ events: [], ended: true });
    }
  });

  it("bring along what the handler of an attempt logged, when asked", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: {} });
    const [a, b] = [await team.take(runId, "a"), await team.take(runId, "b")];
    const line = (message: string) => ({ at: "2026-01-01T00:00:00.000Z", level: "info" as const, message });
    await team.store.leases.report([
      { ...team.failing(a, { retryAfterMs: 0 }), logs: [line("a fails")] },
      { ...team.completion(b), logs: [line("b begins"), line("b ends")] },
    ]);
    await team.store.leases.report([{ ...team.completion(await team.take(runId, "a")), logs: [line("a ends")] }]);
    await team.events(runId);
    const page = await team.store.events.read(team.namespace, runId, { limit: 100, withLogs: true });
    const logged = page!.events.flatMap((event) =>
      event.logs ? [[event.type, ...event.logs.map((log) => log.message)]] : [],
    );
    // What comes of one report is one transaction; those of two tasks may come in either order.
    expect(logged.toSorted()).toEqual([
      ["task.completed", "a ends"],
      ["task.completed", "b begins", "b ends"],
      ["task.retrying", "a fails"],
    ]);
    expect((await team.events(runId)).some((event) => "logs" in event)).toBe(false);
  });

  it("refuse an id that is none", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    for (const after of [
      "",
      "x",
      "1",
      "1-",
      "-1-0",
      "1-0-0",
      "1e3-0",
      "99999999999999999999-0",
      "1-0'; drop table event",
    ]) {
      const reading = team.store.events.read(team.namespace, runId, { after, limit: 10 });
      await expect(reading, after).rejects.toMatchObject({ code: "REQUEST_INVALID" });
    }
    expect(
      await team.store.events.read(team.namespace, runId, { after: "9999999999999999999-0", limit: 10 }),
    ).toMatchObject({
      events: [],
    });
  });

  it("do not exist for an unknown run", async () => {
    const team = await open();
    expect(await team.store.events.read(team.namespace, uuidv7(), { limit: 10 })).toBeUndefined();
  });
}

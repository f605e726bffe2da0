import { expect, it } from "vitest";
import { type ScheduleBody, scheduleBody } from "../../core/protocol/schedules.ts";
import type { Workflow } from "../../core/workflow.ts";
import type { OpenTeam } from "../store.suite.ts";
import type { Schedule } from "../store.ts";
import { newWorkflow, type Team } from "./team.ts";

export function scheduleCases(open: OpenTeam): void {
  /** Each case has a year of its own, before those of earlier cases: what these have left behind is never due in it. */
  let year = 2100;
  const minute = 60_000;
  const base = () => Date.parse(`${--year}-01-01T00:00:00Z`);
  const iso = (ms: number) => new Date(ms).toISOString();

  async function create(team: Team, own: Partial<ScheduleBody> = {}, definition: Partial<Workflow> = {}) {
    await team.store.workflows.register(team.namespace, newWorkflow({ a: {} }, { name: "report", ...definition }));
    const spec = scheduleBody.parse({ name: "nightly", cron: "* * * * *", workflow: "report", ...own });
    const created = await team.store.schedules.create({
      namespace: team.namespace,
      spec,
      allowedCapabilities: null,
      by: "ann",
    });
    if (created.outcome === "created") await begin(team, Date.parse("2999-01-01"), spec.name);
    return created;
  }

  /** Lets the calendar of the schedule begin at a time. */
  async function begin(team: Team, at: number, name = "nightly"): Promise<void> {
    await team.sql.query("update schedule set next_tick_at = $3, due_at = $3 where namespace = $1 and name = $2", [
      team.namespace,
      name,
      iso(at),
    ]);
  }

  /** Decides what is due at a time, until there is no more. */
  async function fire(team: Team, now: number): Promise<string[]> {
    const told: string[] = [];
    for (let decided = -1; decided !== 0; ) {
      const { ticks, failures } = await team.store.schedules.fire({ limit: 1_000, now: new Date(now) });
      expect(failures).toEqual([]);
      const own = ticks.filter(({ namespace }) => namespace === team.namespace);
      told.push(...own.map(({ tickAt, outcome }) => `${tickAt.toISOString().slice(11, 16)} ${outcome}`));
      decided = own.length;
    }
    return told;
  }

  const runs = async (team: Team, name = "nightly") =>
    (await team.store.runs.list(team.namespace, { schedule: name, limit: 1_000 })).data.toReversed();
  const ticks = async (team: Team) => (await team.store.schedules.ticks(team.namespace, "nightly", {}))!.data;

  it("is created once, found, listed and removed with its ticks, while its runs go on", async () => {
    const team = await open();
    expect(await create(team)).toMatchObject({
      outcome: "created",
      schedule: { spec: { name: "nightly", timezone: "UTC", overlap: "skip" }, pausedBy: null, createdBy: "ann" },
    });
    expect((await create(team)).outcome).toBe("same");
    expect((await create(team, { cron: "0 0 * * *" })).outcome).toBe("exists");
    await create(team, { name: "weekly", workflow: "report@1" });
    const { store, namespace } = team;
    const page = await store.schedules.list(namespace, { limit: 1 });
    expect(page.data.map(({ spec }) => spec.name)).toEqual(["nightly"]);
    const rest = await store.schedules.list(namespace, { cursor: page.nextCursor! });
    expect(rest.data.map(({ spec }) => spec.name)).toEqual(["weekly"]);
    expect((await store.schedules.list(namespace, { workflow: "report@1" })).data.length).toBe(1);
    expect(await store.schedules.find("another", "nightly")).toBeUndefined();
    const at = base();
    await begin(team, at);
    expect(await fire(team, at)).toEqual(["00:00 fired"]);
    expect(await store.schedules.remove("another", "nightly")).toBe(false);
    expect(await store.schedules.remove(namespace, "nightly")).toBe(true);
    expect(await store.schedules.remove(namespace, "nightly")).toBe(false);
    expect(await store.schedules.ticks(namespace, "nightly", {})).toBeUndefined();
    expect(await runs(team)).toMatchObject([{ status: "running" }]);
    expect(await fire(team, at + 10 * minute)).toEqual([]);
  });

  it("begins with the first tick after it was created", async () => {
    const team = await open();
    const [before] = await team.sql.query<{ now: Date }>("select clock_timestamp() as now");
    const created = await create(team);
    const next = "schedule" in created ? created.schedule.nextTickAt!.getTime() : Number.NaN;
    expect(next % minute).toBe(0);
    expect(next).toBeGreaterThan(before!.now.getTime());
    expect(next).toBeLessThanOrEqual(before!.now.getTime() + 2 * minute);
  });

  it("starts a run with its inputs, labels and priority at each tick, of the newest version or of the one it names", async () => {
    const team = await open();
    await create(team, {
      overlap: "allow",
      inputs: { n: 1 },
      tick_input: "at",
      labels: { team: "geese" },
      priority: 3,
    });
    await create(team, { name: "first", workflow: "report@1", overlap: "allow" });
    await team.store.workflows.register(
      team.namespace,
      newWorkflow({ b: {} }, { name: "report", labels: { kind: "x" } }),
    );
    const at = base();
    for (const name of ["nightly", "first"]) await begin(team, at, name);
    await fire(team, at + minute);
    const [one, two] = await runs(team);
    expect([one, two]).toMatchObject([
      {
        version: 2,
        inputs: { n: 1, at: iso(at) },
        labels: { team: "geese", kind: "x" },
        priority: 3,
        schedule: { name: "nightly", tickAt: new Date(at) },
      },
      { inputs: { n: 1, at: iso(at + minute) } },
    ]);
    expect(await runs(team, "first")).toMatchObject([{ version: 1 }, { version: 1 }]);
    expect((await team.events(one!.id))[0]).toMatchObject({
      type: "run.submitted",
      schedule: "nightly",
      tick: iso(at),
    });
    expect(await ticks(team)).toMatchObject([
      { outcome: "fired", runId: two!.id },
      { outcome: "fired", runId: one!.id, isBackfill: false, error: null },
    ]);
    await team.work();
    expect((await team.run(one!.id)).status).toBe("completed");
  });

  it("fires each tick once, however many look at once", async () => {
    const team = await open();
    await create(team, { overlap: "allow", catch_up: "all" });
    const at = base();
    await begin(team, at);
    await Promise.all([0, 1, 2, 3, 4, 5].map(() => fire(team, at + 30 * minute)));
    await fire(team, at + 30 * minute);
    const fired = (await runs(team)).map(({ schedule }) => schedule!.tickAt.getTime());
    expect(fired.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 31 }, (_, index) => at + index * minute));
  });

  it("keeps to what is said of overlapping runs", async () => {
    const at = base();
    const play = async (overlap: ScheduleBody["overlap"]) => {
      const team = await open();
      await create(team, { overlap });
      await begin(team, at);
      const told = [await fire(team, at), await fire(team, at + minute), await fire(team, at + 2 * minute)];
      const [first] = await runs(team);
      await team.settle();
      const { status } = await team.run(first!.id);
      told.push(await fire(team, at + 2 * minute));
      if (status === "running") await team.work();
      told.push(await fire(team, at + 2 * minute));
      return [told.flat(), status];
    };
    expect(await play("allow")).toEqual([["00:00 fired", "00:01 fired", "00:02 fired"], "running"]);
    expect(await play("skip")).toEqual([["00:00 fired", "00:01 skipped", "00:02 skipped"], "running"]);
    expect(await play("queue")).toEqual([["00:00 fired", "00:01 queued", "00:02 skipped", "00:01 fired"], "running"]);
    expect(await play("cancel_running")).toEqual([
      ["00:00 fired", "00:01 queued", "00:01 skipped", "00:02 queued", "00:02 fired"],
      "cancelled",
    ]);
  });

  it("tells what was missed, as one", async () => {
    const team = await open();
    await create(team, { catch_up: "last" });
    const at = base();
    await begin(team, at);
    expect(await fire(team, at + 10 * minute + 30_000)).toEqual(["00:00 missed", "00:10 fired"]);
    expect((await ticks(team)).at(-1)).toMatchObject({ outcome: "missed", untilAt: new Date(at + 9 * minute) });
  });

  it("that is paused starts nothing, and goes on with what comes then", async () => {
    const team = await open();
    await create(team);
    const at = base();
    await begin(team, at);
    const { schedules } = team.store;
    expect(await schedules.pause(team.namespace, "nightly", "ann", "storm")).toMatchObject({
      nextTickAt: null,
      pausedBy: "ann",
      pauseReason: "storm",
    });
    expect(await schedules.pause(team.namespace, "nightly", "bob")).toMatchObject({ pausedBy: "ann" });
    expect(await fire(team, at + 10 * minute)).toEqual([]);
    const resumed = await schedules.resume(team.namespace, "nightly");
    expect(resumed).toMatchObject({ pausedBy: null, pauseReason: null, nextTickAt: expect.any(Date) });
    expect(await schedules.resume(team.namespace, "nightly")).toEqual(resumed);
    await schedules.remove(team.namespace, "nightly");
    expect(await schedules.pause(team.namespace, "none", "ann")).toBeUndefined();
    expect(await schedules.resume(team.namespace, "none")).toBeUndefined();
  });

  it("is changed by whoever knows its revision, and goes on with what is new", async () => {
    const team = await open();
    const created = await create(team, { inputs: { n: 1 }, overlap: "queue", jitter: "1s" });
    const at = base();
    await begin(team, at);
    await fire(team, at + 1_000);
    await fire(team, at + minute + 1_000);
    expect((await ticks(team))[0]).toMatchObject({ outcome: "queued" });
    const { schedules } = team.store;
    const { spec } = (created as { schedule: Schedule }).schedule;
    const change = (own: Partial<ScheduleBody>, revision: number) =>
      schedules.change({
        namespace: team.namespace,
        spec: scheduleBody.parse({ ...spec, ...own }),
        allowedCapabilities: null,
        by: "bob",
        revision,
      });
    const changed = await change({ inputs: { n: 2 }, overlap: "allow" }, 1);
    expect(changed).toMatchObject({
      outcome: "changed",
      schedule: {
        spec: { inputs: { n: 2 }, overlap: "allow" },
        revision: 2,
        createdBy: "ann",
        updatedBy: "bob",
        // The calendar is the same, and so is what comes next.
        nextTickAt: new Date(at + 2 * minute),
      },
    });
    expect(await change({ inputs: { n: 3 } }, 1)).toEqual({ outcome: "stale", schedule: changed!.schedule });
    expect((await schedules.find(team.namespace, "nightly"))!.spec.inputs).toEqual({ n: 2 });
    // What was queued is fired with what is new, beside the run that it had waited for.
    expect(await fire(team, at + 2 * minute + 1_000)).toEqual(["00:02 fired", "00:01 fired"]);
    expect((await runs(team)).map(({ inputs }) => inputs)).toEqual([{ n: 1 }, { n: 2 }, { n: 2 }]);
    expect(
      await schedules.change({ ...changed!.schedule, namespace: "another", allowedCapabilities: null, by: "bob" }),
    ).toBe(undefined);
  });

  it("whose calendar is changed begins anew: what was due leaves no trace, and nothing is fired twice", async () => {
    const team = await open();
    const created = await create(team, { overlap: "allow", catch_up: "all" });
    // In the past: what comes after now is later.
    const at = Date.parse("2020-01-01T00:00:00Z");
    await begin(team, at);
    await fire(team, at);
    const { schedules } = team.store;
    const { spec } = (created as { schedule: Schedule }).schedule;
    const [before] = await team.sql.query<{ now: Date }>("select clock_timestamp() as now");
    const hourly = { namespace: team.namespace, allowedCapabilities: null, by: "bob" };
    const changed = await schedules.change({ ...hourly, spec: { ...spec, cron: "0 * * * *" }, revision: 1 });
    const next = changed!.schedule.nextTickAt!.getTime();
    expect(next % (60 * minute)).toBe(0);
    expect(next).toBeGreaterThan(before!.now.getTime());
    expect(await fire(team, at + 10 * minute)).toEqual([]);
    await schedules.pause(team.namespace, "nightly", "ann");
    const paused = await schedules.change({ ...hourly, spec, revision: 2 });
    expect(paused!.schedule).toMatchObject({ pausedBy: "ann", nextTickAt: null, revision: 3 });
    expect((await ticks(team)).map(({ tickAt }) => tickAt)).toEqual([new Date(at)]);
  });

  it("is changed once by each of many who change it at once, and fires each tick once meanwhile", async () => {
    const team = await open();
    const created = await create(team, { overlap: "allow", catch_up: "all" });
    const at = base();
    await begin(team, at);
    const { spec } = (created as { schedule: Schedule }).schedule;
    const change = async (priority: number) => {
      for (let revision = 1; ; ) {
        const answer = await team.store.schedules.change({
          namespace: team.namespace,
          spec: { ...spec, priority },
          allowedCapabilities: null,
          by: "bob",
          revision,
        });
        if (answer!.outcome === "changed") return;
        revision = answer!.schedule.revision;
      }
    };
    await Promise.all([1, 2, 3, 4].flatMap((n) => [change(n), fire(team, at + 9 * minute)]));
    await fire(team, at + 9 * minute);
    expect((await team.store.schedules.find(team.namespace, "nightly"))!.revision).toBe(5);
    const fired = (await runs(team)).map(({ schedule }) => schedule!.tickAt.getTime());
    expect(fired.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 10 }, (_, index) => at + index * minute));
  });

  it("says why a tick could not start a run, and goes on", async () => {
    const team = await open();
    await create(team, { overlap: "allow" });
    const at = base();
    await begin(team, at);
    const picky = { type: "object", required: ["n"] };
    await team.store.workflows.register(team.namespace, newWorkflow({ a: {} }, { name: "report", inputs: picky }));
    expect(await fire(team, at)).toEqual(["00:00 refused"]);
    expect(await ticks(team)).toMatchObject([
      { outcome: "refused", error: { code: "RUN_INPUTS_INVALID" }, runId: null },
    ]);
    await team.store.workflows.register(team.namespace, newWorkflow({ z: {} }, { name: "report" }));
    expect(await fire(team, at + minute)).toEqual(["00:01 fired"]);
  });

  it("starts nothing that its maker's key does not allow", async () => {
    const team = await open();
    const spec = scheduleBody.parse({ name: "nightly", cron: "* * * * *", workflow: "report" });
    await team.store.workflows.register(team.namespace, newWorkflow({ a: {} }, { name: "report" }));
    await team.store.schedules.create({ namespace: team.namespace, spec, allowedCapabilities: ["other"], by: "ann" });
    const at = base();
    await begin(team, at);
    expect(await fire(team, at)).toEqual(["00:00 refused"]);
    expect((await ticks(team))[0]!.error).toMatchObject({ code: "CAPABILITY_NOT_ALLOWED" });
  });

  it("is backfilled: what was not fired is, once, one run after the other", async () => {
    const team = await open();
    await create(team, { catch_up: "none" });
    const at = base();
    await begin(team, at + 5 * minute);
    await fire(team, at + 5 * minute);
    await team.work();
    const { schedules } = team.store;
    const backfill = (from: number, to: number, limit = 100) =>
      schedules.backfill(team.namespace, "nightly", {
        from: new Date(at + from * minute),
        to: new Date(at + to * minute),
        limit,
      });
    expect(await backfill(2, 9, 2)).toEqual({ outcome: "too_many" });
    // The tick that is to come next is left to the calendar.
    expect(await backfill(2, 9)).toEqual({ outcome: "queued", queued: 3, known: 1 });
    expect(await backfill(2, 9)).toEqual({ outcome: "queued", queued: 0, known: 4 });
    const now = at + 5 * minute + 1_000;
    expect(await fire(team, now)).toEqual(["00:02 fired"]);
    await team.work();
    expect(await fire(team, now)).toEqual(["00:03 fired"]);
    await team.work();
    expect(await fire(team, now)).toEqual(["00:04 fired"]);
    await team.work();
    expect((await ticks(team)).map(({ isBackfill }) => isBackfill)).toEqual([false, true, true, true]);
    expect(
      await schedules.backfill("another", "nightly", { from: new Date(at), to: undefined, limit: 1 }),
    ).toBeUndefined();
  });

  it("is backfilled in the middle of what was missed, and the rest stays missed", async () => {
    const team = await open();
    await create(team, { catch_up: "none", overlap: "allow" });
    const at = base();
    await begin(team, at);
    expect(await fire(team, at + 9 * minute + 1_000)).toEqual(["00:00 missed", "00:09 fired"]);
    const range = { from: new Date(at), to: new Date(at + 3 * minute), limit: 100 };
    expect(await team.store.schedules.backfill(team.namespace, "nightly", range)).toMatchObject({ queued: 3 });
    expect(await fire(team, at + 9 * minute + 1_000)).toEqual(["00:00 fired", "00:01 fired", "00:02 fired"]);
    const missed = (await ticks(team)).filter(({ outcome }) => outcome === "missed");
    expect(missed).toMatchObject([{ tickAt: new Date(at + 3 * minute), untilAt: new Date(at + 8 * minute) }]);
  });

  it("is what a retry of its run is of, too, and a fork is not", async () => {
    const team = await open();
    await create(team);
    const at = base();
    await begin(team, at);
    await fire(team, at);
    const [run] = await runs(team);
    await team.fail(await team.take(run!.id, "a"), { retryable: false });
    await team.settle();
    const submission = (schedule: typeof run extends undefined ? never : (typeof run & object)["schedule"]) => ({
      ...team.submission({ a: {} }),
      hash: run!.hash,
      schedule,
    });
    const of = { runId: run!.id, hash: run!.hash };
    await team.store.runs.rerun({ kind: "retry", of, from: [], submission: submission(run!.schedule) });
    await team.store.runs.rerun({ kind: "fork", of, from: [], submission: submission(null) });
    expect((await runs(team)).map(({ attempt }) => attempt)).toEqual([1, 2]);
    // The retry goes on, so the next tick is skipped.
    expect(await fire(team, at + minute)).toEqual(["00:01 skipped"]);
  });

  it("that nobody looks at is found by the audit", async () => {
    const team = await open();
    await create(team);
    await begin(team, Date.now() - 10 * minute);
    const violations = await team.store.audit();
    expect(violations).toMatchObject([
      { invariant: expect.stringMatching(/^I6: every tick/), subject: `${team.namespace}/nightly` },
    ]);
    await team.store.schedules.remove(team.namespace, "nightly");
  });

  it("says when it is due next, and whether anything waits", async () => {
    const team = await open();
    await create(team, { overlap: "queue" });
    const at = Date.parse("2039-01-01T00:00:00Z");
    await begin(team, at);
    const { nextInMs } = await team.store.schedules.fire({ limit: 0, now: new Date(at - 1_500) });
    expect(nextInMs).toBeLessThanOrEqual(1_500);
    await fire(team, at);
    await fire(team, at + minute);
    expect((await team.store.schedules.fire({ limit: 0, now: new Date(at + minute) })).areQueued).toBe(true);
  });
}

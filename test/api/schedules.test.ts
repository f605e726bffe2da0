/** Schedules over REST: what is refused, and that ticks become runs. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Problem } from "../../core/protocol/common.ts";
import type { RunBody } from "../../core/protocol/runs.ts";
import type { ScheduleRecord, TickBody } from "../../core/protocol/schedules.ts";
import { until } from "../deployment.ts";
import { type Namespace, startServer, type TestServer } from "./server.ts";

let server: TestServer;
let space: Namespace;
beforeAll(async () => {
  server = await startServer();
  space = await server.newNamespace();
  await register(space);
});
afterAll(async () => {
  const violations = await server.store.audit();
  await server.stop();
  expect(violations).toEqual([]);
});

async function register(into: Namespace, more: object = {}): Promise<void> {
  const tasks = [{ id: "a", capability: "work" }];
  await into.call({ path: "/v1/workflows", body: { name: "report", tasks, ...more } });
}

const nightly = { name: "nightly", cron: "30 2 * * *", timezone: "Europe/Berlin", workflow: "report" };
const post = <T = ScheduleRecord>(body: object, at = "/v1/schedules", own = space) => own.call<T>({ path: at, body });

describe("a schedule", () => {
  it("is created, read, listed, paused, resumed and deleted", async () => {
    const created = await post({ ...nightly, jitter: "5m" });
    expect([created.status, created.headers.location]).toEqual([201, "/v1/schedules/nightly"]);
    expect(created.body).toMatchObject({
      ...nightly,
      overlap: "skip",
      catch_up: "last",
      jitter: "5m",
      paused_by: null,
      next_tick_at: expect.stringMatching(/T0[01]:30:00.000Z$/),
    });
    const at = "/v1/schedules/nightly";
    expect((await post({ ...nightly, jitter: "5m" })).status).toBe(200);
    expect((await space.call({ path: at, method: "GET" })).body).toEqual(created.body);
    const { body: list } = await space.call<{ data: ScheduleRecord[] }>({ path: "/v1/schedules?workflow=report" });
    expect(list.data.map(({ name }) => name)).toEqual(["nightly"]);
    const { body: paused } = await post({ reason: "storm" }, `${at}/pause`);
    expect(paused).toMatchObject({ paused_by: expect.any(String), pause_reason: "storm", next_tick_at: null });
    expect((await post({}, `${at}/resume`)).body).toEqual(created.body);
    expect((await space.call({ path: at, method: "DELETE" })).status).toBe(204);
    for (const call of [{ path: at }, { path: `${at}/ticks` }, { path: at, method: "DELETE" }])
      expect((await space.call(call)).body).toMatchObject({ code: "SCHEDULE_NOT_FOUND", status: 404 });
  });

  it.each<[string, object, string, string, number]>([
    ["a cron that is none", { cron: "every day" }, "SCHEDULE_CRON_INVALID", "/cron", 422],
    ["a cron that never fires", { cron: "0 0 31 4,6 *" }, "SCHEDULE_NEVER_FIRES", "/cron", 422],
    ["a zone that is none", { timezone: "Europe/Atlantis" }, "SCHEDULE_TIMEZONE_UNKNOWN", "/timezone", 422],
    ["an unknown workflow", { workflow: "reports" }, "WORKFLOW_NOT_FOUND", "/workflow", 404],
    ["an unknown version", { workflow: "report@7" }, "WORKFLOW_NOT_FOUND", "/workflow", 404],
    ["inputs that do not fit", { workflow: "picky", inputs: { n: "x" } }, "RUN_INPUTS_INVALID", "/inputs/n", 422],
    ["an overlap that is none", { overlap: "maybe" }, "REQUEST_INVALID", "/overlap", 400],
    ["a jitter of zero", { jitter: "0s" }, "REQUEST_INVALID", "/jitter", 400],
    ["a jitter of weeks", { jitter: "7d" }, "REQUEST_INVALID", "/jitter", 400],
    ["a limit of 0", { catch_up_limit: 0 }, "REQUEST_INVALID", "/catch_up_limit", 400],
    ["an unknown key", { time_zone: "UTC" }, "REQUEST_INVALID", "/time_zone", 400],
    ["no name", { name: undefined }, "REQUEST_INVALID", "/name", 400],
  ])("is refused for %s", async (_, own, code, pointer, status) => {
    const inputs = { type: "object", required: ["n"], properties: { n: { type: "number" }, at: { type: "string" } } };
    await space.call({
      path: "/v1/workflows",
      body: { name: "picky", inputs, tasks: [{ id: "a", capability: "work" }] },
    });
    const { body } = await post<Problem>({ ...nightly, name: "refused", ...own });
    expect([body.code, body.errors?.[0]?.pointer, body.status]).toEqual([code, pointer, status]);
    expect((await space.call({ path: "/v1/schedules/refused" })).status).toBe(404);
  });

  it("is changed: what is left out stays, null takes away, and nobody overwrites what they have not read", async () => {
    const at = "/v1/schedules/changing";
    const made = await post({ ...nightly, name: "changing", inputs: { n: 1 }, jitter: "5m", labels: { a: "b" } });
    const read = await space.call<ScheduleRecord>({ path: at });
    expect([read.headers.etag, read.body.revision, read.body.updated_by]).toEqual(['"1"', 1, null]);
    const patch = <T = ScheduleRecord>(body: object, headers = {}) =>
      space.call<T>({ method: "PATCH", path: at, body, headers });
    const kept = await patch({ inputs: { n: 2 }, jitter: null }, { "if-match": '"1"' });
    expect([kept.status, kept.headers.etag]).toEqual([200, '"2"']);
    const { jitter: _, ...rest } = made.body;
    const news = { inputs: { n: 2 }, revision: 2, updated_by: expect.any(String), updated_at: expect.any(String) };
    expect(kept.body).toEqual({ ...rest, ...news });
    const stale = await patch<Problem>({ priority: 1 }, { "if-match": '"1"' });
    expect(stale.body).toMatchObject({ code: "SCHEDULE_CONFLICT", status: 412 });
    const moved = await patch({ cron: "0 4 * * *", timezone: "UTC" });
    expect(moved.body).toMatchObject({
      revision: 3,
      priority: 0,
      next_tick_at: expect.stringMatching(/T04:00:00.000Z$/),
    });
    const both = await Promise.all([patch({ priority: 5 }), patch({ description: "both" })]);
    expect(both.map(({ status }) => status)).toEqual([200, 200]);
    expect((await space.call({ path: at })).body).toMatchObject({ priority: 5, description: "both", revision: 5 });
    await post({}, `${at}/pause`);
    expect((await patch({ cron: "0 5 * * *" })).body).toMatchObject({
      next_tick_at: null,
      paused_by: expect.any(String),
    });
    expect((await post({}, `${at}/resume`)).body.next_tick_at).toMatch(/T05:00:00.000Z$/);
  });

  it.each<[string, object, string, string | undefined, number]>([
    ["nothing", {}, "REQUEST_INVALID", "", 400],
    ["another name", { name: "other" }, "REQUEST_INVALID", "/name", 400],
    ["a cron that never fires", { cron: "0 0 30 2 *" }, "SCHEDULE_NEVER_FIRES", "/cron", 422],
    ["a zone that is none", { timezone: "Europe/Atlantis" }, "SCHEDULE_TIMEZONE_UNKNOWN", "/timezone", 422],
    ["an unknown workflow", { workflow: "reports" }, "WORKFLOW_NOT_FOUND", "/workflow", 404],
    ["no cron", { cron: null }, "REQUEST_INVALID", "/cron", 400],
    ["a jitter of weeks", { jitter: "7d" }, "REQUEST_INVALID", "/jitter", 400],
  ])("is not changed to %s", async (_, body, code, pointer, status) => {
    await post({ ...nightly, name: "steady" });
    const refused = await space.call<Problem>({ method: "PATCH", path: "/v1/schedules/steady", body });
    expect([refused.body.code, refused.body.errors?.[0]?.pointer, refused.body.status]).toEqual([
      code,
      pointer,
      status,
    ]);
    const none = await space.call<Problem>({ method: "PATCH", path: "/v1/schedules/none", body: { priority: 1 } });
    expect(none.body).toMatchObject({ code: "SCHEDULE_NOT_FOUND", status: 404 });
    expect((await space.call<ScheduleRecord>({ path: "/v1/schedules/steady" })).body.revision).toBe(1);
  });

  it("is refused under the name of another one", async () => {
    await post({ ...nightly, name: "taken" });
    const { body } = await post<Problem>({ ...nightly, name: "taken", cron: "0 3 * * *" });
    expect(body).toMatchObject({ code: "SCHEDULE_EXISTS", status: 409, errors: [{ pointer: "/name" }] });
  });

  it("may give the tick's time to an input that the workflow asks for", async () => {
    const inputs = { type: "object", required: ["at"], properties: { at: { type: "string", format: "date-time" } } };
    await space.call({
      path: "/v1/workflows",
      body: { name: "dated", inputs, tasks: [{ id: "a", capability: "work" }] },
    });
    const dated = { ...nightly, name: "dated", workflow: "dated" };
    expect((await post<Problem>(dated)).body.code).toBe("RUN_INPUTS_INVALID");
    expect((await post({ ...dated, tick_input: "at" })).status).toBe(201);
  });

  it("shows when it will fire, before there is one", async () => {
    const wish = { cron: "30 2 * * *", timezone: "Europe/Berlin", from: "2026-03-28T12:00:00Z", count: 2 };
    const { body } = await post<{ data: string[] }>(wish, "/v1/schedules/preview");
    expect(body.data).toEqual(["2026-03-29T01:00:00.000Z", "2026-03-30T00:30:00.000Z"]);
    const refused = await post<Problem>({ ...wish, cron: "* *" }, "/v1/schedules/preview");
    expect(refused.body).toMatchObject({ code: "SCHEDULE_CRON_INVALID", errors: [{ pointer: "/cron" }] });
  });

  it("refuses backfills of nothing, and of too much", async () => {
    await post({ ...nightly, name: "often", cron: "* * * * *" });
    const at = "/v1/schedules/often/backfill";
    const day = (n: number) => `2026-01-0${n}T00:00:00Z`;
    expect((await post<Problem>({ from: day(2), to: day(1) }, at)).body).toMatchObject({
      code: "REQUEST_INVALID",
      errors: [{ pointer: "/to" }],
    });
    expect((await post<Problem>({ from: day(1), to: day(3) }, at)).body).toMatchObject({
      code: "SCHEDULE_BACKFILL_TOO_LARGE",
      status: 413,
    });
  });

  it("starts runs by itself, and those of a backfill", async () => {
    const own = await server.newNamespace();
    await register(own);
    await post(
      { ...nightly, name: "fast", cron: "* * * * * *", overlap: "allow", tick_input: "at" },
      "/v1/schedules",
      own,
    );
    const runs = async (name: string) =>
      (await own.call<{ data: RunBody[] }>({ path: `/v1/runs?schedule=${name}` })).body.data;
    await until(async () => expect((await runs("fast")).length).toBeGreaterThan(1), "ticks become runs");
    await post({}, "/v1/schedules/fast/pause", own);
    for (const { schedule, tick_at, inputs } of await runs("fast")) {
      expect([schedule, inputs.at]).toEqual(["fast", tick_at]);
    }
    await post({ ...nightly, name: "slow", overlap: "allow" }, "/v1/schedules", own);
    const range = { from: "2026-03-27T12:00:00Z", to: "2026-03-30T12:00:00Z" };
    expect((await post(range, "/v1/schedules/slow/backfill", own)).body).toEqual({ queued: 3, known: 0 });
    await until(async () => expect((await runs("slow")).length).toBe(3), "the backfill is fired");
    const { body } = await own.call<{ data: TickBody[] }>({ path: "/v1/schedules/slow/ticks?outcome=fired" });
    expect(body.data.map(({ tick_at, backfill }) => [tick_at, backfill])).toEqual([
      ["2026-03-30T00:30:00.000Z", true],
      ["2026-03-29T01:00:00.000Z", true],
      ["2026-03-28T01:30:00.000Z", true],
    ]);
    const { text } = await own.call({ path: "/metrics" });
    expect(text).toMatch(/skein_schedule_ticks_total\{outcome="fired"\} \d/);
  });

  it("whose ticks wait goes on when the run before has ended", async () => {
    const own = await server.newNamespace();
    await register(own);
    const worker = await own.join();
    await post({ ...nightly, overlap: "skip" }, "/v1/schedules", own);
    const range = { from: "2026-01-01T00:00:00Z", to: "2026-01-03T00:00:00Z" };
    await post(range, "/v1/schedules/nightly/backfill", own);
    const runs = async () => (await own.call<{ data: RunBody[] }>({ path: "/v1/runs?schedule=nightly" })).body.data;
    await until(async () => expect((await runs()).length).toBe(1), "the first is fired");
    await worker.work();
    await until(async () => expect((await runs()).length).toBe(2), "the second follows");
  });
});

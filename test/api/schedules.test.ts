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

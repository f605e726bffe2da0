/** Many runs: looked for, steered at once, moved to history and forgotten. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Retention, Storage } from "../../core/protocol/retention.ts";
import type { BulkAnswer, RunBody, TaskBody } from "../../core/protocol/runs.ts";
import { until } from "../deployment.ts";
import { failure, type Namespace, startServer, type TestServer } from "./server.ts";

interface Page<T> {
  data: T[];
  next_cursor: string | null;
}

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

const DAY_MS = 86_400_000;
const daysAgo = (days: number) => new Date(Date.now() - days * DAY_MS).toISOString();

async function idsOf(own: Namespace, query: string): Promise<string[]> {
  const { status, body } = await own.call<Page<RunBody>>({ path: `/v1/runs?${query}` });
  expect(status).toBe(200);
  return body.data.map(({ id }) => id);
}

const bulk = (own: Namespace, body: object) => own.call<BulkAnswer & { code: string }>({ path: "/v1/runs/bulk", body });

describe("runs", () => {
  it("are found by any of several statuses, by a part of their workflow's name, and by time", async () => {
    const own = await server.newNamespace();
    const named = (name: string) => own.submit([{ id: "a" }], { definition: { name } });
    const [report, summary] = [await named("Weekly.Report"), await named("summary")];
    await own.call({ method: "POST", path: `/v1/runs/${summary.id}/cancel` });
    await own.finished(summary.id);
    expect(await idsOf(own, "name_contains=report")).toEqual([report.id]);
    expect(await idsOf(own, "name_contains=%25")).toEqual([]);
    expect(await idsOf(own, "status=running&status=cancelled")).toEqual([summary.id, report.id]);
    expect(await idsOf(own, `created_after=${daysAgo(1)}&created_before=${daysAgo(-1)}`)).toHaveLength(2);
    expect(await idsOf(own, `created_before=${daysAgo(1)}`)).toEqual([]);
    expect(await idsOf(own, `finished_after=${daysAgo(1)}`)).toEqual([summary.id]);
    expect(await idsOf(own, `finished_after=${daysAgo(-1)}`)).toEqual([]);
    const { status } = await own.call({ path: "/v1/runs?created_after=yesterday" });
    expect(status).toBe(400);
  });
});

describe("a bulk operation", () => {
  it("counts first, and does nothing until it is confirmed by that number", async () => {
    const own = await server.newNamespace();
    for (const colour of ["red", "red", "blue"]) await own.submit([{ id: "a" }], { labels: { colour } });
    const filter = { labels: { colour: "red" } };
    const looked = await bulk(own, { action: "cancel", filter, dry_run: true });
    expect(looked.body).toMatchObject({ dry_run: true, matched: 2, done: 0, next_cursor: null });
    expect(looked.body.runs).toHaveLength(2);
    expect((await bulk(own, { action: "cancel", filter })).body.code).toBe("BULK_NOT_CONFIRMED");
    expect((await bulk(own, { action: "cancel", filter, expected: 3 })).body.code).toBe("BULK_COUNT_DIFFERS");
    expect(await idsOf(own, "status=running")).toHaveLength(3);
    const done = await bulk(own, { action: "cancel", filter, expected: 2, reason: "over" });
    expect(done.body).toMatchObject({ matched: 2, done: 2, skipped: 0, failed: [], next_cursor: null });
    for (const { run } of done.body.runs) {
      expect(await own.finished(run)).toMatchObject({ status: "cancelled", error: { message: "over" } });
    }
    expect(await idsOf(own, "status=running")).toHaveLength(1);
  });

  it("pauses and resumes", async () => {
    const own = await server.newNamespace();
    const runs = [await own.submit([{ id: "a" }]), await own.submit([{ id: "a" }])];
    expect((await bulk(own, { action: "pause", filter: {}, all: true })).body).toMatchObject({ matched: 2, done: 2 });
    expect(await idsOf(own, "status=paused")).toEqual(runs.map(({ id }) => id).toReversed());
    expect((await bulk(own, { action: "pause", filter: {}, all: true })).body).toMatchObject({ matched: 0, done: 0 });
    expect((await bulk(own, { action: "resume", filter: {}, expected: 2 })).body).toMatchObject({ done: 2 });
    expect(await idsOf(own, "status=paused")).toEqual([]);
  });

  it("retries each run once, however often it is asked to", async () => {
    const own = await server.newNamespace();
    const agent = await own.join();
    const failed: string[] = [];
    for (let n = 0; n < 25; n++) failed.push((await own.submit([{ id: "a" }, { id: "b" }])).id);
    for (let leases = await agent.claim(); leases.length > 0; leases = await agent.claim()) {
      await agent.report(leases.map((lease) => failure(lease, { retryable: false })));
    }
    await Promise.all(failed.map((id) => own.finished(id)));
    const filter = { status: ["failed"] };
    const [one, other] = await Promise.all([
      bulk(own, { action: "retry", filter, all: true }),
      bulk(own, { action: "retry", filter, all: true }),
    ]);
    const retried = [...one.body.runs, ...other.body.runs];
    expect(retried.map(({ run }) => run).toSorted()).toEqual(failed.toSorted());
    expect((await bulk(own, { action: "retry", filter, dry_run: true })).body.matched).toBe(0);
    const { body } = await own.call<RunBody>({ path: `/v1/runs/${retried[0]!.new_run}` });
    expect(body).toMatchObject({ retried_from: retried[0]!.run, attempt: 2 });
  });

  it("goes on where it was", async () => {
    const own = await server.newNamespace();
    const runs: string[] = [];
    for (let n = 0; n < 4; n++) runs.unshift((await own.submit([{ id: "a" }])).id);
    const rest = await bulk(own, { action: "cancel", filter: {}, cursor: runs[1] });
    expect(rest.body).toMatchObject({ matched: null, done: 2 });
    expect(rest.body.runs.map(({ run }) => run).toSorted()).toEqual(runs.slice(2).toSorted());
  });

  it("refuses a status that it cannot be done to", async () => {
    const own = await server.newNamespace();
    const refused = await bulk(own, { action: "cancel", filter: { status: ["completed"] }, all: true });
    expect(refused).toMatchObject({ status: 400, body: { errors: [{ pointer: "/filter/status" }] } });
  });
});

describe("retention", () => {
  it("is for ever until a policy is set, and again when it is removed", async () => {
    const own = await server.newNamespace();
    const never = { completed: null, failed: null, cancelled: null, conversations: null };
    const get = async () => (await own.call<Retention>({ path: "/v1/retention" })).body;
    const put = (body: object) =>
      own.call<Retention & { errors: object[] }>({ method: "PUT", path: "/v1/retention", body });
    expect(await get()).toEqual({ move_after: null, keep: never });
    const set = await put({ move_after: "PT24H", keep: { completed: "30d" } });
    expect(set.body).toEqual({ move_after: "1d", keep: { ...never, completed: "30d" } });
    expect(await get()).toEqual(set.body);
    const short = await put({ move_after: "1d", keep: { conversations: "2h" } });
    expect(short.body.keep).toEqual({ ...never, conversations: "2h" });
    expect((await put({ move_after: "1d", keep: { conversations: "5m" } })).body.errors).toMatchObject([
      { pointer: "/keep/conversations" },
    ]);
    expect(await get()).toEqual(short.body);
    await put({ move_after: "PT24H", keep: { completed: "30d" } });
    expect((await put({ move_after: "5m" })).body.errors).toMatchObject([{ pointer: "/move_after" }]);
    expect((await put({ move_after: "2d", keep: { failed: "1d" } })).body.errors).toMatchObject([
      { pointer: "/keep/failed" },
    ]);
    expect(await get()).toEqual(set.body);
    expect((await own.call({ method: "DELETE", path: "/v1/retention" })).status).toBe(204);
    expect((await own.call({ method: "DELETE", path: "/v1/retention" })).body.code).toBe("RETENTION_NOT_FOUND");
    expect(await get()).toEqual({ move_after: null, keep: never });
  });

  it("moves a run, which answers as before, and forgets it, which its key then says", async () => {
    const own = await server.newNamespace();
    const agent = await own.join();
    const headers = { "idempotency-key": "once" };
    const { id } = await own.submit([{ id: "a" }, { id: "b", needs: ["a"] }], { headers });
    await agent.work(({ key }) => ({ by: key }));
    await own.finished(id);
    const paths = ["", "/result", "/tasks", "/tasks/a", "/events", "/logs", "/graph", "/timeline", "/repeats"];
    const read = async () => {
      const answers = [];
      for (const path of paths) {
        answers.push(
          (await own.call<object>({ path: `/v1/runs/${id}${path}`, headers: { accept: "application/json" } })).body,
        );
      }
      return answers;
    };
    await server.sql.query("update run set finished_at = finished_at - interval '2 hours' where id = $1", [id]);
    const before = await read();
    await own.call({ method: "PUT", path: "/v1/retention", body: { move_after: "1h", keep: { completed: "3h" } } });
    const isHot = async () => (await server.sql.query("select from run where id = $1", [id])).length === 1;
    await until(async () => {
      await server.store.history.move(100);
      expect(await isHot()).toBe(false);
    }, "the run is in history");
    expect(await read()).toEqual(before);
    expect(await isHot()).toBe(true);
    const again = await own.call<RunBody>({
      path: "/v1/runs",
      headers,
      body: { definition: definitionOf(["a", "b"]) },
    });
    expect(again.body.id).toBe(id);
    await server.sql.query(
      "update run set finished_at = finished_at - interval '2 hours', recalled_at = recalled_at - interval '2 hours' where id = $1",
      [id],
    );
    await until(async () => {
      await server.store.history.move(100);
      expect(await isHot()).toBe(false);
    }, "the run is forgotten");
    expect((await own.call({ path: `/v1/runs/${id}` })).body.code).toBe("RUN_NOT_FOUND");
    const forgotten = await own.call({ path: "/v1/runs", headers, body: { definition: definitionOf(["a", "b"]) } });
    expect(forgotten).toMatchObject({ status: 410, body: { code: "RUN_FORGOTTEN" } });
  });

  const definitionOf = ([a, b]: string[]) => ({
    name: "flow",
    tasks: [
      { id: a, capability: "work" },
      { id: b, needs: [a], capability: "work" },
    ],
  });

  it("lets a run be retried from history", async () => {
    const own = await server.newNamespace();
    const { id } = await own.submit([{ id: "a" }]);
    await own.call({ method: "POST", path: `/v1/runs/${id}/cancel` });
    await own.finished(id);
    await server.sql.query("update run set finished_at = finished_at - interval '2 hours' where id = $1", [id]);
    await own.call({ method: "PUT", path: "/v1/retention", body: { move_after: "1h" } });
    await until(async () => {
      await server.store.history.move(100);
      expect(await server.sql.query("select from run where id = $1", [id])).toEqual([]);
    }, "the run is in history");
    const { status, body } = await own.call<RunBody>({ path: `/v1/runs/${id}/retry`, body: {} });
    expect([status, body.retried_from]).toEqual([202, id]);
    const { body: tasks } = await own.call<Page<TaskBody>>({ path: `/v1/runs/${body.id}/tasks` });
    expect(tasks.data).toMatchObject([{ key: "a", status: "ready" }]);
  });
});

describe("storage", () => {
  it("is told of the namespace, and of all tables to the first one", async () => {
    const own = await server.newNamespace();
    await own.submit([{ id: "a" }, { id: "b" }]);
    const { body } = await own.call<Storage>({ path: "/v1/storage" });
    expect(body).toMatchObject({ namespace: own.name, runs: 1, tasks: 2, tables: null, history: { runs: 0 } });
    expect(body.bytes).toBeGreaterThan(0);
    const first = await server.call<Storage>({ path: "/v1/storage", key: "admin-key-of-the-tests" });
    expect(first.body.tables!.find(({ name }) => name === "task")!.bytes).toBeGreaterThan(0);
    const metrics = await server.call({ path: "/metrics" });
    expect(metrics.text).toMatch(/skein_table_bytes\{table="task"\} [1-9]/);
  });
});

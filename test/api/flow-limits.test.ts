/** Limits over HTTP: set, read and taken away, and the definitions that are refused. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Problem } from "../../core/protocol/common.ts";
import type { FlowLimitRecord } from "../../core/protocol/flow-limits.ts";
import type { WhyBody } from "../../core/protocol/runs.ts";
import { completion, type Namespace, startServer, type TestServer } from "./server.ts";

let server: TestServer;
let space: Namespace;
beforeAll(async () => {
  server = await startServer();
  space = await server.newNamespace();
});
afterAll(() => server.stop());

const put = (key: string, body: object) =>
  space.call<FlowLimitRecord>({ method: "PUT", path: `/v1/limits/${key}`, body });

describe("a limit", () => {
  it("is set, listed, read and taken away", async () => {
    const key = encodeURIComponent("crm/acme corp");
    const set = await put(key, { concurrency: 3, rate: { limit: 100, per: "60s" } });
    expect(set).toMatchObject({
      status: 200,
      body: { key: "crm/acme corp", concurrency: 3, rate: { limit: 100, per: "1m" }, holders: 0 },
    });
    expect((await space.call({ path: `/v1/limits/${key}` })).body).toEqual(set.body);
    expect((await space.call<{ data: FlowLimitRecord[] }>({ path: "/v1/limits" })).body.data).toEqual([set.body]);
    expect((await put(key, { concurrency: 1 })).body).toMatchObject({ concurrency: 1, rate: null });
    expect((await space.call({ method: "DELETE", path: `/v1/limits/${key}` })).status).toBe(204);
    const gone = await space.call({ method: "DELETE", path: `/v1/limits/${key}` });
    expect(gone).toMatchObject({ status: 404, body: { code: "FLOW_LIMIT_NOT_FOUND" } });
    expect((await space.call({ path: "/v1/limits/never" })).status).toBe(404);
  });

  it.each<[string, object, string]>([
    ["0", { concurrency: 0 }, "/concurrency"],
    ["a negative one", { concurrency: -1 }, "/concurrency"],
    ["half of one", { concurrency: 1.5 }, "/concurrency"],
    ["a rate of 0", { rate: { limit: 0, per: "1m" } }, "/rate/limit"],
    ["an unknown unit", { rate: { limit: 1, per: "1 fortnight" } }, "/rate/per"],
    ["a period of nothing", { rate: { limit: 1, per: "0s" } }, "/rate/per"],
    ["a rate without a period", { rate: { limit: 1 } }, "/rate/per"],
    ["an unknown key", { concurrency: 1, burst: 2 }, "/burst"],
    ["nothing", {}, ""],
  ])("is refused if it is %s", async (_, body, pointer) => {
    const answer = await put("bad", body);
    expect(answer).toMatchObject({ status: 400, body: { code: "REQUEST_INVALID", errors: [{ pointer }] } });
  });

  it.each(["@capability:", "@capabilty:work", "@acme", "@namespace:x"])("has no key %s", async (key) => {
    for (const [method, path, body] of [
      ["PUT", "", { concurrency: 1 }],
      ["POST", "/pause", {}],
      ["POST", "/resume", {}],
    ] as const) {
      const refused = await space.call<Problem>({ method, path: `/v1/limits/${encodeURIComponent(key)}${path}`, body });
      expect(refused).toMatchObject({
        status: 400,
        body: { code: "REQUEST_INVALID", errors: [{ pointer: "/params/limit" }] },
      });
      expect(refused.body.errors![0]!.message).toContain("@capability:");
    }
  });

  it("of a whole capability holds for tasks that name no key, also of one that nobody offers yet", async () => {
    const own = await server.newNamespace();
    const set = await own.call<FlowLimitRecord>({
      method: "PUT",
      path: "/v1/limits/@capability:work",
      body: { concurrency: 1 },
    });
    expect(set).toMatchObject({ status: 200, body: { key: "@capability:work", concurrency: 1, in_force: true } });
    const worker = await own.join();
    const { id } = await own.submit(["a", "b"].map((key) => ({ id: key, capability: "work" })));
    const [first] = await worker.claim();
    expect(await worker.claim()).toEqual([]);
    const why = (await own.call<WhyBody>({ path: `/v1/runs/${id}/tasks/b/why` })).body;
    expect(why.reasons[0]).toMatchObject({ code: "limit_reached", tasks: ["a"] });
    await worker.report([completion(first!)]);
    expect(await worker.claim()).toHaveLength(1);
  });

  it("is paused and resumed, which wakes whoever waits for work", async () => {
    const own = await server.newNamespace();
    const worker = await own.join();
    const { id } = await own.submit([{ id: "a", capability: "work" }]);
    const path = "/v1/limits/@namespace";
    const paused = await own.call<FlowLimitRecord>({ path: `${path}/pause`, body: { reason: "moving house" } });
    expect(paused).toMatchObject({
      status: 200,
      body: {
        key: "@namespace",
        concurrency: null,
        paused_by: "test",
        paused_at: expect.stringMatching(/^20.*Z$/),
        pause_reason: "moving house",
        in_force: true,
      },
    });
    expect((await own.call({ path })).body).toEqual(paused.body);
    expect((await own.call({ path: `${path}/pause`, body: { reason: "moving house" } })).body).toEqual(paused.body);
    const again = await own.call<Problem>({ path: `${path}/pause`, body: { reason: "another" } });
    expect(again).toMatchObject({ status: 409, body: { code: "FLOW_LIMIT_PAUSED" } });
    expect(again.body.detail).toContain("moving house");
    expect((await own.call<Problem>({ path: `${path}/pause`, body: { why: "?" } })).body).toMatchObject({
      code: "REQUEST_INVALID",
      errors: [{ pointer: "/why" }],
    });
    const why = (await own.call<WhyBody>({ path: `/v1/runs/${id}/tasks/a/why` })).body;
    expect(why.reasons[0]).toMatchObject({ code: "paused", message: expect.stringContaining("moving house") });
    expect(await worker.claim()).toEqual([]);
    const look = server.nextLook();
    const waiting = worker.claim({ wait: 30 });
    await look;
    const resumed = await own.call<FlowLimitRecord>({ path: `${path}/resume`, body: {} });
    expect(resumed).toMatchObject({ status: 200, body: { paused_by: null, paused_at: null, pause_reason: null } });
    expect((await waiting).map(({ key }) => key)).toEqual(["a"]);
    const twice = await own.call({ path: `${path}/resume`, body: {} });
    expect(twice).toMatchObject({ status: 409, body: { code: "FLOW_LIMIT_NOT_PAUSED" } });
    const metrics = (await server.call({ path: "/metrics" })).text;
    expect(metrics).not.toContain(`skein_limit_paused{namespace="${own.name}"`);
  });

  it("is told in the metrics, with what runs under it", async () => {
    const own = await server.newNamespace();
    const worker = await own.join();
    await own.submit([{ id: "a", capability: "work" }]);
    await worker.claim();
    await own.call({ method: "PUT", path: "/v1/limits/@capability:work", body: { concurrency: 4 } });
    await own.call({ path: "/v1/limits/@capability:work/pause", body: {} });
    const metrics = (await server.call({ path: "/metrics" })).text;
    const labels = `{namespace="${own.name}",key="@capability:work"}`;
    expect(metrics).toContain(`skein_limit_concurrency${labels} 4`);
    expect(metrics).toContain(`skein_limit_held${labels} 1`);
    expect(metrics).toContain(`skein_limit_paused${labels} 1`);
  });

  it("holds for what runs under it, and `why` says who holds it", async () => {
    const own = await server.newNamespace();
    const worker = await own.join();
    const limited = { capability: "work", concurrency: { key: "crm", limit: 1 } };
    const { id } = await own.submit([
      { id: "a", ...limited },
      { id: "b", ...limited },
      { id: "c", ...limited },
    ]);
    const [first] = await worker.claim();
    expect(first!.key).toBe("a");
    const why = (await own.call<WhyBody>({ path: `/v1/runs/${id}/tasks/c/why` })).body;
    expect(why.reasons[0]).toMatchObject({
      code: "limit_reached",
      tasks: ["a"],
      message: expect.stringMatching(
        /^crm is held by 1 of at most 1: a of run .*1 task of the same limits is before it/,
      ),
    });
    expect(await worker.claim()).toEqual([]);
    await own.call({ method: "PUT", path: "/v1/limits/crm", body: { concurrency: 2 } });
    expect((await worker.claim()).map(({ key }) => key)).toEqual(["b"]);
    expect((await own.call<FlowLimitRecord>({ path: "/v1/limits/crm" })).body).toMatchObject({ holders: 2 });
  });

  it("refuses a run whose key cannot be told", async () => {
    const definition = {
      name: "w",
      concurrency: { key: "{{ inputs.tenant }}", limit: 1 },
      tasks: [{ id: "a", capability: "work" }],
    };
    const refused = await space.call({ path: "/v1/runs", body: { definition, inputs: { tenant: [] } } });
    expect(refused).toMatchObject({ status: 422, body: { code: "FLOW_KEY_INVALID" } });
    const queued = { definition, inputs: { tenant: "x" } };
    expect((await space.call({ path: "/v1/runs", body: queued })).status).toBe(202);
  });
});

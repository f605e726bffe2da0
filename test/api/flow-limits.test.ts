/** Limits over HTTP: set, read and taken away, and the definitions that are refused. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { FlowLimitRecord } from "../../core/protocol/flow-limits.ts";
import type { WhyBody } from "../../core/protocol/runs.ts";
import { type Namespace, startServer, type TestServer } from "./server.ts";

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

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { BudgetsBody, SpendBody } from "../../core/protocol/budgets.ts";
import type { Problem } from "../../core/protocol/common.ts";
import type { RunBody, WhyBody } from "../../core/protocol/runs.ts";
import { completion, startServer, type TestServer } from "./server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  const violations = await server.store.audit();
  await server.stop();
  expect(violations).toEqual([]);
});

const chain = [{ id: "a" }, { id: "b", needs: ["a"] }];

describe("a budget", () => {
  it("comes with a submit, in place of what the workflow says, and stands in the run", async () => {
    const space = await server.newNamespace();
    const definition = { budget: { tokens: 500, cost: 1 } };
    const { budget } = await space.submit(chain, { definition, budget: { tokens: 100, on_exhausted: "wait" } });
    expect(budget).toMatchObject({
      task: null,
      limits: { tokens: 100, cost: 1, calls: null },
      spent: { tokens: 0, cost: 0, calls: 0 },
      left: { tokens: 100, cost: 1, calls: null },
      on_exhausted: "wait",
      exhausted: null,
      ends_at: null,
    });
    expect((await space.submit(chain)).budget).toBeNull();
  });

  it("is waited for, explained, raised, and told of in events, sums and metrics", async () => {
    const space = await server.newNamespace();
    const agent = await space.join([{ name: "work", tokens: 60, cost: 0.5 }]);
    const { id } = await space.submit(chain, { budget: { tokens: 100, on_exhausted: "wait" } });
    const [a] = await agent.claim();
    const path = `/v1/runs/${id}/budget`;
    expect((await space.call<BudgetsBody>({ path })).body.budgets).toMatchObject([
      { reserved: { tokens: 60, cost: 0.5, calls: 1 } },
    ]);
    await agent.report([{ ...completion(a!), usage: { input_tokens: 40, output_tokens: 10 } }]);
    expect(await agent.claim()).toEqual([]);
    const why = await space.call<WhyBody>({ path: `/v1/runs/${id}/tasks/b/why` });
    expect(why.body.reasons).toMatchObject([
      { code: "budget_exhausted", message: expect.stringMatching(/10 tokens too many\. Raise .*skein runs budget/) },
    ]);
    const exhausted = async () => (await space.call<RunBody>({ path: `/v1/runs/${id}` })).body.budget!.exhausted;
    await expect.poll(exhausted).toMatch(/50 tokens are spent, and the task needs 60 tokens/);
    const raised = await space.call<BudgetsBody>({ method: "PATCH", path, body: { tokens: 110 } });
    expect(raised).toMatchObject({ status: 200, body: { budgets: [{ limits: { tokens: 110 }, exhausted: null }] } });
    const [b] = await agent.claim({ wait: 30 });
    expect(b!.key).toBe("b");
    await agent.report([{ ...completion(b!), usage: { tokens: 60 } }]);
    expect((await space.finished(id)).budget!.spent).toEqual({ tokens: 110, cost: 1, calls: 2 });
    const spend = await space.call<SpendBody>({ path: "/v1/spend?by=agent" });
    expect(spend.body.data).toEqual([{ key: "tester", tokens: 110, cost: 1, calls: 2, attempts: 2 }]);
    const since = new Date(Date.now() + 3_600_000).toISOString();
    expect((await space.call<SpendBody>({ path: `/v1/spend?by=run&since=${since}` })).body.data).toEqual([]);
    const metrics = await server.call({ path: "/metrics", key: undefined });
    expect(metrics.text).toContain(`skein_spent_total{namespace="${space.name}",unit="tokens"} 110`);
    const over = await space.call<Problem>({ method: "PATCH", path, body: { tokens: 500 } });
    expect([over.status, over.body.code]).toEqual([409, "RUN_ALREADY_FINISHED"]);
  });

  it("fails the run that is not asked for", async () => {
    const space = await server.newNamespace();
    const agent = await space.join();
    const { id } = await space.submit(chain, { budget: { calls: 1 } });
    await agent.work();
    const run = await space.finished(id);
    expect(run.error).toMatchObject({ code: "BUDGET_EXHAUSTED", message: expect.stringContaining("larger budget") });
  });

  it("is raised with the retry of a run that failed for it, which keeps what was done", async () => {
    const space = await server.newNamespace();
    const agent = await space.join();
    const { id } = await space.submit(chain, { budget: { calls: 1, cost: 3, wall_time: "1h" } });
    await agent.work();
    expect((await space.finished(id)).error).toMatchObject({ code: "BUDGET_EXHAUSTED" });
    const retry = <T>(body: object, of = id, headers = {}) =>
      space.call<T>({ path: `/v1/runs/${of}/retry`, body, headers });
    const key = { "idempotency-key": "once" };
    const again = await retry<RunBody>({ budget: { calls: 5, on_exhausted: "wait" } }, id, key);
    expect(again).toMatchObject({
      status: 202,
      body: { budget: { limits: { calls: 5, cost: 3, tokens: null }, spent: { calls: 0 }, on_exhausted: "wait" } },
    });
    const { created_at, budget } = again.body;
    expect(Math.round((Date.parse(budget!.ends_at!) - Date.parse(created_at)) / 60_000)).toBe(60);
    expect((await retry<RunBody>({ budget: { calls: 5, on_exhausted: "wait" } }, id, key)).body.id).toBe(again.body.id);
    expect((await retry<Problem>({ budget: { calls: 6 } }, id, key)).body.code).toBe("IDEMPOTENCY_KEY_REUSED");
    await agent.work();
    expect(await space.finished(again.body.id)).toMatchObject({ status: "completed", budget: { spent: { calls: 1 } } });
    const fork = await space.call<RunBody>({ path: `/v1/runs/${id}/fork`, body: { budget: { calls: 9 } } });
    expect(fork.body.budget).toMatchObject({ limits: { calls: 9, cost: 3 } });
    await agent.work();

    const free = await space.submit(chain);
    await space.call({ path: `/v1/runs/${free.id}/cancel`, body: {} });
    await space.finished(free.id);
    for (const [wrong, pointer] of [
      [{}, "/budget"],
      [{ on_exhausted: "wait" }, "/budget"],
      [{ calls: 0 }, "/budget/calls"],
      [{ euros: 1 }, "/budget/euros"],
    ] as const) {
      const refused = await retry<Problem>({ budget: wrong }, free.id);
      expect([refused.status, refused.body.code, refused.body.errors?.[0]?.pointer]).toEqual([
        400,
        "REQUEST_INVALID",
        pointer,
      ]);
    }
    expect((await retry<RunBody>({ budget: { calls: 2 } }, free.id)).body.budget).toMatchObject({
      limits: { calls: 2 },
    });
  });

  it.each<[string, object, string, string]>([
    ["negative", { tokens: -1 }, "/budget/tokens", "REQUEST_INVALID"],
    ["of nothing", { calls: 0 }, "/budget/calls", "REQUEST_INVALID"],
    ["of no money", { cost: 0 }, "/budget/cost", "REQUEST_INVALID"],
    ["of half a call", { calls: 1.5 }, "/budget/calls", "REQUEST_INVALID"],
    ["of no number", { cost: "much" }, "/budget/cost", "REQUEST_INVALID"],
    ["of null, which NaN is in JSON", { cost: Number.NaN }, "/budget/cost", "REQUEST_INVALID"],
    ["in an unknown unit", { euros: 5, calls: 1 }, "/budget/euros", "REQUEST_INVALID"],
    ["that limits nothing", { on_exhausted: "wait" }, "/budget", "REQUEST_INVALID"],
    ["of no duration", { wall_time: "soon" }, "/budget/wall_time", "REQUEST_INVALID"],
    ["with an unknown end", { calls: 1, on_exhausted: "stop" }, "/budget/on_exhausted", "REQUEST_INVALID"],
  ])("%s is refused, with a pointer", async (_, budget, pointer, code) => {
    const space = await server.newNamespace();
    const definition = { name: "w", tasks: [{ id: "a", capability: "work" }] };
    const { status, body } = await space.call<Problem>({ path: "/v1/runs", body: { definition, budget } });
    expect([status, body.code, body.errors?.[0]?.pointer]).toEqual([400, code, pointer]);
  });

  it("is not changed where there is none, by nothing, or from elsewhere", async () => {
    const [space, elsewhere] = [await server.newNamespace(), await server.newNamespace()];
    const { id } = await space.submit(chain);
    const change = async (body: object, who = space, runId = id) => {
      const answer = await who.call<Problem>({ method: "PATCH", path: `/v1/runs/${runId}/budget`, body });
      return [answer.status, answer.body.code];
    };
    expect(await change({ tokens: 5 })).toEqual([404, "BUDGET_NOT_FOUND"]);
    expect(await change({ tokens: 5, task: "a" })).toEqual([404, "BUDGET_NOT_FOUND"]);
    expect(await change({})).toEqual([400, "REQUEST_INVALID"]);
    expect(await change({ task: "a", wall_time: "1h" })).toEqual([400, "REQUEST_INVALID"]);
    expect(await change({ tokens: 5 }, elsewhere)).toEqual([404, "RUN_NOT_FOUND"]);
    expect((await elsewhere.call({ path: `/v1/runs/${id}/budget` })).status).toBe(404);
    expect((await space.call<BudgetsBody>({ path: `/v1/runs/${id}/budget` })).body).toEqual({
      budgets: [],
      spent: { tokens: 0, cost: 0, calls: 0 },
    });
  });

  it("bounds the run of a plan, too", async () => {
    const space = await server.newNamespace();
    await space.join([{ name: "make", produces: { made: "made" } }]);
    const goal = { want: { made: "made" } };
    const { body } = await space.call<RunBody>({ path: "/v1/runs", body: { goal, budget: { calls: 7 } } });
    expect(body.budget).toMatchObject({ limits: { calls: 7 } });
  });
});

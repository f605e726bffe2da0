/** Dead letters over REST: listed with their history, redriven one by one and by filter, discarded. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Problem } from "../../core/protocol/common.ts";
import type {
  DeadLetterBody,
  DeadLetterDetailBody,
  DiscardedBody,
  RedrivenBody,
} from "../../core/protocol/dead-letters.ts";
import type { RunBody, TaskDetailBody } from "../../core/protocol/runs.ts";
import { until } from "../deployment.ts";
import { failure, type Namespace, nowhere, startServer, type TestServer } from "./server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  const violations = await server.store.audit();
  await server.stop();
  expect(violations).toEqual([]);
});

/** A namespace with an agent that fails whatever it is given, as long as it is asked to. */
async function newTeam() {
  const space = await server.newNamespace();
  const agent = await space.join();
  const task = { capability: "work", retry: { max_attempts: 1 } };
  /** Runs tasks of these ids to their failure. */
  async function failed(ids: string[], code = "broken"): Promise<string> {
    const { id } = await space.submit(ids.map((key) => ({ id: key, ...task })));
    for (const lease of await agent.claim({ max: ids.length })) await agent.report([failure(lease, { code })]);
    await space.finished(id);
    return id;
  }
  const list = async (query = "") =>
    (await space.call<{ data: DeadLetterBody[] }>({ path: `/v1/dead-letters${query}` })).body.data;
  return { space, agent, failed, list };
}

const post = <T>(space: Namespace, path: string, body: object = {}) =>
  space.call<T>({ path: `/v1/dead-letters${path}`, body });

describe("a dead letter", () => {
  it("is listed, and read with its attempts and where its input is", async () => {
    const { space, failed, list } = await newTeam();
    const runId = await failed(["a"], "no_ink");
    const [letter] = await list();
    expect(letter).toMatchObject({ run_id: runId, task: "a", error: { code: "no_ink" }, state: "open", failures: 1 });
    const { body } = await space.call<DeadLetterDetailBody>({ path: `/v1/dead-letters/${letter!.id}` });
    expect(body).toMatchObject({ ...letter, attempts: [{ attempt: 1, outcome: "failed", error: { code: "no_ink" } }] });
    const { body: task } = await space.call<TaskDetailBody>({ path: body.input_url });
    expect(task).toMatchObject({ id: letter!.id, key: "a", input: { inputs: {}, needs: {} } });
    const { text } = await space.call({ path: "/metrics" });
    expect(text).toContain(`skein_dead_letters{namespace="${space.name}",capability="work"} 1`);
  });

  it("is redriven in a new run, once, with all others of its run", async () => {
    const { space, agent, failed, list } = await newTeam();
    const runId = await failed(["a", "b"]);
    const letters = await list();
    const [one, two] = await Promise.all(letters.map(({ id }) => post<RunBody>(space, `/${id}/redrive`)));
    expect([one!.status, two!.status]).toEqual([202, 202]);
    expect(one!.body).toMatchObject({ retried_from: runId, attempt: 2 });
    expect(one!.headers.location).toBe(`/v1/runs/${one!.body.id}`);
    expect(two!.body.id).toBe(one!.body.id);
    expect((await post<RunBody>(space, `/${letters[0]!.id}/redrive`)).body.id).toBe(one!.body.id);
    expect(await list()).toEqual([]);
    expect((await list("?state=redriven")).map(({ redriven_in }) => redriven_in)).toEqual([one!.body.id, one!.body.id]);
    await agent.work();
    expect((await space.finished(one!.body.id)).status).toBe("completed");
    const refused = await post<Problem>(space, `/${letters[0]!.id}/discard`);
    expect(refused.body).toMatchObject({ code: "DEAD_LETTER_SETTLED", status: 409 });
  });

  it("is redriven, too, where the workflow has made do without it, and runs what depends on it again", async () => {
    const { space, agent, list } = await newTeam();
    const { id } = await space.submit([
      { id: "a", capability: "work", retry: { max_attempts: 1 } },
      { id: "b", needs: ["a"], trigger_rule: "all_done", capability: "work" },
    ]);
    const [lease] = await agent.claim();
    await agent.report([failure(lease!)]);
    const [letter] = await list();
    const early = await post<Problem>(space, `/${letter!.id}/redrive`);
    expect(early.body).toMatchObject({ code: "RUN_NOT_FINISHED", status: 409 });
    await agent.work();
    expect((await space.finished(id)).status).toBe("completed");
    const { body: again } = await post<RunBody>(space, `/${letter!.id}/redrive`);
    expect(again.counts).toEqual({ ready: 1, pending: 1 });
    await agent.work();
    await space.finished(again.id);
  });

  it("is discarded, with a reason, and then not redriven", async () => {
    const { space, failed, list } = await newTeam();
    await failed(["a"]);
    const [letter] = await list();
    const { body } = await post<DeadLetterBody>(space, `/${letter!.id}/discard`, { reason: "a typo" });
    expect(body).toMatchObject({ state: "discarded", reason: "a typo", settled_by: expect.any(String) });
    expect((await post<DeadLetterBody>(space, `/${letter!.id}/discard`)).body).toEqual(body);
    const refused = await post<Problem>(space, `/${letter!.id}/redrive`);
    expect(refused.body).toMatchObject({ code: "DEAD_LETTER_SETTLED", status: 409 });
    expect(await list()).toEqual([]);
  });

  it("that there is not is not found", async () => {
    const { space } = await newTeam();
    for (const call of [{ path: "" }, { path: "/redrive", body: {} }, { path: "/discard", body: {} }]) {
      const { body } = await space.call<Problem>({ ...call, path: `/v1/dead-letters/${nowhere}${call.path}` });
      expect(body).toMatchObject({ code: "DEAD_LETTER_NOT_FOUND", status: 404 });
    }
  });
});

describe("dead letters by filter", () => {
  it("are redriven run by run, and what cannot be is told", async () => {
    const { space, agent, failed, list } = await newTeam();
    const runs = [await failed(["a", "b"], "no_ink"), await failed(["a"], "no_ink"), await failed(["a"], "other")];
    const { id: open } = await space.submit([
      { id: "a", capability: "work", retry: { max_attempts: 1 } },
      { id: "b", capability: "elsewhere" },
    ]);
    const [lease] = await agent.claim();
    await agent.report([failure(lease!, { code: "no_ink" })]);
    const { body } = await post<RedrivenBody>(space, "/redrive", { code: "no_ink", workflow: "flow" });
    expect(body.redriven.map(({ retried_from, dead_letters }) => [retried_from, dead_letters.length])).toEqual([
      [runs[1], 1],
      [runs[0], 2],
    ]);
    expect(body.refused).toEqual([{ run_id: open, code: "RUN_NOT_FINISHED", message: expect.stringContaining(open) }]);
    expect(body.more).toBe(false);
    expect((await list()).map(({ run_id }) => run_id)).toEqual([open, runs[2]]);
    await agent.work();
    for (const { run_id } of body.redriven) expect((await space.finished(run_id)).status).toBe("completed");
  });

  it("are discarded as far as the limit goes", async () => {
    const { space, failed, list } = await newTeam();
    await failed(["a", "b", "c"], "no_ink");
    const discard = async (body: object) => (await post<DiscardedBody>(space, "/discard", body)).body;
    expect(await discard({ code: "no_ink", limit: 2, reason: "old" })).toEqual({ discarded: 2, more: true });
    expect(await discard({ code: "no_ink" })).toEqual({ discarded: 1, more: false });
    expect((await list("?state=discarded")).map(({ reason }) => reason)).toEqual([null, "old", "old"].toReversed());
    await until(async () => expect(await list()).toEqual([]), "none is open");
  });

  it("are refused without a filter", async () => {
    const { space } = await newTeam();
    for (const path of ["/redrive", "/discard"]) {
      const { body } = await post<Problem>(space, path, { limit: 10 });
      expect(body).toMatchObject({ code: "REQUEST_INVALID", status: 400 });
      expect(body.detail).toContain("needs one of `workflow`");
    }
  });
});

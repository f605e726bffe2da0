import { randomBytes } from "node:crypto";
import { expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";
import { newWorkflow } from "./team.ts";

export function namespaceCases(open: OpenTeam): void {
  it("see nothing of one another", async () => {
    const [owner, stranger] = [await open(), await open()];
    const { store } = owner;
    const theirs = stranger.namespace;
    const runId = await owner.submit({ a: {}, b: {} });
    const { id: taskId } = await owner.task(runId, "a");
    await store.workflows.register(owner.namespace, newWorkflow({ a: {} }));
    const keyValues = {
      namespace: owner.namespace,
      name: "k",
      prefix: "sk",
      scopes: [],
      capabilities: null,
      expiresAt: null,
    };
    await store.keys.create(keyValues, randomBytes(32));

    const answers = await Promise.all([
      store.runs.find(theirs, runId),
      store.runs.task(theirs, runId, "a"),
      store.runs.task(theirs, runId, taskId),
      store.runs.cancel(theirs, runId, "not mine"),
      store.events.read(theirs, runId, { limit: 10 }),
      store.workflows.find(theirs, "flow"),
      store.workflows.definitionOf(theirs, runId),
      store.agents.find(theirs, owner.agent.id),
    ]);
    expect(answers).toEqual(answers.map(() => undefined));

    const listings = await Promise.all([
      store.runs.list(theirs, {}),
      store.runs.tasks(theirs, runId, {}),
      store.workflows.list(theirs, {}),
      store.keys.list(theirs, {}),
    ]);
    expect(listings).toEqual(listings.map(() => ({ data: [], nextCursor: null })));
    expect(await store.runs.outline(theirs, runId)).toEqual([]);
    expect((await store.runs.attempts(theirs, runId)).size).toBe(0);
    expect((await store.agents.list(theirs, {})).data.map((agent) => agent.id)).toEqual([stranger.agent.id]);
    expect((await store.agents.capabilities(theirs)).map((offer) => offer.agents)).toEqual([1]);
  });

  it("change nothing of one another", async () => {
    const [owner, stranger] = [await open(), await open()];
    const { store } = owner;
    const runId = await owner.submit({ a: {} });
    const key = await store.keys.create(
      { namespace: owner.namespace, name: "k", prefix: "sk", scopes: [], capabilities: null, expiresAt: null },
      randomBytes(32),
    );
    expect(await store.keys.revoke(stranger.namespace, key.id)).toBe(false);
    expect(await store.agents.leave(stranger.namespace, owner.agent.id)).toBe(false);
    const forged = { namespace: stranger.namespace, agentId: owner.agent.id, load: "fake", isConsuming: null };
    expect(await store.agents.heartbeat([forged])).toEqual([undefined]);
    expect(await stranger.claim()).toEqual([]);
    const task = await owner.take(runId, "a");
    const stolen = { ...owner.completion(task), agentId: stranger.agent.id };
    expect(await store.leases.report([stolen])).toEqual(["stale"]);
    expect(await store.leases.release([stolen])).toEqual([false]);
    expect(await store.leases.heartbeat([stolen])).toEqual(["lost"]);
    expect(await owner.beat(task)).toBe("ok");
    expect((await owner.events(runId)).map(({ type }) => type)).not.toContain("task.report_stale");
    expect(await store.agents.find(owner.namespace, owner.agent.id)).toMatchObject({ status: "live", load: null });
  });

  it("may use the same names", async () => {
    const [one, two] = [await open(), await open()];
    const { store } = one;
    await store.workflows.register(one.namespace, newWorkflow({ a: {} }));
    const other = await store.workflows.register(two.namespace, newWorkflow({ b: {} }));
    expect(other).toMatchObject({ created: true, stored: { version: 1 } });
    expect(await store.workflows.find(one.namespace, "flow")).toMatchObject({ definition: newWorkflow({ a: {} }) });
  });
}

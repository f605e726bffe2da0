import { expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";
import type { AgentRegistration } from "../store.ts";
import type { Team } from "./team.ts";

export function routingCases(open: OpenTeam): void {
  const join = (team: Team, name: string, more: Partial<AgentRegistration> = {}) => team.join({ name, ...more });
  /** Who got which task, by key. */
  const route = async (team: Team) => {
    const { tasks: routed } = await team.store.leases.route(100);
    return Object.fromEntries(
      routed.filter(({ namespace }) => namespace === team.namespace).map(({ key, agentId }) => [key, agentId]),
    );
  };

  it("gives a task to an agent whose labels fit, and to nobody else", async () => {
    const team = await open();
    const gpu = await join(team, "gpu", { labels: { gpu: "true" } });
    const runId = await team.submit({ train: { labels: { gpu: true } }, plain: {} });
    expect(await team.claim()).toMatchObject([{ key: "plain" }]);
    expect(await route(team)).toEqual({ train: gpu.id });
    const { id } = await team.task(runId, "train");
    expect(await team.claim({ taskIds: [id], door: "hint" })).toEqual([]);
    const claimed = await team.claim({ agentId: gpu.id, taskIds: [id], door: "hint" });
    expect(claimed).toMatchObject([{ key: "train", capability: "work" }]);
  });

  it("has an agent that long-polls find what is its own", async () => {
    const team = await open();
    const own = await join(team, "chosen");
    await team.submit({ a: { agent: "chosen" } });
    await route(team);
    expect(await team.claim()).toEqual([]);
    expect(await team.claim({ agentId: own.id })).toMatchObject([{ key: "a" }]);
  });

  it("matches versions, and several capabilities of one agent", async () => {
    const team = await open();
    const old = await join(team, "old", { capabilities: [{ name: "work", version: "1.4" }, { name: "look" }] });
    const fresh = await join(team, "fresh", { capabilities: [{ name: "work", version: "2.0.1" }] });
    await team.submit({
      one: { capability: "work@^1.2", requires: ["look"] },
      two: { capability: "work@2" },
      none: { capability: "work@2", requires: ["look"] },
    });
    expect(await route(team)).toEqual({ one: old.id, two: fresh.id });
  });

  it("keeps sticky tasks of a run together, also those that come later", async () => {
    const team = await open();
    for (const name of ["b", "c", "d"]) await join(team, name, { slots: 10 });
    const runId = await team.submit({
      one: { sticky: "run" },
      two: { sticky: "run" },
      three: { needs: ["one"], sticky: "run" },
    });
    const first = await route(team);
    expect(first.one).toBe(first.two);
    const { id } = await team.task(runId, "one");
    const [claimed] = await team.claim({ agentId: first.one!, taskIds: [id], door: "hint" });
    const answers = await team.store.leases.report([{ ...team.completion(claimed!), agentId: first.one! }]);
    expect(answers).toEqual(["accepted"]);
    expect(await route(team)).toEqual({ three: first.one });
  });

  it("evaluates a sticky text over the inputs", async () => {
    const team = await open();
    for (const name of ["b", "c", "d"]) await join(team, name, { slots: 10 });
    const tasks = { a: { sticky: "{{ inputs.customer }}" } };
    await team.submit(tasks, { inputs: { customer: "ann" } });
    const first = await route(team);
    await team.submit(tasks, { inputs: { customer: "ann" } });
    expect(await route(team)).toEqual(first);
  });

  it("gives no agent more than it has slots, and goes on as they come free", async () => {
    const team = await open();
    const own = await join(team, "own", { slots: 1 });
    const runId = await team.submit({ a: { agent: "own" }, b: { agent: "own" } });
    expect(Object.values(await route(team))).toEqual([own.id]);
    expect(await team.store.leases.route(100)).toEqual({ tasks: [], isFull: true });
    const [claimed] = await team.claim({ agentId: own.id });
    expect(await route(team)).toEqual({});
    await team.store.leases.report([{ ...team.completion(claimed!), agentId: own.id }]);
    expect(Object.keys(await route(team))).toHaveLength(1);
    expect(Object.values(await team.statuses(runId)).sort()).toEqual(["completed", "ready"]);
  });

  it("assigns anew what an agent took with it", async () => {
    const team = await open();
    const one = await join(team, "one", { labels: { a: "1" } });
    await team.submit({ a: { labels: { a: { exists: true } } } });
    expect(await route(team)).toEqual({ a: one.id });
    const two = await join(team, "two", { labels: { a: "2" } });
    expect(await route(team)).toEqual({});
    await team.store.agents.leave(team.namespace, one.id);
    expect(await route(team)).toEqual({ a: two.id });
  });

  it("gives a cordoned agent nothing, until it is one no more", async () => {
    const team = await open();
    const own = await join(team, "own");
    const state = { isCordoned: true, isDraining: false };
    expect(await team.store.agents.cordon(team.namespace, own.id, state)).toMatchObject({ isCordoned: true });
    await team.submit({ a: { agent: "own" } });
    expect(await route(team)).toEqual({});
    await team.store.agents.cordon(team.namespace, own.id, { isCordoned: false, isDraining: false });
    expect(await route(team)).toEqual({ a: own.id });
  });

  it("chooses by the policy of the capability, for tasks that come after it was set", async () => {
    const team = await open();
    await team.store.agents.leave(team.namespace, team.agent.id);
    const cheap = await join(team, "cheap", { capabilities: [{ name: "work", cost: 1 }], slots: 1 });
    await join(team, "dear", { capabilities: [{ name: "work", cost: 5 }], slots: 100 });
    await team.submit({ before: {} });
    await team.store.agents.allocate(team.namespace, "work", "cheapest-fit");
    await team.submit({ after: {} });
    expect(await route(team)).toEqual({ after: cheap.id });
    const [offer] = await team.store.agents.capabilities(team.namespace);
    expect(offer).toMatchObject({ name: "work", policy: "cheapest-fit" });
  });

  it("fails what nobody could run for its schedule_timeout, and names the nearest", async () => {
    const team = await open();
    await team.store.agents.leave(team.namespace, team.agent.id);
    await join(team, "near", { labels: { region: "us" } });
    const runId = await team.submit({
      a: { labels: { region: "eu" }, schedule_timeout: "1m", retry: { max_attempts: 1 } },
    });
    expect(await route(team)).toEqual({});
    await team.age((await team.task(runId, "a")).id, ["available_at"], 61);
    await route(team);
    expect((await team.task(runId, "a")).error).toMatchObject({
      code: "unroutable",
      message: expect.stringContaining("near, has region=us, not eu"),
    });
  });

  it("does not fail what somebody could run who is busy", async () => {
    const team = await open();
    const own = await join(team, "own", { slots: 1 });
    const runId = await team.submit({
      a: { agent: "own" },
      b: { agent: "own", schedule_timeout: "1m" },
    });
    const [first] = Object.keys(await route(team));
    await team.claim({ agentId: own.id });
    const other = first === "a" ? "b" : "a";
    await team.age((await team.task(runId, other)).id, ["available_at"], 601);
    expect(await route(team)).toEqual({});
    expect((await team.task(runId, other)).status).toBe("ready");
  });

  it("says why a task is with nobody", async () => {
    const team = await open();
    await join(team, "near", { labels: { region: "us" } });
    const runId = await team.submit({ a: { labels: { region: "eu" } } });
    expect(await team.store.runs.why(team.namespace, runId, "a")).toMatchObject({
      routing: { route: { labels: { region: "eu" } }, agents: [{}, {}] },
    });
  });

  it("leaves what is routed to its agent when a run is paused and resumed", async () => {
    const team = await open();
    const own = await join(team, "own");
    const runId = await team.submit({ a: { agent: "own" } });
    await route(team);
    await team.store.runs.pause(team.namespace, runId, "ann");
    expect(await team.claim({ agentId: own.id })).toEqual([]);
    await team.store.runs.resume(team.namespace, runId, "ann");
    expect(await route(team)).toEqual({ a: own.id });
  });
}

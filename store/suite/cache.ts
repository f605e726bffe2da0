import { randomUUID } from "node:crypto";
import { expect, it } from "vitest";
import type { Json } from "../../core/json.ts";
import type { OpenTeam } from "../store.suite.ts";
import type { CapabilityContract } from "../store.ts";
import type { Tasks, Team } from "./team.ts";

export function cacheCases(open: OpenTeam): void {
  const cache = { ttl: "1h" };
  const asking = (input: Json): Tasks => ({ a: { input, cache } });

  /** Runs these tasks to their end, done by the agent where the cache does not answer. */
  async function play(team: Team, tasks: Tasks, outputOf = (key: string): Json => ({ of: key })): Promise<string> {
    const runId = await team.submit(tasks);
    do await team.work(({ key }) => outputOf(key));
    while ((await team.run(runId)).status === "running");
    return runId;
  }

  async function originOf(team: Team, runId: string, key = "a") {
    return (await team.task(runId, key)).cachedFrom;
  }

  async function expectMiss(team: Team, tasks: Tasks, key = "a"): Promise<void> {
    expect(await originOf(team, await play(team, tasks), key)).toBeNull();
  }

  it("completes a task with the output of an equal one of an earlier run, without an agent", async () => {
    const team = await open();
    const first = await play(team, { first: { input: { q: "geese", n: 1 }, cache } }, () => "found");
    const second = await team.submit({
      ...asking({ n: 1, q: "geese" }),
      b: { needs: ["a"], input: "{{ tasks.a.output }}" },
    });
    expect(await team.statuses(second)).toMatchObject({ a: "completed" });
    const origin = { run_id: first, task_id: (await team.task(first, "first")).id, key: "first" };
    expect(await team.task(second, "a")).toMatchObject({
      output: "found",
      attempt: 0,
      attempts: [],
      agentId: null,
      cachedFrom: origin,
    });
    await team.settle();
    expect(await team.claim()).toMatchObject([{ key: "b", input: "found" }]);
    const { id } = await team.task(second, "a");
    expect(
      (await team.events(second)).filter(({ type }) => type.startsWith("task.")).map(({ id: _, ...event }) => event),
    ).toMatchObject([
      { type: "task.cached", task_id: id, key: "a", attempt: 0, cached_from: origin },
      { type: "task.completed", task_id: id },
      { type: "task.ready", key: "b" },
      { type: "task.claimed", key: "b" },
    ]);
    expect(await team.store.runs.why(team.namespace, second, "a")).toMatchObject({ cachedFrom: origin });
  });

  it("answers for a task that starts while its run goes on, and for a whole run", async () => {
    const team = await open();
    const tasks: Tasks = {
      a: { input: 1, cache },
      b: { needs: ["a"], input: { from: "{{ tasks.a.output }}" }, cache },
      c: { needs: ["b"], cache },
    };
    const first = await play(team, tasks);
    const second = await team.submit(tasks);
    await team.settle();
    expect(await team.run(second)).toMatchObject({ status: "completed", outputs: { c: { of: "c" } } });
    expect(await originOf(team, second, "c")).toMatchObject({ run_id: first, key: "c" });
    expect(await team.claim()).toEqual([]);
  });

  it("runs a task that asks for something else, or of another capability, or in another namespace", async () => {
    const team = await open(["work", "other"]);
    await play(team, asking(1));
    await expectMiss(team, asking(2));
    await expectMiss(team, { a: { capability: "other", input: 1, cache } });
    await expectMiss(await open(), asking(1));
    await expectMiss(team, { a: { input: 1 } });
  });

  it("knows a task by its key instead of its input", async () => {
    const team = await open();
    const keyed = (key: Json, at: number): Tasks => ({ a: { input: { at }, cache: { ...cache, key } } });
    const first = await team.submit(keyed("{{ inputs.page }}", 1), { inputs: { page: 1 } });
    await team.work(() => "one");
    expect(await originOf(team, first)).toBeNull();
    const runId = await team.submit(keyed("{{ inputs.page }}", 2), { inputs: { page: 1 } });
    expect(await team.task(runId, "a")).toMatchObject({ status: "completed", output: "one" });
    const other = await team.submit(keyed("{{ inputs.page }}", 2), { inputs: { page: 7 } });
    expect(await team.statuses(other)).toEqual({ a: "ready" });
    await team.work();
  });

  it("fails a task whose key cannot be evaluated", async () => {
    const team = await open();
    const runId = await team.submit({ a: { input: 1, cache: { ...cache, key: "{{ inputs.page.url }}" } } });
    await team.settle();
    expect(await team.task(runId, "a")).toMatchObject({
      status: "failed",
      error: { code: "EXPRESSION_NO_SUCH_FIELD" },
    });
  });

  it("looks up each item of a map by itself", async () => {
    const team = await open();
    const over = (items: number[]): Tasks => ({
      m: { for_each: items, max_concurrency: 1, input: "{{ item }}", cache },
    });
    const outputs = { "m[0]": "one", "m[1]": "two", "m[2]": "three" };
    await play(team, over([1, 2]), (key) => outputs[key as keyof typeof outputs]);
    const runId = await team.submit(over([2, 3, 1]));
    await team.settle();
    const leases = await team.claim();
    expect(leases.map(({ key }) => key)).toEqual(["m[1]"]);
    await team.complete(leases[0]!, "three");
    await team.settle();
    expect((await team.task(runId, "m")).output).toMatchObject({
      items: [{ output: "two" }, { output: "three" }, { output: "one" }],
    });
  });

  it("keeps an output for as long as the task says that stored it, and the one that asks", async () => {
    const team = await open();
    const run = () => team.submit(asking(1));
    await play(team, asking(1));
    const age = (columns: string[], minutes: number) =>
      team.sql.query(
        `/* the suite's */ update cached_output set ${columns.map((c) => `${c} = ${c} - ${minutes} * interval '1 minute'`).join(", ")} where namespace = $1`,
        [team.namespace],
      );
    await age(["created_at", "expires_at"], 59);
    expect(await originOf(team, await run())).not.toBeNull();
    const impatient = await team.submit({ a: { input: 1, cache: { ttl: "58m" } } });
    expect(await team.statuses(impatient)).toEqual({ a: "ready" });
    await team.work();
    await age(["created_at", "expires_at"], 61);
    expect(await team.store.cache.stats(team.namespace)).toEqual([]);
    const later = await run();
    expect(await team.statuses(later)).toEqual({ a: "ready" });
    await team.store.upkeep.prune();
    expect(
      await team.sql.query("/* the suite's */ select 1 from cached_output where namespace = $1", [team.namespace]),
    ).toEqual([]);
    await team.work();
  });

  it("does not answer with what an older version gave, once a newer one is there", async () => {
    const team = await open();
    const offering = (version: string): { name: string; capabilities: CapabilityContract[] } => {
      return { name: `v${version}`, capabilities: [{ name: "work", version }] };
    };
    await play(team, asking(1));
    const newer = await team.join(offering("2"));
    const runId = await team.submit(asking(1));
    const [lease] = await team.claim({ agentId: newer.id });
    expect(lease).toMatchObject({ runId, key: "a" });
    await team.store.leases.report([{ ...team.completion(lease!, "newer"), agentId: newer.id }]);
    await team.settle();
    expect(await team.task(await team.submit(asking(1)), "a")).toMatchObject({ output: "newer" });
    const pinned = await team.submit({ a: { capability: "work@^1", input: 1, cache } });
    expect(await team.task(pinned, "a")).toMatchObject({ status: "completed", output: { of: "a" } });
    expect(await team.store.cache.stats(team.namespace)).toMatchObject([{ version: "1" }, { version: "2" }]);
  });

  it("stores no failure, and what a later attempt gave", async () => {
    const team = await open();
    const first = await team.submit({ a: { input: 1, cache, retry: { initial_delay: "1ms", max_delay: "1ms" } } });
    await team.fail(await team.take(first, "a"));
    expect(await team.store.cache.stats(team.namespace)).toEqual([]);
    await team.sql.query("update task set available_at = now() where run_id = $1", [first]);
    await team.complete(await team.take(first, "a"), "second");
    expect(await team.task(await team.submit(asking(1)), "a")).toMatchObject({ output: "second" });
    await team.settle();
  });

  it("stores nothing of an attempt with effects: state, spawned tasks, emitted items, artifacts", async () => {
    const team = await open();
    const tasks: Tasks = {
      state: { input: 1, cache },
      spawns: { input: 2, cache },
      emits: { input: 3, cache },
      early: { input: 4, cache },
      writes: { input: 5, cache },
      m: { for_each: [], open: true, input: "{{ item }}" },
    };
    const runId = await team.submit(tasks);
    await team.settle();
    const take = async (key: string) => team.completion(await team.take(runId, key), key);
    const emission = { map: "m", items: [{ item: 1, key: "x" }], close: false };
    const early = await take("early");
    await team.store.leases.emit({ ...early, ...emission });
    const writes = await take("writes");
    await team.store.artifacts.write(
      { namespace: team.namespace, runId, lease: writes },
      { path: "a", contentType: "text/plain", content: Buffer.from("a") },
    );
    await team.store.leases.report([
      {
        ...(await take("state")),
        data: { state: { document: { n: 1 }, ttlMs: null } },
      },
      { ...(await take("spawns")), spawn: [{ id: "s", capability: "work" }] },
      { ...(await take("emits")), emit: [{ ...emission, close: true }] },
      early,
      writes,
    ]);
    expect(await team.statuses(runId)).toMatchObject({
      state: "completed",
      spawns: "completed",
      emits: "completed",
      early: "completed",
      writes: "completed",
    });
    expect(await team.store.cache.stats(team.namespace)).toEqual([]);
    await team.work();
  });

  it("runs equal tasks that start at the same time, and stores one of their outputs", async () => {
    const team = await open();
    const runId = await team.submit({ a: { input: 1, cache }, b: { input: 1, cache } });
    expect(await team.statuses(runId)).toEqual({ a: "ready", b: "ready" });
    const leases = await team.claim();
    expect(await team.store.leases.report(leases.map((lease) => team.completion(lease, lease.key)))).toEqual([
      "accepted",
      "accepted",
    ]);
    await team.settle();
    expect(await team.store.cache.stats(team.namespace)).toMatchObject([{ capability: "work", outputs: 1, hits: 0 }]);
  });

  it("takes the rest of a join that a hit satisfies away", async () => {
    const team = await open();
    await play(team, { x: { input: 9, cache } }, () => "x");
    const runId = await team.submit({
      slow: {},
      fast: {},
      first: { needs: ["slow", "fast"], join: { at_least: 1, cancel_rest: true }, input: 9, cache },
    });
    await team.complete(await team.take(runId, "fast"));
    await team.settle();
    expect(await team.statuses(runId)).toEqual({ slow: "cancelled", fast: "completed", first: "completed" });
    expect(await team.run(runId)).toMatchObject({ status: "completed", outputs: { first: "x" } });
  });

  it("counts its outputs and hits, and forgets what it is told to", async () => {
    const team = await open(["work", "other"]);
    const first = await play(team, asking(1), () => "12345678");
    await play(team, asking(2));
    await play(team, { a: { capability: "other", input: 1, cache } });
    await play(team, asking(1));
    const stats = () => team.store.cache.stats(team.namespace);
    expect(await stats()).toMatchObject([
      { capability: "other", version: "1", outputs: 1, hits: 0 },
      { capability: "work", version: "1", outputs: 2, hits: 1, bytes: 10 + 10, oldestAt: expect.any(Date) },
    ]);
    const clear = (filter: object) => team.store.cache.clear(team.namespace, filter);
    expect(await clear({ runId: first })).toBe(1);
    await expectMiss(team, asking(1));
    expect(await clear({ capability: "work", version: "2" })).toBe(0);
    expect(await clear({ capability: "work" })).toBe(2);
    expect(await team.store.cache.clear(`other-${randomUUID()}`, {})).toBe(0);
    expect((await stats()).map(({ capability }) => capability)).toEqual(["other"]);
    expect(await clear({})).toBe(1);
    expect(await stats()).toEqual([]);
  });
}

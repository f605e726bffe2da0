import { randomUUID } from "node:crypto";
import { expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";
import type { Team } from "./team.ts";

export function upkeepCases(open: OpenTeam): void {
  const seconds = (n: number) => n * 1_000;

  async function published(team: Team): Promise<string[]> {
    const window = { namespace: team.namespace, capability: "work", maxOutstanding: 100 };
    return (await team.store.leases.dispatch([window], 100)).tasks.map((hint) => hint.taskId);
  }

  it("publishes a hint again that nobody has taken, waiting twice as long each time", async () => {
    const team = await open();
    await team.submit({ a: {} });
    const redispatch = () =>
      team.store.upkeep.redispatch({ afterMs: seconds(30), maxAfterMs: seconds(100), limit: 1_000 });
    for (const waits of [30, 60, 100, 100]) {
      const [taskId] = await published(team);
      expect(taskId).toBeDefined();
      await team.age(taskId!, ["dispatched_at"], waits - 5);
      await redispatch();
      expect(await published(team)).toEqual([]);
      await team.age(taskId!, ["dispatched_at"], 10);
      await redispatch();
    }
    expect(await published(team)).toHaveLength(1);
  });

  it("counts the hints of each capability that nobody has taken, once one of them is overdue", async () => {
    const team = await open();
    const overdue = async () =>
      (await team.store.upkeep.overdueHints(seconds(30))).filter((hints) => hints.namespace === team.namespace);
    await team.submit({ a: {}, b: {}, c: {}, other: { capability: "other" } });
    const [taskId] = await published(team);
    expect(await overdue()).toEqual([]);
    await team.age(taskId!, ["dispatched_at"], 31);
    expect(await overdue()).toEqual([{ namespace: team.namespace, capability: "work", overdue: 1, outstanding: 3 }]);
    await team.claim({ taskIds: [taskId!], door: "hint" });
    expect(await overdue()).toEqual([]);
  });

  it("publishes the oldest hints of one capability again, as many as asked", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: {}, c: {}, other: { capability: "other" } });
    const windows = ["work", "other"].map((capability) => ({
      namespace: team.namespace,
      capability,
      maxOutstanding: 9,
    }));
    await team.store.leases.dispatch(windows, 9);
    for (const [key, age] of Object.entries({ a: 40, b: 60, c: 50, other: 70 })) {
      await team.age((await team.task(runId, key)).id, ["dispatched_at"], age);
    }
    const of = { namespace: team.namespace, capability: "work" };
    const again = { afterMs: seconds(30), maxAfterMs: seconds(30), limit: 2, of };
    expect(await team.store.upkeep.redispatch(again)).toBe(2);
    expect((await team.store.leases.dispatch(windows, 9)).tasks.map((hint) => hint.key).sort()).toEqual(["b", "c"]);
  });

  it("does not publish again what was claimed", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    await published(team);
    const task = await team.take(runId, "a");
    await team.store.upkeep.redispatch({ afterMs: 0, maxAfterMs: 0, limit: 1_000 });
    expect(await team.beat(task)).toBe("ok");
  });

  it("forgets lease requests after an hour, Idempotency-Keys after 30 days and departed agents after 7", async () => {
    const team = await open();
    const [gone, lost] = [await team.join(), await team.join()];
    const idempotency = { key: "k", bodyHash: "one" };
    const runId = await team.submit({ a: {} }, { idempotency });
    await team.claim({ requestId: randomUUID() });
    const rows = async () => {
      const [row] = await team.sql.query<{ requests: number; keys: number; agents: number }>(
        `select (select count(*)::int from lease_request where agent_id = $2) as requests,
           (select count(*)::int from idempotency where namespace = $1) as keys,
           (select count(*)::int from agent where namespace = $1) as agents`,
        [team.namespace, team.agent.id],
      );
      return row;
    };
    await team.store.agents.leave(team.namespace, gone.id);
    await team.store.upkeep.prune();
    expect(await rows()).toEqual({ requests: 1, keys: 1, agents: 3 });

    await team.sql.query("update lease_request set created_at = created_at - interval '2 hours' where agent_id = $1", [
      team.agent.id,
    ]);
    await team.sql.query("update idempotency set created_at = created_at - interval '31 days' where namespace = $1", [
      team.namespace,
    ]);
    await team.sql.query("update agent set left_at = left_at - interval '8 days' where id = $1", [gone.id]);
    await team.sql.query("update agent set last_seen_at = last_seen_at - interval '8 days' where id in ($1, $2)", [
      lost.id,
      team.agent.id,
    ]);
    await team.store.upkeep.prune();
    // The third agent is as lost as the second, but still holds a lease.
    expect(await rows()).toEqual({ requests: 0, keys: 0, agents: 1 });
    expect(await team.store.agents.find(team.namespace, team.agent.id)).toMatchObject({ status: "lost", running: 1 });
    expect(await team.submit({ a: {} }, { idempotency })).not.toBe(runId);
  });
}

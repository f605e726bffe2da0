import { uuidv7 } from "uuidv7";
import { expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";
import type { NewPlan } from "../store.ts";
import { newWorkflow } from "./team.ts";

export function goalPlanCases(open: OpenTeam): void {
  const newPlan = (namespace: string): NewPlan => ({
    namespace,
    id: uuidv7(),
    planner: "capability",
    goal: { have: { text: { type: "text", value: "Geese." } }, want: { summary: "summary" } },
    workflow: newWorkflow({ a: {} }),
    explanation: {
      tasks: [{ task: "a", capability: "work", reason: "It is there." }],
      edges: [],
      alternatives: [],
      estimate: { tasks: 1, depth: 1, cost: 0.5, durationMs: 10, reliability: 1 },
      isBest: true,
    },
    submission: { inputs: { more: true } },
  });

  it("are kept as they were made, in their namespace", async () => {
    const { store, namespace } = await open();
    const plan = newPlan(namespace);
    const stored = await store.plans.create(plan);
    expect(stored).toEqual({
      ...plan,
      status: "proposed",
      decidedBy: null,
      decidedAt: null,
      reason: null,
      runId: null,
      createdAt: expect.any(Date),
    });
    expect(await store.plans.create(plan)).toEqual(stored);
    expect(await store.plans.find(namespace, plan.id)).toEqual(stored);
    expect(await store.plans.find("another", plan.id)).toBeUndefined();
  });

  it("are made once under a key, whoever makes them first, and not under one that stands for something else", async () => {
    const { store, namespace, submit } = await open();
    const once = (key: string, bodyHash = "b") => store.plans.createOnce(newPlan(namespace), { key, bodyHash });
    const made = await Promise.all(Array.from({ length: 8 }, () => once("k")));
    expect(new Set(made.map((plan) => plan!.id)).size).toBe(1);
    expect(await once("k")).toEqual(made[0]);
    expect((await store.plans.list(namespace, { status: "proposed", limit: 10 })).data).toHaveLength(1);
    expect(await once("k", "another")).toBeUndefined();
    const runId = await submit({ a: {} }, { idempotency: { key: "of a run", bodyHash: "r" } });
    expect(await once("of a run")).toBeUndefined();
    expect(await store.runs.keyed(namespace, "of a run")).toEqual({ id: runId, bodyHash: "r" });
    expect((await store.plans.list(namespace, { status: "proposed", limit: 10 })).data).toHaveLength(1);
  });

  it("that were accepted are given, the last first, and no more than asked for", async () => {
    const { store, sql, namespace } = await open();
    const plans = [newPlan(namespace), newPlan(namespace), newPlan(namespace), newPlan(namespace)];
    for (const plan of plans) await store.plans.create(plan);
    const [first, second, third] = plans.map(({ id }) => id);
    for (const id of [second!, first!]) {
      await store.plans.decide(namespace, id, { status: "accepted", by: "ann", runId: uuidv7() });
    }
    // The embedded database tells no two moments of one millisecond apart.
    await sql.query("update plan set decided_at = decided_at - interval '1 second' where id = $1", [second]);
    await store.plans.decide(namespace, third!, { status: "rejected", by: "ann" });
    const accepted = async (limit: number) => (await store.plans.accepted(namespace, limit)).map(({ id }) => id);
    expect([await accepted(5), await accepted(1)]).toEqual([[first, second], [first]]);
    expect(await store.plans.accepted("another", 5)).toEqual([]);
  });

  it("are listed by status, the newest first, page by page, without what is in them", async () => {
    const { store, sql, namespace } = await open();
    const plans = [1, 2, 3, 4, 5].map(() => newPlan(namespace));
    for (const plan of plans) await store.plans.create(plan);
    // The embedded database tells no two moments of one millisecond apart.
    for (const [age, { id }] of plans.entries()) {
      await sql.query("update plan set created_at = created_at - $2 * interval '1 second' where id = $1", [id, age]);
    }
    const ids = plans.map(({ id }) => id);
    for (const id of [ids[3]!, ids[1]!]) {
      await store.plans.decide(namespace, id, { status: "accepted", by: "ann", runId: uuidv7() });
      await sql.query("update plan set decided_at = decided_at - interval '1 second' where status = 'accepted'");
    }
    await store.plans.decide(namespace, ids[4]!, { status: "rejected", by: "ann", reason: "Too dear." });
    const idsOf = async (status: "proposed" | "accepted" | "rejected") => {
      const found: string[] = [];
      for (let cursor: string | undefined | null; cursor !== null; ) {
        const page = await store.plans.list(namespace, { status, limit: 1, ...(cursor && { cursor }) });
        found.push(...page.data.map(({ id }) => id));
        cursor = page.nextCursor;
      }
      return found;
    };
    expect(await idsOf("proposed")).toEqual([ids[0], ids[2]]);
    expect(await idsOf("accepted")).toEqual([ids[1], ids[3]]);
    expect(await idsOf("rejected")).toEqual([ids[4]]);
    expect((await store.plans.list("another", { status: "proposed", limit: 5 })).data).toEqual([]);
    expect((await store.plans.list(namespace, { status: "rejected", limit: 5 })).data).toEqual([
      {
        id: ids[4],
        planner: "capability",
        status: "rejected",
        text: null,
        have: { text: "text" },
        want: { summary: "summary" },
        estimate: plans[4]!.explanation.estimate,
        isBest: true,
        decidedBy: "ann",
        decidedAt: expect.any(Date),
        reason: "Too dear.",
        runId: null,
        createdAt: expect.any(Date),
      },
    ]);
  });

  it("are decided once", async () => {
    const { store, namespace } = await open();
    const { id } = await store.plans.create(newPlan(namespace));
    const accept = { status: "accepted", by: "ann", runId: uuidv7(), submission: { priority: 3 } } as const;
    expect(await store.plans.decide("another", id, accept)).toBeUndefined();
    const decided = await store.plans.decide(namespace, id, accept);
    expect(decided).toMatchObject({
      status: "accepted",
      decidedBy: "ann",
      runId: accept.runId,
      submission: { priority: 3 },
    });
    expect(await store.plans.decide(namespace, id, { status: "rejected", by: "bob" })).toBeUndefined();
    expect(await store.plans.find(namespace, id)).toEqual(decided);
    const other = await store.plans.create(newPlan(namespace));
    const rejected = await store.plans.decide(namespace, other.id, {
      status: "rejected",
      by: "bob",
      reason: "Too dear.",
    });
    expect(rejected).toMatchObject({
      status: "rejected",
      reason: "Too dear.",
      runId: null,
      submission: { inputs: { more: true } },
    });
  });

  it("are forgotten after 30 days, unless they were accepted", async () => {
    const { store, sql, namespace } = await open();
    const create = async (accepted?: NewPlan["accepted"]) =>
      (await store.plans.create({ ...newPlan(namespace), ...(accepted && { accepted }) })).id;
    const old = [await create(), await create(), await create({ runId: uuidv7(), by: "ann" })] as const;
    await store.plans.decide(namespace, old[1], { status: "rejected", by: "bob" });
    await sql.query("update plan set created_at = created_at - interval '31 days' where namespace = $1", [namespace]);
    const young = await create();
    await store.upkeep.prune();
    const left = await sql.query<{ id: string }>("select id from plan where namespace = $1 order by id", [namespace]);
    expect(left.map(({ id }) => id)).toEqual([old[2], young]);
  });

  it("may be accepted from the start, for a run", async () => {
    const { store, namespace } = await open();
    const runId = uuidv7();
    const stored = await store.plans.create({ ...newPlan(namespace), accepted: { runId, by: "ann" } });
    expect(stored).toMatchObject({ status: "accepted", runId, decidedBy: "ann", decidedAt: expect.any(Date) });
  });
}

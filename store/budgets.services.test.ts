/**
 * Budgets while many claim at once from two replicas, by every door, and lose leases meanwhile. What was handed out and reported
 * is counted outside of the database, by those who did it: before a lease can be taken back they have let go of it, and what they
 * claim they count after it is theirs, so their count is never above what the database knows.
 */
import { randomUUID } from "node:crypto";
import pg from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type BudgetDefinition, budgetSpec } from "../core/budget.ts";
import { isTerminalRun } from "../core/run.ts";
import type { TaskDefinition } from "../core/workflow.ts";
import { freshDatabase } from "../test/services.ts";
import { openPostgres } from "./postgres.ts";
import { retryCounts, type Sql, sqlOver } from "./sql.ts";
import type { ClaimedTask, ClaimRequest, Store } from "./store.ts";
import { newTeam, newWorkflow, type Tasks, type Team } from "./suite/team.ts";

const CLAIMERS = 8;
const PER_CLAIM = 5;
/** Of a hundred attempts. */
const KILLED = 12;
const RELEASED = 8;
const FAILED = 5;

describe("budgets on PostgreSQL, when many claim at once", { timeout: 300_000 }, () => {
  let store: Store;
  let replica: Store;
  let sql: Sql;

  beforeAll(async () => {
    const { databaseUrl } = await freshDatabase();
    store = await openPostgres(databaseUrl, { connections: 12 });
    replica = await openPostgres(databaseUrl, { connections: 12 });
    sql = sqlOver(new pg.Pool({ connectionString: databaseUrl, max: 2 }));
  });
  afterAll(async () => {
    await Promise.all([store.close(), replica.close(), sql.close()]);
  });
  afterEach(async () => {
    expect(await store.audit()).toEqual([]);
    expect(retryCounts.get("40P01"), "deadlocks").toBeUndefined();
  });

  /** What is known without asking the database. */
  interface Outside {
    limit: number;
    spent: number;
    inFlight: number;
    /** The most that was spent and in flight together beyond the limit. */
    over: number;
    attempts: number;
    killed: number;
  }

  interface Crowd {
    team: Team;
    outside: Outside;
    /** What an attempt of the task will have used. */
    usageOf: (task: ClaimedTask) => number;
    /** What is known of it beforehand; null: nothing. */
    estimateOf: (task: ClaimedTask) => number | null;
    isOver: () => Promise<boolean>;
  }

  /** Deterministic, so that a failure can be looked at again. */
  function dice(seed: number): (sides: number) => number {
    let state = seed;
    return (sides) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * sides);
    };
  }

  function mark(outside: Outside): void {
    outside.over = Math.max(outside.over, outside.spent + outside.inFlight - outside.limit);
  }

  async function claimer(crowd: Crowd, n: number): Promise<void> {
    const { team, outside } = crowd;
    const from = n % 2 === 0 ? store : replica;
    const throwDice = dice(n + 1);
    for (let idle = 0; !(await crowd.isOver()); ) {
      const tasks = await from.leases.claim(await requestBy(team, throwDice));
      for (const task of tasks) {
        outside.attempts++;
        outside.inFlight += crowd.estimateOf(task) ?? 0;
        mark(outside);
      }
      for (const task of tasks) await perform(crowd, from, task, throwDice);
      await tend(from);
      idle = tasks.length === 0 ? idle + 1 : 0;
      if (idle > 0) await new Promise((resolve) => setTimeout(resolve, Math.min(5 * idle, 50)));
    }
  }

  async function requestBy(team: Team, throwDice: (sides: number) => number): Promise<ClaimRequest> {
    const request = {
      namespace: team.namespace,
      agentId: team.agent.id,
      requestId: randomUUID(),
      capabilities: ["work"],
      max: 1 + throwDice(PER_CLAIM),
    };
    const door = (["poll", "handoff", "hint"] as const)[throwDice(3)]!;
    if (door !== "hint") return { ...request, taskIds: [], door };
    const ready = await sql.query<{ id: string }>(
      "select id from task where namespace = $1 and status = 'ready' order by id limit $2",
      [team.namespace, request.max * 3],
    );
    const taskIds = ready.map(({ id }) => id).slice(0, request.max);
    return taskIds.length === 0 ? { ...request, taskIds: [], door: "poll" } : { ...request, taskIds, door };
  }

  /** Works, fails, gives up or dies. */
  async function perform(
    { team, outside, usageOf, estimateOf }: Crowd,
    from: Store,
    task: ClaimedTask,
    throwDice: (sides: number) => number,
  ) {
    const estimate = estimateOf(task) ?? 0;
    const fate = throwDice(100);
    if (fate < KILLED) {
      outside.killed++;
      outside.inFlight -= estimate;
      await team.expireLease(task);
      await from.upkeep.reap(100);
      return;
    }
    if (fate < KILLED + RELEASED) {
      outside.inFlight -= estimate;
      await from.leases.release([team.proof(task)]);
      return;
    }
    const tokens = usageOf(task);
    const isFailure = fate < KILLED + RELEASED + FAILED;
    const report = { ...(isFailure ? team.failing(task) : team.completion(task)), usage: { tokens } };
    const [answer] = await from.leases.report([report]);
    outside.inFlight -= estimate;
    if (answer === "accepted") outside.spent += tokens;
    mark(outside);
    // Its answer was lost, so it says it again.
    if (fate % 10 === 0) expect(["duplicate", "stale"]).toContain((await from.leases.report([report]))[0]);
  }

  async function tend({ upkeep }: Store): Promise<void> {
    await upkeep.reap(100);
    await upkeep.endRuns(1_000);
    await upkeep.cascade(1_000);
    await upkeep.tendBudgets(1_000);
    await upkeep.finishRuns();
  }

  async function crowd(
    budget: BudgetDefinition,
    tasks: Tasks,
    children: Tasks,
    known: boolean,
  ): Promise<{ runId: string; crowd: Crowd }> {
    const team = await newTeam({ store, sql, close: store.close });
    await store.workflows.register(team.namespace, {
      ...newWorkflow(children),
      name: "child",
      budget: { tokens: 100_000 },
    });
    const estimates = new Map<string, number>();
    const runId = await team.submit(tasks, { budget: budgetSpec(budget) });
    const outside: Outside = { limit: budget.tokens!, spent: 0, inFlight: 0, over: 0, attempts: 0, killed: 0 };
    const tokensOf = ({ key, taskId }: ClaimedTask) => {
      const known = estimates.get(taskId) ?? sizeOf(key);
      estimates.set(taskId, known);
      return known;
    };
    return {
      runId,
      crowd: {
        team,
        outside,
        usageOf: tokensOf,
        estimateOf: (task) => (known ? tokensOf(task) : null),
        isOver: async () => isTerminalRun((await team.run(runId)).status),
      },
    };
  }

  const sizes = { map: 7, small: 3, large: 40, step: 11, first: 9, second: 13 };
  const sizeOf = (key: string) =>
    sizes[/(\w+?)(?:\d*|\[\d+\])$/.exec(key.split("/").at(-1)!)![1] as keyof typeof sizes];

  function withEstimates(known: boolean): { tasks: Tasks; children: Tasks } {
    const retry = { max_attempts: 50, initial_delay: "1ms", jitter: false };
    const sized = (name: keyof typeof sizes): Partial<TaskDefinition> => ({
      retry,
      ...(known && { estimate: { tokens: sizes[name] } }),
    });
    const step = { id: "step", capability: "work", ...sized("step") };
    const items = Array.from({ length: 60 }, (_, n) => n);
    const small = Array.from({ length: 40 }, (_, n) => [`small${n}`, sized("small")] as const);
    const large = Array.from({ length: 10 }, (_, n) => [`large${n}`, sized("large")] as const);
    return {
      tasks: {
        ...Object.fromEntries([...small, ...large]),
        map: { ...sized("map"), for_each: items },
        loop: { loop: { body: [step], until: "false", max: 6 }, needs: ["small0"] },
        small99: { needs: ["loop"], trigger_rule: "all_done", ...sized("small") },
        ...Object.fromEntries(Array.from({ length: 6 }, (_, n) => [`run${n}`, { workflow: "child" }])),
      } as Tasks,
      children: { first: sized("first"), second: { ...sized("second"), needs: ["first"] } },
    };
  }

  it("never overspends by a token with exact estimates, and uses a budget to its end", async () => {
    const { tasks, children } = withEstimates(true);
    const { runId, crowd: people } = await crowd({ tokens: 300, on_exhausted: "wait" }, { ...tasks }, children, true);
    const { team, outside } = people;
    // A person raises it, each time when nothing is left that fits: three tokens are the least that anything needs.
    const raised = (async () => {
      while (!(await people.isOver())) {
        const { budget } = await team.run(runId);
        const isUsedUp = budget!.shortage !== null && budget!.reserved.tokens === 0;
        if (isUsedUp) {
          outside.limit = budget!.limits.tokens! + 250;
          await store.budgets.change(team.namespace, runId, {
            task: null,
            limits: { tokens: outside.limit },
            by: "ann",
          });
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    await Promise.all([...Array.from({ length: CLAIMERS }, (_, n) => claimer(people, n)), raised]);
    const { budget } = await team.run(runId);
    expect(outside.over).toBe(0);
    expect(budget!.spent.tokens).toBe(outside.spent);
    expect(outside.inFlight).toBe(0);
    expect(outside.killed).toBeGreaterThan(10);
    expect(outside.limit).toBeGreaterThan(300);
    const [ledger] = await store.budgets.spend(team.namespace, { by: "namespace", limit: 1 });
    expect(ledger!.amounts.tokens).toBe(outside.spent);
  });

  it("overspends by no more than what is in flight where nobody knows what is needed", async () => {
    const { tasks, children } = withEstimates(false);
    const { runId, crowd: people } = await crowd({ tokens: 300 }, tasks, children, false);
    const { team, outside } = people;
    await Promise.all(Array.from({ length: CLAIMERS }, (_, n) => claimer(people, n)));
    const run = await team.run(runId);
    expect(run).toMatchObject({ status: "failed", error: { code: "BUDGET_EXHAUSTED" } });
    expect(run.budget!.spent.tokens).toBe(outside.spent);
    expect(outside.spent).toBeGreaterThanOrEqual(300);
    expect(outside.spent).toBeLessThanOrEqual(300 + CLAIMERS * PER_CLAIM * sizes.large);
  });

  it("fails the run without overspending it", async () => {
    const { tasks, children } = withEstimates(true);
    const { runId, crowd: people } = await crowd({ tokens: 400 }, tasks, children, true);
    const { team, outside } = people;
    // Before anybody claims, who may use up the budget before a child run has begun that has to end with it.
    await tend(store);
    expect((await store.runs.list(team.namespace, { workflow: "child" })).data).not.toEqual([]);
    await Promise.all(Array.from({ length: CLAIMERS }, (_, n) => claimer(people, n)));
    const run = await team.run(runId);
    expect(run).toMatchObject({ status: "failed", error: { code: "BUDGET_EXHAUSTED" } });
    expect(outside.over).toBe(0);
    expect(run.budget!.spent.tokens).toBe(outside.spent);
    await expect
      .poll(async () => {
        await tend(store);
        return (await store.runs.list(team.namespace, { workflow: "child", status: "running" })).data.length;
      })
      .toBe(0);
  });
});

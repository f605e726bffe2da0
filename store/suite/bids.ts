import { expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";
import type { AgentRegistration, Announcement, BidAnswer } from "../store.ts";
import type { Tasks, Team } from "./team.ts";

/** No test takes as long. */
const LONG_MS = 60_000;

export function bidCases(open: OpenTeam): void {
  /** A namespace whose tasks are allocated by contract net, without an agent. */
  async function newMarket() {
    const team = await open();
    await team.store.agents.leave(team.namespace, team.agent.id);
    await team.store.agents.allocate(team.namespace, "work", "contract-net", LONG_MS);
    return team;
  }
  const join = (team: Team, name: string, offer: object, more: Partial<AgentRegistration> = {}) =>
    team.join({ name, capabilities: [{ name: "work", ...offer }], ...more });
  const bidder = (team: Team, name: string, more: Partial<AgentRegistration> = {}) =>
    join(team, name, { bids: true }, more);
  const route = async (team: Team) => {
    const { tasks: routed } = await team.store.leases.route(100);
    return Object.fromEntries(
      routed.filter(({ namespace }) => namespace === team.namespace).map(({ key, agentId }) => [key, agentId]),
    );
  };
  const announcedTo = (team: Team, { id }: { id: string }) => team.store.leases.announcements(id, 100);
  /** The agent's answer to all that is announced to it. */
  async function answer(team: Team, { id }: { id: string }, amount: number | null) {
    const tasks = await announcedTo(team, { id });
    return bidFor(team, { id }, tasks, amount);
  }
  const bidFor = (
    team: Team,
    { id }: { id: string },
    tasks: Pick<Announcement, "taskId" | "round">[],
    amount: number | null,
  ): Promise<{ answers: BidAnswer[]; isDecided: boolean }> =>
    team.store.leases.bid(
      { namespace: team.namespace, agentId: id },
      tasks.map(({ taskId, round }) => ({ taskId, round, amount })),
    );
  const endWindow = (team: Team, taskId: string) =>
    team.sql.query(
      "update bid set announced_at = announced_at - interval '1 day', closes_at = now() - interval '1 second' where task_id = $1 and closed_at is null",
      [taskId],
    );
  async function submitOne(team: Team, task: Tasks[string] = {}) {
    const runId = await team.submit({ a: task });
    return { runId, taskId: (await team.task(runId, "a")).id };
  }

  it("announces a task to who bids, and awards it to the lowest when all have answered", async () => {
    const team = await newMarket();
    const [dear, cheap] = [await bidder(team, "dear"), await bidder(team, "cheap")];
    const { runId, taskId } = await submitOne(team, { input: { n: 1 } });
    expect(await route(team)).toEqual({});
    const [announced] = await announcedTo(team, dear);
    expect(announced).toEqual({
      taskId,
      runId,
      key: "a",
      capability: "work",
      attempt: 1,
      round: 1,
      windowLeftMs: expect.any(Number),
      input: { n: 1 },
    });
    expect(announced!.windowLeftMs).toBeLessThanOrEqual(LONG_MS);
    expect(await answer(team, dear, 9)).toEqual({ answers: ["accepted"], isDecided: false });
    expect(await announcedTo(team, dear)).toEqual([]);
    expect(await route(team)).toEqual({});
    expect(await team.claim({ agentId: cheap.id })).toEqual([]);
    expect(await answer(team, cheap, 2.5)).toEqual({ answers: ["accepted"], isDecided: true });
    expect(await route(team)).toEqual({ a: cheap.id });
    expect(await team.claim({ agentId: dear.id })).toEqual([]);
    expect(await team.claim({ agentId: cheap.id })).toMatchObject([{ key: "a" }]);
  });

  it("shows the bids, and tells of them in the events", async () => {
    const team = await newMarket();
    const [one, two, three] = [
      await bidder(team, "one"),
      await bidder(team, "two"),
      await join(team, "three", { cost: 5 }),
    ];
    const { runId, taskId } = await submitOne(team);
    await route(team);
    await answer(team, one, 1);
    expect(await team.store.runs.why(team.namespace, runId, "a")).toMatchObject({
      routing: { round: { asked: 3, bids: 2, declined: 0 } },
    });
    await answer(team, two, null);
    await route(team);
    const bids = await team.store.runs.bids(team.namespace, runId, "a");
    expect(bids).toMatchObject([
      {
        round: 1,
        attempt: 1,
        awardedTo: one.id,
        closedAt: expect.any(Date),
        bids: [
          { agentId: one.id, agentName: "one", state: "bid", amount: 1 },
          { agentId: three.id, state: "bid", amount: 5 },
          { agentId: two.id, state: "declined", amount: null },
        ],
      },
    ]);
    expect(await team.store.runs.bids(team.namespace, runId, taskId)).toEqual(bids);
    expect(await team.store.runs.bids(team.namespace, runId, "b")).toBeUndefined();
    expect((await team.store.runs.why(team.namespace, runId, "a"))?.routing?.round).toBeNull();
    const facts = (await team.events(runId)).filter(({ type }) => /announced|awarded/.test(type));
    expect(facts).toMatchObject([
      { type: "task.announced", key: "a", attempt: 1, round: 1, agents: 3, window_ms: LONG_MS, capability: "work" },
      { type: "task.awarded", key: "a", attempt: 1, round: 1, agent_id: one.id },
    ]);
    expect(facts[1]).toHaveProperty("bids", [
      ...[one, two, three]
        .sort((a, b) => (a.id < b.id ? -1 : 1))
        .map(({ id }) => ({ agent_id: id, bid: id === one.id ? 1 : id === two.id ? null : 5 })),
    ]);
  });

  it("awards at once, by declared cost, where nobody bids", async () => {
    const team = await newMarket();
    await join(team, "dear", { cost: 5 });
    const cheap = await join(team, "cheap", { cost: 1 });
    const { runId } = await submitOne(team);
    expect(await route(team)).toEqual({ a: cheap.id });
    expect(await team.store.runs.bids(team.namespace, runId, "a")).toMatchObject([
      { round: 1, awardedTo: cheap.id, bids: [{ amount: 1 }, { amount: 5 }] },
    ]);
  });

  it("awards to the lowest so far when the window is over, and takes no later bid", async () => {
    const team = await newMarket();
    const [one, two, slow] = [await bidder(team, "one"), await bidder(team, "two"), await bidder(team, "slow")];
    const { taskId } = await submitOne(team);
    await route(team);
    const asked = await announcedTo(team, slow);
    await answer(team, one, 7);
    await answer(team, two, 7);
    await endWindow(team, taskId);
    expect(await announcedTo(team, slow)).toEqual([]);
    expect(await bidFor(team, slow, asked, 1)).toEqual({ answers: ["late"], isDecided: false });
    expect(await route(team)).toEqual({ a: [one.id, two.id].sort()[0] });
    expect((await bidFor(team, slow, asked, 1)).answers).toEqual(["late"]);
  });

  it("answers each bid of a batch on its own; the last one of an agent counts", async () => {
    const team = await newMarket();
    const [one, two] = [await bidder(team, "one"), await bidder(team, "two")];
    const { taskId } = await submitOne(team);
    await route(team);
    const strangers = await newMarket();
    const foreign = await bidder(strangers, "foreign");
    const asked = [
      { taskId, round: 1 },
      { taskId, round: 2 },
      { taskId: "00000000-0000-7000-8000-000000000000", round: 1 },
    ];
    expect((await bidFor(team, one, asked, 1)).answers).toEqual(["accepted", "unknown", "unknown"]);
    expect((await bidFor(strangers, foreign, asked, 0)).answers).toEqual(["unknown", "unknown", "unknown"]);
    expect((await bidFor(team, one, asked.slice(0, 1), 5)).answers).toEqual(["accepted"]);
    await answer(team, two, 3);
    expect(await route(team)).toEqual({ a: two.id });
  });

  it("announces again, for longer, what nobody has bid for; earlier rounds are late", async () => {
    const team = await newMarket();
    const own = await bidder(team, "own");
    const { runId, taskId } = await submitOne(team);
    await route(team);
    const first = await announcedTo(team, own);
    await answer(team, own, null);
    expect(await route(team)).toEqual({});
    expect(await announcedTo(team, own)).toEqual([]);
    await endWindow(team, taskId);
    await route(team);
    const [again] = await announcedTo(team, own);
    expect(again).toMatchObject({ taskId, round: 2, attempt: 1 });
    expect(again!.windowLeftMs).toBeGreaterThan(LONG_MS);
    expect((await bidFor(team, own, first, 1)).answers).toEqual(["late"]);
    await answer(team, own, 1);
    expect(await route(team)).toEqual({ a: own.id });
    // Of rounds that nobody won only the last is kept.
    expect(await team.store.runs.bids(team.namespace, runId, "a")).toMatchObject([{ round: 2 }]);
  });

  it("fails what nobody has bid for in its schedule_timeout", async () => {
    const team = await newMarket();
    const own = await bidder(team, "own");
    const { runId, taskId } = await submitOne(team, { schedule_timeout: "1m" });
    await route(team);
    await answer(team, own, null);
    await team.age(taskId, ["available_at"], 61);
    await route(team);
    expect((await team.task(runId, "a")).status).toBe("ready");
    await endWindow(team, taskId);
    await route(team);
    expect((await team.task(runId, "a")).error).toMatchObject({
      code: "unroutable",
      message: expect.stringContaining("has bid for the task"),
    });
    await team.settle();
  });

  it("waits for nobody who has gone, and announces anew when all have", async () => {
    const team = await newMarket();
    const [one, two] = [await bidder(team, "one"), await bidder(team, "two")];
    const { taskId } = await submitOne(team);
    await route(team);
    await answer(team, one, 1);
    await team.store.agents.leave(team.namespace, two.id);
    await team.store.agents.cordon(team.namespace, one.id, { isCordoned: true, isDraining: false });
    expect(await route(team)).toEqual({});
    const three = await bidder(team, "three");
    await route(team);
    expect(await announcedTo(team, three)).toMatchObject([{ taskId, round: 2 }]);
    await team.store.agents.cordon(team.namespace, one.id, { isCordoned: false, isDraining: false });
    await answer(team, three, 4);
    expect(await route(team)).toEqual({ a: three.id });
  });

  it("announces anew what the winner takes with it, and each further attempt", async () => {
    const team = await newMarket();
    const one = await bidder(team, "one");
    const { runId, taskId } = await submitOne(team, { retry: { max_attempts: 2, initial_delay: "1ms" } });
    await route(team);
    await answer(team, one, 1);
    expect(await route(team)).toEqual({ a: one.id });
    const two = await bidder(team, "two");
    await team.store.agents.leave(team.namespace, one.id);
    expect(await route(team)).toEqual({});
    expect(await announcedTo(team, two)).toMatchObject([{ round: 2, attempt: 1 }]);
    await answer(team, two, 1);
    await route(team);
    const [claimed] = await team.claim({ agentId: two.id });
    await team.store.leases.report([{ ...team.failing(claimed!), agentId: two.id }]);
    await team.age(taskId, ["available_at"], 1);
    expect(await route(team)).toEqual({});
    expect(await announcedTo(team, two)).toMatchObject([{ round: 3, attempt: 2 }]);
    const rounds = await team.store.runs.bids(team.namespace, runId, "a");
    expect(rounds!.map(({ round, attempt, awardedTo }) => [round, attempt, awardedTo])).toEqual([
      [3, 2, null],
      [2, 1, two.id],
      [1, 1, one.id],
    ]);
  });

  it("announces no more than there are slots, also over several chunks", async () => {
    const team = await newMarket();
    const own = await bidder(team, "own", { slots: 2 });
    await team.submit({ a: {}, b: {}, c: {}, d: {}, e: {} });
    await team.store.leases.route(2);
    expect(await announcedTo(team, own)).toHaveLength(2);
  });

  it("has no bids for what is not to be had: a task of a run that is paused or cancelled", async () => {
    const team = await newMarket();
    const own = await bidder(team, "own");
    const { runId } = await submitOne(team);
    await route(team);
    const asked = await announcedTo(team, own);
    await team.store.runs.pause(team.namespace, runId, "ann");
    expect(await announcedTo(team, own)).toEqual([]);
    expect((await bidFor(team, own, asked, 1)).answers).toEqual(["late"]);
    await team.store.runs.resume(team.namespace, runId, "ann");
    expect(await announcedTo(team, own)).toHaveLength(1);
    await team.store.runs.cancel(team.namespace, runId, "enough");
    await team.settle();
    expect(await announcedTo(team, own)).toEqual([]);
    expect((await bidFor(team, own, asked, 1)).answers).toEqual(["late"]);
  });

  it("remembers the window of the capability, and forgets it with another policy", async () => {
    const team = await newMarket();
    await bidder(team, "own");
    const window = async () => (await team.store.agents.capabilities(team.namespace))[0];
    expect(await window()).toMatchObject({ policy: "contract-net", bidWindowMs: LONG_MS });
    await team.store.agents.allocate(team.namespace, "work", "contract-net");
    expect(await window()).not.toHaveProperty("bidWindowMs");
    await team.store.agents.allocate(team.namespace, "work", "push");
    expect(await window()).toMatchObject({ policy: "push" });
    expect(await window()).not.toHaveProperty("bidWindowMs");
  });

  it("goes by the policy of now, whatever was announced", async () => {
    const team = await newMarket();
    const own = await bidder(team, "own");
    await submitOne(team);
    await route(team);
    await team.store.agents.allocate(team.namespace, "work", "least-loaded");
    expect(await route(team)).toEqual({ a: own.id });
    expect(await announcedTo(team, own)).toEqual([]);
  });
}

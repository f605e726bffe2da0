import { expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";
import type { Team } from "./team.ts";

export function retryCases(open: OpenTeam): void {
  async function delayMs(team: Team, runId: string, key = "a"): Promise<number> {
    const [row] = await team.sql.query<{ ms: number }>(
      `select extract(epoch from available_at - a.ended_at)::float8 * 1000 as ms
       from task t join attempt a on a.task_id = t.id and a.attempt = t.attempt
       where t.run_id = $1 and t.key = $2`,
      [runId, key],
    );
    return row!.ms;
  }

  async function failNow(team: Team, runId: string): Promise<void> {
    const { id } = await team.task(runId, "a");
    await team.age(id, ["available_at"], 24 * 60 * 60);
    await team.fail(await team.take(runId, "a"));
  }

  it("tries again after the delay of its policy, and fails after the last attempt", async () => {
    const team = await open();
    const retry = {
      max_attempts: 3,
      backoff: "exponential" as const,
      initial_delay: "10s",
      max_delay: "15s",
      jitter: false,
    };
    const runId = await team.submit({ a: { retry } });
    const delays = [];
    for (let attempt = 1; attempt < 3; attempt++) {
      await failNow(team, runId);
      expect(await team.task(runId, "a")).toMatchObject({
        status: "ready",
        attempt,
        failures: attempt,
        error: { code: "broken" },
      });
      delays.push(Math.round((await delayMs(team, runId)) / 1_000));
    }
    expect(delays).toEqual([10, 15]);
    await failNow(team, runId);
    await team.settle();
    const record = await team.task(runId, "a");
    expect(record).toMatchObject({ status: "failed", failures: 3, error: { code: "broken", message: "It broke." } });
    expect(record.attempts).toMatchObject(
      [1, 2, 3].map((attempt) => ({ attempt, outcome: "failed", error: { code: "broken" } })),
    );
    expect(await team.run(runId)).toMatchObject({ status: "failed", error: { code: "broken", task: "a" } });
    expect(
      (await team.events(runId)).map((event) => event.type).filter((type) => /retrying|failed/.test(type)),
    ).toEqual(["task.retrying", "task.retrying", "task.failed", "run.failed"]);
  });

  it("jitters the default delay over its upper half", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    await failNow(team, runId);
    const delay = await delayMs(team, runId);
    expect(delay).toBeGreaterThanOrEqual(500);
    expect(delay).toBeLessThan(1_100);
  });

  it("fails at once when the failure is not retryable", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    await team.fail(await team.take(runId, "a"), { retryable: false });
    expect(await team.task(runId, "a")).toMatchObject({ status: "failed", failures: 1, error: { retryable: false } });
  });

  it("waits as long as the handler asked, at most a day", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: {} });
    await team.fail(await team.take(runId, "a"), { retryAfterMs: 42_000 });
    await team.fail(await team.take(runId, "b"), { retryAfterMs: 1e15 });
    expect(Math.round((await delayMs(team, runId, "a")) / 1_000)).toBe(42);
    expect(Math.round((await delayMs(team, runId, "b")) / 3_600_000)).toBe(24);
    const { error } = await team.task(runId, "a");
    expect(error).not.toHaveProperty("retryAfterMs");
  });

  it("forgets the error of the attempt before when it is claimed again and completes", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    await team.fail(await team.take(runId, "a"), { retryAfterMs: 0 });
    const second = await team.take(runId, "a");
    expect(await team.task(runId, "a")).toMatchObject({ status: "running", error: null });
    await team.complete(second, 1);
    const record = await team.task(runId, "a");
    expect(record).toMatchObject({ status: "completed", error: null, output: 1, failures: 1 });
    expect(record.attempts).toMatchObject([{ outcome: "failed" }, { outcome: "completed" }]);
  });

  it("does not become ready again for the schedule or the deadline when it is retried", async () => {
    const team = await open();
    const runId = await team.submit({ a: { deadline: "1h" } });
    const before = await team.sql.query("select ready_at, deadline_at from task where run_id = $1", [runId]);
    await failNow(team, runId);
    expect(await team.sql.query("select ready_at, deadline_at from task where run_id = $1", [runId])).toEqual(before);
  });
}

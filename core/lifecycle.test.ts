import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decideRun,
  MAX_LOST_CLAIMS,
  MAX_LOST_LEASES,
  type TaskEvent,
  type Transition,
  transition,
} from "./lifecycle.ts";
import { defaultRetryPolicy } from "./retry.ts";
import { isTerminalTask, type TaskState, taskStatuses } from "./run.ts";

function task(change: Partial<TaskState> = {}): TaskState {
  return {
    id: "id",
    runId: "run",
    key: "a",
    status: "running",
    attempt: 2,
    failures: 0,
    lostLeases: 0,
    lostClaims: 0,
    agentId: "agent",
    spec: { retry: { ...defaultRetryPolicy, jitter: false } },
    ...change,
  };
}

const broken = { code: "broken", message: "It broke." };
const events: TaskEvent[] = [
  { type: "started" },
  { type: "skipped", reason: "condition_false" },
  { type: "completed", output: 1 },
  { type: "failed", failure: broken },
  { type: "lease_expired", everBeat: true },
  { type: "timed_out", timeoutMs: 5 },
  { type: "released" },
  { type: "doomed", failure: broken },
  { type: "cancelled", reason: "run_cancelled" },
];

describe("transition", () => {
  it("moves a task only where the state diagram allows", () => {
    const moves = taskStatuses.map((status) => [
      status,
      ...events.filter((event) => transition(task({ status }), event, 0)).map((event) => event.type),
    ]);
    expect(moves).toEqual([
      ["pending", "started", "skipped", "doomed", "cancelled"],
      ["ready", "doomed", "cancelled"],
      ["running", "completed", "failed", "lease_expired", "timed_out", "released", "doomed", "cancelled"],
      ["waiting", "completed", "doomed", "cancelled"],
      ["completed"],
      ["failed"],
      ["skipped"],
      ["cancelled"],
    ]);
  });

  it("carries the guard, the counters and the fact of every move", () => {
    expect(
      transition(task({ failures: 1, lostLeases: 2, lostClaims: 3 }), { type: "completed", output: { x: 1 } }, 0),
    ).toEqual({
      taskId: "id",
      runId: "run",
      from: "running",
      fromAttempt: 2,
      status: "completed",
      failures: 1,
      lostLeases: 2,
      lostClaims: 3,
      delayMs: 0,
      cancelsRest: false,
      dropsChildren: false,
      output: { x: 1 },
      endedAttempt: { outcome: "completed" },
      fact: { type: "task.completed", task_id: "id", key: "a", attempt: 2, agent_id: "agent" },
    });
  });

  it("starts with the evaluated input, when there is one, even if it is null", () => {
    const pending = task({ status: "pending", attempt: 0, agentId: null });
    expect(transition(pending, { type: "started", input: null }, 0)).toMatchObject({ status: "ready", input: null });
    expect(transition(pending, { type: "started" }, 0)).not.toHaveProperty("input");
  });

  it("retries a failure after its delay and fails with the last attempt", () => {
    expect(transition(task({ failures: 1 }), { type: "failed", failure: broken }, 0)).toMatchObject({
      status: "ready",
      failures: 2,
      delayMs: 2_000,
      error: broken,
      endedAttempt: { outcome: "failed", error: broken },
      fact: { type: "task.retrying", delay_ms: 2_000, outcome: "failed", error: broken },
    });
    expect(transition(task({ failures: 2 }), { type: "failed", failure: broken }, 0)).toMatchObject({
      status: "failed",
      failures: 3,
      error: broken,
      fact: { type: "task.failed", error: broken },
    });
  });

  it("does not store how long the handler asked to wait", () => {
    const moved = transition(task(), { type: "failed", failure: { ...broken, retryAfterMs: 7 } }, 0);
    expect(moved).toMatchObject({ delayMs: 7, error: broken });
    expect(moved!.error).not.toHaveProperty("retryAfterMs");
  });

  it("takes a timeout for a failure of its own kind", () => {
    expect(transition(task(), { type: "timed_out", timeoutMs: 5 }, 0)).toMatchObject({
      status: "ready",
      failures: 1,
      error: { code: "timeout" },
      endedAttempt: { outcome: "timed_out" },
    });
  });

  it("counts lost leases and lost claims apart from failures, and fails at the limit of either", () => {
    const lost = (change: Partial<TaskState>, everBeat: boolean) =>
      transition(task(change), { type: "lease_expired", everBeat }, 0);
    expect(lost({ failures: 2 }, true)).toMatchObject({
      status: "ready",
      failures: 2,
      lostLeases: 1,
      lostClaims: 0,
      delayMs: 0,
    });
    expect(lost({}, false)).toMatchObject({ status: "ready", lostLeases: 0, lostClaims: 1 });
    const crashLoop = {
      status: "failed",
      error: { code: "executor_crash_loop" },
      endedAttempt: { error: { code: "lease_expired" } },
    };
    expect(lost({ lostLeases: MAX_LOST_LEASES - 1 }, true)).toMatchObject(crashLoop);
    expect(lost({ lostClaims: MAX_LOST_CLAIMS - 1 }, false)).toMatchObject(crashLoop);
    expect(lost({ lostLeases: MAX_LOST_LEASES - 1 }, false)).toMatchObject({ status: "ready" });
  });

  it("gives a lease back without counting anything", () => {
    expect(transition(task({ failures: 1 }), { type: "released" }, 0)).toMatchObject({
      status: "ready",
      failures: 1,
      endedAttempt: { outcome: "released" },
      fact: { type: "task.released" },
    });
  });

  it("ends the running attempt of a doomed or cancelled task as cancelled, since no report of it was accepted", () => {
    for (const event of [
      { type: "doomed", failure: broken },
      { type: "cancelled", reason: "x" },
    ] as const) {
      expect(transition(task(), event, 0)).toMatchObject({ endedAttempt: { outcome: "cancelled" } });
      expect(transition(task({ status: "ready" }), event, 0)).not.toHaveProperty("endedAttempt");
    }
  });

  it("never leaves a terminal state and ends every task in a bounded number of losses, whatever happens", () => {
    const arbitrary = fc.array(fc.constantFrom(...events), { maxLength: 60 });
    fc.assert(
      fc.property(arbitrary, (story) => {
        let state = task({ status: "pending", attempt: 0, agentId: null });
        let settled = 0;
        for (const event of story) {
          if (state.status === "ready")
            state = { ...state, status: "running", attempt: state.attempt + 1, agentId: "agent" };
          const moved = transition(state, event, 0.5);
          if (moved) {
            checkGuards(state, moved);
            if (isTerminalTask(moved.status)) settled++;
            state = { ...state, ...pick(moved), agentId: null };
          }
        }
        expect(settled).toBeLessThanOrEqual(1);
        expect(isTerminalTask(state.status)).toBe(settled === 1);
        if (!isTerminalTask(state.status)) {
          expect(state.failures).toBeLessThan(defaultRetryPolicy.maxAttempts);
          expect(state.lostLeases).toBeLessThan(MAX_LOST_LEASES);
        }
      }),
    );
  });
});

function checkGuards(state: TaskState, moved: Transition): void {
  expect([moved.from, moved.fromAttempt]).toEqual([state.status, state.attempt]);
  expect(moved.fact).toMatchObject({ task_id: state.id, key: state.key, attempt: state.attempt });
  expect(moved.endedAttempt !== undefined).toBe(state.status === "running");
  if (moved.status === "failed") expect(moved.error).toBeDefined();
}

function pick({ status, failures, lostLeases, lostClaims }: Transition) {
  return { status, failures, lostLeases, lostClaims };
}

describe("decideRun", () => {
  const ending = { status: "cancelled" as const, error: { code: "cancelled", message: "x" } };

  it("keeps a run open while one of its tasks is, whatever else is known", () => {
    expect(decideRun({ open: 1, firstFailure: broken }, ending)).toEqual({ status: "open" });
  });

  it("lets an ending decide over failures, and a failure over completion", () => {
    expect(decideRun({ open: 0, firstFailure: broken }, ending)).toEqual(ending);
    expect(decideRun({ open: 0, firstFailure: broken }, undefined)).toEqual({ status: "failed", error: broken });
    expect(decideRun({ open: 0 }, undefined)).toEqual({ status: "completed" });
  });
});

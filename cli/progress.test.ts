import { describe, expect, it } from "vitest";
import type { Fact, RunEvent } from "../core/event.ts";
import { eventLine } from "./event-line.ts";
import { applyEvent, beginProgress, isQueued, type Progress, waitingTask } from "./progress.ts";

const start = Date.parse("2026-01-31T12:00:00.000Z");

function begin(): Progress {
  const node = (key: string, needs: string[]) => ({ key, capability: "core.echo", needs });
  return beginProgress({ run_id: "r", workflow: "w", nodes: [node("a", []), node("b", ["a"])] });
}

/** Each fact a second after the one before it. */
function story(facts: Fact[]): RunEvent[] {
  return facts.map((fact, n) => ({ ...fact, id: `${n}`, run_id: "r", at: new Date(start + n * 1000).toISOString() }));
}

function play(progress: Progress, facts: Fact[], nowMs = start + 3_600_000): string[] {
  return story(facts).map((event) => {
    applyEvent(progress, event, nowMs);
    return eventLine(event, progress);
  });
}

const task = (type: string, rest: object = {}) => ({ type, task_id: "t", key: "a", attempt: 1, ...rest }) as Fact;

describe("the progress of a run", () => {
  it("begins with every task pending", () => {
    expect(begin()).toMatchObject({ status: "pending", counts: { pending: 2, completed: 0 } });
  });

  it("follows the events to the end", () => {
    const progress = begin();
    play(progress, [
      { type: "run.submitted", tasks: 2 },
      task("task.ready", { attempt: 0 }),
      task("task.published"),
      task("task.claimed"),
      task("task.completed"),
      task("task.skipped", { key: "b", attempt: 0, reason: "condition_false" }),
      { type: "run.completed" },
    ]);
    expect(progress).toMatchObject({
      status: "completed",
      startedAt: start,
      finishedAt: start + 6_000,
      counts: { pending: 0, ready: 0, running: 0, completed: 1, skipped: 1 },
    });
    expect(progress.tasks.get("a")).toMatchObject({ startedAt: start + 3_000, finishedAt: start + 4_000 });
    expect(progress.tasks.get("b")).toMatchObject({ status: "skipped", reason: "condition_false" });
  });

  it("waits with a run that keeps to limits, and begins with it", () => {
    const progress = begin();
    const [line] = play(progress, [{ type: "run.submitted", tasks: 2, queued: true }]);
    expect(line).toBe("2026-01-31T12:00:00.000Z run.submitted run=r workflow=w tasks=2 queued=true");
    expect(progress).toMatchObject({ status: "pending", queuedAt: start });
    expect(progress.startedAt).toBeUndefined();
    expect(waitingTask(progress, start)).toBe("a");
    play(progress, [{ type: "run.paused" }]);
    expect(waitingTask(progress, start)).toBeUndefined();
    play(progress, [{ type: "run.resumed" }]);
    expect(progress.status).toBe("pending");
    play(progress, [{ type: "run.submitted", queued: true }, { type: "run.started" }]);
    expect(progress).toMatchObject({ status: "running", startedAt: start + 1_000 });
    expect(waitingTask(progress, start + 60_000)).toBeUndefined();
  });

  it("asks about the first task that waits for long, and about none that backs off, runs, or is of a paused run", () => {
    const progress = begin();
    play(progress, [{ type: "run.submitted" }, task("task.ready", { attempt: 0 }), task("task.ready", { key: "b" })]);
    expect(waitingTask(progress, start + 2_000)).toBeUndefined();
    expect(waitingTask(progress, start + 10_000)).toBe("a");
    const error = { code: "X", message: "no" };
    play(progress, [
      { type: "run.submitted" },
      task("task.claimed"),
      task("task.retrying", { delay_ms: 60_000, error }),
    ]);
    expect(waitingTask(progress, start + 10_000)).toBe("b");
    expect(waitingTask(progress, start + 90_000)).toBe("a");
    play(progress, [task("task.claimed", { attempt: 2 }), { type: "run.paused", by: "ann" }]);
    expect(waitingTask(progress, start + 90_000)).toBeUndefined();
  });

  it("is queued when nothing of it is at work and it is known why", () => {
    const progress = begin();
    play(progress, [{ type: "run.submitted" }, task("task.ready", { attempt: 0 })]);
    expect(isQueued(progress)).toBe(false);
    progress.held = { task: "a", code: "limit_reached", message: "crm is held by 1 of at most 1." };
    expect(isQueued(progress)).toBe(true);
    play(progress, [task("task.claimed", { key: "b" })]);
    expect(isQueued(progress)).toBe(false);
  });

  it("begins with what was kept of an older run", () => {
    const progress = begin();
    const [, kept] = play(progress, [
      { type: "run.submitted", tasks: 2, retried_from: "q" },
      task("task.kept", { attempt: 0, status: "completed", kept_from: "o" }),
      task("task.kept", { key: "b", attempt: 0, status: "skipped", kept_from: "o" }),
      { type: "run.completed" },
    ]);
    expect(kept).toMatch(/ task\.kept task=a$/);
    expect(progress).toMatchObject({ status: "completed", counts: { pending: 0, completed: 1, skipped: 1 } });
    expect(progress.tasks.get("a")?.startedAt).toBeUndefined();
  });

  it("knows when a failed attempt is repeated, and forgets its error when the next one completes", () => {
    const progress = begin();
    const error = { code: "HTTP_NETWORK", message: "no answer" };
    play(progress, [task("task.claimed"), task("task.retrying", { delay_ms: 5_000, error })]);
    expect(progress.tasks.get("a")).toMatchObject({ status: "ready", retryAt: start + 6_000, error });
    expect(progress.tasks.get("a")?.startedAt).toBeUndefined();
    play(progress, [task("task.claimed", { attempt: 2 }), task("task.completed", { attempt: 2 })]);
    expect(progress.tasks.get("a")).toMatchObject({ status: "completed", attempt: 2 });
    expect(progress.tasks.get("a")?.error).toBeUndefined();
    expect(progress.tasks.get("a")?.retryAt).toBeUndefined();
  });

  it("is not misled by reports of attempts that are over", () => {
    const progress = begin();
    const error = { code: "HTTP_NETWORK", message: "no answer" };
    play(progress, [
      task("task.claimed"),
      task("task.retrying", { delay_ms: 5_000, error }),
      task("task.report_stale", { attempt: 1 }),
    ]);
    expect(progress.tasks.get("a")).toMatchObject({ status: "ready", retryAt: start + 6_000, error });
    play(progress, [task("task.claimed", { attempt: 2 }), task("task.report_stale", { attempt: 1 })]);
    expect(progress.tasks.get("a")).toMatchObject({ status: "running", attempt: 2 });
  });

  it("takes in tasks that came after the graph was read", () => {
    const progress = begin();
    play(progress, [task("task.ready", { key: "spawned", attempt: 0 })]);
    expect(progress.tasks.get("spawned")).toMatchObject({ status: "ready" });
    expect(progress.counts).toMatchObject({ pending: 2, ready: 1 });
  });

  it("is paused until it resumes, is cancelled or ends", () => {
    const paused: Fact = { type: "run.paused", by: "ann", reason: "lunch" };
    const progress = begin();
    expect(play(progress, [{ type: "run.submitted" }, paused]).at(-1)).toBe(
      "2026-01-31T12:00:01.000Z run.paused run=r by=ann reason=lunch",
    );
    expect(progress).toMatchObject({ status: "paused", pausedBy: "ann" });
    const [line] = play(progress, [{ type: "run.resumed", by: "bob", capabilities: ["core.echo"] }]);
    expect(line).toBe("2026-01-31T12:00:00.000Z run.resumed run=r by=bob");
    for (const next of [{ type: "run.cancelling" }, { type: "run.completed" }, { type: "run.resumed" }] as const) {
      play(progress, [paused, next]);
      expect(progress.status).toBe(next.type === "run.completed" ? "completed" : "running");
      expect(progress.pausedBy).toBeUndefined();
    }
  });

  it("notices a database whose clock is ahead, and is not misled by old events", () => {
    const ahead = begin();
    play(ahead, [{ type: "run.submitted" }], start - 700);
    expect(ahead.clockAheadMs).toBe(700);
    const old = begin();
    play(old, [{ type: "run.submitted" }], start + 60_000);
    expect(old.clockAheadMs).toBe(0);
  });
});

describe("an event as a line", () => {
  it("has the time, the type, and name=value pairs", () => {
    const lines = play(begin(), [
      { type: "run.submitted", tasks: 2 },
      task("task.ready", { attempt: 0, capability: "core.echo" }),
      task("task.claimed", { agent_id: "x" }),
      task("task.completed"),
    ]);
    expect(lines).toEqual([
      "2026-01-31T12:00:00.000Z run.submitted run=r workflow=w tasks=2",
      "2026-01-31T12:00:01.000Z task.ready task=a capability=core.echo",
      "2026-01-31T12:00:02.000Z task.claimed task=a attempt=1 agent=x",
      "2026-01-31T12:00:03.000Z task.completed task=a attempt=1 took=1.0s",
    ]);
  });

  it("keeps hostile text in its line and away from the terminal", () => {
    const message = 'first\nsecond \u001b[2J "quoted" \u009b31m \u202e';
    const [line] = play(begin(), [task("task.failed", { error: { code: "X", message } })]);
    expect(line).toBe(
      '2026-01-31T12:00:00.000Z task.failed task=a attempt=1 error="X: first second \\\\u001b[2J \\"quoted\\" \\\\u009b31m \\\\u202e"',
    );
  });
});

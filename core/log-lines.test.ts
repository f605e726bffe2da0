import { describe, expect, it } from "vitest";
import type { Fact } from "./event.ts";
import { logLines } from "./log-lines.ts";

const told = { run_id: "r", at: "2026-01-31T12:00:05.000Z" };
const task = { task_id: "t", key: "a", attempt: 1, agent_id: "g" } as const;
const lines = (fact: Fact, logs?: Parameters<typeof logLines>[0]["logs"]) =>
  logLines({ ...fact, ...told, ...(logs && { logs }) });
const told1 = (fact: Fact) => lines(fact).map(({ source, step, level }) => `${source} ${step} ${level}`);

describe("logLines", () => {
  it("tells one line a step of a run's life", () => {
    expect(lines({ type: "run.submitted", tasks: 3 })).toEqual([
      {
        ...told,
        level: "info",
        source: "orchestrator",
        step: "submit",
        message: "run submitted",
        fields: { tasks: 3 },
      },
    ]);
    expect(lines({ type: "run.cancelling", reason: "enough" })).toMatchObject([
      { step: "cancel", message: "run cancelling", fields: { reason: "enough" } },
    ]);
    expect(lines({ type: "run.repaired", by: "doctor", reason: "I5: …" })).toMatchObject([
      { step: "repair", level: "warn", message: "run repaired", fields: { by: "doctor", reason: "I5: …" } },
    ]);
    expect(lines({ type: "run.paused", by: "ann", reason: "lunch" })).toMatchObject([
      { step: "pause", level: "info", message: "run paused", fields: { by: "ann", reason: "lunch" } },
    ]);
    expect(lines({ type: "run.resumed", by: "ann" })).toMatchObject([
      { step: "resume", message: "run resumed", fields: { by: "ann" } },
    ]);
    expect(lines({ type: "run.failed", error: { code: "broken", message: "It broke.", task: "a" } })).toMatchObject([
      { step: "finish", level: "error", message: "run failed", fields: { error: { code: "broken", task: "a" } } },
    ]);
    expect(lines({ type: "run.completed" })[0]).not.toHaveProperty("fields");
  });

  it("tells of what was kept of an older run", () => {
    const kept: Fact = { type: "task.kept", task_id: "t", key: "a", attempt: 0, status: "completed", kept_from: "o" };
    expect(lines({ type: "run.submitted", tasks: 1, retried_from: "q" })[0]).toMatchObject({
      fields: { tasks: 1, retried_from: "q" },
    });
    expect(lines(kept)).toMatchObject([{ step: "keep", task: "a", message: "task kept: it had completed before" }]);
    expect(lines({ ...kept, status: "skipped" })[0]!.message).toMatch(/been skipped/);
  });

  it("tells of a hint's delivery only where there was a hint", () => {
    expect(told1({ ...task, type: "task.claimed", via: "hint" })).toEqual([
      "executor deliver info",
      "orchestrator claim info",
    ]);
    expect(told1({ ...task, type: "task.claimed", via: "poll" })).toEqual(["orchestrator claim info"]);
    expect(told1({ ...task, type: "task.announced", agents: 2 })).toEqual(["orchestrator announce info"]);
    expect(told1({ ...task, type: "task.awarded", round: 1, bids: [] })).toEqual(["orchestrator award info"]);
    expect(told1({ ...task, type: "task.published" })).toEqual(["orchestrator publish info"]);
    expect(told1({ ...task, type: "task.released" })).toEqual(["orchestrator release info"]);
    expect(told1({ ...task, type: "task.report_stale" })).toEqual(["orchestrator report warn"]);
  });

  it("tells what the handler did between its start and its report", () => {
    const logs = [{ at: "2026-01-31T12:00:02.000Z", level: "debug" as const, message: "half", fields: { n: 1 } }];
    const completed = lines({ ...task, type: "task.completed", started_at: "2026-01-31T12:00:01.000Z" }, logs);
    expect(completed.map(({ at, source, step, message }) => [at.slice(17, 19), source, step, message])).toEqual([
      ["01", "executor", "start", "handler started"],
      ["02", "handler", "log", "half"],
      ["05", "executor", "report", "outcome reported: completed"],
      ["05", "orchestrator", "finish", "task completed"],
    ]);
    expect(completed[1]).toEqual({
      run_id: "r",
      at: logs[0]!.at,
      level: "debug",
      source: "handler",
      step: "log",
      message: "half",
      task_id: "t",
      task: "a",
      attempt: 1,
      agent_id: "g",
      fields: { n: 1 },
    });
  });

  it("tells a retry as a warning with its delay, a final failure as an error", () => {
    const error = { code: "broken", message: "It broke." };
    expect(lines({ ...task, type: "task.retrying", outcome: "failed", delay_ms: 250, error })).toMatchObject([
      {
        step: "retry",
        level: "warn",
        message: "attempt failed; task will be tried again",
        fields: { delay_ms: 250, error },
      },
    ]);
    expect(lines({ ...task, type: "task.failed", error })).toMatchObject([{ step: "finish", level: "error" }]);
  });

  it("names neither attempt nor agent of a task that no one has tried", () => {
    const [skipped] = lines({ type: "task.skipped", task_id: "t", key: "a", attempt: 0, reason: "condition_false" });
    expect(skipped).not.toHaveProperty("attempt");
    expect(skipped).not.toHaveProperty("agent_id");
    expect(skipped).toMatchObject({ step: "finish", fields: { reason: "condition_false" } });
  });
});

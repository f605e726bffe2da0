import { describe, expect, it } from "vitest";
import type { Fact } from "../../core/event.ts";
import type { CommittedFacts } from "../../store/store.ts";
import { eventsOf, logCommitted } from "./announce.ts";

const ready = (key: string): Fact => ({ type: "task.ready", task_id: key, key, attempt: 0, capability: "work" });
const committed = (...facts: Fact[]): CommittedFacts[] => [
  { runId: "r", namespace: "n", facts, mayBeFinished: false, needsUpkeep: false },
];

describe("eventsOf", () => {
  it("makes one message for each run and status, with all its facts", () => {
    const claimed: Fact = { type: "task.claimed", task_id: "a", key: "a", attempt: 1, via: "poll" };
    const events = eventsOf(committed({ type: "run.submitted", tasks: 2 }, ready("a"), ready("b"), claimed));
    expect(events.map(({ routingKey, body }) => [routingKey, (body as { facts: unknown[] }).facts.length])).toEqual([
      ["run.r.submitted", 1],
      ["run.r.task.ready", 2],
      ["run.r.task.running", 1],
    ]);
    expect(events[0]!.body).toMatchObject({ v: 1, namespace: "n", run_id: "r" });
  });

  it("says nothing of hints, which are no status", () => {
    expect(eventsOf(committed({ type: "task.published", task_id: "a", key: "a", attempt: 1 }))).toEqual([]);
  });
});

it("logs each step of the orchestrator with run, task, attempt and agent, at its level", () => {
  const logged: [string, object, string][] = [];
  const log = (level: string) => (fields: object, message: string) => void logged.push([level, fields, message]);
  const logger = { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
  const error = { code: "broken", message: "It broke." };
  const task = { task_id: "t", key: "a", attempt: 1, agent_id: "g", started_at: "2026-01-31T12:00:00.000Z" };
  logCommitted(logger, committed({ ...task, type: "task.completed" }, { ...task, type: "task.failed", error }));
  const about = { namespace: "n", run_id: "r", task_id: "t", task: "a", attempt: 1, agent_id: "g", step: "finish" };
  expect(logged).toEqual([
    ["info", about, "task completed"],
    ["error", { ...about, fields: { error } }, "task failed"],
  ]);
});

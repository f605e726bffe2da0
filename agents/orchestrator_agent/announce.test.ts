import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Fact } from "../../core/event.ts";
import type { CommittedFacts } from "../../store/store.ts";
import type { OutgoingEvent } from "../../transport/transport.ts";
import { createAnnouncer, eventsOf, logCommitted } from "./announce.ts";

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

  it("names what was kept of an older run by what it had come to", () => {
    const kept = { type: "task.kept", task_id: "a", key: "a", attempt: 0, kept_from: "o" } as const;
    const events = eventsOf(committed({ ...kept, status: "completed" }, { ...kept, status: "skipped" }));
    expect(events.map(({ routingKey }) => routingKey)).toEqual(["run.r.task.completed", "run.r.task.skipped"]);
  });

  it("says nothing of hints, which are no status", () => {
    expect(eventsOf(committed({ type: "task.published", task_id: "a", key: "a", attempt: 1 }))).toEqual([]);
  });
});

describe("an announcer", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  const newAnnouncer = () => {
    const messages: [key: string, facts: number][][] = [];
    const publish = (events: OutgoingEvent[]) =>
      void messages.push(events.map(({ routingKey, body }) => [routingKey, (body as { facts: [] }).facts.length]));
    return { messages, announcer: createAnnouncer(publish) };
  };

  it("publishes at once when all is quiet, and under load what came within 50 ms together", () => {
    const { messages, announcer } = newAnnouncer();
    announcer.announce(committed(ready("a")));
    expect(messages).toEqual([[["run.r.task.ready", 1]]]);
    announcer.announce(committed(ready("b")));
    announcer.announce(committed(ready("c"), { type: "run.completed" }));
    expect(messages).toHaveLength(1);
    vi.advanceTimersByTime(50);
    const together = [
      ["run.r.task.ready", 2],
      ["run.r.completed", 1],
    ];
    expect(messages.slice(1)).toEqual([together]);
    vi.advanceTimersByTime(50);
    announcer.announce(committed(ready("d")));
    expect(messages).toHaveLength(3);
  });

  it("loses nothing when it is closed", () => {
    const { messages, announcer } = newAnnouncer();
    announcer.announce(committed(ready("a")));
    announcer.announce(committed(ready("b")));
    announcer.close();
    expect(messages).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(0);
  });
});

it("logs only what went wrong where nobody listens to the rest", () => {
  const lines: string[] = [];
  const line = (_: object, message: string) => void lines.push(message);
  const quiet = { isLevelEnabled: () => false, debug: line, info: line, warn: line, error: line };
  const task = { task_id: "t", key: "a", attempt: 1 };
  const error = { code: "broken", message: "It broke." };
  logCommitted(quiet, committed({ ...task, type: "task.completed" }, { ...task, type: "task.failed", error }));
  expect(lines).toEqual(["task failed"]);
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

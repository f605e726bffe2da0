import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { analyseTimeline, type TimelineTask, type TimelineView, timelineJson } from "./timeline.ts";

const T = 1_700_000_000_000;

/** Times are milliseconds after T; `attempts` are `[start, end, outcome]`. */
function taskOf(
  key: string,
  needs: string[],
  readyAt: number,
  attempts: [start: number, end: number, outcome: "completed" | "failed"][],
): TimelineTask {
  return {
    key,
    needs,
    status: "completed",
    readyAt: T + readyAt,
    finishedAt: T + (attempts.at(-1)?.[1] ?? readyAt),
    attempts: attempts.map(([start, end, outcome], index) => ({
      attempt: index + 1,
      startedAt: T + start,
      endedAt: T + end,
      outcome,
      agent: "exec-1",
    })),
  };
}

function viewOf(tasks: TimelineTask[], finishedAt?: number): TimelineView {
  const end = finishedAt === undefined ? {} : { finishedAt: T + finishedAt };
  return {
    runId: "run-1",
    workflow: "report",
    status: end.finishedAt ? "completed" : "running",
    createdAt: T,
    ...end,
    tasks,
  };
}

const diamond = viewOf(
  [
    taskOf("search", [], 0, [[10, 100, "completed"]]),
    taskOf("quick", ["search"], 100, [[110, 150, "completed"]]),
    taskOf("slow", ["search"], 100, [
      [120, 200, "failed"],
      [300, 500, "completed"],
    ]),
    taskOf("write", ["quick", "slow"], 500, [[550, 600, "completed"]]),
  ],
  600,
);

describe("timelineJson", () => {
  it("cuts each task into waiting and running, retries included", () => {
    const json = timelineJson(diamond) as { tasks: { key: string; segments: object[] }[] };
    const slow = json.tasks.find(({ key }) => key === "slow");
    const at = (ms: number) => new Date(T + ms).toISOString();
    expect(slow).toMatchObject({ retries: 1, waiting_ms: 120, running_ms: 280, is_critical: true, needs: ["search"] });
    expect(slow?.segments).toEqual([
      { kind: "waiting", from: at(100), to: at(120), attempt: null, outcome: null, agent: null },
      { kind: "running", from: at(120), to: at(200), attempt: 1, outcome: "failed", agent: "exec-1" },
      { kind: "waiting", from: at(200), to: at(300), attempt: null, outcome: null, agent: null },
      { kind: "running", from: at(300), to: at(500), attempt: 2, outcome: "completed", agent: "exec-1" },
    ]);
  });

  it("finds the critical path, and how much of it was work", () => {
    expect(timelineJson(diamond)).toMatchObject({
      duration_ms: 600,
      totals: { tasks: 4, attempts: 5, retries: 1, running_ms: 90 + 40 + 280 + 50, waiting_ms: 10 + 10 + 120 + 50 },
      critical_path: {
        duration_ms: 600,
        running_ms: 90 + 280 + 50,
        waiting_ms: 10 + 120 + 50,
        tasks: [
          { key: "search", running_ms: 90, waiting_ms: 10 },
          { key: "slow", running_ms: 280, waiting_ms: 120 },
          { key: "write", running_ms: 50, waiting_ms: 50 },
        ],
      },
    });
  });

  it("leads the critical path through the instance that held up its map", () => {
    const view = viewOf([
      taskOf("search", [], 0, [[0, 100, "completed"]]),
      { ...taskOf("read", ["search"], 100, []), finishedAt: T + 300 },
      { ...taskOf("read[0]", [], 100, [[100, 200, "completed"]]), group: "read" },
      { ...taskOf("read[1]", [], 100, [[100, 299, "completed"]]), group: "read" },
      taskOf("write", ["read"], 300, [[300, 400, "completed"]]),
    ]);
    expect(analyseTimeline(view).criticalPath.map(({ key }) => key)).toEqual(["search", "read[1]", "read", "write"]);
  });

  it("lets what still runs or waits last until the moment of reading", () => {
    const running: TimelineTask = {
      key: "a",
      needs: [],
      status: "running",
      readyAt: T,
      attempts: [{ attempt: 1, startedAt: T + 10 }],
    };
    const approval: TimelineTask = { key: "b", needs: [], status: "waiting", readyAt: T + 50, attempts: [] };
    const pending: TimelineTask = { key: "c", needs: ["a"], status: "pending", attempts: [] };
    const json = timelineJson({ ...viewOf([running, approval, pending]), readAt: T + 1_000 });
    expect(json).toMatchObject({
      finished_at: null,
      duration_ms: 1_000,
      tasks: [
        { running_ms: 990, waiting_ms: 10 },
        { running_ms: 0, waiting_ms: 950 },
        { running_ms: 0, waiting_ms: 0, segments: [] },
      ],
    });
  });

  it("ends at the latest time it knows when nobody says when it was read", () => {
    expect(analyseTimeline(viewOf(diamond.tasks)).to).toBe(T + 600);
    expect(timelineJson(viewOf([]))).toMatchObject({ duration_ms: 0, critical_path: { tasks: [] } });
  });

  it("does not follow needs in circles", () => {
    const view = viewOf([taskOf("a", ["b"], 0, [[0, 10, "completed"]]), taskOf("b", ["a"], 0, [[0, 20, "completed"]])]);
    expect(analyseTimeline(view).criticalPath.map(({ key }) => key)).toEqual(["a", "b"]);
  });

  it("passes through a skipped task, which took no time", () => {
    const skipped: TimelineTask = { key: "b", needs: ["a"], status: "skipped", finishedAt: T + 10, attempts: [] };
    const view = viewOf([
      taskOf("a", [], 0, [[0, 10, "completed"]]),
      skipped,
      taskOf("c", ["b"], 10, [[10, 30, "completed"]]),
    ]);
    expect(analyseTimeline(view).criticalPath.map(({ key }) => key)).toEqual(["a", "b", "c"]);
  });

  const time = fc.integer({ min: -50, max: 1_000 });
  const maybe = fc.option(time, { nil: undefined });
  const anyTask = fc.record({
    status: fc.constantFrom(
      "pending" as const,
      "ready" as const,
      "running" as const,
      "completed" as const,
      "failed" as const,
    ),
    readyAt: maybe,
    finishedAt: maybe,
    attempts: fc.array(fc.tuple(time, maybe), { maxLength: 4 }),
    needs: fc.array(fc.nat(9), { maxLength: 3 }),
  });

  it("never overlaps, reverses or leaves gaps, however odd the stored times", () => {
    fc.assert(
      fc.property(fc.array(anyTask, { maxLength: 10 }), maybe, (tasks, finishedAt) => {
        const view: TimelineView = viewOf(
          tasks.map(({ status, readyAt, finishedAt: end, attempts, needs }, index) => ({
            key: `t${index}`,
            status,
            needs: needs.map((need) => `t${need}`),
            ...(readyAt !== undefined && { readyAt: T + readyAt }),
            ...(end !== undefined && { finishedAt: T + end }),
            attempts: attempts.map(([startedAt, endedAt], i) => ({
              attempt: i + 1,
              startedAt: T + startedAt,
              ...(endedAt !== undefined && { endedAt: T + endedAt }),
            })),
          })),
          finishedAt,
        );
        const { rows, criticalPath, from } = analyseTimeline(view);
        for (const { segments, span } of rows) {
          let reached = span?.from;
          for (const segment of segments) {
            expect(segment.from).toBe(reached);
            expect(segment.to).toBeGreaterThanOrEqual(segment.from);
            reached = segment.to;
          }
          expect(span?.to).toBe(reached);
        }
        let reached = from;
        for (const step of criticalPath) {
          expect(step.from).toBe(reached);
          expect(step.to).toBeGreaterThanOrEqual(step.from);
          expect(step.runningMs).toBeLessThanOrEqual(step.to - step.from);
          reached = step.to;
        }
      }),
    );
  });
});

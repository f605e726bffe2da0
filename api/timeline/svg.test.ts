import { describe, expect, it } from "vitest";
import { findXmlFlaw, hostileTexts } from "../graph/samples.suite.ts";
import { timelineSvg } from "./svg.ts";
import { ticksOf } from "./ticks.ts";
import type { TimelineTask, TimelineView } from "./timeline.ts";

const T = 1_700_000_000_000;
const count = (text: string, part: string) => text.split(part).length - 1;

function taskOf(key: string, start: number, end: number, more: Partial<TimelineTask> = {}): TimelineTask {
  return {
    key,
    needs: [],
    status: "completed",
    readyAt: T,
    finishedAt: T + end,
    attempts: [{ attempt: 1, startedAt: T + start, endedAt: T + end, outcome: "completed" }],
    ...more,
  };
}

function viewOf(tasks: TimelineTask[], finishedAt = 10_000): TimelineView {
  return { runId: "run-1", workflow: "report", status: "completed", createdAt: T, finishedAt: T + finishedAt, tasks };
}

/** Row labels from top to bottom. */
const labelsOf = (svg: string) =>
  [...svg.matchAll(/<text x="48" y="[\d.]+" font-size="12"[^>]*>([^<]*)</g)].map(([, text]) => text);

describe("timelineSvg", () => {
  it("draws a row per task in the order of their starts, with ticks and durations", () => {
    const svg = timelineSvg(
      viewOf([
        taskOf("late", 6_000, 10_000, { needs: ["early"], readyAt: T + 4_000 }),
        taskOf("early", 0, 4_000),
        taskOf("aside", 500, 2_000, { readyAt: T + 100 }),
      ]),
    );
    expect(findXmlFlaw(svg)).toBeUndefined();
    expect(labelsOf(svg)).toEqual(["early", "aside", "late"]);
    for (const text of ["0", "2 s", "10 s", "1.5 s", "4 s"]) expect(svg).toContain(`>${text}</text>`);
    expect(svg).toContain("3 tasks in 10 s");
    expect(svg).toContain("critical path: 2 tasks, 8 s running");
  });

  it("marks failed attempts, and the critical path by more than colour", () => {
    const attempts: TimelineTask["attempts"] = [
      { attempt: 1, startedAt: T, endedAt: T + 1_000, outcome: "failed" },
      { attempt: 2, startedAt: T + 2_000, endedAt: T + 3_000, outcome: "lease_expired" },
      { attempt: 3, startedAt: T + 4_000, endedAt: T + 9_000, outcome: "completed" },
    ];
    const svg = timelineSvg(viewOf([taskOf("retried", 0, 9_000, { attempts }), taskOf("aside", 0, 10)]));
    const legendEntries = 1;
    expect(count(svg, 'fill="url(#skein-failed)"')).toBe(2 + legendEntries);
    expect(svg).toMatch(/font-weight="600">retried</);
    expect(svg).not.toMatch(/font-weight="600">aside</);
  });

  it("stays well-formed and holds nothing active, whatever the labels say", () => {
    const tasks = hostileTexts.map((text, index) =>
      taskOf(text, index * 10, index * 10 + 500, {
        attempts: [{ attempt: 1, startedAt: T, endedAt: T + 500, outcome: "failed", agent: text }],
      }),
    );
    const svg = timelineSvg({ ...viewOf(tasks), workflow: hostileTexts.join(""), runId: hostileTexts[0]! });
    expect(findXmlFlaw(svg)).toBeUndefined();
    expect(svg).not.toMatch(/<(?:script|foreignObject|a|image|use|style)\b| on\w+="|href="/i);
    expect(svg.length).toBeLessThan(60_000);
  });

  it("shows the longest 400 of very many tasks, the critical path among them, and says so", () => {
    const tasks = Array.from({ length: 5_000 }, (_, i) => taskOf(`t${i}`, 0, 1_000 + i));
    const first = taskOf("first", 0, 1);
    const last = taskOf("last", 9_999, 10_000, { needs: ["first"], readyAt: T + 9_999 });
    const svg = timelineSvg(viewOf([...tasks, first, last]));
    const labels = labelsOf(svg);
    expect(labels).toHaveLength(400);
    expect(labels).toEqual(expect.arrayContaining(["first", "last", "t4999", "t4602"]));
    expect(labels).not.toContain("t4601");
    expect(svg).toContain("shown: 400");
  });

  it("leaves out what has not begun, and says how many", () => {
    const pending: TimelineTask = { key: "later", needs: ["a"], status: "pending", attempts: [] };
    const svg = timelineSvg(viewOf([taskOf("a", 0, 5), pending]));
    expect(labelsOf(svg)).toEqual(["a"]);
    expect(svg).toContain("1 not begun");
  });

  it("draws a run in which nothing has happened", () => {
    const svg = timelineSvg({ runId: "r", workflow: "w", status: "pending", createdAt: T, tasks: [] });
    expect(findXmlFlaw(svg)).toBeUndefined();
    expect(svg).not.toContain("NaN");
  });
});

describe("ticksOf", () => {
  it.each([
    [0, [0]],
    [7, [0, 1, 2, 3, 4, 5, 6, 7]],
    [95, [0, 20, 40, 60, 80]],
    [10_000, [0, 2_000, 4_000, 6_000, 8_000, 10_000]],
    [100_000, [0, 15_000, 30_000, 45_000, 60_000, 75_000, 90_000]],
    [2 * 3_600_000, [0, 1, 2, 3, 4, 5, 6, 7, 8].map((n) => n * 900_000)],
  ])("marks %i ms at steps that people count in", (duration, ticks) => {
    expect(ticksOf(duration)).toEqual(ticks);
  });

  it("never gives more marks than fit, up to years", () => {
    for (let duration = 1; duration < 1e12; duration *= 1.7) expect(ticksOf(duration).length).toBeLessThanOrEqual(9);
  });
});

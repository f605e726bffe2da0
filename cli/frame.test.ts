import pico from "picocolors";
import { describe, expect, it } from "vitest";
import { treeRows } from "../core/dag-tree.ts";
import type { TaskStatus } from "../core/run.ts";
import { drawFrame, type FrameOptions } from "./frame.ts";
import { beginProgress, type Progress, type TaskProgress } from "./progress.ts";

const paint = pico.createColors(false);
const options: FrameOptions = { columns: 60, rows: 30, nowMs: 10_000, tick: 0, paint };

type Given = { needs?: string[] } & Partial<TaskProgress>;

function progressOf(tasks: Record<string, Given>): Progress {
  const nodes = Object.entries(tasks).map(([key, { needs = [] }]) => ({ key, capability: "core.echo", needs }));
  const progress = beginProgress({ run_id: "r1", workflow: "w", nodes });
  progress.startedAt = 0;
  for (const [key, given] of Object.entries(tasks)) {
    const { status = "pending" } = given;
    progress.counts.pending--;
    progress.counts[status]++;
    Object.assign(progress.tasks.get(key)!, given);
  }
  return progress;
}

function frame(progress: Progress, more: Partial<FrameOptions> = {}): string[] {
  const tree = treeRows([...progress.tasks.values()].map(({ key, needs }) => ({ id: key, needs })));
  return drawFrame(progress, tree, { ...options, ...more }).split("\n");
}

const many = (count: number, status: (n: number) => TaskStatus) =>
  progressOf(Object.fromEntries(Array.from({ length: count }, (_, n) => [`t${n}`, { status: status(n) }])));

describe("a picture of a run", () => {
  it("shows the tasks as a tree, with what became of each", () => {
    const done = { status: "completed", startedAt: 0, attempt: 1 } as const;
    const progress = progressOf({
      a: { ...done, finishedAt: 1_500 },
      b: { needs: ["a"], ...done, finishedAt: 20, attempt: 2 },
      c: { needs: ["a"], status: "running", startedAt: 7_000, attempt: 1 },
      d: { needs: ["a"], status: "failed", attempt: 1, error: { code: "X", message: "no good" } },
      e: { needs: ["b", "c"] },
      f: { needs: ["d"], status: "skipped", reason: "need_not_completed" },
    });
    expect(frame(progress)).toEqual([
      "w  run r1",
      "",
      "✔ a      1.5s",
      "├─ ✔ b   20ms  attempt 2",
      "├─ ⠋ c   3.0s",
      "└─ ✘ d         X: no good",
      "   ↷ f         need not completed",
      "· e            ← b, c",
      "",
      "━━━━━━━━━━━━╌╌╌╌╌╌╌ 4/6 · 1 running · 1 failed · 1 skipped…",
    ]);
  });

  it("says what a ready task waits for", () => {
    const progress = progressOf({
      retry: { status: "ready", retryAt: 12_000, error: { code: "X", message: "busy" } },
      new: { status: "ready", readyAt: 9_990 },
      lonely: { status: "ready", readyAt: 1_000 },
    });
    expect(frame(progress, { columns: 80 }).slice(2, 5)).toEqual([
      "├─ ○ retry          retry in 2.0s · X: busy",
      "├─ ○ new",
      "└─ ○ lonely         waiting 9.0s for core.echo",
    ]);
  });

  it("says who paused it, and not that a ready task waits for an agent", () => {
    const progress = progressOf({ a: { status: "ready", readyAt: 1_000 }, b: { status: "running", startedAt: 8_000 } });
    Object.assign(progress, { status: "paused", pausedBy: "ann" });
    const lines = frame(progress, { columns: 80 });
    expect(lines.slice(2, 4)).toEqual(["├─ ○ a", "└─ ⠋ b   2.0s"]);
    expect(lines.at(-1)).toContain("0/2 · paused by ann · 1 running");
  });

  it("shows a run that waits for its limits as queued, with the reason", () => {
    const progress = progressOf({ a: {}, b: { needs: ["a"] } });
    delete progress.startedAt;
    progress.queuedAt = 2_000;
    expect(frame(progress, { columns: 80 }).at(-1)).toMatch(/0\/2 · queued 8\.0s$/);
    progress.held = {
      task: "a",
      code: "run_queued",
      message: "Its run has not started. sync is held by 1 of at most 1.",
    };
    expect(frame(progress, { columns: 80 })).toEqual([
      "w  run r1",
      "",
      "· a",
      "· b",
      "Its run has not started. sync is held by 1 of at most 1.",
      expect.stringMatching(/0\/2 · queued 8\.0s$/),
    ]);
    expect(frame(progress, { columns: 30 }).at(-2)).toBe("Its run has not started. syn…");
  });

  it("shows what a ready task waits for, and a run of which nothing else is at work as queued", () => {
    const message = "crm is held by 3 of at most 3: x of run r9. It is the next.";
    const held = { task: "b", code: "limit_reached", message };
    const waiting = { b: { status: "ready", readyAt: 1_000 }, c: { status: "ready", readyAt: 1_000 } } as const;
    const alone = Object.assign(progressOf({ a: { status: "completed" }, ...waiting }), { status: "running", held });
    const lines = frame(alone, { columns: 90 });
    expect(lines.slice(3, 7)).toEqual([
      expect.stringMatching(/○ b +crm is held by 3 of at most 3: x of run r9\. It is the next\.$/),
      expect.stringMatching(/○ c +waiting 9\.0s for core\.echo$/),
      message,
      expect.stringContaining("1/3 · queued · 10.0s"),
    ]);
    const busy = progressOf({ a: { status: "running", startedAt: 9_000 }, ...waiting });
    const beside = frame(Object.assign(busy, { status: "running", held }), { columns: 90 });
    expect(beside[3]).toContain("crm is held by 3");
    expect(beside.slice(-2)).toEqual(["", expect.stringContaining("0/3 · 1 running · 10.0s")]);
  });

  it("folds what does not fit, and shows first what needs attention", () => {
    const progress = many(40, (n) => (n === 20 ? "failed" : n === 21 ? "running" : n < 20 ? "completed" : "pending"));
    const lines = frame(progress, { rows: 13 });
    expect(lines).toEqual([
      "w  run r1",
      "",
      "⋮ 20 completed",
      "├─ ✘ t20",
      "├─ ⠋ t21",
      "├─ · t22",
      "├─ · t23",
      "├─ · t24",
      "├─ · t25",
      "⋮ 14 pending",
      "",
      expect.stringContaining("21/40 · 1 running · 1 failed"),
    ]);
  });

  it.each([1, 5, 7, 12, 24])("fits a terminal of %i rows, or is as small as it gets", (rows) => {
    const scattered = many(200, (n) => (n % 7 === 0 ? "running" : n % 5 === 0 ? "failed" : "completed"));
    for (const columns of [1, 20, 43, 200]) {
      const lines = frame(scattered, { rows, columns });
      expect(lines.length).toBeLessThanOrEqual(Math.max(5, rows - 1));
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(Math.max(20, columns));
    }
  });

  it("of the largest run still shows as many tasks as fit", () => {
    const progress = many(100_000, (n) => (n % 1000 === 0 ? "running" : n < 50_000 ? "completed" : "pending"));
    expect(frame(progress).filter((line) => /^⠋ t\d+000 *$|^⠋ t0/.test(line))).toHaveLength(12);
  });

  it("keeps control codes of others away from the terminal", () => {
    const progress = progressOf({ a: { status: "failed", error: { code: "X", message: "\u001b[2J\u0007\nx" } } });
    expect(frame(progress)[2]).toBe("✘ a         X: \\u001b[2J\\u0007 x");
  });

  it("says what the keyboard does while there is room for it", () => {
    const hint = "Ctrl-C cancels";
    expect(frame(progressOf({ a: {} }), { hint }).at(-1)).toMatch(/0\/1 · 10\.0s {3}Ctrl-C cancels$/);
    expect(frame(progressOf({ a: {} }), { hint, columns: 30 }).at(-1)).not.toContain("Ctrl-C");
  });
});

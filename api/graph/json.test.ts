import { expect, it } from "vitest";
import { renderJson } from "./json.ts";
import { nodeOf, viewOf } from "./samples.suite.ts";

it("sends every node in snake_case, times as RFC 3339, and what is unknown as null", () => {
  const view = viewOf([
    nodeOf("a", ["b"], { taskId: "id-1", status: "running", attempt: 1, startedAt: 1_700_000_000_123 }),
  ]);
  expect(renderJson(view)).toEqual({
    run_id: "run-1",
    workflow: "report",
    status: "running",
    revision: 0,
    counts: { running: 1 },
    nodes: [
      {
        key: "a",
        task_id: "id-1",
        capability: "core.echo",
        status: "running",
        needs: ["b"],
        join: null,
        attempt: 1,
        started_at: "2023-11-14T22:13:20.123Z",
        finished_at: null,
        agent: null,
        error: null,
        group: null,
        superseded_in: null,
        cached_from: null,
      },
    ],
  });
});

it("never collapses", () => {
  const nodes = Array.from({ length: 6_000 }, (_, i) => nodeOf(`s${i}`, i === 0 ? [] : [`s${i - 1}`]));
  expect(renderJson(viewOf(nodes))).toHaveProperty("nodes.length", 6_000);
});

import { z } from "zod";
import { patchAnswer, patchBody } from "../../core/protocol/runs.ts";
import { runId } from "../run-summary.ts";
import { defineTool, destroying } from "../tool.ts";

const { add, replace, rewire, remove, reason, dry_run } = patchBody.shape;

export const runGraphChange = defineTool({
  name: "run_graph_change",
  title: "Change the graph of a run",
  description:
    "Adds, replaces, rewires or removes tasks of a run that goes on; only those that have not begun can be changed. All of it happens or none. Ask with dry_run first. Refused with REVISION_STALE when the graph has changed since run_get answered its revision: look again.",
  annotations: { ...destroying, idempotentHint: false },
  input: z.strictObject({
    run_id: runId,
    revision: z.int().min(0).describe("The graph's revision that you have seen, as run_get answers it"),
    add: add.describe(
      'New tasks, as in a workflow: [{ "id": "check", "needs": ["draft"], "capability": "core.echo" }]',
    ),
    replace,
    rewire: rewire.describe('New needs by task id: { "publish": ["check"] }'),
    remove: remove.describe("Ids of tasks to take away"),
    reason: reason.describe("Why, for whoever reads the run later"),
    dry_run,
  }),
  output: patchAnswer,
  call: (client, { run_id, revision, ...patch }) => client.runs.patchGraph(run_id, revision, patch),
  text: ({ revision, dry_run, ...changes }) =>
    [
      dry_run ? `It would be revision ${revision}; nothing was changed.` : `The graph is at revision ${revision}.`,
      ...Object.entries(changes).flatMap(([what, tasks]) => (tasks.length > 0 ? [`${what}: ${tasks.join(", ")}`] : [])),
    ].join("\n"),
});

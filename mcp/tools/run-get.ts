import { z } from "zod";
import { jsonObject } from "../../core/protocol/common.ts";
import { runId, runLine, runSummary } from "../run-summary.ts";
import { defineTool, readOnly } from "../tool.ts";

export const runGet = defineTool({
  name: "run_get",
  title: "Look at a run",
  description:
    "A run's status, how many of its tasks are in which status, its inputs, labels, times and, if it failed, which task failed and why. Use it to see progress; use run_result for the outputs, run_graph for each task's status, run_logs for what happened.",
  annotations: readOnly,
  input: z.strictObject({ run_id: runId }),
  output: runSummary.extend({
    inputs: jsonObject,
    revision: z.int().describe("Of its graph: run_graph_change names it"),
  }),
  call: (client, { run_id }) => client.runs.get(run_id),
  text: (run) => `${runLine(run)}\nInputs: ${JSON.stringify(run.inputs)}\nRevision of its graph: ${run.revision}`,
});

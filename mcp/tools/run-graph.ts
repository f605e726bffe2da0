import { z } from "zod";
import { json } from "../../core/protocol/common.ts";
import { runId } from "../run-summary.ts";
import { defineTool, readOnly } from "../tool.ts";

export const runGraph = defineTool({
  name: "run_graph",
  title: "Draw a run",
  description:
    'The DAG of a run with the live status of each task. "mermaid" (default) and "dot" are text to show to a user, "svg" is a picture, "json" lists every task with status, needs, attempt, times and error code.',
  annotations: readOnly,
  input: z.strictObject({
    run_id: runId,
    format: z.enum(["mermaid", "dot", "svg", "json"]).default("mermaid").describe("How it is drawn"),
  }),
  output: z.object({
    format: z.string(),
    graph: json.describe('The drawing as text; for "json" an object'),
  }),
  async call(client, { run_id, format }) {
    const drawn = await client.runs.graph(run_id, format);
    return { format, graph: format === "json" ? JSON.parse(drawn) : drawn };
  },
  text: ({ graph }) => (typeof graph === "string" ? graph : JSON.stringify(graph)),
});

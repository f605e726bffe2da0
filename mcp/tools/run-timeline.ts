import { z } from "zod";
import { json } from "../../core/protocol/common.ts";
import { timelineFormats } from "../../core/protocol/runs.ts";
import { runId } from "../run-summary.ts";
import { defineTool, readOnly } from "../tool.ts";

export const runTimeline = defineTool({
  name: "run_timeline",
  title: "See where a run's time went",
  description:
    "When each task of a run waited and worked, its attempts, and the critical path: the chain of tasks that the run's duration hangs on. Use it to find out why a run took long.",
  annotations: readOnly,
  input: z.strictObject({
    run_id: runId,
    format: z.enum(timelineFormats).default("json").describe('"json" has the times; "svg" is a Gantt chart to show'),
  }),
  output: z.object({ format: z.string(), timeline: json.describe('For "json" an object; for "svg" the picture') }),
  async call(client, { run_id, format }) {
    const drawn = await client.runs.timeline(run_id, format);
    return { format, timeline: format === "json" ? JSON.parse(drawn) : drawn };
  },
  text: ({ timeline }) => (typeof timeline === "string" ? timeline : JSON.stringify(timeline)),
});

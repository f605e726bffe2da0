/** What a tool that starts a run answers: the run at once, or, of a task, how it ended. */
import type { CallToolResult } from "@modelcontextprotocol/server";
import type { z } from "zod";
import { SkeinError } from "../core/errors.ts";
import type { JsonObject } from "../core/json.ts";
import { json } from "../core/protocol/common.ts";
import type { RunBody } from "../core/protocol/runs.ts";
import type { Client } from "../sdk/client.ts";
import { failureText, runLine, runSummary } from "./run-summary.ts";
import { resultOf } from "./tool.ts";
import { toolError } from "./tool-error.ts";

export const startedRun = runSummary.extend({
  outputs: json.optional().describe("What the run came to, if it has ended: in the result of a task"),
});

export function startedRunText(run: z.output<typeof startedRun>): string {
  return run.outputs === undefined ? runLine(run) : `${runLine(run)}\nOutputs: ${JSON.stringify(run.outputs)}`;
}

/** The result of a run that has ended, as its tool answers it. */
export async function endedRun(client: Client, run: RunBody): Promise<CallToolResult> {
  try {
    if (run.status !== "completed") {
      const { code, message, task } = run.error ?? { code: "INTERNAL", message: `The run is ${run.status}.` };
      return {
        isError: true,
        content: [{ type: "text", text: `${code}: ${failureText({ code, message, task })}\n${runLine(run)}` }],
        _meta: { "skein/error": { code, message, issues: [] } },
      };
    }
    const { outputs } = await client.runs.result(run.id);
    const answer = startedRun.parse({ ...run, outputs });
    return resultOf(`The result of run ${run.id}`, answer as unknown as JsonObject, startedRunText(answer));
  } catch (error) {
    if (error instanceof SkeinError) return toolError(error);
    throw error;
  }
}

import { z } from "zod";
import { uuid } from "../../core/protocol/common.ts";
import { deadLetter } from "../../core/protocol/dead-letters.ts";
import { startedRun, startedRunText } from "../run-outcome.ts";
import { cursor, failureText, pageText } from "../run-summary.ts";
import { defineTool, readOnly } from "../tool.ts";

const letterId = uuid.describe("The dead letter's id, as dead_letter_list answers it");

function letterLine({
  id,
  task,
  run_id,
  workflow,
  capability,
  error,
  attempt,
  state,
}: z.infer<typeof deadLetter>): string {
  return `Dead letter ${id} (${state}): task ${task} (${capability}) of run ${run_id} of ${workflow}, ${attempt} attempts; ${failureText(error)}`;
}

export const deadLetterList = defineTool({
  name: "dead_letter_list",
  title: "Find tasks that failed for good",
  description:
    "Dead letters: tasks that an agent was at and that failed for good, newest first, as long as nobody has redriven or discarded them. task_get shows the input of one, and its attempts.",
  annotations: readOnly,
  input: z.strictObject({
    workflow: z.string().max(128).exactOptional().describe("A workflow's name"),
    capability: z.string().max(128).exactOptional().describe("The capability that failed"),
    code: z.string().max(256).exactOptional().describe("The error's code, such as executor_crash_loop"),
    limit: z.int().min(1).max(100).default(20),
    cursor,
  }),
  output: z.object({ data: z.array(deadLetter), next_cursor: z.string().nullable() }),
  call: (client, filter) => client.deadLetters.list(filter),
  text: ({ data, next_cursor }) => pageText(data.map(letterLine), "There are no such dead letters.", next_cursor),
});

export const deadLetterRedrive = defineTool({
  name: "dead_letter_redrive",
  title: "Run a failed task again",
  description:
    "Retries the run of a dead letter: a new run that keeps what completed and runs the rest again, with all dead letters of that run. Repeating it answers with the same run. Find out what was wrong first: what fails once more is a dead letter again.",
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: true },
  input: z.strictObject({ dead_letter_id: letterId }),
  output: startedRun,
  startsRun: true,
  call: (client, { dead_letter_id }) => client.deadLetters.redrive(dead_letter_id),
  text: startedRunText,
});

export const deadLetterDiscard = defineTool({
  name: "dead_letter_discard",
  title: "Let a failed task be",
  description: "Takes a dead letter off the list for good, with a reason for the record; its run stays as it is.",
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  input: z.strictObject({
    dead_letter_id: letterId,
    reason: z.string().min(1).max(1000).optional().describe("Why, for whoever reads it later"),
  }),
  output: deadLetter,
  call: (client, { dead_letter_id, reason }) => client.deadLetters.discard(dead_letter_id, reason),
  text: letterLine,
});

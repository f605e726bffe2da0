import { z } from "zod";
import { uuid } from "../../core/protocol/common.ts";
import { deadLetter, redriveManyBody, redrivenMany } from "../../core/protocol/dead-letters.ts";
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

const { workflow, capability, code, run, since, limit } = redriveManyBody.shape;

export const deadLetterRedriveMany = defineTool({
  name: "dead_letter_redrive_many",
  title: "Run many failed tasks again",
  description:
    "Redrives the newest open dead letters that a filter finds, which needs one of workflow, capability, code, run_id and since. Each run of them is retried once; one that cannot be is told in `refused` and keeps nobody from the others. Find out what was wrong first: what fails once more is a dead letter again.",
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: true },
  input: z.strictObject({
    workflow: workflow.describe("A workflow's name"),
    capability: capability.describe("The capability that failed"),
    code: code.describe("The error's code, such as executor_crash_loop"),
    run_id: run.describe("Those of this run"),
    since: since.describe("Those that failed then or later, RFC 3339"),
    limit: limit.describe("The most dead letters to redrive"),
  }),
  output: redrivenMany,
  call: (client, { run_id, ...filter }) =>
    client.deadLetters.redriveMany({ ...filter, ...(run_id && { run: run_id }) }),
  text: ({ redriven, refused, more }) =>
    [
      ...redriven.map(
        ({ run_id, retried_from, dead_letters }) =>
          `Run ${run_id} does the work of run ${retried_from} again (${dead_letters.length} dead letters)`,
      ),
      ...refused.map(({ run_id, code, message }) => `Run ${run_id} was not retried: ${code}: ${message}`),
      ...(more ? ["There are more: ask again"] : []),
    ].join("\n") || "There are no such dead letters.",
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

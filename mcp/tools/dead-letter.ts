import { z } from "zod";
import { pageOf, uuid } from "../../core/protocol/common.ts";
import {
  deadLetter,
  deadLettersQuery,
  discardedMany,
  discardManyBody,
  redriveManyBody,
  redrivenMany,
} from "../../core/protocol/dead-letters.ts";
import { startedRun, startedRunText } from "../run-outcome.ts";
import { cursor, failureText, pageLimit, pageText } from "../run-summary.ts";
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

const { workflow, capability, code, run, since, limit } = redriveManyBody.shape;
const wanted = {
  workflow: workflow.describe("A workflow's name"),
  capability: capability.describe("The capability that failed"),
  code: code.describe("The error's code, such as executor_crash_loop"),
  run_id: run.describe("Those of this run"),
  since: since.describe("Those that failed then or later, RFC 3339"),
};

export const deadLetterList = defineTool({
  name: "dead_letter_list",
  title: "Find tasks that failed for good",
  description:
    "Dead letters: tasks that an agent was at and that failed for good, newest first, as long as nobody has redriven or discarded them. task_get shows the input of one, and its attempts.",
  annotations: readOnly,
  input: z.strictObject({
    ...wanted,
    state: deadLettersQuery.shape.state.describe("Default: those that are open"),
    limit: pageLimit(20),
    cursor,
  }),
  output: pageOf(deadLetter),
  call: (client, { run_id, ...filter }) => client.deadLetters.list({ ...filter, ...(run_id && { run: run_id }) }),
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

export const deadLetterRedriveMany = defineTool({
  name: "dead_letter_redrive_many",
  title: "Run many failed tasks again",
  description:
    "Redrives the newest open dead letters that a filter finds, which needs one of workflow, capability, code, run_id and since. Each run of them is retried once; one that cannot be is told in `refused` and keeps nobody from the others. Find out what was wrong first: what fails once more is a dead letter again.",
  annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: true },
  input: z.strictObject({ ...wanted, limit: limit.describe("The most dead letters to redrive") }),
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

export const deadLetterDiscardMany = defineTool({
  name: "dead_letter_discard_many",
  title: "Let many failed tasks be",
  description:
    "Takes the newest open dead letters that a filter finds off the list for good, which needs one of workflow, capability, code, run_id and since. Their runs stay as they are. Look at dead_letter_list with the same filter first; `more` says that there are more than `limit`.",
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: false },
  input: z.strictObject({
    ...wanted,
    limit: limit.describe("The most dead letters to discard"),
    reason: discardManyBody.shape.reason.describe("Why, for whoever reads them later"),
  }),
  output: discardedMany,
  call: (client, { run_id, ...filter }) =>
    client.deadLetters.discardMany({ ...filter, ...(run_id && { run: run_id }) }),
  text: ({ discarded, more }) => `${discarded} dead letters are discarded.${more ? " There are more: ask again." : ""}`,
});

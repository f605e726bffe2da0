import { z } from "zod";
import { bulkAnswer, bulkBody } from "../../core/protocol/runs.ts";
import { defineTool } from "../tool.ts";

const { action, filter, dry_run, expected, all, reason, compensate, cursor } = bulkBody.shape;

export const runBulk = defineTool({
  name: "run_bulk",
  title: "Cancel, retry, pause or resume many runs",
  description:
    "Does one thing to all runs that a filter finds. Ask with dry_run first: it changes nothing and answers how many runs it is about, in `matched`; then repeat it with that number as `expected`, and nothing is done should it be another by then. A cancel cannot be taken back. While next_cursor is not null there is more to do: repeat the call with it as `cursor`.",
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: true },
  input: z.strictObject({
    action: action.describe("`retry` starts a new run of each that failed or was cancelled, as run_retry does"),
    filter: filter.describe("Which runs; all that is given has to hold"),
    dry_run,
    expected,
    all,
    reason: reason.describe("Why, for whoever reads the runs later; not with `retry`"),
    compensate,
    cursor,
  }),
  output: bulkAnswer,
  call: (client, body) => client.runs.bulk(body),
  text: ({ dry_run, matched, done, skipped, failed, runs, next_cursor }) =>
    [
      ...(dry_run ? [`It is about ${matched} runs; nothing was changed.`] : [`${done} runs done, ${skipped} skipped.`]),
      ...runs.map(({ run, new_run }) => (new_run === undefined ? run : `${run}: retried as ${new_run}`)),
      ...failed.map(({ run, code, detail }) => `${run}: ${code}: ${detail}`),
      ...(next_cursor === null ? [] : [`There is more to do: repeat it with cursor ${next_cursor}`]),
    ].join("\n"),
});

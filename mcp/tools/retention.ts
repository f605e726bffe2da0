import { z } from "zod";
import { type Retention, retention, retentionBody, storage } from "../../core/protocol/retention.ts";
import { defineTool, destroying, readOnly } from "../tool.ts";

export const retentionGet = defineTool({
  name: "retention_get",
  title: "Read how long finished runs are kept",
  description:
    "The namespace's policy: when finished runs move to history, and how long completed, failed and cancelled ones, and conversations that are over, are kept before they are forgotten. Where there is none, all is kept for ever.",
  annotations: readOnly,
  input: z.strictObject({}),
  output: retention,
  call: (client) => client.retention.get(),
  text: retentionText,
});

const { move_after, keep } = retentionBody.shape;

export const retentionSet = defineTool({
  name: "retention_set",
  title: "Set how long finished runs are kept",
  description:
    "Replaces the namespace's policy. Runs and conversations past `keep` are deleted for good, so set it only when you were told to. What is left out of `keep` is kept for ever. Needs a key with the scope admin.",
  annotations: destroying,
  input: z.strictObject({
    move_after,
    keep: keep.describe(
      'By status of runs, such as { "completed": "90d", "failed": "1d" }; `conversations`: those that are over',
    ),
  }),
  output: retention,
  call: (client, policy) => client.retention.set(policy),
  text: retentionText,
});

export const retentionRemove = defineTool({
  name: "retention_remove",
  title: "Keep finished runs for ever",
  description:
    "Takes the namespace's policy away: from now on no finished run is moved or forgotten. What has been forgotten stays so. Needs a key with the scope admin.",
  annotations: destroying,
  input: z.strictObject({}),
  output: z.object({ removed: z.literal(true) }),
  async call(client) {
    await client.retention.remove();
    return { removed: true as const };
  },
  text: () => "There is no policy any more: all runs are kept for ever.",
});

function retentionText({ move_after, keep }: Retention): string {
  if (move_after === null) return "There is no policy: all runs are kept for ever.";
  const { conversations, ...runs } = keep;
  const forTime = (time: string | null) => (time === null ? "for ever" : time);
  const kept = Object.entries(runs).map(([status, time]) => `${status} ones ${forTime(time)}`);
  kept.push(`conversations ${forTime(conversations)}`);
  return `Finished runs move to history after ${move_after}; kept are ${kept.join(", ")}.`;
}

export const storageGet = defineTool({
  name: "storage_get",
  title: "Read how much is stored",
  description:
    "Runs, tasks and bytes of the namespace, in the hot tables and in history; a key of the namespace `default` sees the largest tables of the database, too. Needs a key with the scope admin.",
  annotations: readOnly,
  input: z.strictObject({}),
  output: storage,
  call: (client) => client.storage(),
  text: ({ namespace, runs, tasks, bytes, history, tables }) =>
    [
      `Namespace ${namespace}: ${runs} runs with ${tasks} tasks, some ${bytes} bytes`,
      `In history: ${history.runs} runs with ${history.tasks} tasks, ${history.bytes} bytes`,
      ...(tables ?? []).map(({ name, rows, bytes }) => `Table ${name}: some ${rows} rows, ${bytes} bytes`),
    ].join("\n"),
});

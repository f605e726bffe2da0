import { z } from "zod";
import { type FlowLimitRecord, flowKeyParam, flowLimit, flowLimitBody } from "../../core/protocol/flow-limits.ts";
import { cursor, pageLimit, pageText } from "../run-summary.ts";
import { defineTool, destroying, readOnly, settling } from "../tool.ts";

const key = flowKeyParam.describe(
  "The key, as tasks and workflows name it in `concurrency` and `rate`; @capability:<name> is all tasks of a capability, @namespace all tasks",
);

export const limitList = defineTool({
  name: "limit_list",
  title: "List limits",
  description:
    "Keys of concurrency and rate limits that something has been set for, or that tasks have used of late, with how many tasks hold each now. task_why tells which of them a task waits for.",
  annotations: readOnly,
  input: z.strictObject({ limit: pageLimit(50), cursor }),
  output: z.object({ data: z.array(flowLimit), next_cursor: z.string().nullable() }),
  call: (client, page) => client.limits.list(page),
  text: ({ data, next_cursor }) => pageText(data.map(limitLine), "There are no limits.", next_cursor),
});

const { concurrency, rate } = flowLimitBody.shape;

export const limitSet = defineTool({
  name: "limit_set",
  title: "Set a limit",
  description:
    "Sets how many tasks of a key may run at once, how many may start in a period, or both, in place of what workflows say and of what was set before. Takes effect at the next claim; what runs goes on. Needs a key with the scope admin.",
  annotations: settling,
  input: z.strictObject({ key, concurrency, rate }),
  output: flowLimit,
  call: (client, { key: of, ...setting }) => client.limits.set(of, setting),
  text: limitLine,
});

export const limitRemove = defineTool({
  name: "limit_remove",
  title: "Take a limit away",
  description:
    "Forgets what was set for a key: what workflows say of it holds again, from the next claim. Needs a key with the scope admin.",
  annotations: destroying,
  input: z.strictObject({ key }),
  output: z.object({ removed: z.string() }),
  call: async (client, { key: of }) => {
    await client.limits.remove(of);
    return { removed: of };
  },
  text: ({ removed }) => `Nothing is set for ${removed} any more.`,
});

export const limitPause = defineTool({
  name: "limit_pause",
  title: "Pause a key, a capability or the namespace",
  description:
    "From the answer on nothing new starts under the key; what runs goes on. The reason is told to whoever asks why a task waits. Needs a key with the scope admin.",
  annotations: settling,
  input: z.strictObject({ key, reason: z.string().max(1000).optional().describe("Why, for whoever waits") }),
  output: flowLimit,
  call: (client, { key: of, reason }) => client.limits.pause(of, reason),
  text: limitLine,
});

export const limitResume = defineTool({
  name: "limit_resume",
  title: "Resume what was paused",
  description:
    "What waits under the key is handed out again; limits that are set for it hold as before. Needs a key with the scope admin.",
  annotations: settling,
  input: z.strictObject({ key }),
  output: flowLimit,
  call: (client, { key: of }) => client.limits.resume(of),
  text: limitLine,
});

/** `crm-acme: at most 3 at once, 600 in each 1m; held by 2` */
function limitLine({ key: of, concurrency, rate, holders, paused_by, pause_reason }: FlowLimitRecord): string {
  const set = [
    ...(concurrency === null ? [] : [`at most ${concurrency} at once`]),
    ...(rate === null ? [] : [`${rate.limit} in each ${rate.per}`]),
  ];
  const why = pause_reason === null ? "" : `: ${pause_reason}`;
  const pause = paused_by === null ? "" : `; paused by ${paused_by}${why}`;
  return `${of}: ${set.join(", ") || "as workflows say"}; held by ${holders}${pause}`;
}

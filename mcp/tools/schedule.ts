import { z } from "zod";
import { name, pageOf } from "../../core/protocol/common.ts";
import {
  backfillBody,
  backfilled,
  changeScheduleBody,
  preview,
  previewBody,
  schedule,
  scheduleBody,
  type TickBody,
  tick,
  ticksQuery,
} from "../../core/protocol/schedules.ts";
import { cursor, pageLimit, pageText } from "../run-summary.ts";
import { defineTool, readOnly } from "../tool.ts";

const annotations = { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: false };
const ofName = z.strictObject({ name: name.describe("The schedule's name") });
type ScheduleLine = z.infer<typeof schedule>;

function scheduleLine({
  name: own,
  workflow,
  cron,
  timezone,
  next_tick_at,
  paused_by,
  revision,
}: ScheduleLine): string {
  const next = paused_by === null ? `next at ${next_tick_at ?? "no time"}` : `paused by ${paused_by}`;
  return `Schedule ${own} of ${workflow}: ${cron} (${timezone}), ${next}, revision ${revision}`;
}

export const scheduleCreate = defineTool({
  name: "schedule_create",
  title: "Run a workflow on a schedule",
  description:
    "Runs a registered workflow at the times of a cron expression, in a time zone, from its next tick on. Answers with the schedule; creating the same one again changes nothing, another one of the same name is refused with SCHEDULE_EXISTS. run_list shows its runs.",
  annotations: { ...annotations, openWorldHint: true },
  input: scheduleBody,
  output: schedule,
  call: (client, body) => client.schedules.create(body),
  text: scheduleLine,
});

export const scheduleList = defineTool({
  name: "schedule_list",
  title: "List schedules",
  description:
    "Workflows that are run at the times of a calendar, by name, with when each fires next or who has paused it.",
  annotations: readOnly,
  input: z.strictObject({ limit: pageLimit(50), cursor }),
  output: z.object({ data: z.array(schedule), next_cursor: z.string().nullable() }),
  call: (client, page) => client.schedules.list(page),
  text: ({ data, next_cursor }) => pageText(data.map(scheduleLine), "There are no schedules.", next_cursor),
});

export const scheduleUpdate = defineTool({
  name: "schedule_update",
  title: "Change a schedule",
  description:
    "Changes a schedule; what is left out stays, and null takes away what may be missing. With another cron expression or time zone its next tick is the first one after now. With `if_revision` it is refused with SCHEDULE_CONFLICT when somebody has changed it since you read it.",
  annotations: { ...annotations, openWorldHint: true },
  input: z.strictObject({
    name: name.describe("The schedule's name"),
    ...changeScheduleBody.shape,
    if_revision: z.int().min(1).exactOptional().describe("The revision that it must have, as schedule_list answers it"),
  }),
  output: schedule,
  call: (client, { name: own, if_revision, ...change }) =>
    client.schedules.update(own, change, if_revision === undefined ? {} : { ifRevision: if_revision }),
  text: scheduleLine,
});

export const schedulePause = defineTool({
  name: "schedule_pause",
  title: "Pause a schedule",
  description:
    "Keeps a schedule from starting runs until schedule_resume; runs that go on do so. Pausing a paused one changes nothing.",
  annotations,
  input: ofName.extend({ reason: z.string().min(1).max(1000).optional().describe("Why, for whoever reads it later") }),
  output: schedule,
  call: (client, { name: own, reason }) => client.schedules.pause(own, reason),
  text: scheduleLine,
});

export const scheduleResume = defineTool({
  name: "schedule_resume",
  title: "Resume a paused schedule",
  description: "Lets a paused schedule go on with its next tick; those of the pause are not made up.",
  annotations,
  input: ofName,
  output: schedule,
  call: (client, { name: own }) => client.schedules.resume(own),
  text: scheduleLine,
});

export const scheduleDelete = defineTool({
  name: "schedule_delete",
  title: "Delete a schedule",
  description: "Deletes a schedule with the record of its ticks, for good. The runs that it has started go on.",
  annotations: { ...annotations, destructiveHint: true },
  input: ofName,
  output: z.object({ deleted: z.string() }),
  call: async (client, { name: own }) => {
    await client.schedules.delete(own);
    return { deleted: own };
  },
  text: ({ deleted }) => `Schedule ${deleted} is deleted.`,
});

export const schedulePreview = defineTool({
  name: "schedule_preview",
  title: "See when a schedule would fire",
  description:
    "The next times of a cron expression in a time zone. Nothing is stored; use it before schedule_create, to show the user what the expression means.",
  annotations: readOnly,
  input: previewBody,
  output: preview,
  call: async (client, asked) => ({ data: await client.schedules.preview(asked) }),
  text: ({ data }) => data.join("\n"),
});

export const scheduleTicks = defineTool({
  name: "schedule_ticks",
  title: "See what became of a schedule's times",
  description:
    "The ticks of a schedule, newest first: which run each started, or why it started none (another run went on, nobody was there, the run was refused). Use it when a schedule did not do what was expected.",
  annotations: readOnly,
  input: ofName.extend({
    outcome: ticksQuery.shape.outcome.describe("Only ticks that came to this"),
    limit: pageLimit(20),
    cursor,
  }),
  output: pageOf(tick),
  call: (client, { name: own, outcome, ...page }) =>
    client.schedules.ticks(own, { ...page, ...(outcome !== undefined && { outcome }) }),
  text: ({ data, next_cursor }) => pageText(data.map(tickLine), "It has had no such ticks.", next_cursor),
});

export const scheduleBackfill = defineTool({
  name: "schedule_backfill",
  title: "Make up for times that were missed",
  description:
    "Fires the ticks of a past period that have not been fired, each as a run of its own: it may start many. Repeating it fires none twice. schedule_ticks shows them.",
  annotations: { ...annotations, openWorldHint: true },
  input: ofName.extend(backfillBody.shape),
  output: backfilled,
  call: (client, { name: own, ...period }) => client.schedules.backfill(own, period),
  text: ({ queued, known }) => `${queued} ticks will be fired; ${known} had been, or were going to be.`,
});

/** `2026-01-01T00:00:00.000Z fired: run 01…` */
function tickLine({ tick_at, until, outcome, run_id, error }: TickBody): string {
  const period = until === null ? "" : ` to ${until}`;
  return [
    `${tick_at}${period} ${outcome}`,
    ...(run_id === null ? [] : [`run ${run_id}`]),
    ...(error === null ? [] : [`${error.code}: ${error.message}`]),
  ].join(": ");
}

import { z } from "zod";
import { name } from "../../core/protocol/common.ts";
import { changeScheduleBody, schedule, scheduleBody } from "../../core/protocol/schedules.ts";
import { cursor, pageText } from "../run-summary.ts";
import { defineTool, readOnly } from "../tool.ts";

const annotations = { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: false };
const ofName = z.strictObject({ name: name.describe("The schedule's name") });
type ScheduleLine = z.infer<typeof schedule>;

function scheduleLine({ name: own, workflow, cron, timezone, next_tick_at, paused_by }: ScheduleLine): string {
  const next = paused_by === null ? `next at ${next_tick_at ?? "no time"}` : `paused by ${paused_by}`;
  return `Schedule ${own} of ${workflow}: ${cron} (${timezone}), ${next}`;
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
  input: z.strictObject({ limit: z.int().min(1).max(100).default(50), cursor }),
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

import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { endsRun } from "../../core/event.ts";
import { failure } from "../../core/protocol/common.ts";
import { type EventBody, event, type RunBody } from "../../core/protocol/runs.ts";
import { isTerminalRun } from "../../core/run.ts";
import { runId, runLine, runSummary } from "../run-summary.ts";
import { defineTool, readOnly } from "../tool.ts";
import { waitSeconds, watchRun } from "../watching.ts";

/** Of one answer; more is a page of its own. */
const MAX_EVENTS = 500;
/** An event can be read a moment after the run shows what it tells, once older transactions have ended. */
const SETTLING_MS = 5_000;
const LOOK_AGAIN_MS = 50;
const LOOKS = 40;

export const runWatch = defineTool({
  name: "run_watch",
  title: "Watch a run",
  description:
    "Waits for a run to finish, up to wait_seconds, and tells every event meanwhile: tasks that became ready, started, failed, completed. Call it again with `after` set to the `last_event` it answered to hear what came since. With a progress token it also sends a notification whenever tasks have settled.",
  annotations: readOnly,
  input: z.strictObject({
    run_id: runId,
    after: z.string().max(1024).exactOptional().describe("Events after this one only: last_event of the call before"),
    wait_seconds: waitSeconds(20),
  }),
  output: z.object({
    run: runSummary,
    events: z.array(event),
    last_event: z.string().nullable().describe("Where to go on"),
    more: z.boolean().describe("Something has come, or may come, after last_event"),
  }),
  async call(client, { run_id, after, wait_seconds }, context) {
    const events: EventBody[] = [];
    const last = () => events.at(-1)?.id ?? after;
    const read = async () => {
      const cursor = last();
      const page = { limit: MAX_EVENTS - events.length, ...(cursor !== undefined && { cursor }) };
      events.push(...(await client.runs.eventPage(run_id, page)).data);
      return events.length >= MAX_EVENTS;
    };
    const run = await watchRun(client, run_id, { ...context, seconds: wait_seconds, isEnough: read });
    let isFull = events.length >= MAX_EVENTS || (await read());
    const isTold = () => !hasJustEnded(run) || events.some(({ type }) => endsRun(type));
    for (let look = 0; !isFull && !isTold() && look < LOOKS; look++) {
      await sleep(LOOK_AGAIN_MS, undefined, { signal: context.signal });
      isFull = await read();
    }
    return { run, events, last_event: last() ?? null, more: isFull || !isTerminalRun(run.status) };
  },
  text: ({ run, events, more, last_event }) =>
    [
      runLine(run),
      ...events.map(eventLine),
      ...(more && last_event !== null ? [`Call again with after ${last_event}`] : []),
    ].join("\n"),
});

/** So that its end may not have been read by anybody. */
function hasJustEnded({ finished_at }: RunBody): boolean {
  return finished_at !== null && Date.now() - Date.parse(finished_at) < SETTLING_MS;
}

/** `2026-01-01T00:00:00.000Z read#2 task.failed: HTTP_STATUS: …` */
function eventLine({ at, type, key, attempt, error }: EventBody): string {
  const task = key === undefined ? "run" : `${key}${attempt ? `#${attempt}` : ""}`;
  const told = failure.safeParse(error);
  return `${at} ${task} ${type}${told.success ? `: ${told.data.code}: ${told.data.message}` : ""}`;
}

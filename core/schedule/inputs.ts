import type { JsonObject } from "../json.ts";
import type { ScheduleBody } from "../protocol/schedules.ts";

/** The inputs of the run of a tick: with its time, where the schedule wants that among them. */
export function inputsAt(
  { inputs, tick_input }: Pick<ScheduleBody, "inputs" | "tick_input">,
  tickAt: Date,
): JsonObject {
  return tick_input === undefined ? inputs : { ...inputs, [tick_input]: tickAt.toISOString() };
}

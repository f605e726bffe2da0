/** `skein schedules`: workflows that are run at the times of a calendar. */
import type { ChangeScheduleBody, NewScheduleBody, ScheduleRecord, TickBody } from "../core/protocol/schedules.ts";
import type { Context } from "./context.ts";
import { type InputOptions, readInputs } from "./inputs.ts";
import { counted, printAnswer, printJson, printTable, visible } from "./output.ts";
import { firstItems } from "./pages.ts";
import { UsageError } from "./problem.ts";

export interface CreateScheduleOptions extends InputOptions {
  cron: string;
  workflow: string;
  timezone?: string;
  tickInput?: string;
  label?: string[];
  priority?: number;
  catchUp?: ScheduleRecord["catch_up"];
  catchUpLimit?: number;
  overlap?: ScheduleRecord["overlap"];
  jitter?: string;
  description?: string;
}

export async function createSchedule(context: Context, name: string, options: CreateScheduleOptions): Promise<void> {
  const client = await context.client();
  const inputs = await readInputs(context, options);
  const { cron, workflow, timezone, priority, overlap, jitter, description } = options;
  const created = await client.schedules.create({
    name,
    ...given({ cron, workflow, timezone, priority, overlap, jitter, description, inputs }),
    ...given({ tick_input: options.tickInput, catch_up: options.catchUp, catch_up_limit: options.catchUpLimit }),
    ...given({ labels: options.label && Object.fromEntries(options.label.map(labelIn)) }),
  } as NewScheduleBody);
  printAnswer(context, created, `Schedule ${name} fires next at ${created.next_tick_at ?? "no time: it is paused"}.`);
}

/** False is what `--no-…` says: it is taken away. */
type Removable<T> = T | false;

export interface UpdateScheduleOptions
  extends Omit<CreateScheduleOptions, "cron" | "workflow" | "tickInput" | "jitter" | "description"> {
  cron?: string;
  workflow?: string;
  tickInput?: Removable<string>;
  jitter?: Removable<string>;
  description?: Removable<string>;
  ifRevision?: number;
}

export async function updateSchedule(context: Context, name: string, options: UpdateScheduleOptions): Promise<void> {
  const client = await context.client();
  const inputs = await readInputs(context, options);
  const { cron, workflow, timezone, priority, overlap, jitter, description, tickInput, ifRevision } = options;
  const change = {
    ...given({ cron, workflow, timezone, priority, overlap, inputs }),
    ...given({ catch_up: options.catchUp, catch_up_limit: options.catchUpLimit }),
    ...given({ labels: options.label && Object.fromEntries(options.label.map(labelIn)) }),
    ...given({ jitter: orNull(jitter), description: orNull(description), tick_input: orNull(tickInput) }),
  } as ChangeScheduleBody;
  if (Object.keys(change).length === 0) throw new UsageError("Say what is to change, such as --cron or --inputs.");
  const changed = await client.schedules.update(name, change, ifRevision === undefined ? {} : { ifRevision });
  printAnswer(context, changed, `Schedule ${name} fires next at ${changed.next_tick_at ?? "no time: it is paused"}.`);
}

function orNull<T>(value: Removable<T> | undefined): T | null | undefined {
  return value === false ? null : value;
}

function given(options: object): object {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function labelIn(pair: string): [string, string] {
  const equals = pair.indexOf("=");
  if (equals < 1) throw new UsageError(`--label must be key=value, not "${pair}".`);
  return [pair.slice(0, equals), pair.slice(equals + 1)];
}

export async function listSchedules(
  context: Context,
  { limit, ...filter }: { workflow?: string; limit: number },
): Promise<void> {
  const client = await context.client();
  const found = await firstItems((page) => client.schedules.list({ ...filter, ...page }), limit);
  if (context.json) return printJson(context, found);
  printTable(
    context,
    ["NAME", "WORKFLOW", "CRON", "TIME ZONE", "NEXT"],
    found.map((one) => [one.name, one.workflow, one.cron, one.timezone, one.next_tick_at ?? pausedText(one)]),
  );
}

function pausedText({ paused_by }: ScheduleRecord): string {
  return paused_by === null ? "never" : `paused by ${paused_by}`;
}

export async function getSchedule(context: Context, name: string): Promise<void> {
  const client = await context.client();
  const found = await client.schedules.get(name);
  if (context.json) return printJson(context, found);
  const { stdout, paint } = context;
  stdout.write(`${paint.bold(`schedule ${found.name}`)} of ${found.workflow}\n`);
  for (const [key, value] of Object.entries(found)) {
    if (key === "name" || key === "workflow" || value === null) continue;
    stdout.write(`  ${key}: ${visible(typeof value === "object" ? JSON.stringify(value) : String(value))}\n`);
  }
}

export async function nextTicks(context: Context, name: string, { count }: { count: number }): Promise<void> {
  const client = await context.client();
  const { cron, timezone } = await client.schedules.get(name);
  const ticks = await client.schedules.preview({ cron, timezone, count });
  if (context.json) return printJson(context, ticks);
  for (const tick of ticks) context.stdout.write(`${tick}\n`);
}

export async function listTicks(
  context: Context,
  name: string,
  { limit, ...filter }: { outcome?: TickBody["outcome"]; limit: number },
): Promise<void> {
  const client = await context.client();
  const ticks = await firstItems((page) => client.schedules.ticks(name, { ...filter, ...page }), limit);
  if (context.json) return printJson(context, ticks);
  printTable(
    context,
    ["TICK", "OUTCOME", "RUN", ""],
    ticks.map(({ tick_at, outcome, run_id, until, error, backfill }) => [
      tick_at,
      outcome,
      run_id ?? "",
      [error && `${error.code}: ${error.message}`, until && `until ${until}`, backfill && "by a backfill"]
        .filter(Boolean)
        .join(", "),
    ]),
  );
}

export async function pauseSchedule(context: Context, name: string, { reason }: { reason?: string }): Promise<void> {
  const client = await context.client();
  printAnswer(context, await client.schedules.pause(name, reason), `Schedule ${name} is paused.`);
}

export async function resumeSchedule(context: Context, name: string): Promise<void> {
  const client = await context.client();
  const resumed = await client.schedules.resume(name);
  printAnswer(context, resumed, `Schedule ${name} fires next at ${resumed.next_tick_at}.`);
}

export async function backfillSchedule(
  context: Context,
  name: string,
  { from, to }: { from: string; to?: string },
): Promise<void> {
  const client = await context.client();
  const done = await client.schedules.backfill(name, { from, ...(to !== undefined && { to }) });
  const rest = done.known === 0 ? "" : `; ${counted(done.known, "tick")} had been fired, or was going to be`;
  printAnswer(context, done, `${counted(done.queued, "tick")} of ${name} will be fired${rest}.`);
}

export async function deleteSchedule(context: Context, name: string): Promise<void> {
  const client = await context.client();
  await client.schedules.delete(name);
  printAnswer(context, { name, deleted: true }, `Schedule ${name} is deleted; its runs go on.`);
}

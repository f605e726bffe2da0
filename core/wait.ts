/**
 * Waiting: what a task with `wait` waits for, and what ends it. Of several things the one that happened first counts, by
 * the database's clock, whichever was noticed first; of two at the same millisecond the one that is listed first.
 */
import { durationFlaw, isDuration, parseDuration } from "./duration.ts";
import { type Failure, failureKinds } from "./errors.ts";
import { formFlaw } from "./human-task.ts";
import { isJsonObject, type Json, type JsonObject } from "./json.ts";

export interface WaitSpec {
  kind: "wait";
  /** From the start of the wait; null is for ever. */
  timeoutMs: number | null;
}

/** One thing to wait for, once its expressions have been evaluated. Times are epoch milliseconds. */
export type WaitCondition =
  | { event: "timer"; at: number }
  | { event: "signal"; name: string; isTransient: boolean }
  | { event: "approval"; assignee: string | null; payload: Json };

export interface ArmedWait {
  conditions: WaitCondition[];
  startedAt: number;
  /** When it fails; null is never. */
  timesOutAt: number | null;
}

/** A signal that was sent to the run and that no task has taken. */
export interface Signal {
  id: string;
  name: string;
  payload: Json;
  sentAt: number;
}

/** What a person decided. */
export interface Decision {
  approved: boolean;
  by: string;
  comment: string | null;
  payload: Json;
  at: number;
}

export interface WaitEvents {
  now: number;
  /** Oldest first. */
  signals: readonly Signal[];
  decision: Decision | null;
}

export type WaitVerdict =
  /** `wakeAt`: when a timer will make a difference; null when only an event can. */
  | { type: "open"; wakeAt: number | null }
  | { type: "completed"; output: JsonObject; takenSignal?: string }
  | { type: "failed"; failure: Failure };

/** RFC 3339 with a zone, and to the millisecond. */
const timePattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?(?:Z|[+-]\d\d:\d\d)$/;

/** Epoch milliseconds, or undefined for what is no RFC 3339 time. */
export function readTime(text: string): number | undefined {
  const time = timePattern.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(time) ? undefined : time;
}

/** The wait as it stands after its expressions were evaluated, or why these make no sense. */
export function armWait(spec: WaitSpec, definition: Json, startedAt: number): ArmedWait | Failure {
  const conditions: WaitCondition[] = [];
  for (const form of formsOf(definition)) {
    const condition = arm(form, startedAt);
    if ("code" in condition) return condition;
    conditions.push(condition);
  }
  return { conditions, startedAt, timesOutAt: spec.timeoutMs === null ? null : startedAt + spec.timeoutMs };
}

/** The things to wait for, as they are written. */
function formsOf(definition: Json): JsonObject[] {
  const wait = definition as JsonObject;
  return (wait.any_of ?? [wait]) as JsonObject[];
}

function arm(form: JsonObject, startedAt: number): WaitCondition | Failure {
  if (form.for !== undefined) {
    if (isDuration(form.for)) return { event: "timer", at: startedAt + parseDuration(form.for) };
    return flaw(`\`wait.for\`: ${durationFlaw(form.for)}.`);
  }
  if (form.until !== undefined) {
    const at = typeof form.until === "string" ? readTime(form.until) : undefined;
    return at === undefined
      ? flaw("`wait.until` is no RFC 3339 time, such as 2027-01-31T09:00:00Z.")
      : { event: "timer", at };
  }
  if (form.signal !== undefined) {
    if (typeof form.signal !== "string" || form.signal === "") return flaw("`wait.signal` is no name of a signal.");
    return { event: "signal", name: form.signal, isTransient: form.transient === true };
  }
  const approval = isJsonObject(form.approval) ? form.approval : {};
  const { assignee = null, payload = null } = approval;
  if (assignee !== null && typeof assignee !== "string") return flaw("`wait.approval.assignee` is no text.");
  const noForm = approval.form === undefined ? undefined : formFlaw(approval.form);
  if (noForm !== undefined) return { code: "WORKFLOW_SCHEMA_INVALID", message: noForm, retryable: false };
  return { event: "approval", assignee, payload };
}

function flaw(message: string): Failure {
  return { code: "EXPRESSION_TYPE", message, retryable: false };
}

/** Names of the signals that could end the wait. */
export function awaitedSignals(wait: ArmedWait): string[] {
  return wait.conditions.flatMap((condition) => (condition.event === "signal" ? [condition.name] : []));
}

/** Whether a wait, as written, asks a person. */
export function asksApproval(definition: Json): boolean {
  return formsOf(definition).some((form) => form.approval !== undefined);
}

/** How people read a wait, in pictures: `wait for 5m`, `wait for signal paid`. */
export function describeWait(definition: Json): string {
  return `wait ${formsOf(definition).map(describeCondition).join(" or ")}`;
}

function describeCondition({ for: span, until, signal, approval }: JsonObject): string {
  if (span !== undefined) return `for ${span}`;
  if (until !== undefined) return `until ${until}`;
  if (signal !== undefined) return `for signal ${signal}`;
  const assignee = isJsonObject(approval) ? approval.assignee : undefined;
  return assignee === undefined ? "for approval" : `for approval by ${assignee}`;
}

/** How the wait stands. */
export function decideWait(wait: ArmedWait, events: WaitEvents): WaitVerdict {
  const happened = wait.conditions
    .flatMap((condition, index) => {
      const event = eventOf(condition, wait, events);
      return event ? [{ ...event, index }] : [];
    })
    .sort((a, b) => a.at - b.at || a.index - b.index);
  const [first] = happened;
  if (wait.timesOutAt !== null && wait.timesOutAt <= events.now && !(first && first.at <= wait.timesOutAt)) {
    const message = "Nothing that the task waits for happened within its `timeout`.";
    return { type: "failed", failure: { code: failureKinds.waitTimedOut, message, retryable: false } };
  }
  if (first) return verdictOf(first);
  const times = wait.conditions.flatMap((condition) => (condition.event === "timer" ? [condition.at] : []));
  if (wait.timesOutAt !== null) times.push(wait.timesOutAt);
  return { type: "open", wakeAt: times.length > 0 ? Math.min(...times) : null };
}

type Happened = { at: number } & (
  | { event: "timer" }
  | { event: "signal"; signal: Signal }
  | { event: "approval"; decision: Decision }
);

function eventOf(condition: WaitCondition, { startedAt }: ArmedWait, events: WaitEvents): Happened | undefined {
  if (condition.event === "timer") {
    return condition.at <= events.now ? { event: "timer", at: condition.at } : undefined;
  }
  if (condition.event === "approval") {
    return events.decision ? { event: "approval", at: events.decision.at, decision: events.decision } : undefined;
  }
  const { name, isTransient } = condition;
  const signal = events.signals.find((sent) => sent.name === name && (!isTransient || sent.sentAt >= startedAt));
  // One that was kept counts from when somebody waits for it.
  return signal && { event: "signal", at: Math.max(signal.sentAt, startedAt), signal };
}

function verdictOf(first: Happened & { index: number }): WaitVerdict {
  const { event, index } = first;
  const output: JsonObject = { event, index, at: new Date(first.at).toISOString() };
  if (event === "timer") return { type: "completed", output };
  if (event === "signal") {
    const { id, name, payload } = first.signal;
    return { type: "completed", output: { ...output, name, payload }, takenSignal: id };
  }
  const { approved, by, comment, payload } = first.decision;
  if (approved) return { type: "completed", output: { ...output, by, comment, payload } };
  const message = comment === null ? `Rejected by ${by}.` : `Rejected by ${by}: ${comment}`;
  return { type: "failed", failure: { code: failureKinds.rejected, message, retryable: false } };
}

/** Why is a task where it is, and what would get it further? Answers from facts alone, for people and programs. */

import { type ExhaustionPolicy, type Shortage, shortageText } from "./budget.ts";
import type { Settlement } from "./dead-letter.ts";
import { formatDuration } from "./duration.ts";
import type { EngineSpec } from "./engine-task.ts";
import type { Failure } from "./errors.ts";
import type { Block } from "./flow-limits.ts";
import { defaultJoin, describeJoin, type Join } from "./join.ts";
import type { Json } from "./json.ts";
import type { CacheOrigin } from "./lifecycle.ts";
import { settledIn, type Tally } from "./map.ts";
import { nearest } from "./near-miss.ts";
import { type Candidate, misfits, nearestMatch, type RouteSpec } from "./routing.ts";
import { isTerminalTask, type RunStatus, type TaskStatus } from "./run.ts";
import { describeWait } from "./wait.ts";
import { isWide, nameOfKey } from "./wide-keys.ts";

/** What is known about a task and what it depends on. Times are epoch milliseconds. */
export interface TaskFacts {
  key: string;
  capability: string;
  status: TaskStatus;
  reason: string | null;
  error: Failure | null;
  /** Of a dead letter: its id, and what has been done about it. */
  deadLetter: { id: string; settlement: Settlement | null } | null;
  /** The task whose output it took from the cache. */
  cachedFrom: CacheOrigin | null;
  /** The round of planning that put others in its place. */
  supersededIn: number | null;
  run: { status: RunStatus; pausedBy: string | null; isEnding: boolean };
  /** Of a task whose run waits for its limits. */
  runLimit: LimitFacts | null;
  needs: { key: string; status: TaskStatus }[];
  join: Join | null;
  engine: EngineSpec["kind"] | null;
  /** Of a wait: as it was written. */
  definition: Json;
  tally: Tally | null;
  /** Of a `workflow` task. */
  childRun: { id: string; status: RunStatus } | null;
  /** The map that has not started it yet. */
  heldBy: string | null;
  wakeAt: number | null;
  availableAt: number | null;
  deadlineAt: number | null;
  isPublished: boolean;
  attempt: number;
  agent: { id: string; name: string } | null;
  /** Live agents that offer the capability. */
  offers: { agents: number; slots: number; running: number };
  /** What live agents offer. */
  capabilities: string[];
  /** Of a task that is matched to agents one by one: what it asks for, and the live agents. */
  routing: { route: RouteSpec; agents: Candidate[]; round: RoundFacts | null } | null;
  /** Of a task that did not fit into a budget. */
  budget: BudgetFacts | null;
  /** Of a ready task that keeps to limits: which of them it waits for, and who is before it. */
  limit: LimitFacts | null;
  /** Of a ready task that waits in the queue of its capability. */
  queue: QueueFacts | null;
  now: number;
}

export interface BudgetFacts {
  /** What is missing now; null: it fits again. */
  shortage: Shortage | null;
  /** Whose budget it is. */
  owner: { runId: string; task: string | null };
  onExhausted: ExhaustionPolicy;
  /** It does not fit whatever running attempts come to. */
  isExhausted: boolean;
}

/** Where it stands among all that wait for its capability. */
export interface QueueFacts {
  priority: number;
  /** Tasks that come before it; there may be more, if `isMore`. */
  ahead: number;
  isMore: boolean;
  /** Whose turns it takes; null: those of its run. */
  fairKey: string | null;
  /** Keys that take turns at its priority, its own among them. */
  sharers: number;
}

export interface LimitFacts {
  /** Undefined: they would let it start. */
  block: Block | undefined;
  /** Of what holds the key that it waits for, at most some. Of runs there is no task. */
  heldBy: { task: string | null; runId: string }[];
  /** What waits for the same keys and comes before it. */
  ahead: number;
}

/** A round of bids that has not been awarded. */
export interface RoundFacts {
  asked: number;
  bids: number;
  declined: number;
  closesAt: number;
}

export type ReasonCode =
  | "run_queued"
  | "needs_open"
  | "held_by_map"
  | "being_told"
  | "paused"
  | "backing_off"
  | "budget_exhausted"
  | "budget_reserved"
  | "no_agent"
  | "agents_busy"
  | "announced"
  | "limit_reached"
  | "rate_reached"
  | "queued"
  | "published"
  | "to_be_published"
  | "running"
  | "waiting"
  | "children_open"
  | "child_run_open"
  | "run_ending"
  | "superseded"
  | "settled"
  | "dead_letter";

export interface Reason {
  code: ReasonCode;
  message: string;
  /** Keys of the tasks it is about. */
  tasks?: string[];
  /** When that changes by itself. */
  until?: number;
}

/** Tasks named in one sentence. */
const MAX_NAMED = 10;

/** The reasons, the decisive one first; never none. */
export function explain(facts: TaskFacts): Reason[] {
  if (facts.supersededIn !== null) return [superseded(facts.supersededIn), settled(facts)];
  if (isTerminalTask(facts.status)) return [settled(facts), ...deadLetter(facts)];
  const reasons = openReasons(facts);
  if (facts.run.isEnding) {
    return [{ code: "run_ending", message: "The run is being brought down; the task will be cancelled." }, ...reasons];
  }
  return reasons;
}

function openReasons(facts: TaskFacts): Reason[] {
  switch (facts.status) {
    case "pending":
      return facts.runLimit ? [queued(facts.runLimit)] : [pending(facts)];
    case "ready":
      return ready(facts);
    case "running":
      return [
        { code: "running", message: `Attempt ${facts.attempt} is run by agent ${facts.agent?.name ?? "unknown"}.` },
      ];
    default:
      return [waiting(facts)];
  }
}

function queued(limit: LimitFacts): Reason {
  const { message, until } = limited(limit, "run") ?? { message: "The engine is about to start it.", until: undefined };
  return { code: "run_queued", message: `Its run has not started. ${message}`, ...(until !== undefined && { until }) };
}

function pending({ needs, join, heldBy }: TaskFacts): Reason {
  if (heldBy !== null) {
    const message = `Its map ${heldBy} has as many instances open as \`max_concurrency\` allows; it starts when one settles.`;
    return { code: "held_by_map", message, tasks: [heldBy] };
  }
  const open = needs.filter((need) => !isTerminalTask(need.status));
  if (open.length === 0) {
    return { code: "being_told", message: "All that it needs has settled; the engine is about to decide about it." };
  }
  const rule = describeJoin(join ?? defaultJoin, needs.length);
  const message = `It starts on ${rule} of ${count(needs.length, "need")}; still open: ${listed(open)}.`;
  return { code: "needs_open", message, tasks: open.map((need) => need.key) };
}

function ready(facts: TaskFacts): Reason[] {
  const { run, availableAt, now, offers, capability, isPublished, deadlineAt } = facts;
  if (run.status === "paused") {
    const message = `The run was paused by ${run.pausedBy ?? "somebody"}; resume it to go on.`;
    return [{ code: "paused", message }];
  }
  if (facts.budget) return [budgeted(facts.budget)];
  if (availableAt !== null && availableAt > now) {
    const message = `Attempt ${facts.attempt} failed; the next may start at ${new Date(availableAt).toISOString()}.`;
    return [{ code: "backing_off", message, until: availableAt }];
  }
  const held = facts.limit && limited(facts.limit);
  if (held) return [held];
  if (facts.routing && !isPublished) return [routed(facts, facts.routing)];
  if (offers.agents === 0) {
    const near = nearest(capability, facts.capabilities);
    const hint = near ? ` The nearest that is offered is ${near}.` : "";
    const message = `No live agent offers ${capability}; start an executor that does.${hint}`;
    return [{ code: "no_agent", message, ...(deadlineAt !== null && { until: deadlineAt }) }];
  }
  if (offers.running >= offers.slots) {
    const message = `All ${count(offers.slots, "slot")} of the ${count(offers.agents, "live agent")} that offer ${capability} are taken; it waits for its turn.`;
    return [{ code: "agents_busy", message }, ...inLine(facts)];
  }
  const about: Reason = isPublished
    ? { code: "published", message: "Its hint is in the queue of its capability; an agent is about to claim it." }
    : { code: "to_be_published", message: "It is ready and about to be handed to an agent." };
  return [about, ...inLine(facts)];
}

/** What comes before it, and how often its turn comes; nothing of a task that is the next. */
function inLine({ queue, capability }: TaskFacts): Reason[] {
  if (!queue || queue.ahead === 0) return [];
  const { priority, ahead, isMore, fairKey, sharers } = queue;
  const before = `${isMore ? "More than " : ""}${count(ahead, "task")} of ${capability} ${ahead === 1 ? "comes" : "come"} before it`;
  const whose = fairKey === null ? "Its run" : `Its fair_key, ${fairKey},`;
  const turns =
    sharers > 1 ? `${whose} gets one start in ${sharers}, since so many take turns` : `${whose} shares with nobody`;
  return [{ code: "queued", message: `${before}. ${turns} at priority ${priority}.` }];
}

function limited({ block, heldBy, ahead }: LimitFacts, noun: "task" | "run" = "task"): Reason | undefined {
  if (!block) return undefined;
  const others = `${count(ahead, noun)} of the same limits ${ahead === 1 ? "is" : "are"} before it`;
  const place = ahead === 0 ? "It is the next" : others;
  if (block.kind === "paused") return pausedKey(block);
  if (block.kind === "rate") {
    const { key, rate, until } = block;
    const spent = `The rate of ${nameOfKey(key)}, ${rate.limit} in ${formatDuration(rate.perMs)}, is used up until ${new Date(until).toISOString()}`;
    return { code: "rate_reached", message: `${spent}. ${place}.`, until };
  }
  const { key, limit, holders } = block;
  const named = heldBy
    .map(({ task, runId }) => (task === null ? `run ${runId}` : `${task} of run ${runId}`))
    .join(", ");
  const more = holders > heldBy.length ? ` and ${holders - heldBy.length} more` : "";
  const reached = isWide(key)
    ? `The limit of ${nameOfKey(key)} is reached: ${holders} of ${limit} running, held by`
    : `${key} is held by ${holders} of at most ${limit}:`;
  const message = `${reached} ${named}${more}. ${place}.`;
  return { code: "limit_reached", message, tasks: heldBy.flatMap(({ task }) => task ?? []) };
}

function pausedKey({ key, pause: { by, at, reason } }: Block & { kind: "paused" }): Reason {
  const what = isWide(key) ? nameOfKey(key) : `the limit ${key}`;
  const since = `${what[0]!.toUpperCase()}${what.slice(1)} has been paused by ${by} since ${new Date(at).toISOString()}`;
  const why = reason === null ? "" : `: ${reason.replace(/[.!?]*$/, "")}`;
  return {
    code: "paused",
    message: `${since}${why}. Nothing new starts until somebody resumes it: skein limits resume ${key}.`,
  };
}

function budgeted({ shortage, owner, onExhausted, isExhausted }: BudgetFacts): Reason {
  if (!shortage)
    return { code: "to_be_published", message: "It fits into its budget again and is about to be handed out." };
  const text = shortageText(shortage, owner.task === null ? `run ${owner.runId}` : `task ${owner.task}`);
  if (!isExhausted) {
    const message = `${text}. It starts if what is running turns out to need less, or with a larger budget.`;
    return { code: "budget_reserved", message };
  }
  const command = `skein runs budget ${owner.runId}${owner.task === null ? "" : ` --task ${owner.task}`}`;
  const remedy =
    onExhausted === "wait"
      ? `Raise the budget to go on: ${command} --${flagFor[shortage.unit]}.`
      : "It is about to fail.";
  return { code: "budget_exhausted", message: `${text}. ${remedy}` };
}

const flagFor: Record<Shortage["unit"], string> = {
  tokens: "tokens <most>",
  cost: "cost <most>",
  calls: "calls <most>",
  wall_time: "wall-time <longest>",
};

function routed({ deadlineAt, now }: TaskFacts, { route, agents, round }: NonNullable<TaskFacts["routing"]>): Reason {
  const bidding = round && announced(round, now);
  if (bidding) return bidding;
  const near = nearestMatch(route, agents);
  if (near && near.lacks.length === 0) {
    const able = agents.filter((agent) => misfits(route, agent).length === 0);
    const message = `${listedNames(able)} could run it, but ${able.length === 1 ? "has" : "have"} no slot free for it.`;
    return { code: "agents_busy", message };
  }
  const hint = near ? ` The nearest, ${near.agent.name}, ${near.lacks.join(" and ")}.` : " No agent is live.";
  const message = `No live agent can run it.${hint}`;
  return { code: "no_agent", message, ...(deadlineAt !== null && { until: deadlineAt }) };
}

function announced({ asked, bids, declined, closesAt }: RoundFacts, now: number): Reason | undefined {
  const until = new Date(closesAt).toISOString();
  if (closesAt > now) {
    const answers = `${bids} ${bids === 1 ? "has" : "have"} bid${declined > 0 ? ` and ${declined} declined` : ""}`;
    const message = `It is announced to ${count(asked, "agent")}, of which ${answers}; the window ends at ${until}.`;
    return { code: "announced", message, until: closesAt };
  }
  if (bids > 0) return undefined;
  const message = `It was announced to ${count(asked, "agent")} until ${until}, and none has bid; it is announced again.`;
  return { code: "announced", message };
}

function listedNames(agents: readonly Candidate[]): string {
  const names = agents.slice(0, MAX_NAMED).map(({ name }) => name);
  return agents.length > MAX_NAMED ? `${names.join(", ")} and ${agents.length - MAX_NAMED} more` : names.join(", ");
}

function waiting({ engine, definition, tally, childRun, wakeAt, key }: TaskFacts): Reason {
  const until = wakeAt === null ? {} : { until: wakeAt };
  if (engine === "wait") {
    const at = wakeAt === null ? "" : `, at the latest until ${new Date(wakeAt).toISOString()}`;
    return { code: "waiting", message: `It has to ${describeWait(definition)}${at}.`, ...until };
  }
  if (engine === "workflow" && childRun) {
    return { code: "child_run_open", message: `It waits for run ${childRun.id}, which is ${childRun.status}.` };
  }
  if (tally) {
    const settledOf = `${settledIn(tally)} of ${count(tally.total, engine === "loop" ? "task" : "item")}`;
    const iteration = tally.iteration === undefined ? "" : ` of iteration ${tally.iteration}`;
    const more = tally.isClosed ? "" : "; more may be emitted until it is closed";
    return { code: "children_open", message: `${settledOf}${iteration} of ${key} have settled${more}.` };
  }
  return { code: "being_told", message: "The engine is about to begin with it." };
}

function superseded(round: number): Reason {
  const message = `Round ${round} of planning put others in its place; what it came to counts for nothing.`;
  return { code: "superseded", message };
}

function settled({ status, reason, error, needs, cachedFrom }: TaskFacts): Reason {
  const code = "settled" as const;
  if (status === "failed") return { code, message: `It failed: ${error?.code}: ${error?.message}` };
  if (cachedFrom) {
    const message = `It has completed from the cache, with the output of task ${cachedFrom.key} of run ${cachedFrom.run_id}.`;
    return { code, message };
  }
  if (status === "completed") return { code, message: "It has completed." };
  if (reason === "condition_false") return { code, message: "It was skipped: its `when` is false." };
  if (reason === "need_not_completed") {
    const unmet = needs.filter((need) => need.status !== "completed");
    const message = `It was skipped: its join could not be met any more; its needs are ${listed(unmet)}.`;
    return { code, message, tasks: unmet.map((need) => need.key) };
  }
  return { code, message: `It was ${status}: ${reason ?? "no reason was given"}.` };
}

function deadLetter({ deadLetter: letter }: TaskFacts): Reason[] {
  if (!letter) return [];
  const code = "dead_letter" as const;
  const { settlement } = letter;
  if (!settlement) {
    const commands = `skein dead-letters redrive ${letter.id} runs it again, skein dead-letters discard ${letter.id} takes it off the list.`;
    return [{ code, message: `It is a dead letter that waits for somebody: ${commands}` }];
  }
  if (settlement.state === "redriven") {
    return [{ code, message: `It is a dead letter; run ${settlement.run_id} does its work again.` }];
  }
  const reason = settlement.reason ? `: ${settlement.reason}` : "";
  return [{ code, message: `It is a dead letter, discarded by ${settlement.by} at ${settlement.at}${reason}` }];
}

function listed(tasks: readonly { key: string; status: TaskStatus }[]): string {
  const named = tasks.slice(0, MAX_NAMED).map(({ key, status }) => `${key} (${status})`);
  return tasks.length > MAX_NAMED ? `${named.join(", ")} and ${tasks.length - MAX_NAMED} more` : named.join(", ");
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

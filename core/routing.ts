/**
 * Which agents can run a task that asks for more than one plain capability, and which of them gets it. Decided from facts
 * alone: the same tasks and agents give the same answer.
 */
import { createHash } from "node:crypto";
import { coerce, satisfies } from "semver";
import { budgetUnits, estimateOf, type WrittenAmounts, writtenCost } from "./budget.ts";
import {
  type Bid,
  type Bidder,
  DEFAULT_BID_WINDOW_MS,
  judgeRound,
  longerWindow,
  MAX_BIDDERS,
  type Round,
} from "./contract-net.ts";

/** A capability, in any version or in one that fits a range such as `^2`, `~2.1` or `2`. */
export interface WantedCapability {
  name: string;
  range?: string;
}

/** A value that a label has to have, or what it has to be. Numbers compare numerically. */
export type LabelTest =
  | string
  | number
  | boolean
  | { in: (string | number)[] }
  | { exists: boolean }
  | { gt: number }
  | { gte: number }
  | { lt: number }
  | { lte: number };
export type LabelTests = Record<string, LabelTest>;

/** What a task asks of its agent beyond one plain capability. */
export interface RouteSpec {
  /** That of the task first; one agent has to offer all of them. */
  capabilities: WantedCapability[];
  labels?: LabelTests;
  /** Agents that meet more of these come first. */
  prefer?: LabelTests;
  /** `run`: tasks of a run that say so stay with one agent. Else a text: tasks with the same one do, in all runs. */
  sticky?: string;
  /** The id or the name of the only agent that will do. */
  agent?: string;
  /** What an attempt may need at most, as the agent declares it: what is left of the task's budgets. */
  within?: WrittenAmounts;
}

/** A live agent, as the registry has it. */
export interface Candidate {
  id: string;
  name: string;
  labels: Record<string, string>;
  capabilities: OfferedCapability[];
  slots: number;
  /** Slots with a task in them or on its way to them. */
  busy: number;
  /** Takes nothing new. */
  isCordoned: boolean;
}

export interface OfferedCapability {
  name: string;
  version: string;
  /** What one task costs, in a unit that the agents of a capability share. Default 0. */
  cost?: number;
  /** Tokens of models that one task needs, and calls. */
  tokens?: number;
  calls?: number;
  /** It answers announcements; who does not is in each round with its cost. */
  bids?: boolean;
}

/** How one agent is chosen among those that can. */
export const allocationPolicies = ["push", "least-loaded", "sticky", "cheapest-fit", "contract-net"] as const;
export type AllocationPolicy = (typeof allocationPolicies)[number];

/** Why the agent cannot run the task, whether or not it is busy, in words that follow its name. None: it can. */
export function misfits(route: RouteSpec, agent: Candidate): string[] {
  const flaws = route.capabilities.flatMap((wanted) => capabilityFlaw(wanted, agent.capabilities) ?? []);
  for (const [key, test] of Object.entries(route.labels ?? {})) {
    const flaw = labelFlaw(key, test, agent.labels[key]);
    if (flaw) flaws.push(flaw);
  }
  if (route.agent !== undefined && route.agent !== agent.id && route.agent !== agent.name) {
    flaws.push(`is not ${route.agent}`);
  }
  if (agent.isCordoned) flaws.push("is cordoned");
  if (route.within) flaws.push(...dearness(route, agent));
  return flaws;
}

function dearness(route: RouteSpec, agent: Candidate): string[] {
  const offered = estimateOf(undefined, offerFor(route, agent));
  return budgetUnits.flatMap((unit) => {
    const most = route.within?.[unit];
    if (most === undefined) return [];
    const needed = offered[unit];
    if (needed === null) return [`does not say what it needs of ${unit}, of which the budget has ${most} left`];
    const amount = unit === "cost" ? writtenCost(needed) : needed;
    return amount <= most ? [] : [`needs ${unit} of ${amount}, of which the budget has ${most} left`];
  });
}

function capabilityFlaw({ name, range }: WantedCapability, offered: readonly OfferedCapability[]): string | undefined {
  const versions = offered.filter((one) => one.name === name).map((one) => one.version);
  if (versions.length === 0) return `does not offer ${name}`;
  if (range === undefined || versions.some((version) => fits(version, range))) return undefined;
  return `offers ${name} in version ${versions.join(", ")}, not ${range}`;
}

/** `2`, `2.1` and `2.1.0` are versions; a range means what it does for npm. */
export function fits(version: string, range: string): boolean {
  const whole = coerce(version);
  return whole !== null && satisfies(whole, range);
}

function labelFlaw(key: string, test: LabelTest, value: string | undefined): string | undefined {
  if (typeof test !== "object") return isEqual(test, value) ? undefined : `${said(key, value)}, not ${test}`;
  if ("exists" in test) {
    if (test.exists === (value !== undefined)) return undefined;
    return test.exists ? `has no label ${key}` : `has the label ${key}`;
  }
  if ("in" in test) {
    return test.in.some((one) => isEqual(one, value))
      ? undefined
      : `${said(key, value)}, not one of ${test.in.join(", ")}`;
  }
  const [operator, bound] = Object.entries(test)[0] as [keyof typeof comparisons, number];
  const { holds, sign } = comparisons[operator];
  const number = value === undefined || value.trim() === "" ? Number.NaN : Number(value);
  return holds(number, bound) ? undefined : `${said(key, value)}, not ${sign} ${bound}`;
}

const comparisons = {
  gt: { holds: (a: number, b: number) => a > b, sign: ">" },
  gte: { holds: (a: number, b: number) => a >= b, sign: "≥" },
  lt: { holds: (a: number, b: number) => a < b, sign: "<" },
  lte: { holds: (a: number, b: number) => a <= b, sign: "≤" },
};

function isEqual(wanted: string | number | boolean, value: string | undefined): boolean {
  if (value === undefined) return false;
  return typeof wanted === "number" ? value.trim() !== "" && Number(value) === wanted : String(wanted) === value;
}

function said(key: string, value: string | undefined): string {
  return value === undefined ? `has no label ${key}` : `has ${key}=${value}`;
}

/** A ready task that the shared queue of its capability is too wide for. */
export interface RoutedTask {
  id: string;
  route: RouteSpec;
  /** What its stickiness hangs on; undefined where it is not sticky. */
  stickyKey: string | undefined;
  policy: AllocationPolicy;
  /** Of `contract-net`: how long a round waits for bids, and the last round, if there was one. */
  windowMs?: number;
  round?: Round;
}

/** A round that is to begin. */
export type NewRound = Pick<Round, "number" | "windowMs" | "bids">;

export interface Allocation {
  /** Agents by task. */
  assigned: Map<string, string>;
  /** Rounds that begin, by task; one whose bidders have all answered from the start is decided at once. */
  announced: Map<string, NewRound>;
  /** Tasks whose round goes on. */
  open: Set<string>;
  /** Of those that are announced again: nobody bid for them in the round before. */
  unbid: Set<string>;
  /** Slots by agent that rounds speak for. Tell them to the next allocation among the same agents. */
  spokenFor: Map<string, number>;
}

/**
 * Gives each task in turn to an agent that can run it and has a slot free; those that find none stay. Sticky tasks wait
 * for their agent as long as it is there. Ties go to the agent with the smallest id.
 */
export function allocate(
  tasks: readonly RoutedTask[],
  agents: readonly Candidate[],
  spokenFor: ReadonlyMap<string, number> = new Map(),
): Allocation {
  const free = new Map(agents.map((agent) => [agent.id, agent.slots - agent.busy]));
  const freeSlots = (agent: Candidate) => free.get(agent.id)!;
  const allocation: Allocation = {
    assigned: new Map(),
    announced: new Map(),
    open: new Set(),
    unbid: new Set(),
    spokenFor: new Map(spokenFor),
  };
  for (const task of tasks) {
    const able = agents.filter((agent) => misfits(task.route, agent).length === 0);
    const chosen = isBidFor(task) ? negotiate(task, able, freeSlots, allocation) : choose(task, able, freeSlots)?.id;
    if (chosen === undefined) continue;
    free.set(chosen, free.get(chosen)! - 1);
    allocation.assigned.set(task.id, chosen);
  }
  return allocation;
}

function isBidFor({ policy, stickyKey }: RoutedTask): boolean {
  return policy === "contract-net" && stickyKey === undefined;
}

/** The winner, if the task's round is decided; else the round goes on, or another begins. */
function negotiate(
  task: RoutedTask,
  able: readonly Candidate[],
  freeSlots: (agent: Candidate) => number,
  { announced, open, unbid, spokenFor }: Allocation,
): string | undefined {
  const wishes = (agent: Candidate) => wishesMet(task.route, agent);
  const bidders = new Map<string, Bidder>(
    able.map((agent) => [agent.id, { hasRoom: freeSlots(agent) > 0, wishes: wishes(agent) }]),
  );
  const { round, windowMs = DEFAULT_BID_WINDOW_MS } = task;
  const verdict = round && !round.isAwarded ? judgeRound(round, bidders) : undefined;
  if (verdict?.type === "awarded") return verdict.agentId;
  if (verdict?.type === "open") open.add(task.id);
  if (verdict?.type === "open" && !verdict.isAwaited) return undefined;
  // No more rounds than there are slots to win: a backlog is announced as they come free.
  const unspoken = (agent: Candidate) => freeSlots(agent) - (spokenFor.get(agent.id) ?? 0);
  const place = best(able, (agent) => [-unspoken(agent)]);
  const speakFor = (slots: number) => spokenFor.set(place!.id, (spokenFor.get(place!.id) ?? 0) + slots);
  const hasPlace = place !== undefined && unspoken(place) > 0;
  if (hasPlace) speakFor(1);
  if (!hasPlace || verdict?.type === "open") return undefined;
  const isUnbid = verdict?.isUnbid === true;
  if (isUnbid) unbid.add(task.id);
  const bids = ranked(
    able.filter((agent) => freeSlots(agent) > 0),
    (agent) => [-wishes(agent), load(agent, freeSlots)],
  )
    .slice(0, MAX_BIDDERS)
    .map((agent) => firstBid(task, agent));
  announced.set(task.id, {
    number: (round?.number ?? 0) + 1,
    windowMs: isUnbid ? longerWindow(round!.windowMs, windowMs) : windowMs,
    bids,
  });
  const atOnce = judgeRound({ bids, isOver: false }, bidders);
  if (atOnce.type !== "awarded") return undefined;
  speakFor(-1);
  return atOnce.agentId;
}

function firstBid({ route }: RoutedTask, agent: Candidate): Bid {
  const { bids = false } = offerFor(route, agent) ?? {};
  return { agentId: agent.id, amount: bids ? null : costOf(route, agent), isAnswered: !bids };
}

function choose(
  { route, stickyKey, policy }: RoutedTask,
  able: readonly Candidate[],
  freeSlots: (agent: Candidate) => number,
): Candidate | undefined {
  if (stickyKey !== undefined) {
    const own = best(able, (agent) => [rendezvous(stickyKey, agent.id)]);
    return own && freeSlots(own) > 0 ? own : undefined;
  }
  const room = able.filter((agent) => freeSlots(agent) > 0);
  return best(room, (agent) => [
    -wishesMet(route, agent),
    ...(policy === "cheapest-fit" ? [costOf(route, agent)] : []),
    ...(policy === "push" ? [-freeSlots(agent)] : [load(agent, freeSlots)]),
  ]);
}

function wishesMet({ prefer = {} }: RouteSpec, agent: Candidate): number {
  return Object.entries(prefer).filter(([key, test]) => !labelFlaw(key, test, agent.labels[key])).length;
}

function load(agent: Candidate, freeSlots: (agent: Candidate) => number): number {
  return -freeSlots(agent) / agent.slots;
}

function offerFor(route: RouteSpec, agent: Candidate): OfferedCapability | undefined {
  return agent.capabilities.find(({ name }) => name === route.capabilities[0]!.name);
}

function costOf(route: RouteSpec, agent: Candidate): number {
  return offerFor(route, agent)?.cost ?? 0;
}

/** The one whose first differing number is the smallest. */
function best(agents: readonly Candidate[], rank: (agent: Candidate) => (number | string)[]): Candidate | undefined {
  return ranked(agents, rank)[0];
}

function ranked(agents: readonly Candidate[], rank: (agent: Candidate) => (number | string)[]): Candidate[] {
  const keyed = agents.map((agent) => ({ agent, key: [...rank(agent), agent.id] }));
  keyed.sort((a, b) => {
    const at = a.key.findIndex((part, i) => part !== b.key[i]);
    return at < 0 ? 0 : a.key[at]! < b.key[at]! ? -1 : 1;
  });
  return keyed.map(({ agent }) => agent);
}

/**
 * Rendezvous hashing (Thaler and Ravishankar, 1998): each key has an order of its own over the agents, so that one that
 * comes or goes moves only the keys whose first it is.
 */
function rendezvous(key: string, agentId: string): string {
  return createHash("sha256")
    .update(JSON.stringify([key, agentId]))
    .digest("hex");
}

/**
 * The live agent that comes nearest to what the task asks for, and what it lacks; undefined when there is none. One that offers
 * the capabilities comes nearer than any that does not, and one that is only cordoned nearer than any that lacks something.
 */
export function nearestMatch(
  route: RouteSpec,
  agents: readonly Candidate[],
): { agent: Candidate; lacks: string[] } | undefined {
  const found = agents.map((agent) => ({ agent, lacks: misfits(route, agent) }));
  const offersNot = ({ agent }: (typeof found)[number]) =>
    route.capabilities.filter(({ name }) => agent.capabilities.every((offered) => offered.name !== name)).length;
  const rank = ({ agent, lacks }: (typeof found)[number]) => (agent.isCordoned ? lacks.length - 1 / 2 : lacks.length);
  return found.sort(
    (a, b) => offersNot(a) - offersNot(b) || rank(a) - rank(b) || (a.agent.id < b.agent.id ? -1 : 1),
  )[0];
}

/**
 * Budgets: what a run or a task may spend, and whether the next attempt still fits. Amounts are whole numbers, so that sums
 * are exact: tokens, millionths of the unit of money, calls. Pure: what was spent and is reserved comes from the caller.
 */
import { parseDuration } from "./duration.ts";
import { type Failure, failureKinds } from "./errors.ts";
import type { JsonObject } from "./json.ts";

export const budgetUnits = ["tokens", "cost", "calls"] as const;
export type BudgetUnit = (typeof budgetUnits)[number];

/** What sums of what was spent can be by. */
export const spendGroups = ["workflow", "agent", "run", "namespace", "capability"] as const;
export type SpendGroup = (typeof spendGroups)[number];

/** Whole amounts; `cost` in millionths. */
export type Amounts = Record<BudgetUnit, number>;
/** Null: not limited. */
export type BudgetLimits = Record<BudgetUnit, number | null>;
/** What an attempt will need, as declared. Null: nobody knows. */
export type Estimate = Record<BudgetUnit, number | null>;

export const nothing: Amounts = { tokens: 0, cost: 0, calls: 0 };

/** What happens when something does not fit any more. */
export const exhaustionPolicies = ["fail", "wait", "cheaper"] as const;
export type ExhaustionPolicy = (typeof exhaustionPolicies)[number];
export const DEFAULT_EXHAUSTION: ExhaustionPolicy = "fail";

const MILLIONTHS = 1_000_000;
export const MIN_COST = 1 / MILLIONTHS;
/** Far above any budget, and far below where sums of millionths stop being exact. */
export const MAX_COST = 1_000_000_000;
export const MAX_TOKENS = 1_000_000_000_000;
export const MAX_CALLS = 1_000_000_000;
/** Of one attempt; what is reported beyond it is a mistake. */
const MAX_REPORTED: Amounts = { tokens: MAX_TOKENS, cost: 10_000 * MILLIONTHS, calls: 1_000_000 };

/** Amounts as people write them: money in its unit. */
export interface WrittenAmounts {
  tokens?: number | undefined;
  cost?: number | undefined;
  calls?: number | undefined;
}

/** As it stands in a workflow file or a request. */
export interface BudgetDefinition extends WrittenAmounts {
  wall_time?: string | undefined;
  on_exhausted?: ExhaustionPolicy | undefined;
}

export interface BudgetSpec {
  limits: BudgetLimits;
  /** From the submit of its run; null: any time. */
  wallMs: number | null;
  onExhausted: ExhaustionPolicy;
}

export function budgetSpec({ tokens, cost, calls, wall_time, on_exhausted }: BudgetDefinition): BudgetSpec {
  return {
    limits: { tokens: tokens ?? null, cost: cost === undefined ? null : millionths(cost), calls: calls ?? null },
    wallMs: wall_time === undefined ? null : parseDuration(wall_time),
    onExhausted: on_exhausted ?? DEFAULT_EXHAUSTION,
  };
}

/** What a run may spend that begins from another one: what that was allowed in the end, and key by key what is said of it now. */
export function budgetAfter(before: BudgetSpec | undefined, change: BudgetDefinition): BudgetSpec {
  const { limits, wallMs, onExhausted } = budgetSpec(change);
  if (!before) return { limits, wallMs, onExhausted };
  return {
    limits: {
      tokens: limits.tokens ?? before.limits.tokens,
      cost: limits.cost ?? before.limits.cost,
      calls: limits.calls ?? before.limits.calls,
    },
    wallMs: wallMs ?? before.wallMs,
    onExhausted: change.on_exhausted ?? before.onExhausted,
  };
}

/** Whether a budget limits anything. */
export function limitsSomething({ tokens, cost, calls, wall_time }: BudgetDefinition): boolean {
  return [tokens, cost, calls, wall_time].some((limit) => limit !== undefined);
}

/** Rounded up, but for what binary fractions add to it: 0.1 + 0.2 is 300,000 millionths. */
function millionths(cost: number): number {
  return Math.ceil(Number((cost * MILLIONTHS).toFixed(3)));
}

/** Back to the unit of money. */
export function writtenCost(amount: number): number {
  return amount / MILLIONTHS;
}

export function written({ tokens, cost, calls }: Amounts): { tokens: number; cost: number; calls: number } {
  return { tokens, cost: writtenCost(cost), calls };
}

export function writtenLimits({ tokens, cost, calls }: BudgetLimits) {
  return { tokens, cost: cost === null ? null : writtenCost(cost), calls };
}

/** What a task says that it needs comes before what its agent has declared; an attempt is one call unless either says more. */
export function estimateOf(task: WrittenAmounts | undefined, offered: WrittenAmounts | undefined): Estimate {
  const cost = task?.cost ?? offered?.cost;
  return {
    tokens: task?.tokens ?? offered?.tokens ?? null,
    cost: cost === undefined ? null : millionths(cost),
    calls: task?.calls ?? offered?.calls ?? 1,
  };
}

/** What is set aside for an attempt. */
export function reservationFor({ tokens, cost, calls }: Estimate): Amounts {
  return { tokens: tokens ?? 0, cost: cost ?? 0, calls: calls ?? 0 };
}

/** What a report says of its usage, in the units of budgets; undefined: it says nothing of the unit. */
export function reportedAmounts(usage: JsonObject | undefined): Partial<Amounts> {
  if (!usage) return {};
  const tokens = amountIn(usage.tokens) ?? sum(amountIn(usage.input_tokens), amountIn(usage.output_tokens));
  const cost = amountIn(usage.cost) ?? amountIn(usage.cost_usd);
  const calls = amountIn(usage.calls);
  return {
    ...(tokens !== undefined && { tokens: bounded("tokens", Math.ceil(tokens)) }),
    ...(cost !== undefined && { cost: bounded("cost", millionths(Math.min(cost, MAX_COST))) }),
    ...(calls !== undefined && { calls: bounded("calls", Math.ceil(calls)) }),
  };
}

function amountIn(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : undefined;
}

function sum(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined && b === undefined ? undefined : (a ?? 0) + (b ?? 0);
}

function bounded(unit: BudgetUnit, amount: number): number {
  return Math.min(amount, MAX_REPORTED[unit]);
}

/** What an attempt that was reported has spent: what its report says, and of what it does not say, what was set aside. */
export function settledAmounts(reported: Partial<Amounts>, reserved: Amounts): Amounts {
  return { ...reserved, ...reported };
}

/** How a budget stands. Times are epoch milliseconds. */
export interface BudgetState {
  id: string;
  limits: BudgetLimits;
  spent: Amounts;
  /** By attempts that are running. */
  reserved: Amounts;
  /** When its wall time is over; null: never. */
  endsAt: number | null;
  onExhausted: ExhaustionPolicy;
}

/** What is missing for the next attempt. */
export interface Shortage {
  /** Of the budget. */
  budgetId: string;
  unit: BudgetUnit | "wall_time";
  limit: number;
  spent: number;
  reserved: number;
  /** Null: nobody has declared it. */
  needed: number | null;
}

export type BudgetVerdict =
  | { type: "admitted"; reserved: Amounts }
  /** It fits if running attempts turn out cheaper than what is set aside for them. */
  | { type: "later"; shortage: Shortage }
  /** It does not fit whatever they come to. */
  | { type: "exhausted"; shortage: Shortage };

/**
 * Whether an attempt may start under all the budgets that it counts for, the outermost first. What is declared has to fit
 * whole into what is left; of what is not, something has to be left. So with exact estimates no budget is ever overspent, and
 * without any by no more than the attempts that are running.
 */
export function admitUnder(chain: readonly BudgetState[], estimate: Estimate, now: number): BudgetVerdict {
  let later: Shortage | undefined;
  for (const budget of chain) {
    const ended = wallShortage(budget, now);
    if (ended) return { type: "exhausted", shortage: ended };
    for (const unit of budgetUnits) {
      const shortage = shortageIn(budget, unit, estimate[unit]);
      if (!shortage) continue;
      if (!fits({ ...shortage, reserved: 0 })) return { type: "exhausted", shortage };
      later ??= shortage;
    }
  }
  return later ? { type: "later", shortage: later } : { type: "admitted", reserved: reservationFor(estimate) };
}

export function wallShortage({ id, endsAt }: BudgetState, now: number): Shortage | undefined {
  if (endsAt === null || now < endsAt) return undefined;
  return { budgetId: id, unit: "wall_time", limit: endsAt, spent: now, reserved: 0, needed: null };
}

function shortageIn(budget: BudgetState, unit: BudgetUnit, needed: number | null): Shortage | undefined {
  const { id, limits, spent, reserved } = budget;
  const limit = limits[unit];
  if (limit === null || needed === 0) return undefined;
  const shortage = { budgetId: id, unit, limit, spent: spent[unit], reserved: reserved[unit], needed };
  return fits(shortage) ? undefined : shortage;
}

function fits({ limit, spent, reserved, needed }: Pick<Shortage, "limit" | "spent" | "reserved" | "needed">): boolean {
  const taken = spent + reserved;
  return needed === null ? taken < limit : taken + needed <= limit;
}

/** Enters what was set aside. */
export function reserve(chain: readonly BudgetState[], amounts: Amounts): void {
  for (const budget of chain) for (const unit of budgetUnits) budget.reserved[unit] += amounts[unit];
}

/** What is left of each unit that is limited, the tightest budget of a chain deciding; null: not limited. */
export function leftUnder(chain: readonly Pick<BudgetState, "limits" | "spent" | "reserved">[]): BudgetLimits {
  const left: BudgetLimits = { tokens: null, cost: null, calls: null };
  for (const { limits, spent, reserved } of chain) {
    for (const unit of budgetUnits) {
      const limit = limits[unit];
      if (limit === null) continue;
      const here = Math.max(0, limit - spent[unit] - reserved[unit]);
      left[unit] = Math.min(left[unit] ?? here, here);
    }
  }
  return left;
}

const unitWords: Record<BudgetUnit, string> = { tokens: "tokens", cost: "of cost", calls: "calls" };

export function amountText(unit: BudgetUnit, amount: number): string {
  const [number, noun] = [unit === "cost" ? writtenCost(amount) : amount, unitWords[unit]];
  const text = String(number);
  return `${text} ${unit === "calls" && number === 1 ? "call" : noun}`;
}

/** Which budget, by how much: a sentence without its full stop. `owner` is such as "the run" or "task a". */
export function shortageText(shortage: Shortage, owner: string): string {
  const { unit, limit, spent, reserved, needed } = shortage;
  if (unit === "wall_time") return `The wall time of ${owner} was over at ${new Date(limit).toISOString()}`;
  const held = reserved > 0 ? ` and ${amountText(unit, reserved)} set aside for what is running` : "";
  const stands = `of ${amountText(unit, limit)} that ${owner} may spend, ${amountText(unit, spent)} are spent${held}`;
  if (needed === null) return `O${stands.slice(1)}`;
  const missing = spent + reserved + needed - limit;
  return `O${stands.slice(1)}, and the task needs ${amountText(unit, needed)}: ${amountText(unit, missing)} too many`;
}

/** What a run or task fails with. */
export function exhaustedFailure(message: string, task?: string): Failure {
  const remedy = "Give it a larger budget, or choose `on_exhausted: wait` to be asked.";
  return {
    code: failureKinds.budgetExhausted,
    message: `${message}. ${remedy}`,
    retryable: false,
    ...(task && { task }),
  };
}

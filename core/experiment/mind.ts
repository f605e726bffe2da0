/** A member of a simulated team: what it holds to be true, what it has heard, what it can do. Plain JSON, chance included. */
import type { Json } from "../json.ts";
import type { Behaviour, DrawnAmount, Failure, Traits } from "./behaviour.ts";
import { type Dice, happens, oneOf, roll, someOf } from "./dice.ts";

export interface Mind extends Dice {
  name: string;
  /** All members, in order. */
  team: string[];
  /** What can be answered. */
  options: string[];
  traits: Traits;
  failure: Failure | null;
  /** What it holds to be true. */
  position: string | null;
  /** All options, the best first. */
  ranking: string[];
  /** What a liar says: one of the wrong options. */
  lie: string;
  cost: number;
  value: number;
  /** The last that each other member was heard to hold. */
  heard: { member: string; position: string }[];
  /** What of it has been thought over. */
  considered: number;
  /** Entries of the transcript that have come: a message may come twice. */
  seen: number[];
  /** The last that it put on a board, or told all. */
  told: string | null;
  written: number;
  reports: string[];
  assigned: string[];
}

/** What reaches a member. Without `expects` it is only told. */
export interface Incoming {
  seq: number;
  at: number;
  /** Null: the conversation. */
  from: string | null;
  type: string;
  body: Json;
  expects: { types: string[]; by: number } | null;
}

/** What a member does, so many milliseconds later: says something, or does work that nobody has to be told of. */
export type Act =
  | { act: "say"; afterMs: number; type: string; body: { [key: string]: Json }; cost: number }
  | { act: "work"; afterMs: number; cost: number };

interface Origin {
  name: string;
  team: string[];
  options: string[];
  truth: string;
  behaviour: Behaviour;
  /** In place of what the behaviour has. */
  failure: Failure | null;
  random: number;
}

/** The worth of the work to who would do it for nothing. */
const CEILING = 100;

/** A member at the beginning. What it draws does not depend on how it fails, so that the same team can be compared. */
export function beginMind({ name, team, options, truth, behaviour, failure, random }: Origin): Mind {
  const { traits, isIgnorant } = behaviour;
  const dice = { random };
  const isRight = happens(dice, traits.knows);
  const wrong = oneOf(
    dice,
    options.filter((option) => option !== truth),
  );
  const believed = traits.position ?? traits.preference?.[0] ?? (isRight ? truth : (wrong ?? truth));
  const rest = someOf(dice, options, options.length);
  const ranking = [...new Set([...(traits.preference ?? []), believed, ...rest])];
  const lie = rest.find((option) => option !== truth) ?? truth;
  const cost = drawAmount(dice, traits.cost);
  const value = traits.value === undefined ? Math.max(0, CEILING - cost) : drawAmount(dice, traits.value);
  return {
    name,
    team,
    options,
    traits,
    failure: failure ?? behaviour.failure,
    position: isIgnorant ? null : believed,
    ranking,
    lie,
    cost,
    value: rounded(value),
    heard: [],
    considered: 0,
    seen: [],
    told: null,
    written: 0,
    reports: [],
    assigned: [],
    random: dice.random,
  };
}

/** In hundredths. */
export function rounded(amount: number): number {
  return Math.round(amount * 100) / 100;
}

function drawAmount(dice: Dice, amount: DrawnAmount): number {
  const share = roll(dice);
  return rounded(typeof amount === "number" ? amount : amount.min + share * (amount.max - amount.min));
}

/** Keeps what another says that it holds. */
export function noteHeard(mind: Mind, member: string, content: Json): void {
  if (member === mind.name || typeof content !== "string" || !mind.options.includes(content)) return;
  mind.heard = [...mind.heard.filter((one) => one.member !== member), { member, position: content }];
  mind.considered = -1;
}

/** The one that most of them are, if one is; of several as frequent, none. */
export function mostCommon(positions: readonly string[]): string | null {
  const counts = new Map<string, number>();
  for (const position of positions) counts.set(position, (counts.get(position) ?? 0) + 1);
  const [first, second] = [...counts].sort((a, b) => b[1] - a[1]);
  return first && first[1] !== second?.[1] ? first[0] : null;
}

/** Thinks over what is new: who has no position takes one over at once, others that of the majority as they can be persuaded. */
export function reconsider(mind: Mind): void {
  if (mind.considered === mind.heard.length) return;
  mind.considered = mind.heard.length;
  const positions = mind.heard.map(({ position }) => position);
  if (mind.position !== null) positions.push(mind.position);
  const common = mostCommon(positions) ?? (mind.position === null ? (positions[0] ?? null) : null);
  if (common === null || common === mind.position) return;
  if (mind.position === null || happens(mind, mind.traits.persuasion)) mind.position = common;
}

/** Takes over what the team has decided; a liar stays with what it holds. */
export function accept(mind: Mind, decision: string | null): void {
  if (decision !== null && mind.failure?.kind !== "liar") mind.position = decision;
}

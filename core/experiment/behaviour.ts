/**
 * What members of a team are like. A behaviour is a name for a set of traits, and every behaviour can speak under every protocol
 * (answers.ts): so a team keeps its behaviours when the protocol is changed.
 */
import { z } from "zod";
import { delaySchema, duration } from "./delay.ts";

const probability = z.number().min(0).max(1);
const option = z.string().min(1).max(128);

const MAX_COST = 1_000_000;
const amount = z.number().min(0).max(MAX_COST);
const drawnAmount = z.union([
  amount,
  z
    .strictObject({ min: amount, max: amount })
    .refine(({ min, max }) => min <= max, { error: "must have a `min` that is not more than its `max`" }),
]);
export type DrawnAmount = z.infer<typeof drawnAmount>;

/** Twice what a conversation hears of one member in a round, unless it is told otherwise. */
const MAX_COPIES = 200;

/** How members fail. */
export const failures = ["liar", "silent", "flooder", "late", "interrupter", "forger", "crasher"] as const;
export type FailureKind = (typeof failures)[number];

export const failureShape = {
  after: z.int().min(0).max(10_000).optional().meta({ description: "Of a crasher: the messages that it sends before" }),
  at: duration.optional().meta({ description: "Of a crasher: when, since the beginning" }),
  noticed_after: duration
    .optional()
    .meta({ description: "Of a crasher: how much later the conversation is told; default: it never is" }),
  copies: z
    .int()
    .min(2)
    .max(MAX_COPIES)
    .optional()
    .meta({ description: "Of a flooder: how often it says everything (120)" }),
  by: duration.optional().meta({ description: "Of a late one: how long after the deadline it answers (1s)" }),
};

export interface Failure {
  kind: FailureKind;
  after?: number | undefined;
  at?: string | undefined;
  noticed_after?: string | undefined;
  copies?: number | undefined;
  by?: string | undefined;
}

const traitShape = {
  knows: probability.optional().meta({ description: "How likely it believes the truth at the beginning" }),
  position: option.optional().meta({ description: "What it believes at the beginning" }),
  preference: z
    .array(option)
    .min(1)
    .max(100)
    .optional()
    .meta({ description: "How it ranks the options, the best first" }),
  persuasion: probability
    .optional()
    .meta({ description: "How likely it takes over what most of those it has heard say" }),
  cost: drawnAmount.optional().meta({ description: "What it costs to do the work, known to itself alone" }),
  margin: z.number().min(0).max(10).optional().meta({ description: "What it adds to its cost in a bid, as a share" }),
  value: drawnAmount
    .optional()
    .meta({ description: "What the work is worth to it in an auction; default: 100 - cost" }),
  skill: probability.optional().meta({ description: "How likely it can do the work" }),
  hand_off: probability.optional().meta({ description: "How likely it hands work on" }),
  reports: z.int().min(1).max(100).optional().meta({ description: "So many reports it wants before it finishes" }),
  think: delaySchema.optional().meta({ description: "How long it takes to answer" }),
  work: delaySchema.optional().meta({ description: "How much longer it takes when it is to do the work" }),
};
type GivenTraits = z.infer<z.ZodObject<typeof traitShape>>;
type Given = { [key in keyof GivenTraits]-?: Exclude<GivenTraits[key], undefined> };
type Undecided = "position" | "preference" | "value";
export type Traits = Omit<Given, Undecided> & Partial<Pick<Given, Undecided>>;

const defaults: Traits = {
  knows: 1,
  persuasion: 0,
  cost: 1,
  margin: 0,
  skill: 1,
  hand_off: 0,
  reports: 1,
  think: { distribution: "uniform", min: "50ms", max: "150ms" },
  work: { distribution: "uniform", min: "200ms", max: "400ms" },
};

/** What each has that differs from the defaults. Null: it begins without a position. */
const presets = {
  /** Says the truth, and stays with it. */
  honest: {},
  /** Its cost is private, and drawn. */
  bidder: { cost: { min: 1, max: 20 } },
  /** Begins with a position, and takes over that of the majority with some probability. */
  debater: { knows: 0.5, persuasion: 0.5 },
  /** Has a preference, and stays with it. */
  voter: { knows: 0.5 },
  /** Knows nothing, believes what it hears first, and passes it on. */
  gossiper: { knows: 0, persuasion: 0.2 },
  /** Assigns work, and finishes with what was reported. */
  supervisor: { cost: 0 },
  /** Does the work as well as it can, or hands it on. */
  worker: { skill: 0.8, hand_off: 0.1 },
  liar: {},
  silent: {},
  flooder: {},
  late: {},
  interrupter: {},
  forger: {},
  crasher: {},
} as const satisfies Record<string, Partial<Traits>>;

export const behaviourNames = Object.keys(presets) as (keyof typeof presets)[];
export type BehaviourName = keyof typeof presets;

/** Begins without any position, unless it is given one. */
const ignorant: readonly BehaviourName[] = ["gossiper"];

export const behaviourSchema = z.union([
  z.enum(behaviourNames),
  z.strictObject({ kind: z.enum(behaviourNames), ...traitShape, ...failureShape }),
]);
export type BehaviourSpec = z.infer<typeof behaviourSchema>;

export interface Behaviour {
  name: BehaviourName;
  traits: Traits;
  /** It has no position before it has heard one. */
  isIgnorant: boolean;
  failure: Failure | null;
}

/** A behaviour with everything filled in. */
export function behaviourOf(spec: BehaviourSpec): Behaviour {
  const given = typeof spec === "string" ? { kind: spec } : spec;
  const { kind: name, after, at, noticed_after, copies, by, ...traits } = given as Exclude<BehaviourSpec, string>;
  const failure = isFailure(name) ? { kind: name, after, at, noticed_after, copies, by } : null;
  const isIgnorant = ignorant.includes(name) && traits.knows === undefined && traits.position === undefined;
  const present = Object.fromEntries(Object.entries(traits).filter(([, value]) => value !== undefined));
  return { name, traits: { ...defaults, ...presets[name], ...present }, isIgnorant, failure };
}

function isFailure(name: string): name is FailureKind {
  return failures.includes(name as FailureKind);
}

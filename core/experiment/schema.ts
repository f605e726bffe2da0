/** What an experiment file looks like. What is wrong with it beyond its shape is found by experiment.ts. */
import { z } from "zod";
import { protocolNames } from "../conversation/state.ts";
import type { JsonObject } from "../json.ts";
import { agentName } from "../protocol/agent-data.ts";
import { json } from "../protocol/common.ts";
import { behaviourSchema, failureShape, failures } from "./behaviour.ts";
import { delaySchema } from "./delay.ts";

const MAX_TEXT = 8_192;
const MAX_LIST = 100;
const MAX_TEAM = 100;
const MAX_REPETITIONS = 1_000;
const MAX_SEED = 2 ** 32 - 1;

const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, {
  error: "must be lower-case letters, digits and `-`, at most 64: a folder is named after it",
});
const label = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/, {
  error: "must be letters, digits, `-` and `_`, at most 32",
});
const option = z.string().min(1).max(128);
const probability = z.number().min(0).max(1);
/** Parameters of a conversation; what may be in them is said by the protocols. */
const parameters = z.record(z.string(), json) as z.ZodType<JsonObject>;

/** A value, or a list of them that are all tried. */
function oneOrMore<T extends z.ZodType>(item: T) {
  return z.union([item, z.array(item).min(1).max(MAX_LIST)]);
}

const member = z.strictObject({
  name: agentName,
  role: z.string().min(1).optional(),
  weight: z.number().optional(),
  behaviour: behaviourSchema.default("honest"),
});

const failing = z
  .strictObject({
    member: agentName.optional().meta({ description: "Who fails" }),
    count: z.int().min(1).max(MAX_TEAM).optional().meta({ description: "How many fail, drawn by lot" }),
    share: probability.optional().meta({ description: "What share of the team fails, drawn by lot, rounded" }),
    kind: z.enum(failures),
    ...failureShape,
  })
  .refine(({ member, count, share }) => [member, count, share].filter((one) => one !== undefined).length === 1, {
    error: "must have one of `member`, `count` and `share`, to say who fails",
  });

export const faultsSchema = z.strictObject({
  loss: probability.default(0).meta({ description: "How likely a message is lost" }),
  duplication: probability.default(0).meta({ description: "How likely it comes twice" }),
  reordering: probability.default(0).meta({ description: "How likely it is overtaken" }),
  delay: delaySchema.default("10ms").meta({ description: "How long it is under way" }),
  members: z.array(failing).max(MAX_LIST).default([]).meta({ description: "Members that fail" }),
});
export type Faults = z.infer<typeof faultsSchema>;

export const termKeys = ["rounds", "turn_deadline", "deadline", "budget", "flood_limit", "max_strikes"] as const;

export const experimentSchema = z.strictObject({
  name,
  description: z.string().max(MAX_TEXT).optional(),
  notes: z.string().max(MAX_TEXT).optional().meta({ description: "What is to be seen in the results" }),
  question: z.string().min(1).max(MAX_TEXT),
  options: z
    .array(option)
    .min(2)
    .max(MAX_LIST)
    .refine((options) => new Set(options).size === options.length, { error: "must have each option once" })
    .default(["yes", "no"])
    .meta({ description: "What can be answered" }),
  truth: option.optional().meta({ description: "Which of the options is right; default: the first" }),
  terms: z
    .strictObject(Object.fromEntries(termKeys.map((key) => [key, json.optional()])))
    .default({})
    .meta({ description: "Parameters of every conversation" }) as z.ZodType<JsonObject>,
  team: z.strictObject({ members: z.array(member).min(1).max(MAX_TEAM) }),
  faults: z.record(label, faultsSchema).default({}).meta({ description: "Fault profiles by name" }),
  matrix: z.strictObject({
    protocol: oneOrMore(z.enum(protocolNames)),
    policy: z
      .partialRecord(z.enum(protocolNames), oneOrMore(parameters))
      .default({})
      .meta({ description: "By protocol, its own parameters; each entry of a list is tried" }),
    team_size: oneOrMore(z.int().min(1).max(MAX_TEAM)).optional(),
    faults: oneOrMore(label).default("none"),
    seed: oneOrMore(z.int().min(0).max(MAX_SEED)).default(1),
    repetitions: z.int().min(1).max(MAX_REPETITIONS).default(10),
  }),
});
export type ExperimentFile = z.infer<typeof experimentSchema>;

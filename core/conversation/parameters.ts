/** What every protocol takes: a topic, members, and the terms on which they talk. One zod schema a protocol. */
import { z } from "zod";
import { durationFlaw, durationPattern, isDuration, parseDuration } from "../duration.ts";
import { agentName } from "../protocol/agent-data.ts";
import { json } from "../protocol/common.ts";
import type { Protocol } from "./floor.ts";
import { jsonBytes } from "./message.ts";
import type { ProtocolName, Terms } from "./state.ts";

export const MAX_MEMBERS = 100;
export const MAX_ROUNDS = 1_000;
export const MAX_TOPIC_BYTES = 8 * 1_024;
const MAX_NAMES_BYTES = 16 * 1_024;
const MAX_WEIGHT = 1_000_000;

export const defaultTerms = {
  turn_deadline: "1m",
  deadline: "10m",
  flood_limit: 100,
  max_strikes: 5,
  budget: { messages: 1_000, bytes: 1_024 * 1_024 },
};

const maxBudget = { messages: 10_000, bytes: 8 * 1_024 * 1_024 };

const duration = z
  .string()
  .refine(isDuration, { error: ({ input }) => durationFlaw(input) })
  .meta({ pattern: durationPattern.source });

const amount = z.number().positive();

const topic = json.optional().refine(fitsTopic, {
  error: `must have at most ${MAX_TOPIC_BYTES / 1_024} KiB as JSON`,
});

function fitsTopic(value: unknown): boolean {
  return value === undefined || jsonBytes(value) <= MAX_TOPIC_BYTES;
}

const topicKeys = ["topic", "question", "task"] as const;

function commonShape(roles: readonly string[]) {
  const member = z.strictObject({
    name: agentName,
    role: z.enum(roles).optional().meta({ description: "One that the protocol does not know means nothing in it" }),
    weight: z.number().positive().max(MAX_WEIGHT).optional(),
  });
  return {
    topic: topic.meta({ description: "What it is about; `question` and `task` are the same" }),
    question: topic,
    task: topic,
    members: z
      .array(z.union([agentName, member]))
      .max(MAX_MEMBERS)
      .meta({ description: "Agents by name; with a `role` or a `weight` as objects" }),
    rounds: z.int().min(1).max(MAX_ROUNDS).optional(),
    turn_deadline: duration.default(defaultTerms.turn_deadline).meta({
      description: "Who has the floor and says nothing for so long is silent",
    }),
    deadline: duration.default(defaultTerms.deadline).meta({ description: "Of the whole conversation" }),
    budget: z
      .strictObject({
        messages: z.int().min(1).max(maxBudget.messages).default(defaultTerms.budget.messages),
        bytes: z.int().min(1).max(maxBudget.bytes).default(defaultTerms.budget.bytes),
        tokens: amount.optional(),
        cost: amount.optional(),
      })
      .prefault({})
      .meta({ description: "Of what members say; tokens and cost as they tell them in `usage`" }),
    flood_limit: z
      .int()
      .min(1)
      .max(maxBudget.messages)
      .default(defaultTerms.flood_limit)
      .meta({ description: "Messages of one member in one round, refused ones included" }),
    max_strikes: z
      .int()
      .min(1)
      .max(maxBudget.messages)
      .default(defaultTerms.max_strikes)
      .meta({ description: "With so many breaches of the rules a member is excluded" }),
    seed: z
      .int()
      .min(0)
      .max(2 ** 32 - 1)
      .default(1)
      .meta({ description: "Of what is drawn by lot" }),
  };
}

type CommonInput = z.infer<z.ZodObject<ReturnType<typeof commonShape>>>;
export type ConversationParameters = CommonInput & { protocol: ProtocolName };

/** The schema of one protocol's parameters. `roles` are those of all protocols, so that a team can change its protocol. */
export function parametersOf(name: ProtocolName, protocol: Protocol, roles: readonly string[]) {
  return z
    .strictObject({ protocol: z.literal(name), ...commonShape(roles), ...protocol.options })
    .superRefine((value, context) => {
      const parameters = value as unknown as ConversationParameters;
      const issue = (path: (string | number)[], message: string) => {
        context.addIssue({ code: "custom", path, message, input: value });
      };
      const given = topicKeys.filter((key) => parameters[key] !== undefined);
      if (given.length === 0) issue(["topic"], "is missing: say what it is about, as `topic`, `question` or `task`");
      for (const key of given.slice(1))
        issue([key], `stands beside \`${given[0]}\`, which is the same; give one of them`);
      const members = membersOf(parameters);
      const names = new Set<string>();
      for (const [index, member] of members.entries()) {
        if (names.has(member.name)) issue(["members", index], "is a member already; name each once");
        names.add(member.name);
      }
      if (jsonBytes([...names]) > MAX_NAMES_BYTES) {
        issue(["members"], `must have names of at most ${MAX_NAMES_BYTES / 1_024} KiB together`);
      }
      const { fewestMembers } = protocol;
      const isEnough = members.length >= fewestMembers;
      if (!isEnough) issue(["members"], `must be at least ${fewestMembers} for ${name}`);
      const flaw = isEnough ? protocol.flaw?.(optionsOf(protocol, parameters), members) : undefined;
      if (flaw !== undefined) issue([], flaw);
    });
}

export function membersOf({ members }: Pick<ConversationParameters, "members">) {
  return members.map((member) => {
    const { name, role = null, weight = 1 } = typeof member === "string" ? { name: member } : member;
    return { name, role, weight };
  });
}

export function optionsOf(protocol: Protocol, parameters: ConversationParameters): Record<string, unknown> {
  const own = Object.keys(protocol.options);
  return Object.fromEntries(
    Object.entries(parameters).filter(([key, value]) => own.includes(key) && value !== undefined),
  );
}

export function topicOf({ topic, question, task }: ConversationParameters) {
  return topic ?? question ?? task ?? null;
}

export function termsOf(protocol: Protocol, parameters: ConversationParameters): Terms {
  const { rounds = protocol.rounds, turn_deadline, flood_limit, max_strikes, budget } = parameters;
  const { messages, bytes, tokens = null, cost = null } = budget;
  return {
    rounds,
    turnMs: parseDuration(turn_deadline),
    floodLimit: flood_limit,
    maxStrikes: max_strikes,
    budget: { messages, bytes, tokens, cost },
  };
}

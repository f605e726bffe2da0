/**
 * A vote: each member casts one ballot, unseen by the others, and there is a result when enough have voted and one option has
 * more than half: of the ballots (`majority`), of the weights of those who cast them (`weighted`), or by instant-runoff
 * (`ranked`, tally.ts). Without a majority the next round, if there is one, is between the best two. Who abstains counts for
 * the quorum only. A ballot stands, also when its voter leaves.
 */
import { z } from "zod";
import type { JsonObject } from "../json.ts";
import { ask, beginRound, conclude, type Floor, type Protocol, present } from "./floor.ts";
import { bodyOf, jsonBytes } from "./message.ts";
import { MAX_MEMBERS } from "./parameters.ts";
import { type Count, countVotes, instantRunoff, leaders, majorityOf, type Runoff } from "./tally.ts";

const MAX_OPTIONS = 100;
const MAX_OPTION_BYTES = 256;
/** Options that a refusal names. */
const MAX_NAMED = 10;

type Options = { method: "majority" | "weighted" | "ranked"; options?: string[]; quorum?: number | string };
/** An empty ranking abstains. */
type Ballot = { member: string; ranking: string[] };
type Inner = {
  /** Null: any text may be voted for. */
  options: string[] | null;
  ballots: Ballot[];
};
type Vote = Floor<Options, Inner>;

const option = z
  .string()
  .min(1)
  .refine((text) => jsonBytes(text) <= MAX_OPTION_BYTES, {
    error: `must have at most ${MAX_OPTION_BYTES} bytes as JSON`,
  });
const isUnique = (options: readonly string[]) => new Set(options).size === options.length;
const list = z.array(option).min(1).max(MAX_OPTIONS).refine(isUnique, { error: "must have each option once" });

export const vote: Protocol<Options, Inner> = {
  roles: [],
  fewestMembers: 1,
  rounds: 1,
  options: {
    method: z.enum(["majority", "weighted", "ranked"]).default("majority"),
    options: list.optional().meta({ description: "What can be voted for; default: anything" }),
    quorum: z
      .union([
        z.int().min(1).max(MAX_MEMBERS),
        z.string().regex(/^(100|[1-9]\d?)%$/, { error: "must be a number or a percentage such as 60%" }),
      ])
      .optional()
      .meta({ description: "How many members have to vote, or what percentage; default: more than half" }),
  },
  messages: {
    vote: {
      body: bodyOf({ choice: option.optional(), ranking: list.optional() }).refine(
        ({ choice, ranking }) => (choice === undefined) !== (ranking === undefined),
        { error: "must have either `choice` or `ranking`" },
      ),
    },
    abstain: { body: bodyOf({}) },
  },
  flaw({ quorum }, members) {
    if (typeof quorum !== "number" || quorum <= members.length) return undefined;
    return `wants ${quorum} of ${members.length} members to vote; want fewer`;
  },
  inner: ({ options }) => ({ options: options.options ?? null, ballots: [] }),
  begin: call,
  objection({ state: { inner, options } }, { type, body }) {
    if (type !== "vote") return undefined;
    if ((body as JsonObject).ranking !== undefined && options.method !== "ranked") {
      return { reason: "malformed", message: "This vote takes one `choice`, and no `ranking`." };
    }
    const stray = rankingIn(body as JsonObject).find((name) => inner.options?.includes(name) === false);
    if (stray === undefined) return undefined;
    const choices = inner.options!.slice(0, MAX_NAMED).map((name) => JSON.stringify(name));
    const others = inner.options!.length > MAX_NAMED ? ", …" : "";
    const message = `${JSON.stringify(stray)} cannot be voted for here; vote for ${choices.join(", ")}${others}.`;
    return { reason: "malformed", message };
  },
  hear(floor, { from, type, body }) {
    const ranking = type === "abstain" ? [] : rankingIn(body as JsonObject);
    floor.state.inner.ballots.push({ member: from, ranking });
  },
  proceed(floor) {
    const { winner, counts } = outcomeOf(floor);
    if (!hasQuorum(floor)) again(floor, floor.state.inner.options);
    else if (winner !== null || counts.length === 0) conclude(floor, "protocol");
    else again(floor, leaders(counts));
  },
  conclusion(floor) {
    const { state } = floor;
    const { winner, counts, runoff } = outcomeOf(floor);
    const { ballots } = state.inner;
    const abstained = ballots.filter(({ ranking }) => ranking.length === 0).length;
    const turnout = { cast: ballots.length, abstained, quorum: quorumOf(state.options, state.members.length) };
    const result = { winner, counts, ...(runoff && { rounds: runoff.rounds }), ...turnout };
    if (!hasQuorum(floor)) return { failure: "no_quorum", partial: result };
    return winner === null ? { failure: "undecided", partial: result } : { result, told: { winner, counts } };
  },
};

function call(floor: Vote): void {
  const { options, inner } = floor.state;
  const body = { method: options.method, ...(inner.options && { options: inner.options }) };
  ask(floor, present(floor), { type: "call", body, answers: ["vote", "abstain"] });
}

function again(floor: Vote, options: string[] | null): void {
  const { inner } = floor.state;
  if (!beginRound(floor)) return;
  inner.options = options;
  inner.ballots = [];
  call(floor);
}

function rankingIn({ choice, ranking }: JsonObject): string[] {
  return choice === undefined ? (ranking as string[]) : [choice as string];
}

function hasQuorum({ state }: Vote): boolean {
  return state.inner.ballots.length >= quorumOf(state.options, state.members.length);
}

/** In ballots. */
function quorumOf({ quorum }: Options, members: number): number {
  if (quorum === undefined) return Math.floor(members / 2) + 1;
  return typeof quorum === "number" ? quorum : Math.ceil((Number.parseInt(quorum, 10) * members) / 100);
}

function outcomeOf({ state }: Vote): { winner: string | null; counts: Count[]; runoff?: Runoff } {
  const { inner, options, members } = state;
  const order = members.map(({ name }) => name);
  const ballots = inner.ballots.toSorted((a, b) => order.indexOf(a.member) - order.indexOf(b.member));
  const voted = ballots.filter(({ ranking }) => ranking.length > 0);
  const choices = inner.options ?? [...new Set(voted.flatMap(({ ranking }) => ranking))];
  if (voted.length === 0) return { winner: null, counts: [] };
  if (options.method === "ranked") {
    const runoff = instantRunoff(
      voted.map(({ ranking }) => ranking),
      choices,
    );
    return { winner: runoff.winner, counts: runoff.rounds.at(-1)!, runoff };
  }
  const weightOf = (name: string) => (options.method === "weighted" ? members[order.indexOf(name)]!.weight : 1);
  const counts = countVotes(
    voted.map(({ member, ranking: [choice] }) => ({ choice: choice!, weight: weightOf(member) })),
    choices,
  );
  return { winner: majorityOf(counts), counts };
}

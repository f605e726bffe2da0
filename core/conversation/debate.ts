/**
 * A debate (Irving, Christiano and Amodei, "AI safety via debate", 2018; Du, Li, Torralba, Tenenbaum and Mordatch,
 * "Improving factuality and reasoning in language models through multiagent debate", 2023): in each round every debater makes a
 * statement, having heard the others. At the end whoever has the role `judge` gives the verdict. Without a judge the position
 * that most hold at the end is the result, if more than half do; and when all hold the same, no further round is needed.
 */
import { z } from "zod";
import type { Json } from "../json.ts";
import {
  ask,
  beginRound,
  conclude,
  everybodyElse,
  type Floor,
  holderOf,
  type Protocol,
  present,
  presentBut,
  tell,
} from "./floor.ts";
import { bodyOf, content, memberName } from "./message.ts";

type Options = { order: "in_turn" | "at_once" };
type Statement = { member: string; round: number; content: Json; position: string | null };
type Inner = {
  /** Who has been given the floor in this round. */
  turns: string[];
  /** The last of each debater. */
  statements: Statement[];
  isJudging: boolean;
  verdict: { member: string; winner: string | null; content: Json } | null;
};
type Debate = Floor<Options, Inner>;

export const debate: Protocol<Options, Inner> = {
  roles: ["judge"],
  fewestMembers: 2,
  rounds: 2,
  options: {
    order: z
      .enum(["in_turn", "at_once"])
      .default("in_turn")
      .meta({ description: "At once: statements of a round are heard when it is over" }),
  },
  messages: {
    statement: {
      body: bodyOf({ content, position: z.string().min(1).max(1_024).optional() }),
      audience: (floor, message) =>
        floor.state.options.order === "in_turn" ? everybodyElse(floor, message) : present(floor, "judge"),
    },
    verdict: {
      body: bodyOf({ winner: memberName.optional(), content }),
      audience: everybodyElse,
    },
  },
  flaw(_, members) {
    const judges = members.filter(({ role }) => role === "judge").length;
    if (judges > 1) return "has several members with the role `judge`; one judges";
    return members.length - judges < 2 ? "has fewer than two debaters beside its judge" : undefined;
  },
  inner: () => ({ turns: [], statements: [], isJudging: false, verdict: null }),
  begin: next,
  objection({ state: { inner } }, { type, body }) {
    const { winner } = body as { winner?: string };
    if (type !== "verdict" || winner === undefined) return undefined;
    if (inner.statements.some(({ member }) => member === winner)) return undefined;
    const debaters = inner.statements.map(({ member }) => `"${member}"`).join(", ");
    return {
      reason: "malformed",
      message: `"${winner}" has stated nothing and cannot win; name ${debaters}, or nobody.`,
    };
  },
  hear(floor, { from, type, body }) {
    const { inner, round } = floor.state;
    const { content, position = null, winner = null } = body as { content: Json; position?: string; winner?: string };
    if (type === "verdict") {
      inner.verdict = { member: from, winner, content };
      conclude(floor, "protocol");
    } else {
      const others = inner.statements.filter(({ member }) => member !== from);
      inner.statements = [...others, { member: from, round, content, position }];
    }
  },
  proceed(floor) {
    const { inner, options, round, terms } = floor.state;
    const isJudged = holderOf(floor, "judge") !== undefined;
    const isDone = presentBut(floor, "judge").length === 0 || (isJudged ? round >= terms.rounds : isUnanimous(floor));
    if (inner.isJudging) conclude(floor, "protocol");
    else if (waiting(floor).length > 0) next(floor);
    else if (isDone && isJudged && inner.statements.length > 0) judge(floor);
    else if (isDone) conclude(floor, "protocol");
    else if (beginRound(floor)) {
      inner.turns = [];
      if (options.order === "at_once") tellStatements(floor);
      next(floor);
    }
  },
  conclusion(floor) {
    const { inner } = floor.state;
    const { statements, verdict } = inner;
    if (statements.length === 0) return { failure: "nothing_stated", partial: null };
    const told = agreement(statements);
    const isJudged = holderOf(floor, "judge") !== undefined;
    if (verdict) return { result: { ...told, statements, verdict }, told };
    return isJudged
      ? { failure: "no_verdict", partial: { ...told, statements } }
      : { result: { ...told, statements }, told };
  },
};

/** Debaters that have not had their turn in this round. */
function waiting(floor: Debate): string[] {
  const { turns } = floor.state.inner;
  return presentBut(floor, "judge").filter((name) => !turns.includes(name));
}

/** Gives the floor to the next, or to all who wait. Whoever lets it pass has had it. */
function next(floor: Debate): void {
  const { inner, options, terms } = floor.state;
  const speakers = options.order === "in_turn" ? waiting(floor).slice(0, 1) : waiting(floor);
  inner.turns.push(...speakers);
  ask(floor, speakers, { type: "turn", body: { rounds: terms.rounds }, answers: ["statement"] });
}

/** Those of the round before, to all who have not heard them yet; one by one, so that no message is large. */
function tellStatements(floor: Debate): void {
  const { inner, round } = floor.state;
  for (const { member, content, position, round: stated } of inner.statements) {
    if (stated < round - 1) continue;
    const others = presentBut(floor, "judge").filter((name) => name !== member);
    tell(floor, others, "heard", { member, content, position });
  }
}

function judge(floor: Debate): void {
  const { inner } = floor.state;
  inner.isJudging = true;
  ask(floor, present(floor, "judge"), { type: "judge", answers: ["verdict"] });
}

function isUnanimous(floor: Debate): boolean {
  const debaters = presentBut(floor, "judge");
  const { statements } = floor.state.inner;
  const positions = debaters.map((name) => statements.find(({ member }) => member === name)?.position ?? null);
  return positions.every((position) => position !== null && position === positions[0]);
}

/** The position that more than half of those who stated anything hold, and the share that holds the most common one. */
function agreement(statements: readonly Statement[]): { position: string | null; agreement: number } {
  const counts = new Map<string, number>();
  for (const { position } of statements) {
    if (position !== null) counts.set(position, (counts.get(position) ?? 0) + 1);
  }
  const [position, count] = [...counts].sort((a, b) => b[1] - a[1])[0] ?? [null, 0];
  return { position: count * 2 > statements.length ? position : null, agreement: count / statements.length };
}

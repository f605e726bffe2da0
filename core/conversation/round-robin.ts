/**
 * Round robin (as in the nominal group technique: Delbecq and Van de Ven, 1971): members speak one after the other, in the
 * order of the parameters, and all hear it. A round in which all pass is the last.
 */
import type { Json, JsonObject } from "../json.ts";
import { ask, beginRound, conclude, everybodyElse, type Floor, type Protocol, present } from "./floor.ts";
import { bodyOf, content } from "./message.ts";

type Inner = {
  /** Who has been given the floor in this round. */
  turns: string[];
  isQuiet: boolean;
  contributions: { member: string; round: number; content: Json }[];
};

export const roundRobin: Protocol<unknown, Inner> = {
  roles: [],
  fewestMembers: 1,
  rounds: 2,
  options: {},
  messages: {
    say: { body: bodyOf({ content }), audience: everybodyElse },
    pass: { body: bodyOf({}), audience: everybodyElse },
  },
  inner: () => ({ turns: [], isQuiet: true, contributions: [] }),
  begin: next,
  hear({ state: { inner, round } }, { from, type, body }) {
    if (type !== "say") return;
    inner.contributions.push({ member: from, round, content: (body as JsonObject).content! });
    inner.isQuiet = false;
  },
  proceed(floor) {
    const { inner } = floor.state;
    if (waiting(floor).length > 0) next(floor);
    else if (inner.isQuiet) conclude(floor, "protocol");
    else if (beginRound(floor)) {
      inner.turns = [];
      inner.isQuiet = true;
      next(floor);
    }
  },
  conclusion({ state: { inner } }) {
    const { contributions } = inner;
    return contributions.length > 0 ? { result: { contributions } } : { failure: "nothing_said", partial: null };
  },
};

function waiting(floor: Floor<unknown, Inner>): string[] {
  return present(floor).filter((name) => !floor.state.inner.turns.includes(name));
}

function next(floor: Floor<unknown, Inner>): void {
  const [speaker] = waiting(floor);
  if (speaker === undefined) return;
  floor.state.inner.turns.push(speaker);
  ask(floor, [speaker], { type: "turn", answers: ["say", "pass"] });
}

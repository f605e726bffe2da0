/**
 * A blackboard (Erman, Hayes-Roth, Lesser and Reddy, "The Hearsay-II speech-understanding system", 1980; Hayes-Roth, "A blackboard
 * architecture for control", 1985): whoever can add something writes it on a board that all see. In each round everybody
 * may write, until it passes; the round in which nothing was written is the last. An entry is replaced by whoever names the
 * revision that it has, so that nobody wipes out what it has not read.
 */
import { z } from "zod";
import type { Json } from "../json.ts";
import { ask, beginRound, conclude, everybodyElse, type Floor, type Protocol, present } from "./floor.ts";
import { bodyOf, content } from "./message.ts";

type Entry = { key: string; content: Json; revision: number; member: string };
type Inner = { board: Entry[]; isQuiet: boolean };

export const blackboard: Protocol<unknown, Inner> = {
  roles: [],
  fewestMembers: 1,
  rounds: 3,
  options: {},
  messages: {
    write: {
      body: bodyOf({
        key: z.string().min(1).max(128),
        content,
        revision: z.int().min(0).default(0).meta({ description: "That of the entry to be replaced; 0: there is none" }),
      }),
      keepsFloor: true,
      audience: everybodyElse,
    },
    pass: { body: bodyOf({}) },
  },
  inner: () => ({ board: [], isQuiet: true }),
  begin: open,
  objection({ state: { inner } }, { type, body }) {
    if (type !== "write") return undefined;
    const { key, revision } = body as { key: string; revision: number };
    const entry = inner.board.find((one) => one.key === key);
    const found = entry?.revision ?? 0;
    if (revision === found) return undefined;
    const written = entry ? `is at revision ${found}, written by "${entry.member}"` : "is not on the board";
    return { reason: "outdated", message: `${JSON.stringify(key)} ${written}; read it and decide again.` };
  },
  hear({ state: { inner } }, { from, type, body }) {
    if (type !== "write") return;
    const { key, content, revision } = body as { key: string; content: Json; revision: number };
    const entry = { key, content, revision: revision + 1, member: from };
    const at = inner.board.findIndex((one) => one.key === key);
    if (at === -1) inner.board.push(entry);
    else inner.board[at] = entry;
    inner.isQuiet = false;
  },
  proceed(floor) {
    const { inner } = floor.state;
    if (inner.isQuiet) conclude(floor, "protocol");
    else if (beginRound(floor)) {
      inner.isQuiet = true;
      open(floor);
    }
  },
  conclusion({ state: { inner } }) {
    const { board } = inner;
    return board.length > 0 ? { result: { board } } : { failure: "nothing_written", partial: null };
  },
};

function open(floor: Floor<unknown, Inner>): void {
  ask(floor, present(floor), { type: "open", answers: ["write", "pass"] });
}

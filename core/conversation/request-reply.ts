/**
 * Request and reply: everybody is asked the same, and answers once or refuses (FIPA Request Interaction Protocol,
 * SC00026H, 2002). In each further round those who were silent are asked again. Whoever has the role `requester` is not
 * asked and is told every reply.
 */
import { z } from "zod";
import type { Json, JsonObject } from "../json.ts";
import { ask, beginRound, clearFloor, conclude, type Floor, type Protocol, present, presentBut } from "./floor.ts";
import { bodyOf, content, excuse } from "./message.ts";
import { MAX_MEMBERS } from "./parameters.ts";

type Options = { replies?: number };
type Inner = { replies: { member: string; content: Json }[]; refused: string[] };

export const requestReply: Protocol<Options, Inner> = {
  roles: ["requester"],
  fewestMembers: 1,
  rounds: 1,
  options: {
    replies: z
      .int()
      .min(1)
      .max(MAX_MEMBERS)
      .optional()
      .meta({ description: "So many are enough, and fewer are a failure; default: all are waited for, one is enough" }),
  },
  messages: {
    reply: {
      body: bodyOf({ content }),
      audience: (floor) => present(floor, "requester"),
    },
    refuse: { body: excuse, audience: (floor) => present(floor, "requester") },
  },
  flaw({ replies = 1 }, members) {
    const asked = members.filter(({ role }) => role !== "requester").length;
    if (asked === 0) return "has nobody to ask: all members have the role `requester`";
    return replies > asked ? `wants ${replies} replies of ${asked} members that are asked; want fewer` : undefined;
  },
  inner: () => ({ replies: [], refused: [] }),
  begin: request,
  hear(floor, { from, type, body }) {
    const { inner, options } = floor.state;
    if (type === "refuse") inner.refused.push(from);
    else inner.replies.push({ member: from, content: (body as JsonObject).content! });
    if (options.replies !== undefined && inner.replies.length >= options.replies) {
      clearFloor(floor);
      conclude(floor, "protocol");
    }
  },
  proceed(floor) {
    if (unanswered(floor).length === 0) conclude(floor, "protocol");
    else if (beginRound(floor)) request(floor);
  },
  conclusion(floor) {
    const { inner, options } = floor.state;
    const result = { replies: inner.replies, refused: inner.refused, unanswered: unanswered(floor) };
    if (inner.replies.length === 0) return { failure: "no_reply", partial: result };
    const isEnough = inner.replies.length >= (options.replies ?? 1);
    return isEnough ? { result } : { failure: "too_few_replies", partial: result };
  },
};

function request(floor: Floor<Options, Inner>): void {
  ask(floor, unanswered(floor), { type: "request", answers: ["reply", "refuse"] });
}

/** Those who are there and have said neither. */
function unanswered(floor: Floor<Options, Inner>): string[] {
  const { replies, refused } = floor.state.inner;
  const answered = new Set([...replies.map(({ member }) => member), ...refused]);
  return presentBut(floor, "requester").filter((name) => !answered.has(name));
}

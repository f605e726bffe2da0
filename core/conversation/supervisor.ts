/**
 * A supervisor and workers with hand-off (as group chats with a manager: Wu and others, "AutoGen", 2023): whoever has the role
 * `supervisor`, or else the first member, assigns work to one worker at a time, which reports, or hands it on to a worker
 * that has not had it in this round. Each assignment is a round. Only the supervisor finishes the task.
 */
import type { Json, JsonObject } from "../json.ts";
import { ask, beginRound, conclude, everybodyElse, type Floor, type Protocol, present } from "./floor.ts";
import { bodyOf, content, memberName } from "./message.ts";

type Report = { member: string; round: number; content: Json };
type Inner = {
  supervisor: string;
  /** Had the work of this round, in this order; the last has it now. */
  hands: string[];
  reports: Report[];
  finished: { content: Json } | null;
};
type Team = Floor<unknown, Inner>;

const order = bodyOf({ to: memberName, content });

export const supervisor: Protocol<unknown, Inner> = {
  roles: ["supervisor"],
  fewestMembers: 2,
  rounds: 10,
  options: {},
  messages: {
    assign: { body: order },
    finish: { body: bodyOf({ content }), audience: everybodyElse },
    report: { body: bodyOf({ content }), audience: lead },
    hand_off: { body: order, audience: lead },
  },
  flaw(_, members) {
    const supervisors = members.filter(({ role }) => role === "supervisor").length;
    return supervisors > 1 ? "has several members with the role `supervisor`; one assigns" : undefined;
  },
  inner: ({ members }) => ({
    supervisor: (members.find(({ role }) => role === "supervisor") ?? members[0]!).name,
    hands: [],
    reports: [],
    finished: null,
  }),
  begin: (floor) => supervise(floor, {}),
  objection(floor, { type, body }) {
    if (type !== "assign" && type !== "hand_off") return undefined;
    const { to } = body as { to: string };
    const able = workers(floor).filter((name) => type === "assign" || !floor.state.inner.hands.includes(name));
    if (able.includes(to)) return undefined;
    const remedy = able.length > 0 ? `give it to ${able.map((name) => `"${name}"`).join(", ")}` : "nobody else can";
    return { reason: "malformed", message: `"${to}" cannot take the work now; ${remedy}.` };
  },
  hear(floor, { from, type, body }) {
    const { inner, round } = floor.state;
    const { to, content } = body as { to: string; content: Json };
    if (type === "assign" || type === "hand_off") {
      inner.hands.push(to);
      ask(floor, [to], { type: "work", body: { content, by: from }, answers: ["report", "hand_off"] });
    } else if (type === "finish") {
      inner.finished = { content };
      conclude(floor, "protocol");
    } else {
      inner.reports.push({ member: from, round, content });
      resume(floor, {});
    }
  },
  proceed(floor) {
    const { hands } = floor.state.inner;
    const holder = hands.at(-1);
    resume(floor, holder === undefined ? {} : { unanswered: holder });
  },
  conclusion({ state: { inner } }) {
    const { finished, reports } = inner;
    return finished ? { result: { ...finished, reports } } : { failure: "unfinished", partial: { reports } };
  },
};

function lead(floor: Floor): string[] {
  const { supervisor } = floor.state.inner as Inner;
  return present(floor).filter((name) => name === supervisor);
}

function workers(floor: Team): string[] {
  return present(floor).filter((name) => name !== floor.state.inner.supervisor);
}

/** The next round, with what came of the last. */
function resume(floor: Team, news: JsonObject): void {
  if (lead(floor).length === 0) conclude(floor, "protocol");
  else if (beginRound(floor)) {
    floor.state.inner.hands = [];
    supervise(floor, news);
  }
}

function supervise(floor: Team, news: JsonObject): void {
  const { round, terms } = floor.state;
  const able = workers(floor);
  // In the last round an assignment would be for nothing.
  const answers = able.length > 0 && round < terms.rounds ? ["assign", "finish"] : ["finish"];
  ask(floor, lead(floor), { type: "supervise", body: { workers: able, rounds: terms.rounds, ...news }, answers });
}

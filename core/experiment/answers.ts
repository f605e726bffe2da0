/** How members answer: for each type of message that somebody may be asked for, what is said. Every protocol is here. */
import { isJsonObject, type JsonObject } from "../json.ts";
import { drawDelay } from "./delay.ts";
import { happens, oneOf } from "./dice.ts";
import { type Act, accept, type Incoming, type Mind, mostCommon, reconsider, rounded } from "./mind.ts";

/** A liar bids so much of its cost, and so many times what the work is worth to it. */
const LIARS_COST = 0.1;
const LIARS_VALUE = 2;

const UNKNOWN = "I do not know";

type Answer = (mind: Mind, asked: JsonObject, types: readonly string[]) => Act[];

/** By the type of an answer; the first that is asked for is given. */
const answers: readonly (readonly [type: string, answer: Answer])[] = [
  ["reply", (mind) => (isAble(mind) ? [work(mind, "reply", contentOf(mind))] : [say(mind, "refuse", {})])],
  ["publish", publish],
  ["write", write],
  ["subscribe", (mind) => [say(mind, "subscribe", { topics: ["*"] })]],
  ["vote", vote],
  ["decline", (mind) => [say(mind, "bid", { cost: costBid(mind) })]],
  ["award", (mind, { bids }) => award(mind, bids as { member: string; cost: number }[])],
  ["result", (mind) => [isAble(mind) ? work(mind, "result", contentOf(mind)) : work(mind, "failure", {})]],
  ["statement", state],
  ["verdict", judge],
  ["say", speak],
  ["report", report],
  ["finish", supervise],
  ["gossip", (mind, { content = null }) => [say(mind, "gossip", { content: saidBy(mind) ?? content })]],
  ["bid", bid],
];

/** What a member says to what it is asked. It may change its mind on the way. */
export function answer(mind: Mind, { body, expects }: Incoming): Act[] {
  const types = expects?.types ?? [];
  const found = answers.find(([type]) => types.includes(type));
  return found ? found[1](mind, isJsonObject(body) ? body : {}, types) : [];
}

/** Work that was handed on to somebody who cannot take it is done after all. */
export function insist(mind: Mind): Act[] {
  return [work(mind, "report", contentOf(mind))];
}

/** What the winner of an auction has won is the work. */
export function doWork(mind: Mind): Act[] {
  if (!isAble(mind)) return [];
  const { afterMs, cost } = work(mind, "", {});
  return [{ act: "work", afterMs, cost }];
}

/** What it holds, or what a liar says instead. */
export function saidBy(mind: Mind): string | null {
  return mind.failure?.kind === "liar" ? mind.lie : mind.position;
}

function contentOf(mind: Mind): JsonObject {
  return { content: saidBy(mind) ?? UNKNOWN };
}

function say(mind: Mind, type: string, body: JsonObject): Act {
  return { act: "say", afterMs: drawDelay(mind, mind.traits.think), type, body, cost: 0 };
}

function work(mind: Mind, type: string, body: JsonObject): Act {
  const afterMs = drawDelay(mind, mind.traits.think) + drawDelay(mind, mind.traits.work);
  const cost = mind.cost;
  return { act: "say", afterMs, type, body: cost > 0 ? { ...body, usage: { cost } } : body, cost };
}

function isAble(mind: Mind): boolean {
  return happens(mind, mind.traits.skill);
}

/** Has something to say that it has not said. */
function news(mind: Mind): string | null {
  reconsider(mind);
  const said = saidBy(mind);
  if (said === null || said === mind.told) return null;
  mind.told = said;
  return said;
}

function publish(mind: Mind): Act[] {
  const content = news(mind);
  const done = say(mind, "done", {});
  return content === null ? [done] : inOrder([work(mind, "publish", { content }), done]);
}

function write(mind: Mind): Act[] {
  const content = news(mind);
  const pass = say(mind, "pass", {});
  if (content === null) return [pass];
  const revision = mind.written;
  mind.written += 1;
  return inOrder([work(mind, "write", { key: mind.name, content, revision }), pass]);
}

function speak(mind: Mind): Act[] {
  const content = news(mind);
  return [content === null ? say(mind, "pass", {}) : work(mind, "say", { content })];
}

/** The second not before the first. */
function inOrder([first, second]: [Act, Act]): Act[] {
  return [first, { ...second, afterMs: first.afterMs + second.afterMs }];
}

function vote(mind: Mind, { method, options }: JsonObject): Act[] {
  const said = saidBy(mind);
  if (said === null) return [say(mind, "abstain", {})];
  const allowed = Array.isArray(options) ? (options as string[]) : mind.options;
  const ranking = [said, ...mind.ranking.filter((option) => option !== said)].filter((one) => allowed.includes(one));
  if (ranking.length === 0) return [say(mind, "abstain", {})];
  return [say(mind, "vote", method === "ranked" ? { ranking } : { choice: ranking[0]! })];
}

function costBid(mind: Mind): number {
  return rounded(mind.failure?.kind === "liar" ? mind.cost * LIARS_COST : mind.cost * (1 + mind.traits.margin));
}

function award(mind: Mind, bids: readonly { member: string; cost: number }[]): Act[] {
  const [lowest] = bids.toSorted((a, b) => a.cost - b.cost);
  return lowest ? [say(mind, "award", { to: lowest.member })] : [];
}

function state(mind: Mind): Act[] {
  reconsider(mind);
  const said = saidBy(mind);
  return [work(mind, "statement", said === null ? { content: UNKNOWN } : { content: said, position: said })];
}

/** The judge goes by what most have stated, and by what it holds itself where that says nothing; it is bound by it like all. */
function judge(mind: Mind): Act[] {
  const common = mostCommon(mind.heard.map(({ position }) => position)) ?? mind.position;
  const verdict = mind.failure?.kind === "liar" ? mind.lie : common;
  const winner = mind.heard.find(({ position }) => position === verdict)?.member;
  accept(mind, verdict);
  return [say(mind, "verdict", { content: verdict ?? UNKNOWN, ...(winner !== undefined && { winner }) })];
}

function report(mind: Mind): Act[] {
  const others = mind.team.filter((name) => name !== mind.name);
  const isHandedOn = happens(mind, mind.traits.hand_off) || !isAble(mind);
  const to = isHandedOn ? oneOf(mind, others) : undefined;
  return to === undefined ? insist(mind) : [say(mind, "hand_off", { to, content: UNKNOWN })];
}

/** Assigns to who has had nothing yet, until there are reports enough. */
function supervise(mind: Mind, { workers }: JsonObject, types: readonly string[]): Act[] {
  const able = Array.isArray(workers) ? (workers as string[]) : [];
  const fresh = able.filter((name) => !mind.assigned.includes(name));
  const isEnough = mind.reports.length >= Math.min(mind.traits.reports, mind.reports.length + fresh.length);
  const to = oneOf(mind, fresh.length > 0 ? fresh : able);
  const isDone = mind.reports.length > 0 && isEnough;
  if (isDone || to === undefined || !types.includes("assign")) {
    const content = mind.failure?.kind === "liar" ? mind.lie : (mostCommon(mind.reports) ?? mind.reports.at(-1));
    accept(mind, mind.options.find((option) => option === content) ?? null);
    return [say(mind, "finish", { content: content ?? UNKNOWN })];
  }
  mind.assigned = [...mind.assigned, to];
  return [say(mind, "assign", { to, content: "Do the work" })];
}

/**
 * By the second price it is best to bid what it is worth (Vickrey, 1961); by the first less, the more so the fewer there are
 * to bid against: (n - 1) / n of it, where values are uniform.
 */
function bid(mind: Mind, { price, least }: JsonObject): Act[] {
  const factor = mind.failure?.kind === "liar" ? LIARS_VALUE : 1;
  const value = rounded(mind.value * factor);
  const bidders = mind.team.length;
  if (typeof least === "number") return [least <= value ? say(mind, "bid", { amount: least }) : say(mind, "pass", {})];
  return [say(mind, "bid", { amount: price === "first" ? rounded((value * (bidders - 1)) / bidders) : value })];
}

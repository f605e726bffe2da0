import { expect, it } from "vitest";
import { explain, type ReasonCode, type TaskFacts } from "./why.ts";

const NOW = Date.parse("2026-01-31T12:00:00Z");
const later = NOW + 60_000;

const facts: TaskFacts = {
  key: "read",
  capability: "http.request",
  status: "ready",
  reason: null,
  error: null,
  supersededIn: null,
  deadLetter: null,
  cachedFrom: null,
  run: { status: "running", pausedBy: null, isEnding: false },
  needs: [],
  join: null,
  engine: null,
  definition: null,
  tally: null,
  childRun: null,
  heldBy: null,
  routing: null,
  budget: null,
  limit: null,
  runLimit: null,
  queue: null,
  wakeAt: null,
  availableAt: NOW,
  deadlineAt: null,
  isPublished: false,
  attempt: 0,
  agent: null,
  offers: { agents: 1, slots: 2, running: 0 },
  capabilities: ["http.request"],
  now: NOW,
};

const worker = {
  id: "x",
  name: "worker",
  labels: {},
  capabilities: [{ name: "http.request", version: "1" }],
  slots: 1,
  busy: 1,
  isCordoned: false,
};
const routing = { route: { capabilities: [{ name: "http.request" }] }, agents: [worker], round: null };

const tally = { total: 3, completed: 1, failed: 0, skipped: 0, isClosed: true };
const needs = [
  { key: "a", status: "completed" as const },
  { key: "b", status: "running" as const },
  { key: "c", status: "pending" as const },
];

const shortage = {
  budgetId: "b",
  unit: "tokens" as const,
  limit: 100,
  spent: 90,
  reserved: 0,
  needed: 20,
};
const budget = {
  shortage,
  owner: { runId: "r1", task: null },
  onExhausted: "wait" as const,
  isExhausted: true,
};

const cases: [string, Partial<TaskFacts>, string, RegExp][] = [
  [
    "open needs",
    { status: "pending", needs },
    "needs_open",
    /all_success of 3 needs; still open: b \(running\), c \(pending\)/,
  ],
  ["open needs of a join", { status: "pending", needs, join: { atLeast: 2 } }, "needs_open", /2 of 3/],
  [
    "a budget that is exhausted",
    { budget },
    "budget_exhausted",
    /Of 100 tokens that run r1 may spend, 90 tokens are spent, and the task needs 20 tokens: 10 tokens too many\. .* skein runs budget r1 --tokens/,
  ],
  [
    "a task's budget that fails",
    { budget: { ...budget, owner: { runId: "r1", task: "map" }, onExhausted: "fail" } },
    "budget_exhausted",
    /that task map may spend.* about to fail/,
  ],
  [
    "a budget that others have reserved",
    { budget: { ...budget, shortage: { ...shortage, spent: 50, reserved: 40 }, isExhausted: false } },
    "budget_reserved",
    /40 tokens set aside for what is running.* It starts if/,
  ],
  ["a budget that has been raised", { budget: { ...budget, shortage: null } }, "to_be_published", /fits .* again/],
  ["needs that have settled", { status: "pending", needs: needs.slice(0, 1) }, "being_told", /about to decide/],
  ["a map that is full", { status: "pending", heldBy: "each" }, "held_by_map", /max_concurrency/],
  ["a pause", { run: { status: "paused", pausedBy: "ann", isEnding: false } }, "paused", /paused by ann/],
  ["a back-off", { availableAt: later, attempt: 1 }, "backing_off", /Attempt 1 failed.*12:01:00/],
  [
    "no agent",
    { offers: { agents: 0, slots: 0, running: 0 }, capabilities: ["http.requests"] },
    "no_agent",
    /No live agent offers http.request;.*nearest that is offered is http.requests/,
  ],
  [
    "a paused namespace",
    {
      limit: {
        block: { kind: "paused", key: "@namespace", pause: { by: "ann", at: NOW, reason: "moving house." } },
        heldBy: [],
        ahead: 0,
      },
    },
    "paused",
    /^The namespace has been paused by ann since 2026-01-31T12:00:00.000Z: moving house\. Nothing new starts .*: skein limits resume @namespace\.$/,
  ],
  [
    "a paused key",
    {
      limit: {
        block: { kind: "paused", key: "crm", pause: { by: "ann", at: NOW, reason: null } },
        heldBy: [],
        ahead: 3,
      },
    },
    "paused",
    /^The limit crm has been paused by ann since 2026-01-31T12:00:00.000Z\. /,
  ],
  [
    "the limit of a capability",
    {
      limit: {
        block: { kind: "concurrency", key: "@capability:http.request", limit: 3, holders: 3 },
        heldBy: [{ task: "a", runId: "r1" }],
        ahead: 1,
      },
    },
    "limit_reached",
    /^The limit of capability http.request is reached: 3 of 3 running, held by a of run r1 and 2 more\. 1 task of the same limits is before it\.$/,
  ],
  ["busy agents", { offers: { agents: 1, slots: 2, running: 2 } }, "agents_busy", /All 2 slots of the 1 live agent/],
  [
    "bids that are awaited",
    { routing: { ...routing, round: { asked: 3, bids: 1, declined: 0, closesAt: later } } },
    "announced",
    /announced to 3 agents, of which 1 has bid; the window ends at .*12:01:00/,
  ],
  [
    "bids that are declined",
    { routing: { ...routing, round: { asked: 3, bids: 0, declined: 2, closesAt: later } } },
    "announced",
    /of which 0 have bid and 2 declined/,
  ],
  [
    "bids that did not come",
    { routing: { ...routing, round: { asked: 1, bids: 0, declined: 0, closesAt: NOW } } },
    "announced",
    /announced to 1 agent until .*12:00:00.*none has bid; it is announced again/,
  ],
  [
    "those that bid and are busy",
    { routing: { ...routing, round: { asked: 1, bids: 1, declined: 0, closesAt: NOW } } },
    "agents_busy",
    /worker could run it/,
  ],
  ["a hint on its way", { isPublished: true }, "published", /queue/],
  ["nothing but its turn", {}, "to_be_published", /ready/],
  [
    "an agent at work",
    { status: "running", attempt: 2, agent: { id: "x", name: "worker" } },
    "running",
    /Attempt 2.*worker/,
  ],
  [
    "a timer",
    { status: "waiting", engine: "wait", definition: { for: "1m" }, wakeAt: later },
    "waiting",
    /wait for 1m.*12:01:00/,
  ],
  ["a signal", { status: "waiting", engine: "wait", definition: { signal: "paid" } }, "waiting", /signal paid\./],
  ["items", { status: "waiting", engine: "map", tally }, "children_open", /1 of 3 items/],
  [
    "items that may still come",
    { status: "waiting", engine: "map", tally: { ...tally, isClosed: false } },
    "children_open",
    /emitted/,
  ],
  [
    "an iteration",
    { status: "waiting", engine: "loop", tally: { ...tally, iteration: 4 } },
    "children_open",
    /iteration 4/,
  ],
  [
    "another run",
    { status: "waiting", engine: "workflow", childRun: { id: "r", status: "running" } },
    "child_run_open",
    /run r/,
  ],
  ["the engine", { status: "waiting", engine: "map" }, "being_told", /about to begin/],
  ["a failure", { status: "failed", error: { code: "broken", message: "It broke." } }, "settled", /broken: It broke/],
  ["success", { status: "completed" }, "settled", /completed/],
  ["a condition", { status: "skipped", reason: "condition_false" }, "settled", /`when` is false/],
  ["a join", { status: "skipped", reason: "need_not_completed", needs }, "settled", /b \(running\)/],
  ["a cancel", { status: "cancelled", reason: "run_cancelled" }, "settled", /run_cancelled/],
];

const queue = { priority: 3, ahead: 12, isMore: false, fairKey: null, sharers: 5 };
const inLine: [string, Partial<TaskFacts>, RegExp | undefined][] = [
  ["others", { queue }, /^12 tasks of http.request come before it\. Its run gets one start in 5, .* at priority 3\.$/],
  ["one other", { queue: { ...queue, ahead: 1 } }, /^1 task of http.request comes before it\./],
  ["very many", { queue: { ...queue, ahead: 1000, isMore: true } }, /^More than 1000 tasks/],
  ["those of its own run", { queue: { ...queue, sharers: 1 } }, /Its run shares with nobody at priority 3\.$/],
  ["its key", { queue: { ...queue, fairKey: "acme" } }, /Its fair_key, acme, gets one start in 5/],
  ["others for a slot", { queue, offers: { agents: 1, slots: 2, running: 2 } }, /12 tasks/],
  ["nobody", { queue: { ...queue, ahead: 0 } }, undefined],
  ["nobody, since it is paused", { queue, run: { status: "paused", pausedBy: "ann", isEnding: false } }, undefined],
];

it.each(inLine)("says what it waits behind: %s", (_, part, words) => {
  expectSecond({ ...facts, ...part }, "queued", words);
});

const letters: [string, Partial<TaskFacts>, RegExp | undefined][] = [
  [
    "nobody has looked after",
    { deadLetter: { id: "t1", settlement: null } },
    /waits for somebody: skein dead-letters redrive t1 /,
  ],
  [
    "is run again",
    { deadLetter: { id: "t1", settlement: { state: "redriven", at: "2026-01-31T12:00:00Z", run_id: "r2" } } },
    /^It is a dead letter; run r2 does its work again\.$/,
  ],
  [
    "was discarded",
    {
      deadLetter: {
        id: "t1",
        settlement: { state: "discarded", at: "2026-01-31T12:00:00Z", by: "ann", reason: "a typo" },
      },
    },
    /^It is a dead letter, discarded by ann at 2026-01-31T12:00:00Z: a typo$/,
  ],
  ["is none", {}, undefined],
];

it.each(letters)("says what becomes of a dead letter that %s", (_, part, words) => {
  const failed = { ...facts, status: "failed" as const, error: { code: "broken", message: "It broke." }, ...part };
  expect(explain(failed)[0]).toMatchObject({ code: "settled" });
  expectSecond(failed, "dead_letter", words);
});

/** Without words: there is no second reason. */
function expectSecond(all: TaskFacts, code: ReasonCode, words: RegExp | undefined): void {
  const [, second] = explain(all);
  if (!words) expect(second).toBeUndefined();
  else expect(second).toMatchObject({ code, message: expect.stringMatching(words) });
}

it.each(cases)("explains a task by %s", (_, part, code, words) => {
  const [reason] = explain({ ...facts, ...part });
  expect(reason).toMatchObject({ code, message: expect.stringMatching(words) });
});

it("says first that the run is ending", () => {
  const reasons = explain({ ...facts, run: { ...facts.run, isEnding: true } });
  expect(reasons.map(({ code }) => code)).toEqual(["run_ending", "to_be_published"]);
});

import { describe, expect, it } from "vitest";
import { createWakeups, lookUntil, type News, newsOf } from "./wakeups.ts";

const news: News = {
  namespace: "n",
  runId: "r",
  capabilities: ["work"],
  announced: [],
  assigned: [],
  agents: [],
  inboxes: [],
  conversations: [],
  scopes: [],
  registry: false,
  freed: false,
};
const anything = () => true;
const never = new AbortController().signal;
/** Long enough that only what is tested can end the wait. */
const FOREVER_MS = 1_000_000;

describe("a listener", () => {
  it("hears matching news, also such as came before it asked, once", async () => {
    const wakeups = createWakeups();
    const listener = wakeups.listen(({ runId }) => runId === "r");
    wakeups.announce({ ...news, runId: "other" });
    wakeups.announce(news);
    await listener.news(FOREVER_MS);
    let isHeard = false;
    const next = listener.news(FOREVER_MS).then(() => {
      isHeard = true;
    });
    wakeups.announce({ ...news, runId: "other" });
    await new Promise(setImmediate);
    expect(isHeard).toBe(false);
    wakeups.announce(news);
    await next;
  });

  it("waits no longer than it is told, until it is stopped, or until all are", async () => {
    const wakeups = createWakeups();
    await wakeups.listen(anything).news(1);
    const stopped = wakeups.listen(anything);
    const wait = stopped.news(FOREVER_MS);
    stopped.stop();
    await wait;
    await stopped.news(FOREVER_MS);
    const closed = wakeups.listen(anything).news(FOREVER_MS);
    wakeups.close();
    await closed;
    await wakeups.listen(anything).news(FOREVER_MS);
    expect(wakeups.isClosed).toBe(true);
  });
});

it("keeps the news of an agent until it is taken", () => {
  const wakeups = createWakeups();
  expect(wakeups.takeNewsOf("a")).toBe(false);
  wakeups.announce({ ...news, agents: ["a", "b"] });
  wakeups.announce({ ...news, agents: ["a"] });
  expect(wakeups.takeNewsOf("a")).toBe(true);
  expect(wakeups.takeNewsOf("a")).toBe(false);
  expect(wakeups.takeNewsOf("b")).toBe(true);
});

describe("lookUntil", () => {
  it("looks once when it need not wait, and answers what it saw", async () => {
    let looks = 0;
    const look = async () => ++looks;
    const seen = await lookUntil(createWakeups(), { matches: anything, waitMs: 0, gone: never }, look, () => false);
    expect([seen, looks]).toEqual([1, 1]);
  });

  it("looks again after news, and hears what happens while it looks", async () => {
    const wakeups = createWakeups();
    let looks = 0;
    const look = async () => {
      looks++;
      // Just after the database was read: a listener that began only now would miss it.
      wakeups.announce(news);
      return looks;
    };
    const wait = { matches: anything, waitMs: FOREVER_MS, gone: never };
    expect(await lookUntil(wakeups, wait, look, (seen) => seen === 50)).toBe(50);
  });

  it("does not look for a client that has gone", async () => {
    const gone = new AbortController();
    const wakeups = createWakeups();
    let looks = 0;
    const look = async () => ++looks;
    const wait = { matches: anything, waitMs: FOREVER_MS, gone: gone.signal };
    const waiting = lookUntil(wakeups, wait, look, () => false);
    await new Promise(setImmediate);
    gone.abort();
    wakeups.announce(news);
    expect(await waiting).toBeUndefined();
    expect(await lookUntil(wakeups, wait, look, () => false)).toBeUndefined();
    expect(looks).toBe(1);
  });

  it("ends with what it has seen when the server stops", async () => {
    const wakeups = createWakeups();
    let looks = 0;
    const look = async () => ++looks;
    const waiting = lookUntil(wakeups, { matches: anything, waitMs: FOREVER_MS, gone: never }, look, () => false);
    await new Promise(setImmediate);
    wakeups.close();
    expect(await waiting).toBe(2);
  });

  it("passes a failure on and stops listening", async () => {
    const wakeups = createWakeups();
    const look = async () => {
      throw new Error("broken");
    };
    const wait = { matches: () => expect.unreachable("still listening"), waitMs: FOREVER_MS, gone: never };
    await expect(lookUntil(wakeups, wait, look, () => false)).rejects.toThrow("broken");
    wakeups.announce(news);
  });
});

it("the news of a commit names each capability once, and the agents that have been assigned a task or have lost a lease", () => {
  const ready = { type: "task.ready", task_id: "t", key: "k", attempt: 0 } as const;
  const facts = [
    { ...ready, capability: "a" },
    { ...ready, capability: "b" },
    { ...ready, capability: "a" },
    { ...ready, type: "task.claimed" as const, agent_id: "agent-1", via: "poll" as const },
    { ...ready, type: "task.failed" as const, agent_id: "agent-2", error: { code: "HANDLER_FAILED", message: "" } },
    { ...ready, type: "task.failed" as const, agent_id: "agent-3", error: { code: "deadline_exceeded", message: "" } },
    { ...ready, type: "task.cancelled" as const, agent_id: "agent-3" },
    { ...ready, type: "task.cancelled" as const },
    { ...ready, type: "task.announced" as const, capability: "c" },
    { ...ready, type: "task.published" as const },
    { ...ready, type: "task.published" as const, capability: "d", agent_id: "agent-4" },
    { type: "run.completed" as const },
  ];
  const committed = { runId: "r", namespace: "n", facts, mayBeFinished: false, needsUpkeep: false };
  expect(newsOf(committed)).toEqual({
    namespace: "n",
    runId: "r",
    inboxes: [],
    conversations: [],
    scopes: [],
    registry: false,
    freed: true,
    capabilities: ["a", "b"],
    announced: ["c"],
    assigned: ["agent-4"],
    agents: ["agent-3"],
  });
});

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { ClaimedTask, ClaimRequest, LimitWait } from "../store/store.ts";
import { createClaimWaits } from "./claim-waits.ts";
import { createWakeups, LOOK_AGAIN_MS, type News } from "./wakeups.ts";

const WAIT_MS = 30_000;
const never = () => new AbortController().signal;

beforeEach(() => {
  // No time passes by itself: only what is tested can wake a claim.
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"] });
});
afterEach(() => void vi.useRealTimers());

/** What waits, over a store that has `ready` tasks for each capability. */
function newBed() {
  const wakeups = createWakeups();
  const ready: Record<string, number> = {};
  const assigned = new Set<string>();
  const looks: string[] = [];
  let limit: LimitWait = { isBlocked: false };
  let shared = 0;
  let isDown = false;
  const waits = createClaimWaits(
    {
      async claim({ agentId, capabilities }: ClaimRequest) {
        looks.push(agentId);
        const found = capabilities.find((name) => ready[name]);
        if (assigned.delete(agentId)) return [{} as ClaimedTask];
        if (found === undefined) return [];
        ready[found]! -= 1;
        return [{ capability: found } as ClaimedTask];
      },
      async claimable(capabilities, agentIds) {
        shared += 1;
        if (isDown) throw new Error("the database is away");
        return {
          capabilities: capabilities.filter(({ capability }) => ready[capability]),
          agentIds: agentIds.filter((id) => assigned.has(id)),
          ...limit,
        };
      },
      limitWait: () => limit,
    },
    wakeups,
  );
  const served: string[] = [];
  /** Agents that are not who they were. */
  const changed = new Set<string>();
  const wait = (agentId: string, capabilities = ["work"], gone = never(), namespace = "n") => {
    const request = { namespace, agentId, capabilities, requestId: "r", taskIds: [], max: 1, door: "poll" as const };
    const claim = waits.claim(request, { waitMs: WAIT_MS, gone, isUnchanged: async () => !changed.has(agentId) });
    void claim.then((tasks) => tasks.length > 0 && served.push(agentId));
    return claim;
  };
  const announce = (news: Partial<News>) =>
    wakeups.announce({
      namespace: "n",
      runId: "r",
      capabilities: [],
      announced: [],
      inboxes: [],
      conversations: [],
      assigned: [],
      agents: [],
      scopes: [],
      registry: false,
      freed: false,
      ...news,
    });
  return {
    wakeups,
    ready,
    assigned,
    changed,
    served,
    wait,
    announce,
    /** Who has looked since it was last asked. */
    looked: async () => {
      for (let n = 0; n < 50; n++) await Promise.resolve();
      return looks.splice(0);
    },
    get shared() {
      return shared;
    },
    set limit(value: LimitWait) {
      limit = value;
    },
    set isDown(value: boolean) {
      isDown = value;
    },
  };
}

const names = (count: number) => Array.from({ length: count }, (_, n) => `agent-${n}`);

describe("claims that wait", () => {
  it("are not all woken by a task: two look for it, and two once more when it is taken", async () => {
    const bed = newBed();
    for (const name of names(100)) void bed.wait(name);
    expect(await bed.looked()).toHaveLength(100);
    bed.ready.work = 1;
    bed.announce({ capabilities: ["work"] });
    expect(await bed.looked()).toEqual(["agent-0", "agent-1", "agent-2", "agent-1"]);
    expect(bed.served).toEqual(["agent-0"]);
  });

  it("are woken until nothing is left", async () => {
    const bed = newBed();
    for (const name of names(100)) void bed.wait(name);
    await bed.looked();
    bed.ready.work = 50;
    bed.announce({ capabilities: ["work"] });
    expect((await bed.looked()).length).toBeLessThanOrEqual(2 * 50 + 2);
    expect(bed.served.sort()).toEqual(names(50).sort());
  });

  it("are not woken by what is for others: another capability, namespace or agent", async () => {
    const bed = newBed();
    void bed.wait("a");
    void bed.wait("b", ["else", "work"]);
    void bed.wait("c", ["work"], never(), "other");
    await bed.looked();
    bed.announce({ capabilities: ["else"] });
    expect(await bed.looked()).toEqual(["b"]);
    bed.announce({ assigned: ["a"] });
    expect(await bed.looked()).toEqual(["a"]);
    bed.announce({ namespace: "other", capabilities: ["work", "else"] });
    expect(await bed.looked()).toEqual(["c"]);
  });

  it("of an agent that waits twice, such as in a repeated request, are both woken when one has found something", async () => {
    const bed = newBed();
    for (const name of ["a", "b", "c", "a"]) void bed.wait(name);
    await bed.looked();
    bed.ready.work = 1;
    bed.announce({ capabilities: ["work"] });
    expect(await bed.looked()).toEqual(["a", "b", "c", "a", "b"]);
  });

  it("look again when news comes while they look", async () => {
    const bed = newBed();
    void bed.wait("a");
    bed.announce({ capabilities: ["work"] });
    expect(await bed.looked()).toEqual(["a", "a"]);
  });

  it("of clients that have gone take nothing, and leave it to the next", async () => {
    const bed = newBed();
    const gone = new AbortController();
    const waiting = bed.wait("a", ["work"], gone.signal);
    const other = bed.wait("b", ["work"], gone.signal);
    void bed.wait("c");
    await bed.looked();
    bed.ready.work = 1;
    bed.announce({ capabilities: ["work"] });
    gone.abort();
    expect(await bed.looked()).toEqual(["c"]);
    expect(await Promise.all([waiting, other])).toEqual([[], []]);
    expect(bed.served).toEqual(["c"]);
  });

  it("of agents that have changed end, take nothing, and leave it to the next", async () => {
    const bed = newBed();
    const waiting = bed.wait("a");
    void bed.wait("b");
    void bed.wait("c");
    await bed.looked();
    bed.announce({ agents: ["b"] });
    expect(await bed.looked()).toEqual(["b"]);
    bed.changed.add("a");
    bed.announce({ agents: ["a"] });
    expect(await waiting).toEqual([]);
    expect(await bed.looked()).toEqual(["b", "c"]);
    bed.changed.add("b");
    bed.ready.work = 1;
    bed.announce({ capabilities: ["work"] });
    expect([...new Set(await bed.looked())]).toEqual(["c"]);
    expect(bed.served).toEqual(["c"]);
  });

  it("end when their time is over, or the server is about to stop", async () => {
    const bed = newBed();
    const patient = bed.wait("a");
    await bed.looked();
    await vi.advanceTimersByTimeAsync(WAIT_MS - 1);
    const stopped = bed.wait("b");
    await vi.advanceTimersByTimeAsync(1);
    expect(await patient).toEqual([]);
    bed.wakeups.close();
    expect(await stopped).toEqual([]);
    expect(await bed.wait("c")).toEqual([]);
  });
});

describe("one look for all of them", () => {
  it("a second finds what nobody told, and costs as much for a thousand as for one", async () => {
    const bed = newBed();
    for (const name of names(1_000)) void bed.wait(name);
    await bed.looked();
    await vi.advanceTimersByTimeAsync(5 * LOOK_AGAIN_MS);
    expect([bed.shared, await bed.looked()]).toEqual([5, []]);
    bed.ready.work = 2;
    bed.assigned.add("agent-7");
    await vi.advanceTimersByTimeAsync(LOOK_AGAIN_MS);
    await bed.looked();
    expect(bed.served.sort()).toEqual(["agent-0", "agent-1", "agent-7"]);
  });

  it("is repeated after an outage, and not made for nobody", async () => {
    const bed = newBed();
    await vi.advanceTimersByTimeAsync(3 * LOOK_AGAIN_MS);
    expect(bed.shared).toBe(0);
    const waiting = bed.wait("a");
    bed.isDown = true;
    await vi.advanceTimersByTimeAsync(2 * LOOK_AGAIN_MS);
    bed.isDown = false;
    bed.ready.work = 1;
    await vi.advanceTimersByTimeAsync(LOOK_AGAIN_MS);
    expect(await waiting).toHaveLength(1);
    expect(bed.shared).toBe(3);
    await vi.advanceTimersByTimeAsync(3 * LOOK_AGAIN_MS);
    expect(bed.shared).toBe(3);
  });

  it("look when a place is free for what waits for its limits, once for all that ends at about the same time", async () => {
    const bed = newBed();
    bed.limit = { isBlocked: true };
    for (const name of names(10)) void bed.wait(name);
    await bed.looked();
    bed.ready.work = 1;
    for (let n = 0; n < 20; n++) bed.announce({ freed: true });
    await vi.advanceTimersByTimeAsync(10);
    expect(bed.shared).toBe(1);
    expect((await bed.looked()).slice(0, 2)).toEqual(["agent-0", "agent-1"]);
    expect(bed.served).toEqual(["agent-0"]);
  });

  it("do not look because something has ended when nothing waits for limits", async () => {
    const bed = newBed();
    void bed.wait("agent");
    await bed.looked();
    bed.announce({ freed: true });
    await vi.advanceTimersByTimeAsync(LOOK_AGAIN_MS - 1);
    expect(bed.shared).toBe(0);
  });

  it("look when a rate lets the next start", async () => {
    const bed = newBed();
    bed.limit = { isBlocked: true, opensInMs: 120 };
    void bed.wait("agent");
    await bed.looked();
    bed.ready.work = 1;
    await vi.advanceTimersByTimeAsync(119);
    expect(bed.shared).toBe(0);
    bed.limit = { isBlocked: false };
    await vi.advanceTimersByTimeAsync(1);
    expect(bed.shared).toBe(1);
    await bed.looked();
    expect(bed.served).toEqual(["agent"]);
  });
});

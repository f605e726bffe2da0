/**
 * Claims that wait for work. News of a ready task wakes the two that have waited longest for its capability, and each that
 * has found work wakes two more: so a task costs a few looks, however many agents wait. For news that was lost, for delays
 * that are over and for hints that nobody took, one look a second asks on behalf of all.
 */
import type { ClaimedTask, ClaimRequest, LeaseStore } from "../store/store.ts";
import { LOOK_AGAIN_MS, type News, type Wakeups } from "./wakeups.ts";

export interface ClaimWaits {
  /**
   * The first tasks that there are: at once, or within `waitMs`; none when that is over, the server is about to stop, or
   * the client is gone, on behalf of which nothing is taken any more.
   */
  claim(request: ClaimRequest, patience: Patience): Promise<ClaimedTask[]>;
}

export interface Patience {
  waitMs: number;
  gone: AbortSignal;
  /** Asked after each wait: whether the agent is still who it was when it asked, say not cordoned since. If not, nothing is taken. */
  isUnchanged(): Promise<boolean>;
}

interface Waiter {
  request: ClaimRequest;
  /** It has been told to look, and has not begun to. */
  isNudged: boolean;
  wake: (() => void) | undefined;
}

const NUDGED_TOGETHER = 2;
/** What ends at about the same time makes for one look. */
const GATHER_MS = 5;

export function createClaimWaits(
  leases: Pick<LeaseStore, "claim" | "claimable" | "limitWait">,
  wakeups: Wakeups,
): ClaimWaits {
  const waiters = new Set<Waiter>();
  /** Those who wait for a capability, the longest first. */
  const byCapability = new Map<string, Set<Waiter>>();
  let timer: NodeJS.Timeout | undefined;
  let isLooking = false;
  /** There was news while somebody looked. */
  let isDue = false;
  /** A look before its time. */
  let next: { at: number; timer: NodeJS.Timeout } | undefined;

  wakeups.subscribe(hear, () => {
    for (const waiter of waiters) waiter.wake?.();
  });

  function hear({ namespace, capabilities, assigned, agents, freed }: News): void {
    if (freed && waiters.size > 0 && leases.limitWait().isBlocked) lookIn(GATHER_MS);
    for (const capability of capabilities) nudgeSome(keyOf(namespace, capability));
    if (assigned.length + agents.length > 0) nudgeAgents([...assigned, ...agents]);
  }

  function nudgeSome(key: string): void {
    let left = NUDGED_TOGETHER;
    for (const waiter of byCapability.get(key) ?? []) {
      if (waiter.isNudged) continue;
      nudge(waiter);
      left -= 1;
      if (left === 0) return;
    }
  }

  function nudgeAgents(agentIds: readonly string[]): void {
    const agents = new Set(agentIds);
    for (const waiter of waiters) if (agents.has(waiter.request.agentId)) nudge(waiter);
  }

  function nudge(waiter: Waiter): void {
    waiter.isNudged = true;
    waiter.wake?.();
  }

  /** It has found work, or is gone before it could: there may be more. */
  function passOn({ request }: Waiter): void {
    for (const key of keysOf(request)) nudgeSome(key);
    // A repetition of the same request is answered with what this one has found.
    nudgeAgents([request.agentId]);
  }

  async function lookForAll(): Promise<void> {
    isDue = isLooking;
    if (isLooking) return;
    isLooking = true;
    try {
      const capabilities = Array.from(byCapability.keys(), (key) => JSON.parse(key) as [string, string]);
      const agentIds = Array.from(waiters, ({ request }) => request.agentId);
      const found = await leases.claimable(
        capabilities.map(([namespace, capability]) => ({ namespace, capability })),
        [...new Set(agentIds)],
      );
      for (const { namespace, capability } of found.capabilities) nudgeSome(keyOf(namespace, capability));
      nudgeAgents(found.agentIds);
    } catch {
      // An outage: claims that come now are told, and those that wait are looked after again in a second.
    } finally {
      isLooking = false;
    }
    if (isDue) lookIn(GATHER_MS);
    lookWhenOpen();
  }

  /** A rate says when it lets the next start, which nobody has news of. Longer waits end when one looks anyway. */
  function lookWhenOpen(): void {
    const { opensInMs } = leases.limitWait();
    if (opensInMs !== undefined && opensInMs < LOOK_AGAIN_MS) lookIn(opensInMs);
  }

  function lookIn(ms: number): void {
    const at = performance.now() + ms;
    if (waiters.size === 0 || (next && next.at <= at)) return;
    clearTimeout(next?.timer);
    const look = () => {
      next = undefined;
      void lookForAll();
    };
    next = { at, timer: setTimeout(look, ms) };
  }

  function enter(request: ClaimRequest): Waiter {
    const waiter: Waiter = { request, isNudged: false, wake: undefined };
    waiters.add(waiter);
    for (const key of keysOf(request)) {
      const others = byCapability.get(key);
      if (others) others.add(waiter);
      else byCapability.set(key, new Set([waiter]));
    }
    timer ??= setInterval(() => void lookForAll(), LOOK_AGAIN_MS);
    return waiter;
  }

  function leave(waiter: Waiter): void {
    waiters.delete(waiter);
    for (const key of keysOf(waiter.request)) {
      const others = byCapability.get(key)!;
      others.delete(waiter);
      if (others.size === 0) byCapability.delete(key);
    }
    if (waiters.size > 0) return;
    clearInterval(timer);
    clearTimeout(next?.timer);
    timer = undefined;
    next = undefined;
  }

  /** Resolves when it is nudged, after `ms`, when the client is gone, or when the server is about to stop. */
  function nudged(waiter: Waiter, ms: number, gone: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(patience);
        gone.removeEventListener("abort", done);
        waiter.wake = undefined;
        resolve();
      };
      const patience = setTimeout(done, ms);
      gone.addEventListener("abort", done);
      waiter.wake = done;
      if (waiter.isNudged || gone.aborted || wakeups.isClosed) done();
    });
  }

  return {
    async claim(request, { waitMs, gone, isUnchanged }) {
      const until = performance.now() + waitMs;
      if (gone.aborted) return [];
      if (waitMs === 0) return leases.claim(request);
      // Enters before it looks: what becomes ready in between is heard of.
      const waiter = enter(request);
      let tasks: ClaimedTask[] = [];
      try {
        do {
          waiter.isNudged = false;
          tasks = await leases.claim(request);
          if (tasks.length > 0 || wakeups.isClosed) break;
          lookWhenOpen();
          await nudged(waiter, until - performance.now(), gone);
        } while (waiter.isNudged && !gone.aborted && (await isUnchanged()));
        return tasks;
      } finally {
        leave(waiter);
        if (waiter.isNudged || tasks.length > 0) passOn(waiter);
      }
    },
  };
}

/** Twice the same name is once the same set. */
function keysOf({ namespace, capabilities }: ClaimRequest): string[] {
  return [...new Set(capabilities)].map((capability) => keyOf(namespace, capability));
}

function keyOf(namespace: string, capability: string): string {
  return JSON.stringify([namespace, capability]);
}

/** Wakes whoever waits for something to happen to a run or a capability, on this replica or another. Hints only. */
import { failureKinds } from "../core/errors.ts";
import { endsAttempt, type Fact, isTaskFact, type TaskFact } from "../core/event.ts";
import type { CommittedFacts } from "../store/store.ts";

/** What a commit may have changed for those who wait. */
export interface News {
  namespace: string;
  runId: string;
  /** Capabilities that have new ready tasks. */
  capabilities: string[];
  /** Capabilities of tasks that are announced for bids. */
  announced: string[];
  /** Agents that tasks have been assigned to. */
  assigned: string[];
  /** Agents of which a lease has been cancelled, or which are to leave. */
  agents: string[];
  /** Names of agents that have new messages. */
  inboxes: string[];
  /** Conversations in which something was said, or that are over. */
  conversations: string[];
  /** Scopes of shared memory that have changed. */
  scopes: string[];
  /** Agents have come, left, been lost or returned. */
  registry: boolean;
  /** An attempt has ended, or a limit was changed: what waits for its limits may start. */
  freed: boolean;
}

export interface Wakeups {
  /** Tell everybody who listens. */
  announce(news: News): void;
  listen(matches: (news: News) => boolean): Listener;
  /** All news from now on, and then that no more will come. */
  subscribe(hear: (news: News) => void, closed: () => void): void;
  /** Whether there has been news of the agent that it has not taken yet. Kept for a minute, of those who never ask. */
  takeNewsOf(agentId: string): boolean;
  /** Stops all listeners, also those that come later: the server is about to stop. */
  close(): void;
  readonly isClosed: boolean;
}

export interface Listener {
  /** Resolves at the first news that matches since the last call, when `timeoutMs` have passed, or once stopped. */
  news(timeoutMs: number): Promise<void>;
  /** Idempotent. */
  stop(): void;
}

/** Agents ask every 10 s or so, and with the next heartbeat of a lease they hear of everything anyway. */
const KEEP_NEWS_MS = 60_000;

export function createWakeups(): Wakeups {
  const listeners = new Set<{ matches: (news: News) => boolean; tell: () => void; stop: () => void }>();
  const subscribers: { hear: (news: News) => void; closed: () => void }[] = [];
  const untaken = new Map<string, number>();
  let isClosed = false;

  /** What nobody has taken for so long is forgotten, the oldest first. */
  function forgetOld(): void {
    const before = performance.now() - KEEP_NEWS_MS;
    for (const [agent, at] of untaken) {
      if (at > before) return;
      untaken.delete(agent);
    }
  }

  function listen(matches: (news: News) => boolean): Listener {
    let isTold = false;
    let isStopped = isClosed;
    let wake: (() => void) | undefined;
    const tell = () => {
      isTold = true;
      wake?.();
    };
    const stop = () => {
      isStopped = true;
      listeners.delete(listener);
      wake?.();
    };
    const listener = { matches, tell, stop };
    if (!isClosed) listeners.add(listener);
    return {
      stop,
      news: (timeoutMs) =>
        new Promise((resolve) => {
          const timer = setTimeout(() => wake?.(), timeoutMs);
          wake = () => {
            clearTimeout(timer);
            wake = undefined;
            isTold = false;
            resolve();
          };
          if (isTold || isStopped) wake();
        }),
    };
  }

  return {
    listen,
    subscribe: (hear, closed) => void subscribers.push({ hear, closed }),
    get isClosed() {
      return isClosed;
    },
    takeNewsOf: (agentId) => {
      forgetOld();
      return untaken.delete(agentId);
    },
    announce: (news) => {
      forgetOld();
      for (const agent of news.agents) {
        untaken.delete(agent); // so that it becomes the youngest
        untaken.set(agent, performance.now());
      }
      for (const { matches, tell } of listeners) if (matches(news)) tell();
      for (const { hear } of subscribers) hear(news);
    },
    close: () => {
      isClosed = true;
      for (const { stop } of listeners) stop();
      for (const { closed } of subscribers) closed();
    },
  };
}

/** The news in what was committed. */
export function newsOf({ namespace, runId, facts }: Pick<CommittedFacts, "namespace" | "runId" | "facts">): News {
  const capabilities = new Set<string>();
  const announced = new Set<string>();
  const assigned = new Set<string>();
  const agents = new Set<string>();
  for (const fact of facts) {
    if (fact.type === "task.announced") announced.add(fact.capability!);
    else if (fact.type === "task.published") {
      if (fact.agent_id) assigned.add(fact.agent_id); // else a hint says it to whoever is free
    } else if ("capability" in fact && fact.capability) capabilities.add(fact.capability);
    if ("capabilities" in fact) for (const capability of fact.capabilities ?? []) capabilities.add(capability);
    if (isStop(fact)) agents.add(fact.agent_id);
  }
  return {
    namespace,
    runId,
    capabilities: [...capabilities],
    announced: [...announced],
    assigned: [...assigned],
    agents: [...agents],
    inboxes: [],
    conversations: [],
    scopes: [],
    registry: false,
    freed: facts.some(({ type }) => endsAttempt(type)),
  };
}

/** News of something else than a run. */
export function newsFor(
  namespace: string,
  about: Partial<Pick<News, "agents" | "inboxes" | "conversations" | "scopes" | "registry" | "freed">>,
): News {
  return { ...newsOf({ namespace, runId: "", facts: [] }), ...about };
}

/** A running attempt was ended by somebody else than its agent, which has to be told. */
function isStop(fact: Fact): fact is TaskFact & { agent_id: string } {
  if (!isTaskFact(fact) || !fact.agent_id) return false;
  return fact.type === "task.cancelled" || fact.error?.code === failureKinds.deadlineExceeded;
}

/** Waiting requests look again this often, in case the news was lost. */
export const LOOK_AGAIN_MS = 1_000;

/**
 * Looks at once and after each piece of news, until it has seen enough, `waitMs` have passed, the client is gone or the
 * server is about to stop; answers what it saw last. Never looks on behalf of a client that is gone: undefined then.
 */
export async function lookUntil<T>(
  wakeups: Wakeups,
  wait: { matches: (news: News) => boolean; waitMs: number; lookAgainMs?: number; gone: AbortSignal },
  look: () => Promise<T>,
  isEnough: (seen: T) => boolean,
): Promise<T | undefined> {
  const until = performance.now() + wait.waitMs;
  // Listens before it looks: what happens in between is heard.
  const listener = wakeups.listen(wait.matches);
  wait.gone.addEventListener("abort", listener.stop, { once: true });
  try {
    while (!wait.gone.aborted) {
      const seen = await look();
      const leftMs = until - performance.now();
      if (isEnough(seen) || leftMs <= 0 || wakeups.isClosed) return seen;
      await listener.news(Math.min(wait.lookAgainMs ?? LOOK_AGAIN_MS, leftMs));
    }
    return undefined;
  } finally {
    wait.gone.removeEventListener("abort", listener.stop);
    listener.stop();
  }
}

import { Worker } from "node:worker_threads";
import type { Logger } from "../../../transport/transport.ts";
import { type Lease, type News, type Order, startHeart } from "./heart.js";

export type { Ending, Lease, News } from "./heart.js";

/** Keeps leases and presence alive until told otherwise. */
export interface Heartbeat {
  /** Resolves when it beats: a thread cannot begin while the one that started it is blocked. */
  readonly ready: Promise<void>;
  /** As whom. What was held before belongs to somebody else and is dropped. */
  identify(agent: { agentId: string; token: string; leaseMs: number }): void;
  /** To be called before the handlers begin: afterwards they may block this thread. */
  hold(leases: Lease[]): void;
  drop(ids: number[]): void;
  /** Goes with the next heartbeat, a second from now at the latest. */
  progress(id: number, json: string): void;
  /** Whether the consumers of the agent's queues are alive. To be said again and again: silence means that they are not. */
  consuming(isAlive: boolean): void;
  stop(): Promise<void>;
}

export interface HeartbeatOptions {
  url: string;
  slots: number;
  /** Given, heartbeats go through it, from this thread: it leads to where a thread of its own could not follow. */
  fetch?: typeof fetch;
  /** Touched with each answer; only where heartbeats have a thread of their own. */
  healthFile?: string;
  onNews: (news: News) => void;
  log: Logger;
}

export function startHeartbeat(options: HeartbeatOptions): Heartbeat {
  return options.fetch ? heartbeatHere(options, options.fetch) : heartbeatInThread(options);
}

function heartbeatHere({ url, slots, onNews }: HeartbeatOptions, send: typeof fetch): Heartbeat {
  const heart = startHeart({ url, slots, send, tell: onNews });
  return ordersTo(heart.receive, Promise.resolve(), async () => heart.stop());
}

/** A pause before a thread that died is replaced, in case it dies at once, for ever. */
const REPLACE_AFTER_MS = 500;

function heartbeatInThread({ url, slots, healthFile, onNews, log }: HeartbeatOptions): Heartbeat {
  /** What a replacement has to know. */
  let identity: Order | undefined;
  const held = new Map<number, Lease>();
  let isStopped = false;
  let replacing: NodeJS.Timeout | undefined;
  let markReady = () => {};
  const ready = new Promise<void>((resolve) => {
    markReady = resolve;
  });
  let worker = start();

  function start(): Worker {
    // No flags of ours: loaders for TypeScript would only slow it down.
    const thread = new Worker(new URL("./heartbeat.worker.js", import.meta.url), {
      workerData: { url, slots, healthFile },
      execArgv: [],
    });
    thread.on("online", markReady);
    thread.on("message", onNews);
    thread.on("error", (error) =>
      log.error({ step: "heartbeat", reason: error.message }, "the heartbeat thread failed"),
    );
    thread.on("exit", () => {
      if (!isStopped) replacing = setTimeout(replace, REPLACE_AFTER_MS);
    });
    return thread;
  }

  function replace(): void {
    worker = start();
    if (identity) send(identity);
    // When they were last confirmed died with the old thread: little more than the pause ago.
    const leases = Array.from(held.values(), (lease) => ({ ...lease, ageMs: REPLACE_AFTER_MS }));
    send({ type: "hold", leases });
  }

  /** As text: cloning the objects would take three times as long. */
  function send(order: Order): void {
    worker.postMessage(JSON.stringify(order));
  }

  function receive(order: Order): void {
    if (order.type === "identity") {
      identity = order;
      held.clear();
    } else if (order.type === "hold") for (const lease of order.leases) held.set(lease.id, lease);
    else if (order.type === "drop") for (const id of order.ids) held.delete(id);
    send(order);
  }

  return ordersTo(receive, ready, async () => {
    isStopped = true;
    clearTimeout(replacing);
    await worker.terminate();
  });
}

function ordersTo(receive: (order: Order) => void, ready: Promise<void>, stop: () => Promise<void>): Heartbeat {
  return {
    ready,
    identify: ({ agentId, token, leaseMs }) => receive({ type: "identity", agentId, token, leaseMs }),
    hold: (leases) => receive({ type: "hold", leases }),
    drop: (ids) => {
      if (ids.length > 0) receive({ type: "drop", ids });
    },
    progress: (id, json) => receive({ type: "progress", id, json }),
    consuming: (isAlive) => receive({ type: "consuming", isAlive }),
    stop,
  };
}

/** What every route gets as its argument: the parts of the system it may use, and nothing global. */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, RawServerDefault } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import type { Embedder } from "../core/embedding.ts";
import type { Limits } from "../core/limits.ts";
import type { Planner } from "../core/planner/planner.ts";
import type { Memory } from "../memory/memory.ts";
import type { Store } from "../store/store.ts";
import type { Definitions } from "./definitions/definitions.ts";
import type { Streams } from "./streams.ts";
import type { Wakeups } from "./wakeups.ts";

export interface ApiContext {
  store: Store;
  memory: Memory;
  wakeups: Wakeups;
  definitions: Definitions;
  limits: Limits;
  /** Undefined: memory cannot be searched by meaning. */
  embedder?: Embedder | undefined;
  /** The first is the default. */
  planners: readonly Planner[];
  streams: Streams;
  /** The queues that carry the hints of a capability, and those for one agent alone; undefined where there is no broker. */
  queueNames:
    | {
        ofCapability(namespace: string, capability: string): string;
        ofAgent(namespace: string, agentId: string): string;
      }
    | undefined;
  /** Makes sure queues exist before an agent is told to consume them. */
  declareQueues: (queues: string[]) => Promise<void>;
  /** An agent has come or gone: more, or less, can be dispatched. */
  agentsChanged: () => void;
  /** Rounds have all their bids: tasks can be awarded. */
  bidsDecided: () => void;
  /** A schedule has come, or goes on: its ticks may be due. */
  schedulesChanged: () => void;
  /** A limit was changed, or a pause has ended: what waits may start. */
  limitsChanged: () => void;
  /** What `/readyz` asks, by name; each rejects with the reason. */
  checks: Record<string, () => Promise<void>>;
  /** Prometheus text for `/metrics`. */
  metrics: () => Promise<string>;
}

export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>;

/** Aborts when the client goes away, so that nothing is done for nobody. */
export function goneSignal(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  if (reply.raw.destroyed) gone.abort();
  // A connection also closes once all has been said, and then there is nothing left to stop.
  else reply.raw.once("close", () => reply.raw.writableFinished || gone.abort());
  return gone.signal;
}

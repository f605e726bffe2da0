import type { Consumer, Delivery, Transport } from "../../../transport/transport.ts";

/** What executors need of a transport. */
export type HintCarrier = Pick<Transport, "state" | "onState" | "consume">;

/** A hint in our hands. */
export interface HeldHint {
  readonly delivery: Delivery;
  readonly source: HintSource;
  /** The source's window it came in. */
  readonly window: number;
  /** By the wall clock. */
  readonly deliveredAt: number;
  /** Of `performance.now()`. */
  readonly arrivedAt: number;
}

/** One consumer of one queue. */
export interface HintSource {
  readonly capability: string;
  readonly queue: string;
  /** Undefined until subscribed. */
  consumer: Consumer | undefined;
  isCancelled: boolean;
  /** The broker hands out so many beyond what was in hand when this was set. */
  prefetch: number;
  /** Counts those settings. */
  window: number;
}

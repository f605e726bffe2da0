/** What a namespace sets for the keys of limits, and how they stand. */
import type { Rate } from "../../core/flow-limits.ts";
import type { Page, PageOf } from "./pages.ts";

export interface FlowLimitSetting {
  /** How many of the key may run at once; null: what definitions say. */
  concurrency: number | null;
  rate: Rate | null;
}

/** A key that is in use, or for which something has been set. */
export interface FlowLimit extends FlowLimitSetting {
  key: string;
  /** What holds it. */
  holders: number;
  /** While nothing starts under it: who has paused it, since when and why. */
  pause: { by: string; at: Date; reason: string | null } | null;
  /** False: it is of a whole namespace or capability, and some of its tasks do not keep to it yet. */
  isInForce: boolean;
  updatedAt: Date;
}

export interface FlowLimitStore {
  /**
   * In place of whatever was set before. What runs goes on; the next claim keeps to it. The key may be one of a whole namespace or
   * capability (core/wide-keys.ts), also of one that nobody offers: from the answer on all its tasks keep to it, or `isInForce` says that some
   * do not yet.
   */
  set(namespace: string, key: string, setting: FlowLimitSetting): Promise<FlowLimit>;
  find(namespace: string, key: string): Promise<FlowLimit | undefined>;
  /** By key. */
  list(namespace: string, page: Page): Promise<PageOf<FlowLimit>>;
  /** What definitions say holds again; a pause goes on. False: nothing was set. */
  unset(namespace: string, key: string): Promise<boolean>;
  /**
   * Nothing new starts under the key, from the answer on, as with `set`; what runs goes on. Whoever repeats it for the same reason
   * is answered the same. `isOther`: it is paused already, by somebody else or for another reason, and stays as it is.
   */
  pause(
    namespace: string,
    key: string,
    by: string,
    reason: string | null,
  ): Promise<{ isOther: boolean; limit: FlowLimit }>;
  /** Undefined: it is not paused. */
  resume(namespace: string, key: string): Promise<FlowLimit | undefined>;
  /** Keys of all namespaces that something is set for or that are paused, at most 10,000; for the metrics. */
  inUse(): Promise<(FlowLimit & { namespace: string })[]>;
}

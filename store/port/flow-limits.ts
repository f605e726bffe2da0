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
  updatedAt: Date;
}

export interface FlowLimitStore {
  /** In place of whatever was set before. What runs goes on; the next claim keeps to it. */
  set(namespace: string, key: string, setting: FlowLimitSetting): Promise<FlowLimit>;
  find(namespace: string, key: string): Promise<FlowLimit | undefined>;
  /** By key. */
  list(namespace: string, page: Page): Promise<PageOf<FlowLimit>>;
  /** What definitions say holds again. False: nothing was set. */
  unset(namespace: string, key: string): Promise<boolean>;
}

/** Outputs that answer for equal tasks. They are stored and taken by tasks; here they are looked at and forgotten. */

export interface CacheStore {
  /** By capability and version, in this order. */
  stats(namespace: string): Promise<CacheStats[]>;
  /** Forgets what fits the filter, all without one. Answers how many outputs. */
  clear(namespace: string, filter: CacheFilter): Promise<number>;
}

export interface CacheStats {
  capability: string;
  version: string;
  /** Outputs that are still good. */
  outputs: number;
  /** Of these outputs, as JSON. */
  bytes: number;
  /** Of the tasks that the database still has: how many of this capability, in any version, took their output from here. */
  hits: number;
  oldestAt: Date | null;
}

export interface CacheFilter {
  capability?: string | undefined;
  version?: string | undefined;
  /** Outputs of the tasks of this run. */
  runId?: string | undefined;
}

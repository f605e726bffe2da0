/** How much there is. */

export interface TableSize {
  name: string;
  /** As the database estimates them. */
  rows: number;
  /** With indexes and large values; of all its partitions. */
  bytes: number;
}

export interface NamespaceUsage {
  /** In the hot tables. */
  runs: number;
  tasks: number;
  history: { runs: number; tasks: number; bytes: number };
}

export interface StorageStore {
  /** Every table of the database, the largest first. */
  tables(): Promise<TableSize[]>;
  /** Counts the runs of a namespace: for whoever asks now and then. */
  usage(namespace: string): Promise<NamespaceUsage & { bytes: number }>;
}

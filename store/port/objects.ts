/** The port to an object store: contents by their hash, nothing more. */

/** Where contents are kept, if not in the database. Each call is repeatable; they reject with BLOB_STORE_UNAVAILABLE. */
export interface ObjectStore {
  /** Rejects where it cannot be used, saying why. */
  check(): Promise<void>;
  put(hash: string, content: Buffer): Promise<void>;
  get(hash: string): Promise<Buffer>;
  /** What is not there is gone already. */
  delete(hash: string): Promise<void>;
}

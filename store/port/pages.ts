/** Listings in pages. */

export interface Page {
  /** 1–1000; default 100. */
  limit?: number | undefined;
  /** Opaque, from the page before. */
  cursor?: string | undefined;
}
export interface PageOf<T> {
  data: T[];
  nextCursor: string | null;
}

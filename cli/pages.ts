/** Lists that the server hands out page by page. */
import type { PageOf } from "../sdk/client.ts";

/** The most that a server puts in one page. */
export const MAX_PAGE = 1_000;

/** Every item of every page, one after the other; stop taking them and no further page is asked for. */
export async function* eachItem<T>(
  readPage: (page: { limit: number; cursor?: string }) => Promise<PageOf<T>>,
  limit = Number.POSITIVE_INFINITY,
): AsyncGenerator<T> {
  let cursor: string | undefined;
  for (let left = limit; left > 0; ) {
    const page = await readPage({ limit: Math.min(left, MAX_PAGE), ...(cursor !== undefined && { cursor }) });
    yield* page.data.slice(0, left);
    left -= page.data.length;
    if (page.next_cursor === null) return;
    cursor = page.next_cursor;
  }
}

/** At most `limit` items, all of them without one. */
export async function firstItems<T>(readPage: Parameters<typeof eachItem<T>>[0], limit?: number): Promise<T[]> {
  const items: T[] = [];
  for await (const item of eachItem(readPage, limit)) items.push(item);
  return items;
}

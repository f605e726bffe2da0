/** Pages and cursors, shared by every listing. */
import { SkeinError } from "../core/errors.ts";
import type { Page, PageOf } from "./store.ts";

const DEFAULT_PAGE = 100;
const MAX_PAGE = 1_000;

export function pageLimit(page: Page): number {
  return Math.min(page.limit ?? DEFAULT_PAGE, MAX_PAGE);
}

/** Cursors are opaque to clients: the sort key of the last row, base64url. */
export function encodeCursor(key: string): string {
  return Buffer.from(key).toString("base64url");
}

export function decodeCursor(cursor: string | undefined, shape: RegExp): string | null {
  if (cursor === undefined) return null;
  const key = Buffer.from(cursor, "base64url").toString();
  if (!shape.test(key)) {
    throw new SkeinError("REQUEST_INVALID", "The cursor is not one this listing gave out; start again without it.", {
      issues: [{ code: "REQUEST_INVALID", message: "Unknown cursor.", pointer: "/cursor" }],
    });
  }
  return key;
}

/** Before and after every id: where a listing by id begins. */
export const firstUuid = "00000000-0000-0000-0000-000000000000";
export const lastUuid = "ffffffff-ffff-ffff-ffff-ffffffffffff";

export const uuidShape = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The condition that a row `t` of `task` is the one that a client calls so; `parameter` holds what it said. */
export function isCalled(keyOrId: string, parameter: string): string {
  return uuidShape.test(keyOrId) ? `t.id = ${parameter}::uuid` : `t.key = ${parameter}`;
}

/** A page from `limit + 1` rows: the extra row only says that there are more. */
export function pageFrom<R, T>(rows: R[], limit: number, keyOf: (row: R) => string, convert: (row: R) => T): PageOf<T> {
  const data = rows.slice(0, limit);
  const last = data.at(-1);
  return {
    data: data.map(convert),
    nextCursor: rows.length > limit && last ? encodeCursor(keyOf(last)) : null,
  };
}

/** Many rows as one JSON text: the driver takes rows apart column by column, which costs it several times as much. */
export const asOneCell = (query: string) => `select json_agg(row) as rows from (${query}) row`;

/** The task `t` is a dead letter, as in the indexes. What planning anew has put others in the place of is not dead: its run went on. */
export const isDead = "t.status = 'failed' and t.attempt > 0 and t.superseded_in is null";

import type { ErrorCode } from "../../core/errors.ts";
import type { Client } from "../../sdk/client.ts";

/** Resources of one kind of thing, which are addressed alike. */
export interface ResourceFamily {
  /** `skein://runs/`, before the id. */
  base: string;
  /** What the id is called in templates. */
  variable: string;
  isId(text: string): boolean;
  /** The error of the server for an id that there is not. */
  missing: ErrorCode;
  /** Ids that begin so. */
  complete(client: Client, prefix: string): Promise<string[]>;
  parts: readonly {
    /** After the id. */
    path: string;
    name: string;
    title: string;
    description: string;
    mimeType: string;
    read(client: Client, id: string): Promise<string>;
  }[];
}

/** Characters; what is longer no model reads. */
const MAX_LINES_LENGTH = 1_000_000;

/**
 * Pages of something as JSON Lines, as much of it as a model reads. `page` gives those beyond the last one; if there are more, the
 * last line says after which it goes on.
 */
export async function jsonLines<Item>(
  page: (last: Item | undefined) => Promise<Item[]>,
  pageSize: number,
  keyOf: (item: Item) => string | number,
): Promise<string> {
  const lines: string[] = [];
  let length = 0;
  let last: Item | undefined;
  for (;;) {
    const data = await page(last);
    for (const item of data) {
      const line = JSON.stringify(item);
      length += line.length + 1;
      if (length > MAX_LINES_LENGTH) {
        return [...lines, JSON.stringify({ type: "truncated", after: last && keyOf(last) })].join("\n");
      }
      lines.push(line);
      last = item;
    }
    if (data.length < pageSize) return lines.join("\n");
  }
}

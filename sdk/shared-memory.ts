/** Keys that agents share, of one scope. */
import type { Json } from "../core/json.ts";
import type { SharedBody, SharedChangeBody, SharedEntryBody } from "../core/protocol/shared-memory.ts";
import { conditionHeaders, type StateCondition, type WriteStateOptions } from "./agent-data.ts";
import type { Connection, PageOf, PageOptions } from "./connection.ts";
import { followStream } from "./follow.ts";

export function sharedMemoryOf(http: Connection, scope: string) {
  const root = `/v1/memory/${encodeURIComponent(scope)}`;
  const at = (key: string) => `${root}/${encodeURIComponent(key)}`;
  return {
    /** Rejects with MEMORY_NOT_FOUND where there is none. */
    read: (key: string) => http.get<SharedEntryBody>(at(key)),
    /** With `ifRevision` only if that is the key's revision, 0: if there is none; else MEMORY_CONFLICT. */
    write: (key: string, value: Json, { ttl, writeId, ...condition }: WriteStateOptions = {}) => {
      const body: SharedBody = {
        value,
        ...(ttl !== undefined && { ttl }),
        ...(writeId !== undefined && { write_id: writeId }),
      };
      return http.put<SharedEntryBody>(at(key), body, conditionHeaders(condition));
    },
    delete: (key: string, condition: StateCondition = {}) => http.delete(at(key), {}, conditionHeaders(condition)),
    /** By key. */
    list: (query: PageOptions & { prefix?: string } = {}) => http.get<PageOf<SharedEntryBody>>(root, query),
    /**
     * What there is, and then each change, without end; connects again by itself. "reset": too much was missed, and what
     * there is follows anew.
     */
    watch: (query: { prefix?: string } = {}, signal?: AbortSignal) => watchScope(http, root, query, signal),
  };
}

async function* watchScope(
  http: Connection,
  root: string,
  { prefix }: { prefix?: string },
  signal: AbortSignal | undefined,
): AsyncGenerator<SharedChangeBody | "reset"> {
  const path = prefix === undefined ? root : `${root}?prefix=${encodeURIComponent(prefix)}`;
  for await (const { event, data } of followStream(http, path, { signal })) {
    yield event === "reset" ? "reset" : (data as SharedChangeBody);
  }
}

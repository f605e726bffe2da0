/** Dead letters: tasks that failed for good though an agent was at them (docs/dead-letters.md). */
import type { LetterState } from "../core/dead-letter.ts";
import type {
  DeadLetterBody,
  DeadLetterDetailBody,
  DiscardedBody,
  DiscardManyBody,
  RedriveManyBody,
  RedrivenBody,
} from "../core/protocol/dead-letters.ts";
import type { RunBody } from "../core/protocol/runs.ts";
import type { Connection, PageOf, PageOptions } from "./connection.ts";

type Filter = Pick<RedriveManyBody, "workflow" | "capability" | "code" | "run" | "since">;

export function deadLettersOf(http: Connection) {
  const at = (id: string) => `/v1/dead-letters/${encodeURIComponent(id)}`;
  return {
    /** Newest first; those that are open unless `state` says otherwise. */
    list: (filter: PageOptions & Filter & { state?: LetterState } = {}) =>
      http.get<PageOf<DeadLetterBody>>("/v1/dead-letters", filter),
    /** With its attempts. */
    get: (id: string) => http.get<DeadLetterDetailBody>(at(id)),
    /** Retries its run, and with it all dead letters of that. Repeating it answers with the same run. */
    redrive: (id: string) => http.post<RunBody>(`${at(id)}/redrive`, {}),
    /** Of the open ones that the filter finds, which needs one key at least, the newest. */
    redriveMany: (body: RedriveManyBody) => http.post<RedrivenBody>("/v1/dead-letters/redrive", body),
    /** It is not listed as open any more. */
    discard: (id: string, reason?: string) =>
      http.post<DeadLetterBody>(`${at(id)}/discard`, reason === undefined ? {} : { reason }),
    discardMany: (body: DiscardManyBody) => http.post<DiscardedBody>("/v1/dead-letters/discard", body),
  };
}

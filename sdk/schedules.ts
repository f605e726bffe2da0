/** Schedules: workflows that are run at the times of a calendar (docs/schedules.md). */
import type {
  BackfillBody,
  Backfilled,
  ChangeScheduleBody,
  NewScheduleBody,
  PreviewBody,
  ScheduleRecord,
  TickBody,
} from "../core/protocol/schedules.ts";
import type { Connection, PageOf, PageOptions } from "./connection.ts";

export function schedulesOf(http: Connection) {
  const at = (name: string) => `/v1/schedules/${encodeURIComponent(name)}`;
  const because = (reason: string | undefined) => (reason === undefined ? {} : { reason });
  return {
    /** The same one again is answered as it is; rejects with SCHEDULE_EXISTS where there is another of its name. */
    create: (body: NewScheduleBody) => http.post<ScheduleRecord>("/v1/schedules", body),
    get: (name: string) => http.get<ScheduleRecord>(at(name)),
    list: (filter: PageOptions & { workflow?: string } = {}) =>
      http.get<PageOf<ScheduleRecord>>("/v1/schedules", filter),
    /**
     * What is left out stays; null takes away what may be missing. With another cron expression or time zone it goes on with the first tick
     * after now. Rejects with SCHEDULE_CONFLICT if it is not at `ifRevision` any more.
     */
    update: (name: string, change: ChangeScheduleBody, { ifRevision }: { ifRevision?: number } = {}) =>
      http.patch<ScheduleRecord>(at(name), change, ifRevision === undefined ? {} : { "if-match": `"${ifRevision}"` }),
    /** When a cron expression fires next. */
    preview: async (body: PreviewBody) => (await http.post<{ data: string[] }>("/v1/schedules/preview", body)).data,
    /** What became of its ticks, newest first. */
    ticks: (name: string, filter: PageOptions & { outcome?: TickBody["outcome"] } = {}) =>
      http.get<PageOf<TickBody>>(`${at(name)}/ticks`, filter),
    /** From the answer on it starts nothing. */
    pause: (name: string, reason?: string) => http.post<ScheduleRecord>(`${at(name)}/pause`, because(reason)),
    /** Goes on with its next tick; those of the pause are not made up. */
    resume: (name: string) => http.post<ScheduleRecord>(`${at(name)}/resume`, {}),
    /** Fires the ticks of the past that have not been fired. Safe to repeat. */
    backfill: (name: string, body: BackfillBody) => http.post<Backfilled>(`${at(name)}/backfill`, body),
    /** With the record of its ticks; its runs go on. */
    delete: (name: string) => http.delete(at(name)),
  };
}

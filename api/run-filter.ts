/** From what a request says of the runs it is about to what the store looks for. */
import type { RunFilterBody } from "../core/protocol/runs.ts";
import type { RunConditions } from "../store/store.ts";

type Asked = Omit<RunFilterBody, "status"> & { status?: RunConditions["status"] };

export function runConditions(asked: Asked): RunConditions {
  const time = (text: string | undefined) => (text === undefined ? undefined : new Date(text));
  return {
    status: asked.status,
    workflow: asked.workflow,
    schedule: asked.schedule,
    nameContains: asked.name_contains,
    labels: asked.labels,
    createdAfter: time(asked.created_after),
    createdBefore: time(asked.created_before),
    finishedAfter: time(asked.finished_after),
    finishedBefore: time(asked.finished_before),
  };
}

/** Of `label=key=value` in a query. */
export function labelFilter(label: string | string[] | undefined): Record<string, string> {
  const pairs = label === undefined ? [] : [label].flat();
  return Object.fromEntries(
    pairs.map((pair) => {
      const equals = pair.indexOf("=");
      return [pair.slice(0, equals), pair.slice(equals + 1)];
    }),
  );
}

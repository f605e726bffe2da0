/**
 * Does one thing to all runs that a filter names, in small transactions, the newest run first. One request works for a few
 * seconds and says where to go on, so neither it nor any lock lasts long, however many runs there are; whoever repeats it
 * does nothing twice: what was cancelled, paused or resumed is so, and what was retried is not retried again.
 */
import { SkeinError } from "../core/errors.ts";
import { refusal } from "../core/issues.ts";
import type { BulkAction, BulkAnswer, BulkBody } from "../core/protocol/runs.ts";
import type { RunStatus } from "../core/run.ts";
import type { RunConditions } from "../store/store.ts";
import type { Principal } from "./auth.ts";
import type { ApiContext } from "./context.ts";
import { prepareRerun } from "./reruns.ts";
import { runConditions } from "./run-filter.ts";

/** What each can be done to. */
const eligible: Record<BulkAction, readonly RunStatus[]> = {
  cancel: ["pending", "running", "paused"],
  pause: ["pending", "running"],
  resume: ["paused"],
  retry: ["failed", "cancelled"],
};

/** One request begins no batch after so long. */
const BULK_MS = 5_000;
/** Runs that are cancelled in one transaction; the others are done one by one, each in one of its own. */
const CANCELLED_AT_ONCE = 200;
const ONE_BY_ONE = 20;
/** Of a dry run so many are named. */
const SHOWN = 20;
const DEFAULT_REASON = "cancelled on request";

/** What came of a batch. */
type Outcome = Pick<BulkAnswer, "failed" | "runs">;

/** Throws REQUEST_INVALID, BULK_NOT_CONFIRMED and BULK_COUNT_DIFFERS, each before anything was done. */
export async function bulk(context: ApiContext, principal: Principal, body: BulkBody): Promise<BulkAnswer> {
  const { store } = context;
  const { namespace } = principal;
  const conditions = conditionsOf(body);
  const matched = body.cursor === undefined ? await store.runs.count(namespace, conditions) : null;
  if (body.dry_run) {
    const shown = await store.runs.select(namespace, conditions, { limit: SHOWN, after: body.cursor });
    const runs = shown.map((run) => ({ run }));
    return { dry_run: true, matched, done: 0, skipped: 0, failed: [], runs, next_cursor: null };
  }
  if (matched !== null) requireConfirmed(body, matched);
  const batch = body.action === "cancel" ? CANCELLED_AT_ONCE : ONE_BY_ONE;
  const act = actionOf(context, principal, body);
  const all: Outcome = { failed: [], runs: [] };
  let seen = 0;
  let after = body.cursor;
  let hasMore = true;
  for (const start = performance.now(); hasMore && performance.now() - start < BULK_MS; ) {
    const ids = await store.runs.select(namespace, conditions, { limit: batch, after });
    hasMore = ids.length === batch;
    const outcome = await act(ids);
    all.failed.push(...outcome.failed);
    all.runs.push(...outcome.runs);
    seen += ids.length;
    after = ids.at(-1) ?? after;
  }
  const done = all.runs.length;
  const skipped = seen - done - all.failed.length;
  return { dry_run: false, matched, done, skipped, ...all, next_cursor: hasMore ? after! : null };
}

function conditionsOf({ action, filter }: BulkBody): RunConditions {
  const can = eligible[action];
  const cannot = filter.status?.find((status) => !can.includes(status));
  if (cannot !== undefined) {
    const message = `A ${cannot} run cannot be asked to ${action}; leave out the status, or choose among ${can.join(", ")}.`;
    throw refusal("REQUEST_INVALID", [{ code: "REQUEST_INVALID", message, pointer: "/filter/status" }]);
  }
  return { ...runConditions({ ...filter, status: filter.status ?? can }), notRetried: action === "retry" };
}

function requireConfirmed({ expected, all }: BulkBody, matched: number): void {
  if (expected === undefined && !all) {
    throw new SkeinError(
      "BULK_NOT_CONFIRMED",
      `The filter is about ${matched} runs; send \`expected\` with that number, \`all\`, or \`dry_run\`.`,
    );
  }
  if (expected !== undefined && expected !== matched) {
    throw new SkeinError(
      "BULK_COUNT_DIFFERS",
      `The filter is about ${matched} runs, not ${expected}; look with \`dry_run\`, and send the number it answers.`,
    );
  }
}

function actionOf(context: ApiContext, principal: Principal, body: BulkBody): (ids: string[]) => Promise<Outcome> {
  const { runs } = context.store;
  const { namespace, name } = principal;
  const { reason, compensate = false } = body;
  switch (body.action) {
    case "cancel":
      return async (ids) => {
        const begun = await runs.cancelAll(namespace, ids, reason ?? DEFAULT_REASON, { compensate });
        return { failed: [], runs: begun.map((run) => ({ run })) };
      };
    case "pause":
    case "resume": {
      const change = body.action === "pause" ? runs.pause : runs.resume;
      return oneByOne(async (run) => {
        return (await change(namespace, run, name, reason)) === "done" ? { run } : undefined;
      });
    }
    case "retry":
      return oneByOne((run) => retry(context, principal, run));
  }
}

/** Undefined: it had changed meanwhile. What one run is refused for stops no other. */
function oneByOne(act: (run: string) => Promise<Outcome["runs"][number] | undefined>) {
  return async (ids: string[]): Promise<Outcome> => {
    const outcome: Outcome = { failed: [], runs: [] };
    for (const run of ids) {
      try {
        const done = await act(run);
        if (done) outcome.runs.push(done);
      } catch (error) {
        if (!(error instanceof SkeinError)) throw error;
        outcome.failed.push({ run, code: error.code, detail: error.message });
      }
    }
    return outcome;
  };
}

/** Under a key of its own, so that two who do this at once retry each run once. */
async function retry({ store, definitions }: ApiContext, { namespace, capabilities }: Principal, runId: string) {
  const run = await store.runs.find(namespace, runId);
  const definition = run && (await store.workflows.definitionOf(namespace, runId));
  if (!run || !definition) return undefined;
  const prepared = await prepareRerun(definitions, {
    kind: "retry",
    run,
    definition,
    allowed: capabilities,
    idempotencyKey: `bulk-retry ${runId}`,
    traceparent: undefined,
  });
  const submitted = await store.runs.rerun(prepared);
  return submitted.outcome === "created" ? { run: runId, new_run: submitted.runId } : undefined;
}

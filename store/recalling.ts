/** The doors to what a run consists of: one that lies in history is brought back before it is asked again. */
import type { StoreContext } from "./facts.ts";
import { recall } from "./history.ts";
import { RunGone } from "./reruns.ts";
import type { Queryable } from "./sql.ts";
import type { ArtifactAccess, ArtifactStore, BudgetStore, EventStore, Store, WorkflowStore } from "./store.ts";

type Runs = Store["runs"];

/** What an answer says when there is no such run, or may say. */
const isNothing = (answer: unknown): boolean =>
  answer === undefined ||
  answer === "no_run" ||
  answer === "no_task" ||
  (typeof answer === "object" &&
    answer !== null &&
    (("outcome" in answer && answer.outcome === "no_run") ||
      (Array.isArray(answer) && answer.length === 0) ||
      (answer instanceof Map && answer.size === 0) ||
      ("data" in answer && Array.isArray(answer.data) && answer.data.length === 0)));

/** The runs, the artifacts, the budgets, the events and the definitions of a store that has history. */
export function recalling(
  store: StoreContext,
  parts: {
    runs: Runs;
    artifacts: ArtifactStore;
    budgets: BudgetStore;
    events: EventStore;
    workflows: WorkflowStore;
  },
): typeof parts {
  async function wherever<T>(namespace: string, runId: string, ask: () => Promise<T>): Promise<T> {
    const answer = await ask();
    if (!isNothing(answer)) return answer;
    await recall(store, namespace, runId);
    // Also when it was not there: somebody else may have brought it back in between.
    return ask();
  }
  /**
   * A read of several statements may begin before its run moves, and go on when it is on its way, away, or back again: then it
   * has missed something, or failed for it, and is done once more.
   */
  async function undisturbed<T>(namespace: string, runId: string, read: () => Promise<T>): Promise<T> {
    for (;;) {
      let before = await stayOf(store, runId);
      if (before === undefined) {
        await recall(store, namespace, runId);
        before = await stayOf(store, runId);
      }
      // One that goes on does not move: it has yet to finish, and to stay for as long as its namespace says.
      if (before === "open") return read();
      const outcome = await read().then(
        (answer) => () => answer,
        (error) => () => {
          throw error;
        },
      );
      if (before === (await stayOf(store, runId))) return outcome();
    }
  }
  const whole =
    <Args extends unknown[], T>(read: (namespace: string, runId: string, ...rest: Args) => Promise<T>) =>
    (namespace: string, runId: string, ...rest: Args) =>
      undisturbed(namespace, runId, () => read(namespace, runId, ...rest));
  const of =
    <Args extends unknown[], T>(ask: (namespace: string, runId: string, ...rest: Args) => Promise<T>) =>
    (namespace: string, runId: string, ...rest: Args) =>
      wherever(namespace, runId, () => ask(namespace, runId, ...rest));
  const ofAccess =
    <Args extends unknown[], T>(ask: (access: ArtifactAccess, ...rest: Args) => Promise<T>) =>
    (access: ArtifactAccess, ...rest: Args) =>
      wherever(access.namespace, access.runId, () => ask(access, ...rest));
  const { runs, artifacts, budgets, events, workflows } = parts;
  return {
    runs: {
      ...runs,
      tasks: whole(runs.tasks),
      outline: of(runs.outline),
      task: whole(runs.task),
      why: whole(runs.why),
      bids: of(runs.bids),
      repeats: of(runs.repeats),
      attempts: whole(runs.attempts),
      cancel: of(runs.cancel),
      cancelGroup: of(runs.cancelGroup),
      pause: of(runs.pause),
      resume: of(runs.resume),
      signal: of(runs.signal),
      decide: of(runs.decide),
      patch: (patching) => wherever(patching.namespace, patching.runId, () => runs.patch(patching)),
      rerun: async (request) => {
        const bringBack = () => recall(store, request.submission.namespace, request.of.runId);
        await bringBack();
        try {
          return await runs.rerun(request);
        } catch (error) {
          if (!(error instanceof RunGone)) throw error;
          await bringBack();
          return runs.rerun(request);
        }
      },
    },
    artifacts: {
      ...artifacts,
      write: ofAccess(artifacts.write),
      read: (access, ...rest) => undisturbed(access.namespace, access.runId, () => artifacts.read(access, ...rest)),
      list: (access, ...rest) => undisturbed(access.namespace, access.runId, () => artifacts.list(access, ...rest)),
    },
    budgets: { ...budgets, of: whole(budgets.of), change: of(budgets.change) },
    events: {
      ...events,
      // Only the logs take a second statement, and this is asked often.
      read: (namespace, runId, options) =>
        (options.withLogs ? undisturbed : wherever)(namespace, runId, () => events.read(namespace, runId, options)),
    },
    workflows: { ...workflows, definitionOf: of(workflows.definitionOf) },
  };
}

/** Tells one stay of a run among the hot ones from another; undefined: it is not there. */
async function stayOf(db: Queryable, runId: string): Promise<string | undefined> {
  const [run] = await db.query<{ stay: string }>(
    `select case when finished_at is null then 'open' else coalesce(recalled_at::text, 'since ever') end as stay
     from run where id = $1 and moving is null`,
    [runId],
  );
  return run?.stay;
}

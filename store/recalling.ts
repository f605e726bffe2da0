/** The doors to what a run consists of: one that lies in history is brought back before it is asked again. */
import type { StoreContext } from "./facts.ts";
import { recall } from "./history.ts";
import { RunGone } from "./reruns.ts";
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
      tasks: of(runs.tasks),
      outline: of(runs.outline),
      task: of(runs.task),
      why: of(runs.why),
      bids: of(runs.bids),
      repeats: of(runs.repeats),
      attempts: of(runs.attempts),
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
      read: ofAccess(artifacts.read),
      list: ofAccess(artifacts.list),
    },
    budgets: { ...budgets, of: of(budgets.of), change: of(budgets.change) },
    events: { ...events, read: of(events.read) },
    workflows: { ...workflows, definitionOf: of(workflows.definitionOf) },
  };
}

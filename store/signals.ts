/** What comes to a run from outside while it waits: signals and decisions. */
import { uuidv7 } from "uuidv7";
import { answerIssues } from "../core/human-task.ts";
import type { Json } from "../core/json.ts";
import { type Ref, refsAt } from "../core/payload.ts";
import { isTerminalTask, type TaskStatus } from "../core/run.ts";
import { asksApproval, type Decision } from "../core/wait.ts";
import { addRefs, apart, refColumns, whole } from "./blobs.ts";
import { recording, type StoreContext } from "./facts.ts";
import { isCalled } from "./rows.ts";
import { holdRun, withOpenRun } from "./steering.ts";
import type { DecisionOutcome, SignalStore } from "./store.ts";
import type { StoredSpec } from "./transitions.ts";

export function signalStore(store: StoreContext): SignalStore {
  return {
    signal: (namespace, runId, signal) => sendSignal(store, namespace, runId, signal),
    decide: (namespace, runId, keyOrId, decision) => decide(store, namespace, runId, keyOrId, decision),
  };
}

async function sendSignal(
  store: StoreContext,
  namespace: string,
  runId: string,
  { name, payload, by }: Parameters<SignalStore["signal"]>[2],
): Promise<"sent" | "finished" | undefined> {
  // A wait that starts meanwhile finds the signal, or the signal finds the wait.
  return withOpenRun(store, namespace, runId, async (tx, log, run) => {
    tx.send(
      `update task set step_due = true
       where run_id = $1 and status = 'waiting' and awaits @> array[$2]`,
      [runId, name],
    );
    const id = uuidv7();
    const [stored] = await apart(tx, [{ value: payload }]);
    tx.send("insert into signal (namespace, id, run_id, name, payload) values ($1, $2, $3, $4, $5)", [
      namespace,
      id,
      runId,
      name,
      JSON.stringify(stored!.value),
    ]);
    const columns = refColumns({ payload: stored!.refs });
    if (columns) addRefs(tx, "signal", [{ id, ...columns }]);
    log.add(run, { type: "run.signalled", signal: name, by });
    log.needsUpkeep(run);
    return "sent";
  });
}

interface DecidedRow {
  id: string;
  key: string;
  status: TaskStatus;
  attempt: number;
  spec: StoredSpec;
  input: Json;
  input_refs: Ref[] | null;
  decision: Decision | null;
}

async function decide(
  store: StoreContext,
  namespace: string,
  runId: string,
  keyOrId: string,
  { approved, by, comment, payload }: Parameters<SignalStore["decide"]>[3],
): Promise<DecisionOutcome> {
  return recording(store, async (tx, log) => {
    if ((await holdRun(tx, namespace, runId)) === undefined) return "no_run";
    const [task] = await tx.query<DecidedRow>(
      `select t.id, t.key, t.status, t.attempt, t.spec, t.input, t.refs -> 'input' as input_refs, t.decision from task t
       where t.run_id = $1 and ${isCalled(keyOrId, "$2")}
       for no key update`,
      [runId, keyOrId],
    );
    if (!task) return "no_task";
    if (task.decision) return task.decision.approved === approved ? "repeated" : "settled";
    if (isTerminalTask(task.status)) return "settled";
    const wait = (await whole(tx, { value: task.input, refs: task.input_refs })) ?? task.spec.input ?? null;
    const asks = task.spec.engine?.kind === "wait" && asksApproval(wait);
    if (task.status !== "waiting" || !asks) return "not_waiting";
    const issues = approved ? answerIssues(wait, payload) : [];
    if (issues.length > 0) return issues;
    const [stored] = await apart(tx, [{ value: payload }]);
    await tx.query(
      `update task
       set step_due = true, decision = json_build_object('approved', $2::boolean, 'by', $3::text, 'comment', $4::text,
         'payload', $5::json, 'at', extract(epoch from clock_timestamp()) * 1000)
       where id = $1 and (status = 'waiting') is not false`,
      [task.id, approved, by, comment, JSON.stringify(stored!.value)],
    );
    const columns = refColumns({ decision: refsAt("/payload", stored!.refs) });
    if (columns) addRefs(tx, "task", [{ id: task.id, ...columns }]);
    const type = approved ? "task.approved" : "task.rejected";
    log.add({ runId, namespace }, { type, task_id: task.id, key: task.key, attempt: task.attempt, by });
    log.needsUpkeep({ runId, namespace });
    return "decided";
  });
}

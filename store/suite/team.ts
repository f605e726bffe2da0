/** What the tests of the store stand on: a store with a way round it, and a namespace of one's own with an agent in it. */
import { randomBytes, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { uuidv7 } from "uuidv7";
import type { Failure } from "../../core/errors.ts";
import type { RunEvent } from "../../core/event.ts";
import type { Json } from "../../core/json.ts";
import type { TaskStatus } from "../../core/run.ts";
import { seedTasks } from "../../core/seed.ts";
import { explain, type Reason } from "../../core/why.ts";
import { type TaskDefinition, type Workflow, workflowHash } from "../../core/workflow.ts";
import type { Queryable } from "../sql.ts";
import type {
  Agent,
  AgentRegistration,
  ClaimedTask,
  ClaimRequest,
  LeaseProof,
  Report,
  ReportAnswer,
  Run,
  Store,
  Submission,
  Submitted,
  TaskRecord,
} from "../store.ts";

export interface TestStore {
  store: Store;
  /** The tables themselves: to age rows, to damage them, and to look behind the port. */
  sql: Queryable;
  close(): Promise<void>;
}
export type OpenStore = () => Promise<TestStore>;

/** Tasks by id; the capability is `work` unless it says otherwise. */
export type Tasks = Record<string, Partial<TaskDefinition>>;
export type SubmitOptions = Partial<Omit<Submission, "workflow" | "tasks">> & { outputs?: Json };
export type FailureReport = Failure & { retryAfterMs?: number };

export type Team = Awaited<ReturnType<typeof newTeam>>;

/** A fresh namespace with a live agent that offers the capabilities. */
export async function newTeam({ store, sql }: TestStore, capabilities = ["work"]) {
  const namespace = `team-${randomUUID()}`;
  const agent = await join(namespace);
  const claimed = new Map<string, ClaimedTask>();

  async function join(inNamespace: string, registration: Partial<AgentRegistration> = {}): Promise<Agent> {
    return store.agents.register(
      {
        ...defaultRegistration,
        namespace: inNamespace,
        capabilities: capabilities.map((name) => ({ name })),
        ...registration,
      },
      randomBytes(16),
    );
  }

  /** Submits a workflow of these tasks and answers the id of its run. */
  async function submit(tasks: Tasks, options: SubmitOptions = {}): Promise<string> {
    const [answer] = await store.runs.submit([submission(tasks, options)]);
    if (answer?.outcome !== "created") throw new Error(`The submit answered ${JSON.stringify(answer)}`);
    return answer.runId;
  }

  function submission(tasks: Tasks, { outputs, ...options }: SubmitOptions = {}): Submission {
    return newSubmission(namespace, tasks, outputs === undefined ? options : { ...options, outputs });
  }

  async function claim(request: Partial<ClaimRequest> = {}): Promise<ClaimedTask[]> {
    const tasks = await store.leases.claim({
      namespace,
      agentId: agent.id,
      requestId: randomUUID(),
      capabilities,
      taskIds: [],
      max: 100,
      door: "poll",
      ...request,
    });
    for (const task of tasks) claimed.set(`${task.runId} ${task.key}`, task);
    return tasks;
  }

  /** Claims the one task, by its id, and answers it; throws when it cannot be had. It comes first of its priority. */
  async function take(runId: string, key: string): Promise<ClaimedTask> {
    const { id } = await task(runId, key);
    await sql.query("update task set turn = '-infinity' where id = $1", [id]);
    const [taken] = await claim({ taskIds: [id], door: "hint" });
    if (taken?.taskId !== id)
      throw new Error(`Task ${key} is ${(await task(runId, key)).status} and could not be claimed`);
    return taken;
  }

  function proof({ taskId, attempt, leaseToken }: ClaimedTask): LeaseProof {
    return { agentId: agent.id, taskId, attempt, leaseToken };
  }

  function completion(task: ClaimedTask, output: Json = null): Report {
    return { ...proof(task), outcome: { type: "completed", output } };
  }

  function failing(task: ClaimedTask, failure: Partial<FailureReport> = {}): Report {
    return {
      ...proof(task),
      outcome: { type: "failed", failure: { code: "broken", message: "It broke.", ...failure } },
    };
  }

  async function complete(task: ClaimedTask, output: Json = null): Promise<ReportAnswer> {
    return (await store.leases.report([completion(task, output)]))[0]!;
  }

  async function fail(task: ClaimedTask, failure: Partial<FailureReport> = {}): Promise<ReportAnswer> {
    return (await store.leases.report([failing(task, failure)]))[0]!;
  }

  /** Claims and completes whatever is ready, with `outputOf` each, until nothing is, then lets the upkeep finish. */
  async function work(outputOf: (task: ClaimedTask) => Json = () => null): Promise<void> {
    for (let tasks = await claim(); tasks.length > 0; tasks = await claim()) {
      await store.leases.report(tasks.map((task) => completion(task, outputOf(task))));
    }
    await settle();
  }

  /** What the orchestrator's loops would do next, until they have nothing to do. */
  async function settle(): Promise<void> {
    const { cascade, endRuns, finishRuns, tendBudgets } = store.upkeep;
    while ((await cascade(1_000)) + (await endRuns(1_000)) + (await tendBudgets(1_000)) + (await finishRuns()) > 0);
  }

  async function run(runId: string): Promise<Run> {
    return (await store.runs.find(namespace, runId))!;
  }

  async function tasks(runId: string): Promise<Record<string, TaskRecord>> {
    const { data } = await store.runs.tasks(namespace, runId, { limit: 1_000 });
    return Object.fromEntries(data.map((record) => [record.key, record]));
  }

  async function task(runId: string, key: string) {
    const found = await store.runs.task(namespace, runId, key);
    if (!found) throw new Error(`There is no task ${key}`);
    return found;
  }

  /** The reasons, the decisive one first. */
  async function why(runId: string, key: string): Promise<Reason[]> {
    const found = await store.runs.why(namespace, runId, key);
    if (!found) throw new Error(`There is no task ${key}`);
    return explain(found);
  }

  async function statuses(runId: string): Promise<Record<string, TaskStatus>> {
    return Object.fromEntries(Object.values(await tasks(runId)).map(({ key, status }) => [key, status]));
  }

  /** Every event of the run. Any older transaction in the server, even of another test, holds the newest back a while. */
  async function events(runId: string): Promise<RunEvent[]> {
    const [stored] = await sql.query<{ facts: number }>(
      "select coalesce(sum(json_array_length(facts)), 0)::int as facts from event where run_id = $1",
      [runId],
    );
    for (;;) {
      const page = await store.events.read(namespace, runId, { limit: 100_000 });
      if (page!.events.length >= stored!.facts) return page!.events;
      await sleep(5);
    }
  }

  /** Lets time pass for one row: moves the columns of the task into the past. */
  async function age(taskId: string, columns: string[], seconds: number): Promise<void> {
    const moved = columns.map((column) => `${column} = ${column} - $2 * interval '1 second'`).join(", ");
    await sql.query(`update task set ${moved} where id = $1`, [taskId, seconds]);
  }

  return {
    namespace,
    agent,
    store,
    sql,
    join: (registration?: Partial<AgentRegistration>) => join(namespace, registration),
    submit,
    submission,
    claim,
    take,
    proof,
    completion,
    failing,
    complete,
    fail,
    work,
    settle,
    run,
    tasks,
    task,
    why,
    statuses,
    events,
    age,
    /** The lease ran out just now. */
    expireLease: (task: ClaimedTask) => age(task.taskId, ["lease_expires_at"], 24 * 60 * 60),
    beat: async (task: ClaimedTask, progress?: Json) =>
      (await store.leases.heartbeat([progress === undefined ? proof(task) : { ...proof(task), progress }]))[0]!,
  };
}

const defaultRegistration: Omit<AgentRegistration, "namespace" | "capabilities"> = {
  name: "tester",
  kind: "executor",
  door: "queue",
  labels: {},
  slots: 10,
  version: null,
};

export function newWorkflow(tasks: Tasks, extra: Partial<Workflow> = {}): Workflow {
  return {
    name: "flow",
    tasks: Object.entries(tasks).map(([id, task]) =>
      isEngine(task) ? { id, ...task } : { id, capability: "work", ...task },
    ),
    ...extra,
  };
}

export function newSubmission(namespace: string, tasks: Tasks, options: SubmitOptions = {}): Submission {
  const { outputs, ...rest } = options;
  const workflow = newWorkflow(tasks, outputs === undefined ? {} : { outputs });
  return {
    namespace,
    runId: uuidv7(),
    workflow,
    hash: workflowHash(workflow),
    version: null,
    inputs: {},
    labels: {},
    priority: 0,
    traceparent: null,
    deadlineMs: null,
    tasks: seedTasks(workflow),
    idempotency: null,
    allowedCapabilities: null,
    ...rest,
  };
}

function isEngine(task: Partial<TaskDefinition>): boolean {
  return (["wait", "loop", "workflow", "terminate", "cancel"] as const).some((kind) => task[kind] !== undefined);
}

/** The run ids that a submit created or found. */
export function runIds(answers: Submitted[]): string[] {
  return answers.map((answer) => {
    if (answer.outcome === "conflict") throw new Error("The submit met a conflict");
    return answer.runId;
  });
}

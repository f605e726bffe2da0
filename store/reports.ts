/** What agents say of tasks whose leases they hold: results with their effects, items that they emit, and leases given back. */

import { mayPass, type Refusal } from "../core/agent-data.ts";
import type { Failure } from "../core/errors.ts";
import { type TaskEvent, type Transition, transition } from "../core/lifecycle.ts";
import type { Limits } from "../core/limits.ts";
import { largeContent, type Ref, referTo } from "../core/payload.ts";
import { type Admission, type DataRequest, openData } from "./agent-effects.ts";
import { storeContents } from "./blobs.ts";
import { keepUncached, storeOutputs } from "./cache.ts";
import { type Completion, completeWithoutDecision } from "./completions.ts";
import { type FactLog, recording, type StoreContext } from "./facts.ts";
import { emitItems, spawnTasks } from "./growth.ts";
import { tokenHash } from "./lease-tokens.ts";
import { storeLargeBodies } from "./messages.ts";
import { type NewTaskRow, startHeld } from "./new-tasks.ts";
import { recordSpend, tellsSpend } from "./spend.ts";
import type { Queryable, Transaction } from "./sql.ts";
import type { DeliveredMessage, Emission, EmissionOutcome, LeaseProof, Report, ReportAnswer } from "./store.ts";
import {
  applyTransitions,
  type LoadedTask,
  lockRuns,
  lockTasks,
  recordTransitions,
  tellDependants,
} from "./transitions.ts";

export async function report(store: StoreContext, given: Report[], windows: string): Promise<ReportAnswer[]> {
  if (given.length === 0) return [];
  const reports = await storeLarge(store, given);
  await storeLargeBodies(
    store,
    given.flatMap(({ data }) => data?.messages ?? []),
    store.limits,
  );
  const completed = await completeWithoutDecision(store, firstCompletions(reports).filter(isSimple), windows);
  const answers = reports.map((): ReportAnswer | undefined => undefined);
  for (const n of completed) answers[n] = "accepted";
  const undecided = reports.filter((_, n) => answers[n] === undefined);
  const { answers: decided, unheld } = await reportThroughCore(store, undecided);
  if (unheld.length > 0) await recordStale(store, unheld);
  return answers.map((answer) => answer ?? decided.shift()!);
}

/** Outputs that are large stand apart before their reports are judged: nothing is locked while they are written. */
async function storeLarge(store: StoreContext, reports: Report[]): Promise<StoredReport[]> {
  const large = reports.map(({ outcome }) => (outcome.type === "completed" ? largeContent(outcome.output) : undefined));
  const contents = large.flatMap((content) => content ?? []);
  if (contents.length === 0) return reports;
  await storeContents(store, contents);
  return reports.map((report, n): StoredReport => {
    const content = large[n];
    if (!content) return report;
    const { value, refs } = referTo(content);
    return { ...report, outcome: { type: "completed", output: value }, outputRefs: refs };
  });
}

/** A report whose output may stand apart. */
type StoredReport = Report & { outputRefs?: Ref[] };

/** Of several reports on one task the later ones are for the other way, which knows a duplicate. */
function firstCompletions(reports: Report[]): Completion[] {
  const seen = new Set<string>();
  return reports.flatMap((report, n) => {
    if (seen.has(report.taskId)) return [];
    seen.add(report.taskId);
    const { outcome } = report;
    if (outcome.type !== "completed") return [];
    return { n, report: { ...report, outcome }, tokenHash: tokenHash(report.leaseToken) };
  });
}

interface Judgement {
  answers: ReportAnswer[];
  /** Reports of attempts that their agents do not hold, nor ever ended. */
  unheld: Report[];
}

async function reportThroughCore(store: StoreContext, reports: Report[]): Promise<Judgement> {
  if (reports.length === 0) return { answers: [], unheld: [] };
  let delivered: DeliveredMessage[] = [];
  const judgement = await recording(store, async (tx, log) => {
    const data = await openReportedData(tx, reports, store.limits);
    const tasks = await lockHeld(tx, reports);
    const { accepted, ...judgement } = await judge(tx, reports, tasks);
    const { failures, spawned } = await applyEffects(tx, log, accepted, data, store.limits);
    delivered = data?.write() ?? [];
    const settled = accepted.map(({ report, task }) => {
      const event = reportEvent(report, failures.get(task.id));
      return { report, task, event, transition: transition(task, event, Math.random())! };
    });
    await applyTransitions(
      tx,
      settled.map((entry) => entry.transition),
    );
    storeReported(tx, accepted);
    await storeOutputs(
      tx,
      settled.flatMap(({ report, task, transition }) =>
        transition.status === "completed" && !mayGrow(report) && !report.data ? task : [],
      ),
    );
    recordErrors(
      tx,
      settled.flatMap(({ task, event }) => (event.type === "failed" ? { task, code: event.failure.code } : [])),
    );
    for (const { report, transition } of settled) addTimes(transition, report);
    recordTransitions(
      log,
      settled.map((entry) => entry.transition),
      [...tasks.values()],
    );
    await startHeld(tx, log, spawned);
    const completed = settled.filter((entry) => entry.transition.status === "completed");
    await tellDependants(
      tx,
      log,
      completed.map(({ task }) => ({ ...task, status: "completed" as const })),
    );
    recordSpend(tx, log, accepted);
    return judgement;
  });
  if (delivered.length > 0) store.deliver(delivered);
  return judgement;
}

interface ReportedData {
  /** Undefined: it writes nothing. */
  admit(report: Report): Admission | Refusal | undefined;
  write(): DeliveredMessage[];
}

/** Undefined where no report writes any. Its locks come before those of runs and tasks. */
async function openReportedData(tx: Transaction, reports: Report[], limits: Limits): Promise<ReportedData | undefined> {
  const writing = reports.filter(({ data, outcome }) => data && outcome.type === "completed");
  if (writing.length === 0) return undefined;
  const agents = await tx.query<{ id: string; namespace: string; name: string }>(
    "select id, namespace, name from agent where id = any($1::uuid[])",
    [writing.map(({ agentId }) => agentId)],
  );
  const requests = new Map(
    writing.flatMap((report) => {
      const agent = agents.find(({ id }) => id === report.agentId);
      return agent ? [[report, requestOf(report, agent)] as const] : [];
    }),
  );
  const batch = await openData(tx, [...requests.values()], limits);
  return {
    admit: (report) => {
      const request = requests.get(report);
      return request && batch.admit(request);
    },
    write: batch.write,
  };
}

function requestOf(report: Report, { namespace, name }: { namespace: string; name: string }): DataRequest {
  const writer = { taskId: report.taskId, attempt: report.attempt };
  return { namespace, owner: name, from: { kind: "agent", name }, writer, effects: report.data! };
}

/** What the reports of successes bring to their runs; for each that cannot, why. */
async function applyEffects(
  tx: Transaction,
  log: FactLog,
  accepted: { report: Report; task: LoadedTask }[],
  data: ReportedData | undefined,
  limits: Limits,
): Promise<{ failures: Map<string, Failure>; spawned: NewTaskRow[] }> {
  const failures = new Map<string, Failure>();
  const spawned: NewTaskRow[] = [];
  for (const { report, task } of accepted) {
    if (report.outcome.type !== "completed") continue;
    const admission = data?.admit(report);
    if (admission && "code" in admission) {
      failures.set(task.id, { code: admission.code, message: admission.message, retryable: mayPass(admission) });
      continue;
    }
    const grown = mayGrow(report) ? await grow(tx, log, { report, task }, limits) : [];
    if ("code" in grown) {
      failures.set(task.id, grown);
      continue;
    }
    spawned.push(...grown);
    admission?.take();
  }
  return { failures, spawned };
}

/** What the report adds to its run, whole or not at all: answers the rows that were spawned, or why it cannot be. */
async function grow(
  tx: Transaction,
  log: FactLog,
  { report, task }: { report: Report; task: LoadedTask },
  limits: Limits,
): Promise<NewTaskRow[] | Failure> {
  const before = log.snapshot();
  tx.send("savepoint growth");
  const failure = await emitAll(tx, log, { report, task }, limits);
  const spawned = failure ?? (report.spawn?.length ? await spawnTasks(tx, log, task, report.spawn, limits) : []);
  if ("code" in spawned) {
    tx.send("rollback to savepoint growth");
    log.restore(before);
  }
  tx.send("release savepoint growth");
  return spawned;
}

async function emitAll(
  tx: Transaction,
  log: FactLog,
  { report, task }: { report: Report; task: LoadedTask },
  limits: Limits,
): Promise<Failure | undefined> {
  for (const emission of report.emit ?? []) {
    const result = await emitItems(tx, log, task, emission, limits);
    if ("code" in result) return result;
  }
  return undefined;
}

/** It settles its task and tells its dependants, and nothing else. */
function isSimple({ report }: Completion): boolean {
  return !mayGrow(report) && !report.data && !tellsSpend(report) && !(report as StoredReport).outputRefs;
}

function mayGrow({ spawn, emit }: Report): boolean {
  return (spawn?.length ?? 0) + (emit?.length ?? 0) > 0;
}

function reportEvent(report: StoredReport, failure: Failure | undefined): TaskEvent {
  if (failure) return { type: "failed", failure };
  const { outcome, outputRefs } = report;
  return outcome.type === "completed"
    ? { type: "completed", output: outcome.output, ...(outputRefs && { outputRefs }) }
    : { type: "failed", failure: outcome.failure };
}

function addTimes(transition: Transition, report: Report): void {
  if (report.deliveredAt) transition.fact.delivered_at = report.deliveredAt;
  if (report.startedAt) transition.fact.started_at = report.startedAt;
}

/** Locks run, then tasks: the order that every transaction keeps. */
async function lockHeld(tx: Transaction, leases: (LeaseProof | Report)[]): Promise<Map<string, LoadedTask>> {
  const ids = [...new Set(leases.map((lease) => lease.taskId))];
  // Runs that may grow are held as every step of the engine holds them.
  const someMayGrow = leases.some((lease) => "outcome" in lease && mayGrow(lease));
  lockRuns(tx, ids, someMayGrow ? "update" : "key share");
  const tasks = await lockTasks(tx, ids);
  return new Map(tasks.map((task) => [task.id, task]));
}

/** Which reports count. A second report on the same lease within one batch is a duplicate of the first. */
async function judge(
  tx: Queryable,
  reports: Report[],
  tasks: Map<string, LoadedTask>,
): Promise<Judgement & { accepted: { report: Report; task: LoadedTask }[] }> {
  const accepted: { report: Report; task: LoadedTask }[] = [];
  const seen = new Set<string>();
  const answers: ReportAnswer[] = [];
  const doubtful: { report: Report; index: number; proven: boolean }[] = [];
  for (const [index, report] of reports.entries()) {
    const task = tasks.get(report.taskId);
    const proven = task !== undefined && proves(report, task);
    if (proven && task.status === "running" && !seen.has(task.id)) {
      seen.add(task.id);
      accepted.push({ report, task });
      answers[index] = "accepted";
    } else if (proven && (task.status === "completed" || seen.has(task.id))) {
      answers[index] = "duplicate";
    } else {
      answers[index] = "stale";
      if (task) doubtful.push({ report, index, proven });
    }
  }
  for (const index of await findEnded(tx, doubtful)) answers[index] = "duplicate";
  // One that crosses the end of its own lease, such as a cancel, is nothing strange.
  const unheld = doubtful.flatMap(({ report, index, proven }) => (answers[index] === "stale" && !proven ? report : []));
  return { accepted, answers, unheld };
}

function proves(lease: LeaseProof, task: LoadedTask): boolean {
  return (
    task.agentId === lease.agentId &&
    task.attempt === lease.attempt &&
    task.leaseToken?.equals(tokenHash(lease.leaseToken)) === true
  );
}

/** Reports on attempts that are over because this very report ended them: a failure whose answer was lost. */
async function findEnded(tx: Queryable, doubtful: { report: Report; index: number }[]): Promise<number[]> {
  if (doubtful.length === 0) return [];
  const rows = await tx.query<{ index: number }>(
    `select u.index
     from json_to_recordset($1) as u(index int, id uuid, agent_id uuid, attempt int, token text)
     cross join lateral (
       select from attempt a
       where a.task_id = u.id and a.attempt = u.attempt and a.agent_id = u.agent_id
         and a.lease_token = decode(u.token, 'hex') and a.outcome = 'failed'
       limit 1
     ) a`,
    [
      JSON.stringify(
        doubtful.map(({ report, index }) => ({
          index,
          id: report.taskId,
          agent_id: report.agentId,
          attempt: report.attempt,
          token: tokenHash(report.leaseToken).toString("hex"),
        })),
      ),
    ],
  );
  return rows.map((row) => row.index);
}

/**
 * Says in the run that an agent reported an attempt that it does not hold: of each attempt that there was, and of each agent,
 * once, so that no flood of reports becomes a flood of events. Not of runs that have ended, whose end is their last fact; a run
 * cannot end meanwhile, since it is locked.
 */
async function recordStale(store: StoreContext, reports: Report[]): Promise<void> {
  await recording(store, async (tx, log) => {
    const untold = await tx.query<{
      task_id: string;
      run_id: string;
      namespace: string;
      key: string;
      attempt: number;
      agent_id: string;
    }>(
      `select t.*
       from (
         select t.id as task_id, t.run_id, t.namespace, t.key, s.attempt, s.agent_id
         from json_to_recordset($1) as s(task_id uuid, attempt int, agent_id uuid)
         cross join lateral (
           select t.id, t.run_id, t.namespace, t.key from task t
           where t.id = s.task_id and s.attempt between 1 and t.attempt
           limit 1
         ) t
         join agent a on a.id = s.agent_id and a.namespace = t.namespace
         where not exists (
           select from stale_report o where o.task_id = t.id and o.attempt = s.attempt and o.agent_id = s.agent_id)
         order by t.run_id
       ) t cross join lateral (
         select from run r where r.id = t.run_id and r.finished_at is null for share
       ) r`,
      [
        JSON.stringify(
          reports.map(({ taskId, attempt, agentId }) => ({ task_id: taskId, attempt, agent_id: agentId })),
        ),
      ],
    );
    if (untold.length === 0) return;
    const told = await tx.query<{ task_id: string; attempt: number; agent_id: string }>(
      `insert into stale_report (task_id, attempt, agent_id)
       select distinct task_id, attempt, agent_id
       from json_to_recordset($1) as s(task_id uuid, attempt int, agent_id uuid)
       order by 1, 2, 3
       on conflict do nothing
       returning task_id, attempt, agent_id`,
      [JSON.stringify(untold)],
    );
    for (const { task_id, attempt, agent_id } of told) {
      const { run_id, namespace, key } = untold.find((one) => one.task_id === task_id)!;
      log.add({ runId: run_id, namespace }, { type: "task.report_stale", task_id, key, attempt, agent_id });
    }
  });
}

/** What the registry shows of agents whose attempts have failed. */
function recordErrors(tx: Transaction, failed: { task: LoadedTask; code: string }[]): void {
  if (failed.length === 0) return;
  tx.send(
    `with failed as (
       select agent_id, count(*)::int as count, (array_agg(task_id order by n desc))[1] as task_id,
         (array_agg(code order by n desc))[1] as code
       from json_to_recordset($1) as f(n int, agent_id uuid, task_id uuid, code text)
       group by agent_id
     ), locked as (
       select a.id from agent a join failed f on f.agent_id = a.id order by a.id for no key update of a
     )
     update agent a
     set error_count = a.error_count + f.count, last_error_at = clock_timestamp(),
       last_error = json_build_object('code', f.code, 'task_id', f.task_id)
     from locked join failed f on f.agent_id = locked.id
     where a.id = locked.id`,
    [JSON.stringify(failed.map(({ task, code }, n) => ({ n, agent_id: task.agentId, task_id: task.id, code })))],
  );
}

/** What came along with accepted reports: log lines and usage. */
function storeReported(tx: Transaction, accepted: { report: Report; task: LoadedTask }[]): void {
  const logged = accepted.filter(({ report }) => report.logs && report.logs.length > 0);
  if (logged.length > 0) {
    tx.send(
      `insert into task_log (run_id, task_id, attempt, lines)
       select run_id, task_id, attempt, lines
       from json_to_recordset($1) as l(run_id uuid, task_id uuid, attempt int, lines json)`,
      [
        JSON.stringify(
          logged.map(({ report, task }) => ({
            run_id: task.runId,
            task_id: task.id,
            attempt: task.attempt,
            lines: report.logs,
          })),
        ),
      ],
    );
  }
  const usages = accepted.filter(({ report }) => report.usage);
  if (usages.length > 0) {
    tx.send(
      `update task t set usage = u.usage from json_to_recordset($1) as u(id uuid, usage json) where t.id = u.id`,
      [JSON.stringify(usages.map(({ report, task }) => ({ id: task.id, usage: report.usage })))],
    );
  }
}

export async function emit(store: StoreContext, emission: Emission): Promise<EmissionOutcome> {
  return recording(store, async (tx, log) => {
    lockRuns(tx, [emission.taskId], "update");
    const [task] = await lockTasks(tx, [emission.taskId]);
    if (task?.status !== "running" || !proves(emission, task)) return { outcome: "stale" };
    if (task.spec.cache) keepUncached(tx, task.id);
    const result = await emitItems(tx, log, task, emission, store.limits);
    return "code" in result ? { outcome: "refused", failure: result } : { outcome: "accepted", ...result };
  });
}

export async function release(store: StoreContext, leases: LeaseProof[]): Promise<boolean[]> {
  if (leases.length === 0) return [];
  return recording(store, async (tx, log) => {
    const tasks = await lockHeld(tx, leases);
    const transitions: Transition[] = [];
    const held = leases.map((lease) => {
      const task = tasks.get(lease.taskId);
      if (task?.status !== "running" || !proves(lease, task)) return false;
      if (!transitions.some((done) => done.taskId === task.id)) {
        transitions.push(transition(task, { type: "released" }, 0)!);
      }
      return true;
    });
    await applyTransitions(tx, transitions);
    recordTransitions(log, transitions, [...tasks.values()]);
    return held;
  });
}

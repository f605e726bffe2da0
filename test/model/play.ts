/** Plays one random run on the real store and on the model, side by side. */
import { applyPatch, type GraphDiff, type GraphPatch } from "../../core/patch.ts";
import { seedTasks } from "../../core/seed.ts";
import { type TaskDefinition, type Workflow, workflowHash, workflowIssues } from "../../core/workflow.ts";
import type { ClaimedTask, PatchOutcome } from "../../store/store.ts";
import type { Tasks, Team } from "../../store/suite/team.ts";
import { ModelRun, type Task } from "./scheduler.ts";
import { ACTION_KINDS, type Action, groups, registered, signalNames, spawned } from "./workflows.ts";

/** What the two say when they differ first, and after which actions; undefined when they never do. */
export interface Divergence {
  after: string[];
  real: Record<string, string>;
  model: Record<string, string>;
}

/** Registers what tasks of the runs to come can run. */
export async function registerWorkflows({ store, namespace }: Team): Promise<void> {
  for (const [name, tasks] of Object.entries(registered)) {
    await store.workflows.register(namespace, { name, tasks: tasks as TaskDefinition[] });
  }
}

/** `onEnd` is shown how every task of the real run has ended, by its key. */
export async function play(
  team: Team,
  tasks: Task[],
  actions: Action[],
  onEnd: (picture: Record<string, string>) => void = () => {},
): Promise<Divergence | undefined> {
  const done: string[] = ["submit"];
  let run: Both = { model: new ModelRun(tasks, registered), real: new RealRun(team, await team.submit(byId(tasks))) };
  /** Those that it is a retry or fork of. */
  const earlier: Both[] = [];
  const difference = async ({ real, model }: Both): Promise<Divergence | undefined> => {
    const pictures = { real: await real.picture(), model: model.picture };
    const same = sorted(pictures.real) === sorted(pictures.model);
    return same ? undefined : { after: done, ...pictures };
  };
  await settle(team);
  let found = await difference(run);
  // Whatever was chosen, the run is brought to its end.
  const rest = Array.from({ length: MAX_REST }, (_, turn): Action => ({ kind: 0, pick: turn, flag: true }));
  for (const [n, action] of [...actions, ...rest].entries()) {
    if (found) break;
    if (action.kind === "again") {
      const next = earlier.length < MAX_RERUNS ? await again(run, action) : undefined;
      if (!next) continue;
      earlier.push(run);
      run = next;
      done.push(next.name);
    } else {
      const name = run.model.isOver ? undefined : await act(run.model, run.real, action, n >= actions.length);
      if (name === undefined) continue;
      done.push(name);
    }
    await settle(team);
    found = await difference(run);
  }
  for (const one of [run, ...earlier]) {
    if (found) break;
    if (!one.model.isOver) await finish(team, one);
    found = await difference(one);
  }
  onEnd(await run.real.picture());
  return found;
}

/** Lets follow what follows. Whether a run is over is asked when nothing else moves any more, which saves many a look. */
async function settle({ store: { upkeep } }: Team): Promise<void> {
  do while ((await upkeep.cascade(1_000)) + (await upkeep.endRuns(1_000)) > 0);
  while ((await upkeep.finishRuns()) > 0);
}

/** Ends a run, after what it has begun to undo: one that is left open costs every look of the upkeep. */
async function finish(team: Team, { model, real }: Both): Promise<void> {
  model.cancel(false);
  await real.cancel(false);
  await settle(team);
  for (let turn = 0; turn < MAX_REST && !model.isOver; turn++) {
    await bringToEnd(model, real, turn);
    await settle(team);
  }
}

interface Both {
  model: ModelRun;
  real: RealRun;
}

const MAX_RERUNS = 2;
const MAX_REST = 60;

function sorted(picture: Record<string, string>): string {
  return JSON.stringify(Object.entries(picture).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function byId(tasks: readonly Task[]): Tasks {
  return Object.fromEntries(tasks.map(({ id, ...task }) => [id, task as Partial<TaskDefinition>])) as Tasks;
}

/** A retry of what is over, or a fork, maybe with a task of another definition; undefined when there is none. */
async function again(
  { model, real }: Both,
  { pick, flag, change }: Action,
): Promise<(Both & { name: string }) | undefined> {
  const kind = model.isOver && flag ? "retry" : "fork";
  const asked = model.tasks[pick % model.tasks.length]!;
  const isEdited = kind === "fork" && pick % 2 === 0;
  const from = isEdited || pick % 3 === 0 || model.status === "completed" ? [asked.id] : [];
  const { id, needs } = asked;
  const edited: Task = { ...change!.what, id, ...(needs && { needs }) };
  const tasks = model.tasks.map((task) => (isEdited && task.id === id ? edited : task));
  if (workflowIssues({ name: "flow", tasks }).issues.length > 0) return undefined;
  return {
    name: `${kind}${from.length > 0 ? ` from ${from}` : ""}${isEdited ? ` as ${JSON.stringify(edited)}` : ""}`,
    model: model.again({ kind, from }, tasks),
    real: await real.again(kind, from, tasks),
  };
}

/** Changes the graph as things stand; undefined when that would make no sound workflow. */
async function patch(model: ModelRun, real: RealRun, { pick, flag, change }: Action): Promise<string | undefined> {
  const { part, what, picks } = change!;
  const { tasks } = model;
  // Mostly what can still be changed, else the refusal is what is compared.
  const among = pick % 8 === 0 || model.unstarted.length === 0 ? tasks.map((task) => task.id) : model.unstarted;
  const target = among[pick % among.length]!;
  const before =
    part === "add"
      ? tasks
      : tasks.slice(
          0,
          tasks.findIndex((task) => task.id === target),
        );
  const needs = [...new Set(before.length > 0 ? picks.map((one) => before[one % before.length]!.id) : [])];
  const without = (ids: string[] = []) => ids.filter((id) => id !== target);
  const fresh = { ...what, ...(needs.length > 0 && { needs }) } as Partial<Task>;
  const request = {
    add: { add: [{ ...fresh, id: `n${tasks.length}-${pick}` }] },
    replace: { replace: [{ ...fresh, id: target }] },
    rewire: { rewire: { [target]: needs } },
    remove: {
      remove: [target],
      rewire: Object.fromEntries(
        tasks.flatMap((task) => (task.needs?.includes(target) ? [[task.id, without(task.needs)]] : [])),
      ),
    },
  }[part] as GraphPatch;
  const applied = applyPatch({ name: "flow", tasks: tasks as TaskDefinition[] }, request);
  if (Array.isArray(applied)) return undefined;
  const { workflow } = workflowIssues(applied.definition);
  if (!workflow) return undefined;
  const isStale = flag && pick % 10 === 0;
  const outcome = await real.patch(workflow, applied.diff, isStale);
  const expected = model.patch(workflow.tasks as Task[], applied.diff, isStale);
  if (outcome !== expected) throw new Error(`The patch ${JSON.stringify(request)} was ${outcome}, not ${expected}`);
  return `patch ${JSON.stringify(request)}: ${outcome}`;
}

/** Does on both what the action means as things stand, and says what that was; undefined when nothing can be done. */
async function act(model: ModelRun, real: RealRun, action: Action, isRest: boolean): Promise<string | undefined> {
  const { kind, pick, flag } = action;
  if (kind === "patch") return patch(model, real, action);
  const { ready, asking, openMaps } = model;
  const key = ready[pick % Math.max(ready.length, 1)];
  const name = signalNames[pick % signalNames.length]!;
  const group = groups[pick % groups.length]!;
  if (isRest) return bringToEnd(model, real, pick);
  if (typeof kind === "number" && kind < ACTION_KINDS / 2 - 2 && key !== undefined) {
    if (kind === 0) {
      model.fail(key, flag);
      await real.fail(key, flag);
      return `fail ${key}${flag ? "" : " for good"}`;
    }
    if (kind === 1) {
      model.complete(key, spawned);
      await real.complete(key, { spawn: spawned });
      return `complete ${key}, spawning`;
    }
    const map = openMaps[pick % Math.max(openMaps.length, 1)];
    // A task emits into maps of its own run.
    if (kind === 2 && map !== undefined && !key.includes(">")) {
      const items = [`k${pick % 3}`, `k${pick % 4}`];
      model.emit(map, items, flag);
      model.complete(key);
      await real.complete(key, { emit: { map, items, close: flag } });
      return `complete ${key}, emitting ${items} into ${map}${flag ? " and closing it" : ""}`;
    }
  }
  switch (kind) {
    case 6:
      model.signal(name);
      await real.signal(name);
      return `signal ${name}`;
    case 7: {
      const asked = asking[pick % Math.max(asking.length, 1)];
      if (asked === undefined) break;
      model.decide(asked, flag);
      await real.decide(asked, flag);
      return `${flag ? "approve" : "reject"} ${asked}`;
    }
    case 8:
    case 9:
      model.passHour();
      await real.passHour();
      return "an hour passes";
    case 10:
      if (pick > 30) break;
      model.cancel(flag);
      await real.cancel(flag);
      return `cancel${flag ? ", undoing" : ""}`;
    case 11:
      model.cancelGroup(group);
      await real.cancelGroup(group);
      return `cancel group ${group}`;
    case 12: {
      const verb = flag ? "pause" : "resume";
      const inner = ["", ...model.runs][pick % (model.runs.length + 1)]!;
      if (inner) model.runOf(inner)[verb]();
      else model[verb]();
      await real[verb](inner);
      return `${verb} ${inner}`;
    }
  }
  if (key === undefined) return undefined;
  model.complete(key);
  await real.complete(key);
  return `complete ${key}`;
}

/** What gets any run to its end. */
async function bringToEnd(model: ModelRun, real: RealRun, turn: number): Promise<string> {
  const paused = ["", ...model.runs].find((key) => (key ? model.runOf(key) : model).status === "paused");
  if (paused !== undefined) {
    (paused ? model.runOf(paused) : model).resume();
    await real.resume(paused);
    return `resume ${paused}`;
  }
  const [key] = model.ready;
  if (key !== undefined) {
    model.complete(key);
    await real.complete(key);
    return `complete ${key}`;
  }
  const [asked] = model.asking;
  if (asked !== undefined) {
    model.decide(asked, true);
    await real.decide(asked, true);
    return `approve ${asked}`;
  }
  const [map] = model.openMaps;
  // Somebody would have to close it; nobody is left who could.
  if (map !== undefined) {
    model.cancel(false);
    await real.cancel(false);
    return "cancel";
  }
  const name = signalNames[turn % (signalNames.length + 1)];
  if (name === undefined) {
    model.passHour();
    await real.passHour();
    return "an hour passes";
  }
  model.signal(name);
  await real.signal(name);
  return `signal ${name}`;
}

/** The same actions on the real store. */
class RealRun {
  readonly #team: Team;
  readonly runId: string;
  /** Of tasks and runs, by their names in the last picture. */
  #ids: Record<string, string> = {};

  constructor(team: Team, runId: string) {
    this.#team = team;
    this.runId = runId;
  }

  async picture(): Promise<Record<string, string>> {
    const [row] = await this.#team.sql.query<{ picture: Record<string, string>; ids: Record<string, string> }>(
      `with runs as materialized (
         select id, status, '' as prefix from run where id = $1
         union all
         select c.id, c.status, t.key || '>' from task t cross join lateral (
           select id, status from run where parent_task_id = t.id offset 0) c
         where t.run_id = $1
       ), all_of_them as (
         select prefix || '(run)' as name, status, id from runs
         union all
         select r.prefix || t.key, t.status, t.id from runs r cross join lateral (
           select key, status, id from task where run_id = r.id offset 0) t
       )
       select json_object_agg(name, status) as picture, json_object_agg(name, id) as ids from all_of_them`,
      [this.runId],
    );
    this.#ids = row!.ids;
    return row!.picture;
  }

  async #row(): Promise<{ hash: string; revision: number }> {
    const [row] = await this.#team.sql.query<{ hash: string; revision: number }>(
      "select definition_hash as hash, revision from run where id = $1",
      [this.runId],
    );
    return row!;
  }

  async again(kind: "retry" | "fork", from: string[], tasks: readonly Task[]): Promise<RealRun> {
    const of = { runId: this.runId, hash: (await this.#row()).hash };
    const answer = await this.#team.store.runs.rerun({
      kind,
      of,
      from,
      submission: this.#team.submission(byId(tasks)),
    });
    if (answer.outcome !== "created") throw new Error(`The ${kind} was ${answer.outcome}`);
    return new RealRun(this.#team, answer.runId);
  }

  async patch(workflow: Workflow, diff: GraphDiff, isStale: boolean): Promise<PatchOutcome["outcome"]> {
    const { namespace, store } = this.#team;
    const { revision } = await this.#row();
    const { outcome } = await store.runs.patch({
      namespace,
      runId: this.runId,
      revision: isStale ? revision + 1 : revision,
      dryRun: false,
      workflow,
      hash: workflowHash(workflow),
      tasks: seedTasks(workflow),
      diff,
      by: "test",
    });
    return outcome;
  }

  async #take(key: string): Promise<ClaimedTask> {
    const taskIds = [this.#ids[key]!];
    // Delays of retries are not what is compared; and whoever names a task that is not due is given another.
    await this.#team.sql.query(
      `update task set available_at = now() - interval '1 second'
       where id = any($1::uuid[]) and status = 'ready' and available_at > now()`,
      [taskIds],
    );
    const [taken] = await this.#team.claim({ taskIds, door: "hint" });
    if (taken?.taskId !== taskIds[0]) throw new Error(`Task ${key} could not be claimed`);
    return taken!;
  }

  /** The id of the run that a task has started; without a key, of the run itself. */
  #runOf(key: string): string {
    return key === "" ? this.runId : this.#ids[`${key}>(run)`]!;
  }

  async complete(
    key: string,
    effects: { spawn?: Task[]; emit?: { map: string; items: string[]; close: boolean } } = {},
  ): Promise<void> {
    const { emit, spawn } = effects;
    const answers = await this.#team.store.leases.report([
      {
        ...this.#team.completion(await this.#take(key)),
        ...(spawn && { spawn: spawn as never[] }),
        ...(emit && { emit: [{ ...emit, items: emit.items.map((item) => ({ item, key: item })) }] }),
      },
    ]);
    if (answers[0] !== "accepted") throw new Error(`The report on ${key} was ${answers[0]}`);
  }

  async fail(key: string, retryable: boolean): Promise<void> {
    await this.#team.fail(await this.#take(key), { retryable });
  }

  async signal(name: string): Promise<void> {
    await this.#team.store.runs.signal(this.#team.namespace, this.runId, { name, payload: null, by: "test" });
  }

  async decide(key: string, approved: boolean): Promise<void> {
    const decision = { approved, by: "test", comment: null, payload: null };
    const outcome = await this.#team.store.runs.decide(this.#team.namespace, this.runId, key, decision);
    if (outcome !== "decided") throw new Error(`The decision on ${key} was ${outcome}`);
  }

  /** Everything that began to wait, or happened, did so an hour earlier. */
  async passHour(): Promise<void> {
    const hour = "interval '1 hour'";
    await this.#team.sql.query(
      `update task
       set started_at = started_at - ${hour}, wake_at = wake_at - ${hour},
         decision = case when decision is not null then
           (decision::jsonb || jsonb_build_object('at', (decision ->> 'at')::float8 - 3600000))::json end
       where run_id = $1 and status = 'waiting'`,
      [this.runId],
    );
    await this.#team.sql.query(`update signal set sent_at = sent_at - ${hour} where run_id = $1`, [this.runId]);
  }

  async cancel(compensate: boolean): Promise<void> {
    await this.#team.store.runs.cancel(this.#team.namespace, this.runId, "test", { compensate });
  }

  async cancelGroup(group: string): Promise<void> {
    await this.#team.store.runs.cancelGroup(this.#team.namespace, this.runId, group, "group");
  }

  async pause(key: string): Promise<void> {
    await this.#team.store.runs.pause(this.#team.namespace, this.#runOf(key), "test");
  }

  async resume(key: string): Promise<void> {
    await this.#team.store.runs.resume(this.#team.namespace, this.#runOf(key), "test");
  }
}

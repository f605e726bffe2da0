/** Plays one random run on the real store and on the model, side by side. */
import type { TaskDefinition } from "../../core/workflow.ts";
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

export async function play(team: Team, tasks: Task[], actions: Action[]): Promise<Divergence | undefined> {
  const model = new ModelRun(tasks, registered);
  const runId = await team.submit(
    Object.fromEntries(tasks.map(({ id, ...task }) => [id, task as Partial<TaskDefinition>])) as Tasks,
  );
  const done: string[] = ["submit"];
  const real = new RealRun(team, runId);
  const difference = async (): Promise<Divergence | undefined> => {
    await team.settle();
    const pictures = { real: await real.picture(), model: model.picture };
    const same = sorted(pictures.real) === sorted(pictures.model);
    return same ? undefined : { after: done, ...pictures };
  };
  let found = await difference();
  // Whatever was chosen, the run is brought to its end.
  const rest = Array.from({ length: MAX_REST }, (_, turn): Action => ({ kind: 0, pick: turn, flag: true }));
  for (const action of [...actions, ...rest]) {
    if (found || model.isOver) break;
    const name = await act(model, real, action, done.length > actions.length);
    if (name === undefined) continue;
    done.push(name);
    found = await difference();
  }
  if (!found && !model.isOver) await team.store.runs.cancel(team.namespace, runId, "enough");
  return found;
}

const MAX_REST = 60;

function sorted(picture: Record<string, string>): string {
  return JSON.stringify(Object.entries(picture).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Does on both what the action means as things stand, and says what that was; undefined when nothing can be done. */
async function act(
  model: ModelRun,
  real: RealRun,
  { kind, pick, flag }: Action,
  isRest: boolean,
): Promise<string | undefined> {
  const { ready, asking, openMaps } = model;
  const key = ready[pick % Math.max(ready.length, 1)];
  const name = signalNames[pick % signalNames.length]!;
  const group = groups[pick % groups.length]!;
  if (isRest) return bringToEnd(model, real, pick);
  if (kind < ACTION_KINDS / 2 - 2 && key !== undefined) {
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
  readonly #runId: string;

  constructor(team: Team, runId: string) {
    this.#team = team;
    this.#runId = runId;
  }

  async picture(): Promise<Record<string, string>> {
    const picture = await this.#pictureOf(this.#runId);
    for (const { id, key } of await this.#inner()) {
      for (const [name, status] of Object.entries(await this.#pictureOf(id))) picture[`${key}>${name}`] = status;
    }
    return picture;
  }

  async #pictureOf(runId: string): Promise<Record<string, string>> {
    const { status } = await this.#team.run(runId);
    return { ...(await this.#team.statuses(runId)), "(run)": status };
  }

  /** Runs that tasks of this one have started. */
  #inner(): Promise<{ id: string; key: string }[]> {
    return this.#team.sql.query(
      "select r.id, t.key from task t join run r on r.parent_task_id = t.id where t.run_id = $1",
      [this.#runId],
    );
  }

  async #take(key: string) {
    const [outer, name] = key.split(">");
    return name === undefined ? this.#takeOf(this.#runId, key) : this.#takeOf(await this.#runOf(outer!), name);
  }

  /** The id of the run that a task has started; without a key, of the run itself. */
  async #runOf(key: string): Promise<string> {
    return key === "" ? this.#runId : (await this.#inner()).find((run) => run.key === key)!.id;
  }

  async #takeOf(runId: string, key: string) {
    // Delays of retries are not what is compared.
    await this.#team.sql.query(
      "update task set available_at = now() - interval '1 second' where run_id = $1 and key = $2 and status = 'ready'",
      [runId, key],
    );
    return this.#team.take(runId, key);
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
    await this.#team.store.runs.signal(this.#team.namespace, this.#runId, { name, payload: null, by: "test" });
  }

  async decide(key: string, approved: boolean): Promise<void> {
    const decision = { approved, by: "test", comment: null, payload: null };
    const outcome = await this.#team.store.runs.decide(this.#team.namespace, this.#runId, key, decision);
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
      [this.#runId],
    );
    await this.#team.sql.query(`update signal set sent_at = sent_at - ${hour} where run_id = $1`, [this.#runId]);
  }

  async cancel(compensate: boolean): Promise<void> {
    await this.#team.store.runs.cancel(this.#team.namespace, this.#runId, "test", { compensate });
  }

  async cancelGroup(group: string): Promise<void> {
    await this.#team.store.runs.cancelGroup(this.#team.namespace, this.#runId, group, "group");
  }

  async pause(key: string): Promise<void> {
    await this.#team.store.runs.pause(this.#team.namespace, await this.#runOf(key), "test");
  }

  async resume(key: string): Promise<void> {
    await this.#team.store.runs.resume(this.#team.namespace, await this.#runOf(key), "test");
  }
}

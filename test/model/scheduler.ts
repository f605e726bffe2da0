/**
 * A second scheduler, as plain as can be, to compare the real one with: one run in memory, where everything that follows
 * from an action has followed when the action returns. Written from docs/workflow-file.md; it shares no code with the
 * engine, whose types alone it uses.
 */

export type Status = "pending" | "ready" | "waiting" | "completed" | "failed" | "skipped" | "cancelled";

export interface Task {
  id: string;
  needs?: string[];
  capability?: string;
  when?: string;
  trigger_rule?: string;
  join?: string | { at_least?: number | "first"; expression?: string; cancel_rest?: boolean };
  group?: string;
  retry?: { max_attempts: number; initial_delay: string; jitter: boolean };
  wait?: Wait;
  loop?: { body: Task[]; until: string; max: number };
  for_each?: number[];
  max_concurrency?: number;
  tolerate_failures?: number;
  until?: { succeeded: number };
  open?: boolean | "drain";
  terminate?: "completed" | "failed" | "cancelled";
  cancel?: string[];
  compensate?: { capability: string };
  workflow?: string;
  detached?: boolean;
}

interface Condition {
  for?: string;
  signal?: string;
  transient?: boolean;
  approval?: object;
}
export type Wait = Condition & { any_of?: Condition[]; timeout?: string };

/** A task of the run. */
interface Row {
  key: string;
  task: Task;
  status: Status;
  reason: string;
  needs: Row[];
  dependants: Row[];
  /** Needs whose end this one has heard of. */
  told: Set<Row>;
  failures: number;
  parent: Row | undefined;
  children: Row[];
  /** When it began to wait. */
  since: number;
  decision: { approved: boolean; at: number } | undefined;
  iteration: number;
  isClosed: boolean;
  /** Keys of the items it was given. */
  items: Set<string>;
  undoes: boolean;
  settledAt: number;
  /** The run that a `workflow` task has started. */
  run: ModelRun | undefined;
}

interface Signal {
  name: string;
  at: number;
}

const settledStatuses: Status[] = ["completed", "failed", "skipped", "cancelled"];
const isSettled = (row: Row) => settledStatuses.includes(row.status);
const isOpen = (row: Row) => !isSettled(row);

/** Ids of tasks by what a patch does with them. */
export interface Changes {
  added: string[];
  replaced: string[];
  rewired: string[];
  removed: string[];
}

/** What a new run begins with of an older one. */
export interface Before {
  run: ModelRun;
  kind: "retry" | "fork";
  /** These run again, and what needs them. */
  from: string[];
}

type Ending = { status: "completed" | "failed" | "cancelled"; undo: boolean };

export class ModelRun {
  status: "running" | "paused" | "completed" | "failed" | "cancelled" = "running";
  /** Workflows that tasks can run, by name. */
  readonly #workflows: Record<string, Task[]>;
  #rows: Row[] = [];
  #signals: Signal[] = [];
  #ending: Ending | undefined;
  #isUndone = false;
  /** Not because the run that waits for it was. */
  #isPausedAlone = false;
  /** Counts what happened; later is larger. Hours that pass count for many. */
  #now = 0;

  /** The definition, as it has been patched. */
  tasks: Task[];

  constructor(tasks: Task[], workflows: Record<string, Task[]> = {}, before?: Before) {
    this.tasks = tasks;
    this.#workflows = workflows;
    if (before) this.#now = before.run.#now;
    this.#add(tasks, "", undefined, before);
    this.#settle();
  }

  /** A retry or fork of this one. */
  again(before: Omit<Before, "run">, tasks = this.tasks): ModelRun {
    return new ModelRun(tasks, this.#workflows, { ...before, run: this });
  }

  /** Every task's status by key, and the run's; those of a run within it as `key>…`. */
  get picture(): Record<string, string> {
    const inner = this.#rows.flatMap(({ key, run }) =>
      Object.entries(run?.picture ?? {}).map(([name, status]) => [`${key}>${name}`, status]),
    );
    const tasks = this.#rows.map((row) => [row.key, row.status]);
    return { ...Object.fromEntries([...tasks, ...inner]), "(run)": this.status };
  }

  get isOver(): boolean {
    return this.status !== "running" && this.status !== "paused";
  }

  get ready(): string[] {
    const own =
      this.status === "paused" ? [] : this.#rows.filter((row) => row.status === "ready").map((row) => row.key);
    return [...own, ...this.#rows.flatMap(({ key, run }) => run?.ready.map((name) => `${key}>${name}`) ?? [])];
  }

  get asking(): string[] {
    const asks = ({ task, status, decision }: Row) =>
      status === "waiting" && !decision && conditionsOf(task).some((one) => one.approval);
    return this.#rows.filter(asks).map((row) => row.key);
  }

  /** Open maps that take items, by the key of a task that could emit into them: any that is ready. */
  get openMaps(): string[] {
    const takes = ({ task, status, isClosed }: Row) => status === "waiting" && task.open !== undefined && !isClosed;
    return this.#rows.filter(takes).map((row) => row.key);
  }

  complete(key: string, spawn: Task[] = []): void {
    if (this.#within(key, (run, name) => run.complete(name, spawn))) return;
    const row = this.#find(key);
    this.#end(row, "completed");
    this.#tell(row);
    if (spawn.length > 0) this.#add(spawn, `${key}/`, undefined);
    this.#settle();
  }

  fail(key: string, isRetryable: boolean): void {
    if (this.#within(key, (run, name) => run.fail(name, isRetryable))) return;
    const row = this.#find(key);
    row.failures++;
    const most = row.task.retry?.max_attempts ?? 3;
    if (!isRetryable || row.failures >= most) this.#end(row, "failed");
    this.#settle();
  }

  emit(mapKey: string, items: string[], close: boolean): void {
    const map = this.#find(mapKey);
    for (const item of items) {
      if (map.items.has(item)) continue;
      map.items.add(item);
      this.#addInstance(map);
    }
    if (close) map.isClosed = true;
    this.#settle();
  }

  signal(name: string): void {
    this.#signals.push({ name, at: ++this.#now });
    this.#settle();
  }

  decide(key: string, approved: boolean): void {
    this.#find(key).decision = { approved, at: ++this.#now };
    this.#settle();
  }

  passHour(): void {
    this.#now += HOUR;
    this.#settle();
  }

  cancel(undo: boolean): void {
    this.#begin({ status: "cancelled", undo });
    this.#settle();
  }

  /** A paused run goes on, so that what it has to undo is undone. */
  #begin(ending: Ending): void {
    if (this.#ending || this.isOver) return;
    this.#ending = ending;
    this.status = "running";
  }

  cancelGroup(group: string): void {
    for (const row of this.#rows) if (row.task.group === group && isOpen(row)) this.#end(row, "cancelled", "group");
    this.#settle();
  }

  /** With the runs that it waits for, at any depth. */
  pause(isWithParent = false): void {
    const wasPaused = this.status === "paused";
    if (this.isOver || (wasPaused && !isWithParent)) {
      this.#isPausedAlone = true;
      return;
    }
    if (!wasPaused) this.#isPausedAlone = !isWithParent;
    this.status = "paused";
    for (const run of this.#awaited) run.pause(true);
  }

  resume(isWithParent = false): void {
    if (this.status !== "paused" || (isWithParent && this.#isPausedAlone)) return;
    this.status = "running";
    for (const run of this.#awaited) run.resume(true);
  }

  /** Keys of the tasks whose runs go on. */
  get runs(): string[] {
    return this.#rows.flatMap(({ key, run }) => (run && !run.isOver ? [key] : []));
  }

  runOf(key: string): ModelRun {
    return this.#find(key).run!;
  }

  get #awaited(): ModelRun[] {
    return this.#rows.flatMap(({ run, task }) => (run && !task.detached && !run.isOver ? [run] : []));
  }

  /** Tasks of the definition that a patch may still be about. */
  get unstarted(): string[] {
    return this.tasks.map(({ id }) => id).filter((id) => isUnstarted(this.#find(id)));
  }

  patch(tasks: Task[], { added, replaced, rewired, removed }: Changes, isStale: boolean): string {
    if (this.isOver || this.#ending) return "finished";
    if (isStale) return "stale";
    const gone = [...replaced, ...rewired, ...removed].map((id) => this.#find(id));
    if (!gone.every(isUnstarted)) return "started";
    this.#rows = this.#rows.filter((row) => !gone.includes(row));
    this.tasks = tasks;
    const isFresh = ({ id }: Task) => added.includes(id) || replaced.includes(id) || rewired.includes(id);
    const fresh = byDepth(tasks)
      .filter(isFresh)
      .map((task) => this.#newRow(task.id, task, undefined));
    const rows = tasks.map(({ id }) => this.#find(id));
    for (const row of rows) row.dependants = [];
    for (const row of rows) this.#link(row, new Map(rows.map((one) => [one.key, one])));
    this.#lookAtAll(fresh);
    this.#settle();
    return "patched";
  }

  /** Does it in the run within this one that the key leads to; false when it leads to none. */
  #within(key: string, act: (run: ModelRun, name: string) => void): boolean {
    const [outer, name] = key.split(">");
    if (name === undefined) return false;
    act(this.#find(outer!).run!, name);
    this.#settle();
    return true;
  }

  #find(key: string): Row {
    const row = this.#rows.find((one) => one.key === key);
    if (!row) throw new Error(`The model has no task ${key}`);
    return row;
  }

  // --- rows

  #newRow(key: string, task: Task, parent: Row | undefined): Row {
    const row: Row = {
      key,
      task,
      status: "pending",
      reason: "",
      needs: [],
      dependants: [],
      told: new Set(),
      failures: 0,
      parent,
      children: [],
      since: 0,
      decision: undefined,
      iteration: -1,
      isClosed: task.open === undefined,
      items: new Set(),
      undoes: false,
      settledAt: 0,
      run: undefined,
    };
    this.#rows.push(row);
    parent?.children.push(row);
    return row;
  }

  /** Tasks that need one another, in an order in which every need comes first. */
  #add(tasks: Task[], scope: string, parent: Row | undefined, before?: Before): void {
    const byId = new Map<string, Row>();
    for (const task of byDepth(tasks)) {
      const row = this.#newRow(scope + task.id, task, parent);
      byId.set(task.id, row);
      this.#link(row, byId);
      if (before) this.#keep(row, before);
    }
    const rows = [...byId.values()];
    const isFree = (row: Row) => row.needs.every((need) => row.told.has(need));
    this.#lookAtAll(rows.filter(isFree));
    this.#lookAtAll(rows.filter((row) => !isFree(row)));
  }

  /** What has settled before a task came into being it knows from the start. */
  #link(row: Row, byId: Map<string, Row>): void {
    row.needs = (row.task.needs ?? []).map((id) => byId.get(id)!);
    for (const need of row.needs) {
      need.dependants.push(row);
      if (isSettled(need)) row.told.add(need);
    }
  }

  /** Settles a task as it did in an older run, if that holds here, too. */
  #keep(row: Row, { run, kind, from }: Before): void {
    const old = run.#rows.find((one) => one.key === row.key);
    const isBack = run.#rows.some((one) => isOffshoot(one) && definitionKey(one.key) === row.key);
    if (!old || isBack || from.includes(row.key) || row.needs.some(isOpen)) return;
    const { terminate, cancel } = row.task;
    const lasts =
      old.status === "completed"
        ? !terminate && !cancel && (run.isOver || !canBeUndone(row.task))
        : old.status === "skipped" && old.reason === "condition";
    if (!lasts) return;
    if (kind === "fork") {
      const { compensate: _, ...task } = old.task;
      this.#settleAs({ ...old, task }, row);
    } else {
      this.#settleAs(old, row);
      if (canBeUndone(row.task)) this.#keepParts(old, row);
    }
  }

  #keepParts(old: Row, row: Row): void {
    for (const part of old.children) {
      const kept = this.#newRow(part.key, part.task, row);
      this.#settleAs(part, kept);
      this.#keepParts(part, kept);
    }
  }

  #settleAs({ task, status, reason, settledAt }: Row, row: Row): void {
    Object.assign(row, { task, status, reason, settledAt });
  }

  #addInstance(map: Row): void {
    const { needs: _, for_each: __, when: ___, join: ____, trigger_rule: _____, ...task } = map.task;
    for (const key of ["max_concurrency", "tolerate_failures", "until", "open"] as const) delete task[key];
    const instance = this.#newRow(`${map.key}[${map.children.length}]`, task, map);
    if (map.task.max_concurrency === undefined) this.#look(instance);
  }

  #end(row: Row, status: Status, reason = ""): void {
    row.status = status;
    row.reason = reason;
    row.settledAt = ++this.#now;
  }

  /** Dependants hear of an end, and are looked at. */
  #tell(row: Row): boolean {
    let isNews = false;
    for (const dependant of row.dependants) {
      if (dependant.told.has(row)) continue;
      dependant.told.add(row);
      isNews = true;
    }
    for (const dependant of row.dependants) this.#look(dependant);
    return isNews;
  }

  /** Each is decided as if alone: none sees yet what becomes of another. */
  #lookAtAll(rows: Row[]) {
    const verdicts = rows.map((row) => this.#joinOf(row));
    for (const [n, row] of rows.entries()) this.#look(row, verdicts[n]);
  }

  /** A pending task starts, is skipped, or goes on waiting for its needs. */
  #look(row: Row, verdict = this.#joinOf(row)) {
    if (row.status !== "pending" || verdict === "wait") return;
    if (verdict === "skip") return this.#end(row, "skipped", "need");
    if (row.task.when === "false") return this.#end(row, "skipped", "condition");
    row.since = ++this.#now;
    row.status = isForEngine(row) ? "waiting" : "ready";
    const { join } = row.task;
    if (typeof join === "object" && join.cancel_rest) this.#unwanted.add(row);
  }

  /** Tasks whose join has cancelled nothing yet of what it does not want any more. */
  #unwanted = new Set<Row>();

  #joinOf({ task, needs, told }: Row): "wait" | "start" | "skip" {
    const of = (...statuses: Status[]) =>
      needs.filter((need) => told.has(need) && statuses.includes(need.status)).length;
    const completed = of("completed");
    const skipped = of("skipped");
    const failed = of("failed", "cancelled");
    const open = needs.length - completed - skipped - failed;
    const allWithout = (spoils: number) => (spoils > 0 ? "skip" : open === 0 ? "start" : "wait");
    const atLeast = (n: number, have: number) => (have >= n ? "start" : have + open < n ? "skip" : "wait");
    const { join } = task;
    if (typeof join === "string") return this.#expression(join, needs);
    if (join?.expression !== undefined) return this.#expression(join.expression, needs);
    if (join) return atLeast(join.at_least === "first" ? 1 : join.at_least!, completed);
    switch (task.trigger_rule ?? "all_success") {
      case "all_success":
        return allWithout(failed + skipped);
      case "all_done":
        return allWithout(0);
      case "all_failed":
        return allWithout(completed + skipped);
      case "none_failed":
        return allWithout(failed);
      case "none_skipped":
        return allWithout(skipped);
      case "one_success":
        return atLeast(1, completed);
      case "one_failed":
        return atLeast(1, failed);
      default:
        return "start";
    }
  }

  /** Decided when neither answer of what is open, taken alike wherever it stands, could change it (Kleene). */
  #expression(source: string, needs: Row[]): "wait" | "start" | "skip" {
    const values = (ifOpen: boolean) =>
      needs.flatMap((need) => {
        const holds = need.status === "completed";
        return isOpen(need) ? [ifOpen, ifOpen] : [holds, !holds];
      });
    const names = needs.flatMap((need) => [need.task.id, `not_${need.task.id}`]);
    const evaluate = new Function(...names, `return (${source.replaceAll("!", "not_")});`) as (
      ...of: boolean[]
    ) => boolean;
    if (evaluate(...values(false))) return "start";
    return evaluate(...values(true)) ? "wait" : "skip";
  }

  // --- what follows

  #settle(): void {
    for (let isNews = true; isNews; ) {
      isNews = this.#dropUnwanted();
      isNews = this.#step() || isNews;
      isNews = this.#dropRuns() || isNews;
      for (const row of [...this.#rows]) if (isSettled(row) && this.#tell(row)) isNews = true;
      isNews = this.#bringDown() || isNews;
      isNews = this.#finish() || isNews;
    }
  }

  #dropUnwanted(): boolean {
    const unwanted = new Set<Row>();
    for (const joined of this.#unwanted) {
      for (let more = [...joined.needs]; more.length > 0; ) {
        const isWanted = (row: Row) => row.dependants.some((one) => one.status === "pending" && !unwanted.has(one));
        const found = more.filter((row) => isOpen(row) && !isWanted(row) && !unwanted.has(row));
        for (const row of found) unwanted.add(row);
        more = found.flatMap((row) => row.needs);
      }
    }
    this.#unwanted.clear();
    for (const row of unwanted) this.#end(row, "cancelled", "join");
    const orphans = this.#rows.filter((row) => row.parent && isSettled(row.parent) && isOpen(row));
    for (const row of orphans) this.#end(row, "cancelled", "parent");
    return unwanted.size + orphans.length > 0;
  }

  /** Runs within this one whose task has settled before them, other than by starting them. */
  #dropRuns(): boolean {
    const left = this.#rows.filter((row) => isSettled(row) && !row.task.detached && row.run && !row.run.isOver);
    for (const { run } of left) run!.cancel(false);
    return left.length > 0;
  }

  #step(): boolean {
    let isNews = false;
    const due = this.#rows.filter((one) => one.status === "waiting").sort((a, b) => a.since - b.since);
    // Cancels come first: what one of them cancels, even another cancel, does nothing any more.
    for (const row of due.sort((a, b) => Number(b.task.cancel !== undefined) - Number(a.task.cancel !== undefined))) {
      if (row.status !== "waiting") continue;
      const { status } = row;
      const { length } = this.#rows;
      const before = this.#rows.filter((one) => one.status === "pending").length;
      this.#stepOf(row);
      const after = this.#rows.filter((one) => one.status === "pending").length;
      if (row.status !== status || this.#rows.length !== length || before !== after) isNews = true;
    }
    return isNews;
  }

  #stepOf(row: Row) {
    const { task } = row;
    if (task.for_each !== undefined) return this.#stepMap(row);
    if (task.loop) return this.#stepLoop(row, task.loop);
    if (task.wait) return this.#stepWait(row);
    if (task.workflow) return this.#stepRun(row, task.workflow);
    if (task.terminate) {
      this.#begin({ status: task.terminate, undo: task.terminate === "failed" });
      return this.#end(row, "completed");
    }
    for (const other of this.#rows) {
      const isMeant = task.cancel!.some((name) => other.key === name || other.task.group === name);
      if (isMeant && other !== row && isOpen(other)) this.#end(other, "cancelled", "cancel");
    }
    this.#end(row, "completed");
  }

  #stepRun(row: Row, name: string) {
    if (!row.run) {
      row.run = new ModelRun(this.#workflows[name]!, this.#workflows);
      if (this.status === "paused" && !row.task.detached) row.run.pause(true);
    }
    if (row.task.detached || row.run.status === "completed") return this.#end(row, "completed");
    if (row.run.isOver) this.#end(row, "failed");
  }

  #stepWait(row: Row) {
    const { timeout } = row.task.wait!;
    const events = conditionsOf(row.task).flatMap((condition, index) => {
      const at = this.#happened(row, condition);
      return at === undefined ? [] : [{ at, index, condition }];
    });
    const [first] = events.sort((a, b) => a.at - b.at || a.index - b.index);
    const end = timeout === undefined ? undefined : row.since + msOf(timeout);
    if (end !== undefined && end <= this.#now && !(first && first.at <= end)) return this.#end(row, "failed");
    if (!first) return;
    if (first.condition.approval && !row.decision!.approved) return this.#end(row, "failed");
    if (first.condition.signal !== undefined) this.#signals.splice(this.#indexOf(row, first.condition), 1);
    this.#end(row, "completed");
  }

  #happened(row: Row, condition: Condition): number | undefined {
    if (condition.for !== undefined) {
      const at = row.since + msOf(condition.for);
      return at <= this.#now ? at : undefined;
    }
    if (condition.approval) return row.decision?.at;
    const signal = this.#signals[this.#indexOf(row, condition)];
    return signal && Math.max(signal.at, row.since);
  }

  #indexOf(row: Row, { signal, transient }: Condition): number {
    return this.#signals.findIndex(({ name, at }) => name === signal && (!transient || at >= row.since));
  }

  #stepMap(row: Row) {
    const { for_each: items, max_concurrency, tolerate_failures: tolerated, until, open } = row.task;
    if (row.iteration < 0) {
      row.iteration = 0;
      for (const _ of items!) this.#addInstance(row);
    }
    const of = (...statuses: Status[]) => row.children.filter((child) => statuses.includes(child.status)).length;
    const total = row.children.length;
    const settled = of(...settledStatuses);
    const completed = of("completed");
    const failed = of("failed", "cancelled");
    const isComplete = row.isClosed || (open === "drain" && settled === total);
    if (until) {
      if (completed >= until.succeeded) return this.#end(row, "completed");
      if (isComplete && completed + total - settled < until.succeeded) return this.#end(row, "failed");
    }
    if (failed > (tolerated ?? (until ? Number.POSITIVE_INFINITY : 0))) return this.#end(row, "failed");
    if (isComplete && settled === total) return this.#end(row, "completed");
    if (max_concurrency === undefined) return;
    let room = max_concurrency - of("ready", "waiting");
    for (const child of row.children) {
      if (child.status !== "pending" || room <= 0) continue;
      this.#look(child);
      room--;
    }
  }

  #stepLoop(row: Row, { body, until, max }: NonNullable<Task["loop"]>) {
    const iteration = row.children.filter((child) => child.key.startsWith(`${row.key}[${row.iteration}]/`));
    if (row.iteration >= 0) {
      if (iteration.some(isOpen)) return;
      if (iteration.some((child) => child.status === "failed" && reachesEnd(child))) return this.#end(row, "failed");
      const last = Number(/\d+/.exec(until)![0]);
      if (row.iteration >= last) return this.#end(row, "completed");
      if (row.iteration + 1 >= max) return this.#end(row, "failed");
    }
    row.iteration++;
    this.#add(body, `${row.key}[${row.iteration}]/`, row);
  }

  #bringDown(): boolean {
    if (!this.#ending || this.isOver) return false;
    const open = this.#rows.filter((row) => isOpen(row) && !row.undoes);
    for (const row of open) this.#end(row, "cancelled", "run");
    return open.length > 0;
  }

  #finish(): boolean {
    if (this.isOver || this.#rows.some(isOpen)) return false;
    const hasFailed = this.#rows.some(
      (row) => row.status === "failed" && !row.parent && !row.undoes && reachesEnd(row),
    );
    const ending = this.#ending ?? { status: hasFailed ? "failed" : "completed", undo: hasFailed };
    if (ending.undo && !this.#isUndone && this.#undo()) {
      this.#ending = ending as Ending;
      return true;
    }
    this.status = ending.status as Ending["status"];
    return true;
  }

  /** One after the other, the last that completed first. */
  #undo(): boolean {
    this.#isUndone = true;
    const done = this.#rows.filter(
      (row) => row.status === "completed" && row.task.compensate && row.task.for_each === undefined,
    );
    let before: Row | undefined;
    for (const row of done.sort((a, b) => b.settledAt - a.settledAt)) {
      const undo = this.#newRow(`${row.key}/compensate`, { id: "", trigger_rule: "all_done" }, undefined);
      undo.undoes = true;
      if (before) {
        undo.needs = [before];
        before.dependants.push(undo);
      }
      before = undo;
      this.#look(undo);
    }
    return done.length > 0;
  }
}

/** The longest chain of needs counts; tasks of the same depth stay in order. */
function byDepth(tasks: Task[]): Task[] {
  const depths = new Map<string, number>();
  for (const { id, needs = [] } of tasks) depths.set(id, Math.max(0, ...needs.map((need) => depths.get(need)! + 1)));
  return tasks.toSorted((a, b) => depths.get(a.id)! - depths.get(b.id)!);
}

function isUnstarted({ status, failures }: Row): boolean {
  return status === "pending" || (status === "ready" && failures === 0);
}

/** What a task has spawned, and what undoes it. */
function isOffshoot({ key, parent }: Row): boolean {
  return !parent && key.includes("/");
}

function definitionKey(key: string): string {
  return key.split(/[[/]/)[0]!;
}

/** Whether it, or something in it, has a compensation. */
function canBeUndone({ compensate, loop }: Task): boolean {
  return compensate !== undefined || (loop?.body.some(canBeUndone) ?? false);
}

const HOUR = 3_600_000;

/** `2h`; nothing else occurs. */
function msOf(duration: string): number {
  return Number.parseInt(duration, 10) * HOUR;
}

function conditionsOf({ wait }: Task): Condition[] {
  return wait ? (wait.any_of ?? [wait]) : [];
}

function isForEngine({ task }: Row): boolean {
  return [task.wait, task.loop, task.workflow, task.terminate, task.cancel, task.for_each].some(
    (part) => part !== undefined,
  );
}

/** Whether a failure gets to an end of the graph without a task that started all the same. */
function reachesEnd(row: Row): boolean {
  if (row.dependants.length === 0) return true;
  return row.dependants.some((next) => {
    const passesOn =
      next.status === "cancelled" ? next.reason !== "join" : next.status === "skipped" && next.reason === "need";
    return passesOn && reachesEnd(next);
  });
}

/** What a case works with: the executor under test, the proxy before the deployment, and what can be seen of both. */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { isJsonObject, type JsonObject } from "../../../core/json.ts";
import type { RegisterAgentBody, RegisteredAgent } from "../../../core/protocol/agents.ts";
import type { RunBody, TaskDetailBody } from "../../../core/protocol/runs.ts";
import type { LeaseBody, ReportItem } from "../../../core/protocol/tasks.ts";
import { isTerminalRun } from "../../../core/run.ts";
import { type AgentClient, type ClientOptions, createAgentClient } from "../../../sdk/client.ts";
import { equal, isTrue } from "../expect.ts";
import type { Stage } from "../scenario.ts";
import type { Note, NoteBoard } from "./notes.ts";
import { type FaultProxy, type Interceptor, leasesIn, parse, type Route, reportsIn } from "./proxy.ts";
import type { Subject } from "./subject.ts";

export interface Case {
  /** What it is chosen by. */
  name: string;
  /** A sentence that is true of an executor that keeps the protocol. */
  title: string;
  play(rig: Rig): Promise<void>;
}

/** As the executor under test is told by SKEIN_SLOTS. */
export const SLOTS = 2;
/** How long it may drain, by SKEIN_DRAIN_MS. */
export const DRAIN_MS = 2_000;
/** Of tasks whose lease is about to be lost; short, or the cases would take long. */
export const LEASE_MS = 3_000;
/** A lease that no case outlives: what is lost then is lost by the executor. */
export const LONG_LEASE_MS = 60_000;

export const capabilities = [
  "certify.echo",
  "certify.sleep",
  "certify.fail",
  "certify.big",
  "certify.invalid",
  "certify.crash",
] as const;

export interface WorkTask {
  id: string;
  capability: (typeof capabilities)[number];
  input?: JsonObject;
}

export interface WorkOptions {
  leaseMs?: number;
  /** As in a workflow; default: one attempt. */
  retry?: JsonObject;
}

export interface Registration {
  id: string;
  token: string;
  queues: Record<string, string>;
  body: RegisterAgentBody;
}

export interface Reported {
  item: ReportItem;
  /** The server's word on it; undefined when it has not got through. */
  result: string | undefined;
}

/** A run that the executor under test is to perform. */
export interface Work {
  run: RunBody;
  /** The lease on an attempt, as soon as the executor has been given it. */
  lease(id: string, attempt?: number): Promise<LeaseBody>;
  /** What the handlers of a task have said, in order. */
  notes(id: string, event?: string): Note[];
  /** Waits for the n-th note of an event. */
  noted(id: string, event: string, count?: number): Promise<void>;
  /** What the executor has reported of a task, answered or not. */
  reports(id: string): Reported[];
  finished(): Promise<void>;
  /** Cancels it, and waits until every handler that has begun is at its end. */
  cancel(withinMs?: number): Promise<void>;
  task(id: string): Promise<TaskDetailBody>;
}

export interface Rig extends Stage {
  subject: Subject;
  proxy: FaultProxy;
  board: NoteBoard;
  amqpUrl: string | undefined;
  /** The one in force. */
  registration(): Registration;
  /** Acts as the executor under test, behind its back. */
  agent(): AgentClient;
  /** Submits tasks beside one another. Where the input of one may take notes, the kit says where. */
  begin(tasks: readonly WorkTask[], options?: WorkOptions): Promise<Work>;
  /** Waits until `look` answers something, and fails with `what` when it does not. */
  until<T>(what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T>;
  /** Until the case is over, or the returned function is called. */
  intercept(routes: readonly Route[] | "all", interceptor: Interceptor): () => void;
  /** Starts the executor, if it does not run, and waits until it has registered. */
  start(): Promise<void>;
  /** Has one more task performed: it goes on. */
  goesOn(): Promise<void>;
  /** Frees the slots that a run still takes. Whether the executor heeds a cancel is for another case to say. */
  tidy(work: Work): Promise<void>;
}

export interface RigOptions {
  connection: ClientOptions;
  subject: Subject;
  proxy: FaultProxy;
  board: NoteBoard;
  amqpUrl: string | undefined;
  patienceMs: number;
  /** Aborted by whoever runs the kit. */
  stop: AbortSignal;
}

const LOOK_AGAIN_MS = 20;
/** A first start compiles, connects and so on. */
const START_PATIENCE_MS = 30_000;

export function createRig(stage: Stage, options: RigOptions): Rig {
  const { connection, subject, proxy, board, amqpUrl, patienceMs } = options;
  const signal = AbortSignal.any([stage.signal, options.stop]);

  async function until<T>(
    what: string,
    look: () => T | undefined | Promise<T | undefined>,
    withinMs = patienceMs,
  ): Promise<T> {
    const deadline = performance.now() + withinMs;
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
      isTrue("the executor keeps running", subject.surprise === undefined, `${subject.surprise}: ${subject.tail()}`);
      isTrue(`${what} within ${withinMs} ms`, performance.now() < deadline, null);
      await delay(LOOK_AGAIN_MS, undefined, { signal });
    }
  }

  async function begin(tasks: readonly WorkTask[], work: WorkOptions = {}): Promise<Work> {
    const offered = offeredBy(registration());
    const missing = tasks.find(({ capability }) => !offered.includes(capability))?.capability;
    isTrue(`it offers ${missing}`, missing === undefined, offered);
    const about = (id: string) => `${tag}/${id}`;
    const tag = randomUUID();
    const { leaseMs = LONG_LEASE_MS, retry = { max_attempts: 1 } } = work;
    const run = await stage.submit({
      definition: {
        name: "certify",
        defaults: { heartbeat: `${leaseMs}ms`, retry },
        tasks: tasks.map(({ id, capability, input = {} }) => ({
          id,
          capability,
          input: takesNotes.includes(capability) ? { ...input, note_url: board.urlFor(about(id)) } : input,
        })),
      },
    });
    const notes = (id: string, event?: string) =>
      board.notes.filter((note) => note.about === about(id) && (event === undefined || note.event === event));
    const leases = () => proxy.exchanges.flatMap(({ answer }) => leasesIn(answer));
    return {
      run,
      notes,
      lease: (id, attempt = 1) =>
        until(`it takes a lease on attempt ${attempt} of "${id}"`, () =>
          leases().find((lease) => lease.run_id === run.id && lease.key === id && lease.attempt === attempt),
        ),
      noted: async (id, event, count = 1) => {
        await until(`the handler of "${id}" notes "${event}"${count > 1 ? ` for the ${count}th time` : ""}`, () =>
          notes(id, event).length >= count ? true : undefined,
        );
      },
      reports: (id) => {
        const ids = leases().flatMap((lease) => (lease.run_id === run.id && lease.key === id ? lease.task_id : []));
        return reportedTo(proxy).filter(({ item }) => ids.includes(item.task_id));
      },
      finished: async () => {
        await until("the run finishes", async () =>
          isTerminalRun((await stage.client.runs.get(run.id)).status) ? true : undefined,
        );
      },
      cancel: async (withinMs) => {
        await stage.client.runs.cancel(run.id, "the kit has changed its mind");
        const areStopped = () =>
          tasks.every(({ id }) => notes(id, "started").length === notes(id).length / 2) ? true : undefined;
        await until("the cancelled handlers are stopped", areStopped, withinMs);
      },
      task: (id) => stage.client.runs.task(run.id, id),
    };
  }

  const registration = () => registrationIn(proxy)!;

  async function goesOn(): Promise<void> {
    const work = await begin([{ id: "next", capability: "certify.echo", input: { next: true } }]);
    await work.finished();
    equal("the output of the next task", (await work.task("next")).output, { next: true });
  }

  async function start(): Promise<void> {
    if (subject.isRunning) return;
    const known = proxy.exchanges.length;
    subject.start();
    await until("it registers", () => registrationIn(proxy, known), START_PATIENCE_MS);
  }

  async function tidy(work: Work): Promise<void> {
    try {
      await work.cancel(LEASE_MS);
    } catch (error) {
      if (signal.aborted) throw error;
      await subject.kill();
      await start();
    }
  }

  return {
    ...stage,
    signal,
    subject,
    proxy,
    board,
    amqpUrl,
    until,
    begin,
    goesOn,
    registration,
    agent: () => createAgentClient(connection, { id: registration().id, agent_token: registration().token }),
    intercept(routes, interceptor) {
      const off = proxy.intercept(routes, interceptor);
      if (routes === "all" || routes.includes("claim")) proxy.endPolls();
      return off;
    },
    start,
    tidy,
  };
}

/** Capabilities whose handlers say what they do. */
const takesNotes: readonly string[] = ["certify.sleep", "certify.crash"];

/** The latest registration, of those from the `since`-th exchange on. */
export function registrationIn(proxy: FaultProxy, since = 0): Registration | undefined {
  const made = proxy.exchanges
    .slice(since)
    .findLast(({ route, answer }) => route === "register" && answer?.status === 201);
  if (!made) return undefined;
  const { id, agent_token: token, queues } = parse(made.answer!.text) as unknown as RegisteredAgent;
  return { id, token, queues, body: made.request as unknown as RegisterAgentBody };
}

export function offeredBy({ body }: Registration): string[] {
  return body.capabilities.map((capability) => (typeof capability === "string" ? capability : capability.name));
}

function reportedTo(proxy: FaultProxy): Reported[] {
  return proxy.exchanges
    .filter(({ route }) => route === "report")
    .flatMap((exchange) => {
      const { reports } = parse(exchange.answer?.text ?? "");
      const results = Array.isArray(reports) ? reports : [];
      return reportsIn(exchange).map((item, i) => {
        const answer = results[i];
        return { item, result: isJsonObject(answer) ? String(answer.result) : undefined };
      });
    });
}

/** How the attempts at a task ended. */
export function outcomesOf({ attempts }: TaskDetailBody): string[] {
  return attempts.map(({ outcome }) => outcome);
}

/** The attempt was performed, and nothing of it was lost on the way. */
export function wasPerformedOnce(what: string, task: TaskDetailBody): void {
  const { status, attempt, lost_leases } = task;
  equal(what, { status, attempt, lost_leases }, { status: "completed", attempt: 1, lost_leases: 0 });
}

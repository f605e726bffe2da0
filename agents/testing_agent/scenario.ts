/** What a scenario is, and how one is played: on a stage of its own, with a deadline, and swept clean behind it. */
import { randomUUID } from "node:crypto";
import { SkeinError } from "../../core/errors.ts";
import { isTaskFact, type RunEvent } from "../../core/event.ts";
import type { RegisterAgentBody } from "../../core/protocol/agents.ts";
import type { RunBody, SubmitBody } from "../../core/protocol/runs.ts";
import type { LeaseBody, ReportItem } from "../../core/protocol/tasks.ts";
import { isTerminalRun } from "../../core/run.ts";
import {
  type AgentClient,
  type Client,
  type ClientOptions,
  createAgentClient,
  createClient,
  type SubmitOptions,
} from "../../sdk/client.ts";
import { type Failure, failureOf } from "./expect.ts";
import { createRecorder } from "./record.ts";

export interface Scenario {
  /** What it is chosen by. */
  name: string;
  /** A sentence that is true of a healthy deployment. */
  title: string;
  /** Default 60 s. */
  deadlineMs?: number;
  /** A scope beyond those that every scenario needs: without it, it is not played. */
  needs?: "admin";
  play(stage: Stage): Promise<void>;
}

export interface ScenarioResult {
  name: string;
  title: string;
  durationMs: number;
  /** Why it was not played. */
  skipped?: string;
  /** What it was doing when it failed. */
  step?: string;
  failure?: Failure;
  /** Of a failure: the requests of that step, as lines for a shell. */
  requests?: string[];
}

export interface PlayOptions {
  /** Part of all names; default: one of its own. */
  playId?: string;
  /** Told of each step as it begins. */
  onStep?: (what: string) => void;
  /** Ends it before its time, as failed, and swept like any other. */
  interrupt?: AbortSignal;
}

export interface Member extends AgentClient {
  /** Others speak to it by this. */
  name: string;
  /** The whole API, with the agent's token. */
  api: Client;
  /** The header by which requests are the agent's. */
  authorization: Record<string, string>;
}

export interface Stage {
  client: Client;
  /** Found nowhere else in the deployment: for labels, capabilities, topics, scopes and idempotency keys. */
  unique: string;
  /** Aborted when the scenario is over, or its deadline has passed. */
  signal: AbortSignal;
  /** How to connect clients of other kinds; they are recorded, too. */
  connection: ClientOptions;
  /** Says what comes next; a failure is reported with it. */
  step(what: string): void;
  /** Submits a run labelled as a test. It is cancelled behind the scenario if it is still open then. */
  submit(body: SubmitBody, options?: SubmitOptions): Promise<RunBody>;
  /** Looks after a run that came about otherwise, as if it had been submitted here. */
  adopt(runId: string): void;
  /** The run's events from the first to the last, read as a stream. */
  watch(runId: string): Promise<RunEvent[]>;
  /** The first event of the type, of the task if one is named, as soon as it has come. */
  hear(runId: string, type: RunEvent["type"], task?: string): Promise<RunEvent>;
  /** Registers an agent. It leaves behind the scenario, and what it has kept and been told goes with it. */
  join(
    offers: string | RegisterAgentBody["capabilities"],
    role?: string,
    labels?: RegisterAgentBody["labels"],
  ): Promise<Member>;
  /** Looks after an agent that has registered otherwise, as if it had joined. */
  adoptAgent(agent: { id: string; agent_token: string; name: string }): void;
  /** The next task that the agent is given. */
  claim(agent: AgentClient): Promise<LeaseBody>;
  /** Reports one attempt: `accepted`, or why not. */
  report(agent: AgentClient, item: ReportItem): Promise<string | undefined>;
}

/** Runs carry it, so that people can tell tests from work. */
export const TEST_LABEL = "skein-test";
const DEFAULT_DEADLINE_MS = 60_000;
/** Seconds of one long-poll. */
const CLAIM_WAIT_SECONDS = 5;
/** Shared keys of one page. */
const SWEPT_AT_ONCE = 100;

/** Names of one play of the testing agent begin with it. */
export function newPlayId(): string {
  return `test-${randomUUID().slice(-12)}`;
}

/** Plays one scenario to its end, its failure or its deadline. Never rejects. */
export async function play(
  scenario: Scenario,
  connection: ClientOptions,
  { playId = newPlayId(), onStep = () => {}, interrupt = new AbortController().signal }: PlayOptions = {},
): Promise<ScenarioResult> {
  const { name, title, needs, deadlineMs = DEFAULT_DEADLINE_MS } = scenario;
  const startedAt = performance.now();
  if (needs === "admin" && !(await isAdmin(connection))) {
    return { name, title, durationMs: 0, skipped: "it needs a key with the scope admin" };
  }
  const over = new AbortController();
  const deadline = AbortSignal.timeout(deadlineMs);
  const recorder = createRecorder(connection);
  let lastStep = "beginning";
  const stage = setStage(name, {
    connection: { ...connection, fetch: recorder.fetch },
    unique: `${playId}-${name}`,
    playId,
    signal: AbortSignal.any([over.signal, deadline, interrupt]),
    step: (what) => {
      lastStep = what;
      recorder.nextStep();
      onStep(what);
    },
  });
  const late = endingBy(deadline, `It has not ended within ${deadlineMs / 1000} s.`);
  const stopped = endingBy(interrupt, "It was interrupted.");
  let failed: Pick<ScenarioResult, "failure" | "step" | "requests"> = {};
  try {
    await Promise.race([scenario.play(stage), late.comes, stopped.comes]);
  } catch (error) {
    const failure = failureOf(error, recorder.redact);
    failed = { step: recorder.redact(lastStep), failure, requests: recorder.curlLines() };
  }
  const durationMs = Math.round(performance.now() - startedAt);
  for (const { forget } of [late, stopped]) forget();
  over.abort();
  await stage.sweep();
  return { name, title, durationMs, ...failed };
}

/** A server that answers neither so nor so is for the scenario to judge. */
async function isAdmin(connection: ClientOptions): Promise<boolean> {
  try {
    await createClient(connection).storage();
    return true;
  } catch (error) {
    return !(error instanceof SkeinError) || error.code !== "SCOPE_MISSING";
  }
}

/** `comes` rejects when `end` aborts. One `end` serves many scenarios, so each takes its listener away again. */
function endingBy(end: AbortSignal, reason: string): { comes: Promise<never>; forget(): void } {
  let refuse = () => {};
  const comes = new Promise<never>((_, reject) => {
    refuse = () => reject(new Error(reason));
    end.addEventListener("abort", refuse, { once: true });
  });
  return { comes, forget: () => end.removeEventListener("abort", refuse) };
}

interface PreparedStage extends Stage {
  /** Leaves nothing behind but history. What cannot be swept is left to its deadlines: the scenario's verdict stands. */
  sweep(): Promise<void>;
}

interface StageOptions extends Pick<Stage, "connection" | "unique" | "signal" | "step"> {
  playId: string;
}

function setStage(name: string, { connection, unique, playId, signal, step }: StageOptions): PreparedStage {
  const client = createClient(connection);
  // Promises: what is under way when a scenario ends has to be swept, too.
  const runs: Promise<string | undefined>[] = [];
  const members: Promise<Member | undefined>[] = [];
  const nothing = () => undefined;

  function memberOf(registered: { id: string; agent_token: string }, member: string): Member {
    const authorization = { authorization: `Bearer ${registered.agent_token}` };
    const api = createClient({ ...connection, apiKey: registered.agent_token });
    return { ...createAgentClient(connection, registered), name: member, api, authorization };
  }

  return {
    client,
    unique,
    signal,
    connection,
    step,
    async submit(body, options) {
      signal.throwIfAborted();
      const labels = { ...body.labels, [TEST_LABEL]: name, [`${TEST_LABEL}-play`]: playId };
      const submitted = client.runs.submit({ ...body, labels }, options);
      runs.push(submitted.then(({ id }) => id, nothing));
      return submitted;
    },
    adopt: (runId) => {
      runs.push(Promise.resolve(runId));
    },
    async watch(runId) {
      const events: RunEvent[] = [];
      for await (const event of client.runs.events(runId, undefined, signal)) events.push(event);
      return events;
    },
    async hear(runId, type, task) {
      for await (const event of client.runs.events(runId, undefined, signal)) {
        if (event.type === type && (task === undefined || (isTaskFact(event) && event.key === task))) return event;
      }
      throw new Error(`The run ${runId} ended without ${type}${task === undefined ? "" : ` of ${task}`}.`);
    },
    async join(offers, role, labels) {
      signal.throwIfAborted();
      const member = role === undefined ? unique : `${unique}-${role}`;
      const capabilities = typeof offers === "string" ? [offers] : offers;
      const body = { name: member, kind: "external" as const, capabilities, ...(labels && { labels }) };
      const joining = client.agents.register(body).then((registered) => memberOf(registered, member));
      members.push(joining.catch(nothing));
      return joining;
    },
    adoptAgent: (agent) => {
      members.push(Promise.resolve(memberOf(agent, agent.name)));
    },
    async claim(agent) {
      for (;;) {
        const request_id = randomUUID();
        const { tasks } = await agent.claim({ request_id, max: 1, wait: CLAIM_WAIT_SECONDS }, signal);
        if (tasks[0]) return tasks[0];
      }
    },
    async report(agent, item) {
      const { reports } = await agent.report({ request_id: randomUUID(), reports: [item] });
      return reports[0]?.result;
    },
    async sweep() {
      const open = (await Promise.all(runs)).filter((id) => id !== undefined);
      await Promise.allSettled([...new Set(open)].map((id) => cancel(client, id)));
      const there = (await Promise.all(members)).filter((member) => member !== undefined);
      if (there[0]) await Promise.allSettled([forgetShared(there[0], unique)]);
      await Promise.allSettled(there.map((member) => leaveEmpty(member)));
    },
  };
}

async function cancel(client: Client, runId: string): Promise<void> {
  const { status } = await client.runs.get(runId);
  if (!isTerminalRun(status)) await client.runs.cancel(runId, "the test is over");
}

/** A name outlives its agent: what belongs to it would stay for whoever comes under it. */
async function leaveEmpty({ data, leave }: Member): Promise<void> {
  const topics = data.subscriptions.list().then(({ data: all }) => {
    return Promise.allSettled(all.map(({ topic }) => data.subscriptions.remove(topic)));
  });
  const read = data.inbox.read({ limit: 1_000 }).then(({ messages }) => {
    if (messages.length > 0) return data.inbox.acknowledge(messages.map(({ id }) => id));
  });
  await Promise.allSettled([topics, read, data.memory.forget(), data.state.delete(), data.working.delete()]);
  await leave();
}

async function forgetShared(member: Member, scope: string): Promise<void> {
  const { data } = await member.memory(scope).list({ limit: SWEPT_AT_ONCE });
  await Promise.allSettled(data.map(({ key }) => member.memory(scope).delete(key)));
}

/** What an attempt is named by in heartbeats, reports and releases. */
export function proofOf({ task_id, attempt, lease_token }: LeaseBody) {
  return { task_id, attempt, lease_token };
}

/** A success to report. */
export function completed(lease: LeaseBody, output: ReportItem["output"]): ReportItem {
  return { ...proofOf(lease), outcome: "completed", ...(output !== undefined && { output }) };
}

/** A failure to report that no attempt will mend. */
export function broken(lease: LeaseBody, code: string, message: string): ReportItem {
  return { ...proofOf(lease), outcome: "failed", error: { code, message, retryable: false } };
}

/** What a scenario is, and how one is played: on a stage of its own, with a deadline, and swept clean behind it. */
import { randomUUID } from "node:crypto";
import type { RunEvent } from "../../core/event.ts";
import type { RunBody, SubmitBody } from "../../core/protocol/runs.ts";
import type { LeaseBody } from "../../core/protocol/tasks.ts";
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

export interface Scenario {
  /** What it is chosen by. */
  name: string;
  /** A sentence that is true of a healthy deployment. */
  title: string;
  /** Default 60 s. */
  deadlineMs?: number;
  play(stage: Stage): Promise<void>;
}

export interface ScenarioResult {
  name: string;
  title: string;
  durationMs: number;
  /** What it was doing when it failed. */
  step?: string;
  failure?: Failure;
}

export interface Stage {
  client: Client;
  /** Found nowhere else in the deployment: for labels, capabilities and idempotency keys. */
  unique: string;
  /** Aborted when the scenario's deadline has passed. */
  signal: AbortSignal;
  /** Says what comes next; a failure is reported with it. */
  step(what: string): void;
  /** Submits a run labelled as a test. It is cancelled behind the scenario if it is still open then. */
  submit(body: SubmitBody, options?: SubmitOptions): Promise<RunBody>;
  /** The run's events from the first to the last, read as a stream. */
  watch(runId: string): Promise<RunEvent[]>;
  /** Registers an agent that offers one capability. It leaves behind the scenario. */
  join(capability: string): Promise<AgentClient>;
  /** The next task that the agent is given. */
  claim(agent: AgentClient): Promise<LeaseBody>;
}

/** Runs carry it, so that people can tell tests from work. */
export const TEST_LABEL = "skein-test";
const DEFAULT_DEADLINE_MS = 60_000;
/** Seconds of one long-poll. */
const CLAIM_WAIT_SECONDS = 5;

/** Plays one scenario to its end, its failure or its deadline. Never rejects. */
export async function play(scenario: Scenario, connection: ClientOptions): Promise<ScenarioResult> {
  const { name, title, deadlineMs = DEFAULT_DEADLINE_MS } = scenario;
  const startedAt = performance.now();
  const stage = setStage(name, connection, AbortSignal.timeout(deadlineMs));
  let failure: Failure | undefined;
  try {
    await Promise.race([scenario.play(stage), passing(stage.signal, deadlineMs)]);
  } catch (error) {
    failure = failureOf(error);
  }
  const result = { name, title, durationMs: Math.round(performance.now() - startedAt) };
  await stage.sweep();
  return failure ? { ...result, step: stage.lastStep(), failure } : result;
}

function passing(deadline: AbortSignal, deadlineMs: number): Promise<never> {
  return new Promise((_, reject) => {
    const refuse = () => reject(new Error(`It has not ended within ${deadlineMs / 1000} s.`));
    deadline.addEventListener("abort", refuse, { once: true });
  });
}

interface PreparedStage extends Stage {
  lastStep(): string;
  /** Leaves nothing running. What cannot be swept is left to its deadlines: the scenario's verdict stands. */
  sweep(): Promise<void>;
}

function setStage(name: string, connection: ClientOptions, signal: AbortSignal): PreparedStage {
  const client = createClient(connection);
  const unique = `${name}-${randomUUID()}`;
  const runs = new Set<string>();
  const agents: AgentClient[] = [];
  let lastStep = "beginning";
  return {
    client,
    unique,
    signal,
    step: (what) => {
      lastStep = what;
    },
    lastStep: () => lastStep,
    async submit(body, options) {
      const run = await client.runs.submit({ ...body, labels: { ...body.labels, [TEST_LABEL]: name } }, options);
      runs.add(run.id);
      return run;
    },
    async watch(runId) {
      const events: RunEvent[] = [];
      for await (const event of client.runs.events(runId, undefined, signal)) events.push(event);
      return events;
    },
    async join(capability) {
      const registered = await client.agents.register({ name: unique, kind: "external", capabilities: [capability] });
      const agent = createAgentClient(connection, registered);
      agents.push(agent);
      return agent;
    },
    async claim(agent) {
      for (;;) {
        const request_id = randomUUID();
        const { tasks } = await agent.claim({ request_id, max: 1, wait: CLAIM_WAIT_SECONDS }, signal);
        if (tasks[0]) return tasks[0];
      }
    },
    async sweep() {
      await Promise.allSettled([...agents.map((agent) => agent.leave()), ...[...runs].map((id) => cancel(client, id))]);
    },
  };
}

async function cancel(client: Client, runId: string): Promise<void> {
  const { status } = await client.runs.get(runId);
  if (!isTerminalRun(status)) await client.runs.cancel(runId, "the test is over");
}

/** What an attempt is named by in heartbeats, reports and releases. */
export function proofOf({ task_id, attempt, lease_token }: LeaseBody) {
  return { task_id, attempt, lease_token };
}

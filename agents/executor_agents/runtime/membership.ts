/** The executor's place among the agents: registered at the start, and again whenever the server has forgotten it. */
import { setTimeout as delay } from "node:timers/promises";
import { SkeinError } from "../../../core/errors.ts";
import type { RegisterAgentBody } from "../../../core/protocol/agents.ts";
import { MAX_WAIT_SECONDS } from "../../../core/protocol/common.ts";
import { type AgentClient, type ClientOptions, createAgentClient, createClient } from "../../../sdk/client.ts";
import type { Executor } from "../../../sdk/executor.ts";
import { messageOf, pauseAfter, untilAnswered } from "../../../sdk/repeat.ts";
import type { Logger } from "../../../transport/transport.ts";
import { withDeadline } from "./http.ts";

/** One registration. Leases belong to it: another registration is another agent, which cannot report them. */
export interface Session {
  readonly agentId: string;
  readonly token: string;
  /** The usual lease; each lease says its own. */
  readonly leaseMs: number;
  /** Queue by capability, as registered. */
  readonly queues: Record<string, string>;
  readonly client: AgentClient;
  /** For claims that wait: it gives the server the time to. */
  readonly patientClient: AgentClient;
}

export interface Membership {
  /** The registration in force, if there is one. */
  readonly current: Session | undefined;
  /** The registration in force; waits for one while there is none. Rejects once closed. */
  session(): Promise<Session>;
  /** Somebody learned that the server does not know `session`. Only the first to tell makes a difference. */
  forgotten(session: Session): void;
  /** Ends a registration under way. */
  close(): void;
}

export interface MembershipOptions {
  /** `fetch` is the one to use. */
  client: ClientOptions & { fetch: typeof fetch };
  registration: RegisterAgentBody;
  /** `session` is no more; what it held is lost. */
  onForgotten: (session: Session) => void;
  /** Registered again. */
  onJoined: (session: Session) => void;
  log: Logger;
}

/** An answer later than this is as good as none. Waiting claims get it on top of their wait. */
const ANSWER_WITHIN_MS = 10_000;
/** Longest pause between attempts to register again. */
const MAX_PAUSE_MS = 10_000;

/** For how long the first registration waits for its turn, where too many register at once. */
const TURN_WITHIN_MS = 120_000;

/** Registers once; rejects with why that failed. Later losses are repaired for as long as it takes. */
export async function join(options: MembershipOptions): Promise<Membership> {
  const closed = new AbortController();
  let current: Session | undefined = await untilAnswered(() => register(options), {
    giveUpAfterMs: TURN_WITHIN_MS,
    mayRepeat: (error) => error instanceof SkeinError && error.code === "RATE_LIMITED",
  });
  let joining = Promise.resolve(current);

  async function joinAgain(): Promise<Session> {
    for (let failures = 1; ; failures++) {
      closed.signal.throwIfAborted();
      try {
        current = await register(options);
        options.onJoined(current);
        return current;
      } catch (error) {
        options.log.warn({ step: "register", failures }, `cannot register, trying again: ${messageOf(error)}`);
        await delay(pauseAfter(failures, MAX_PAUSE_MS), undefined, { signal: closed.signal });
      }
    }
  }

  return {
    get current() {
      return current;
    },
    session: () => joining,
    forgotten(session) {
      if (session !== current) return;
      current = undefined;
      options.log.warn(
        { step: "register", agent_id: session.agentId },
        "the server forgot this agent; registering again",
      );
      joining = joinAgain();
      joining.catch(() => {}); // Closed meanwhile: whoever still asks is told.
      options.onForgotten(session);
    },
    close: () => closed.abort(),
  };
}

async function register({ client, registration, log }: MembershipOptions): Promise<Session> {
  const brisk = { ...client, fetch: withDeadline(client.fetch, ANSWER_WITHIN_MS) };
  const patient = { ...client, fetch: withDeadline(client.fetch, MAX_WAIT_SECONDS * 1_000 + ANSWER_WITHIN_MS) };
  const agent = await createClient(brisk).agents.register(registration);
  log.info({ step: "register", agent_id: agent.id, name: registration.name }, "registered");
  return {
    agentId: agent.id,
    token: agent.agent_token,
    leaseMs: agent.lease_ms,
    queues: agent.queues,
    client: createAgentClient(brisk, agent),
    patientClient: createAgentClient(patient, agent),
  };
}

/** What `executors` offer, as the registry stores it. */
export function contractsOf(executors: Iterable<Executor>): RegisterAgentBody["capabilities"] {
  return Array.from(executors, (executor) => contractOf(executor));
}

function contractOf(executor: Executor): RegisterAgentBody["capabilities"][number] {
  const {
    capability,
    version,
    description,
    cost,
    tokens,
    calls,
    bid,
    inputSchema,
    outputSchema,
    planning = {},
  } = executor;
  const { consumes, produces, durationMs, reliability } = planning;
  return {
    name: capability,
    version,
    ...(cost !== undefined && { cost }),
    ...(tokens !== undefined && { tokens }),
    ...(calls !== undefined && { calls }),
    ...(bid && { bids: true }),
    ...(description !== "" && { description }),
    ...(inputSchema && { input_schema: inputSchema }),
    ...(outputSchema && { output_schema: outputSchema }),
    ...(consumes && { consumes: { ...consumes } }),
    ...(produces && { produces: { ...produces } }),
    ...(durationMs !== undefined && { duration_ms: durationMs }),
    ...(reliability !== undefined && { reliability }),
  };
}

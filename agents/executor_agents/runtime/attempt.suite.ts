/** An attempt without a runtime around it, whose server is a function. */
import type { LeaseBody } from "../../../core/protocol/tasks.ts";
import { createAgentClient } from "../../../sdk/client.ts";
import { coreEcho } from "../core-echo.ts";
import { type Attempt, newAttempt } from "./attempt.ts";

export const lease: LeaseBody = {
  task_id: "00000000-0000-7000-8000-000000000001",
  key: "task",
  run_id: "00000000-0000-7000-8000-000000000000",
  attempt: 2,
  lease_token: "first",
  lease_ms: 30_000,
  timeout_ms: 600_000,
  capability: "core.echo",
  input: null,
  idempotency_key: "key",
  traceparent: null,
};

/** Of the agent `agent`, whose token is `token`. */
export function attemptOver(send: typeof fetch): Attempt {
  const client = createAgentClient({ url: "http://skein.test", fetch: send }, { id: "agent", agent_token: "token" });
  const session = { agentId: "agent", token: "token", leaseMs: 30_000, queues: {}, client, patientClient: client };
  return newAttempt({ id: 1, session, executor: coreEcho, lease: { ...lease }, hint: undefined, log: silent });
}

const silent = { debug() {}, info() {}, warn() {}, error() {} };

export const lost = () => {
  throw new TypeError("fetch failed");
};

export const refusal = (status: number, code: string) => () => Response.json({ code, detail: "because" }, { status });

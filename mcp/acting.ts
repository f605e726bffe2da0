/** What the tools take that act as an agent. */
import { z } from "zod";
import { agentName } from "../core/protocol/agent-data.ts";
import { uuid } from "../core/protocol/common.ts";

export const agentToken = z
  .string()
  .min(1)
  .max(256)
  .exactOptional()
  .describe("The agent_token that agent_register answered; leave it out if this MCP server was given one as its key");

/** Whose state, memory or inbox. */
export const ofAgent = {
  agent: agentName.describe("The agent, by name or id. An agent_token reaches only its own agent's"),
  agent_token: agentToken.describe("The agent's own token; leave it out to use the key this MCP server was given"),
};

/** Which attempt, and the right to speak for it. */
export const heldLease = {
  task_id: uuid.describe("As task_claim answered it"),
  attempt: z.int().min(1).describe("As task_claim answered it"),
  lease_token: z.string().min(1).max(256).describe("As task_claim answered it"),
};

import { z } from "zod";
import { SkeinError } from "../../core/errors.ts";
import { json } from "../../core/protocol/common.ts";
import { agentToken, heldLease } from "../acting.ts";
import { defineTool, settling } from "../tool.ts";

const meaning = {
  ok: "The lease goes on.",
  lost: "The lease is lost: another agent may have the task. Stop working on it; a report would change nothing.",
  cancel: "The task has been cancelled. Stop working on it.",
};

export const taskHeartbeat = defineTool({
  name: "task_heartbeat",
  title: "Keep a task's lease",
  description:
    "Says that you still work on a task, which renews its lease, and optionally how far you are. Answers `ok`, `lost` (another agent may have it: stop) or `cancel` (it is no longer wanted: stop).",
  annotations: settling,
  input: z.strictObject({
    agent_token: agentToken,
    ...heldLease,
    progress: json.optional().describe("How far you are, for whoever looks at the task"),
  }),
  output: z.object({ state: z.enum(["ok", "lost", "cancel"]) }),
  async call(_client, { agent_token, progress, ...lease }, { agent }) {
    const { leases } = await agent(agent_token).heartbeat({
      leases: [{ ...lease, ...(progress !== undefined && { progress }) }],
    });
    const [answer] = leases;
    if (!answer) throw new SkeinError("INTERNAL", "The server answered a heartbeat with nothing.");
    return { state: answer.state };
  },
  text: ({ state }) => meaning[state],
});

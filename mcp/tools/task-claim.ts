import { z } from "zod";
import { MAX_WAIT_SECONDS, name } from "../../core/protocol/common.ts";
import { claimAnswer } from "../../core/protocol/tasks.ts";
import { agentToken } from "../acting.ts";
import { changing, defineTool } from "../tool.ts";

export const taskClaim = defineTool({
  name: "task_claim",
  title: "Take a task to perform",
  description: `Takes tasks that ask for what your agent offers, waiting up to wait_seconds for one. Each comes with its input and a lease: perform it, send task_heartbeat before lease_ms is over, and end with task_report. A task that is not heard of in time goes to another agent. An empty list means that there is nothing to do; ask again. Tasks that take you longer than a lease (30 s unless the workflow says \`heartbeat: 10m\` on the task) need heartbeats between the steps.`,
  annotations: changing,
  input: z.strictObject({
    agent_token: agentToken,
    capabilities: z
      .array(name)
      .max(100)
      .exactOptional()
      .describe("Only tasks of these; default: all your agent offers"),
    max: z.int().min(1).max(100).default(1).describe("How many tasks to take at most"),
    wait_seconds: z.number().min(0).max(MAX_WAIT_SECONDS).default(20).describe("How long to wait for a task"),
    request_id: z
      .string()
      .min(1)
      .max(128)
      .exactOptional()
      .describe("Of your choice: repeating a call under it answers with the same tasks, if the answer was lost"),
  }),
  output: z.object(claimAnswer.shape),
  call: (_client, { agent_token, request_id, wait_seconds, ...body }, { agent, signal }) =>
    agent(agent_token).claim({ ...body, request_id: request_id ?? crypto.randomUUID(), wait: wait_seconds }, signal),
  text: ({ tasks }) =>
    tasks.length === 0
      ? "There is nothing to do. Ask again, with wait_seconds to wait for work."
      : tasks
          .map(({ key, task_id, run_id, attempt, capability, input, lease_token, lease_ms }) =>
            [
              `Task ${key} of run ${run_id} asks for ${capability}. Input: ${JSON.stringify(input)}`,
              `Report with task_id ${task_id}, attempt ${attempt}, lease_token ${lease_token}; the lease lasts ${lease_ms} ms.`,
            ].join("\n"),
          )
          .join("\n\n"),
});

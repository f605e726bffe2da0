import { z } from "zod";
import { agentToken, heldLease } from "../acting.ts";
import { defineTool, settling } from "../tool.ts";

export const taskRelease = defineTool({
  name: "task_release",
  title: "Give a task back",
  description:
    "Gives a task back that you have not begun, for another agent to take; it does not count as an attempt that failed. Use it when you took more than you can do.",
  annotations: settling,
  input: z.strictObject({ agent_token: agentToken, ...heldLease }),
  output: z.object({ released: z.boolean().describe("false: the lease was lost already") }),
  async call(_client, { agent_token, ...lease }, { agent }) {
    const { leases } = await agent(agent_token).release({ leases: [lease] });
    return { released: leases[0]?.released === true };
  },
  text: ({ released }) => (released ? "Given back." : "The lease had been lost already."),
});

import { randomUUID } from "node:crypto";
import { equal } from "../expect.ts";
import { proofOf, type Scenario } from "../scenario.ts";

export const cancelRunning: Scenario = {
  name: "cancel-running",
  title: "A cancel reaches an executor at work with its next heartbeat, and what it reports then is refused",
  async play({ client, unique, submit, join, claim, watch, step }) {
    step("begin a task");
    const agent = await join(unique);
    const tasks = [
      { id: "long", capability: unique },
      { id: "after", needs: ["long"], capability: "core.echo" },
    ];
    const run = await submit({ definition: { name: "cancel-running", tasks } });
    const lease = proofOf(await claim(agent));
    const beat = async () => (await agent.heartbeat({ leases: [lease] })).leases[0]?.state;
    equal("the answer to a heartbeat before the cancel", await beat(), "ok");

    step("cancel the run");
    await client.runs.cancel(run.id, "changed my mind");
    await watch(run.id);
    equal("the answer to a heartbeat after the cancel", await beat(), "cancel");

    step("report all the same");
    const done = { ...lease, outcome: "completed", output: "too late" } as const;
    const { reports } = await agent.report({ request_id: randomUUID(), reports: [done] });
    equal("the answer to a report after the cancel", reports[0]?.result, "stale");

    step("read how the run ended");
    const { status, outputs, error } = await client.runs.result(run.id);
    equal(
      "the run",
      { status, outputs, why: error?.message },
      { status: "cancelled", outputs: null, why: "changed my mind" },
    );
    equal("its tasks", (await client.runs.get(run.id)).counts, { cancelled: 2 });
  },
};

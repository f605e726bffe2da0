import { randomUUID } from "node:crypto";
import { equal } from "../expect.ts";
import { proofOf, type Scenario } from "../scenario.ts";

export const failureExplained: Scenario = {
  name: "failure-explained",
  title: "A failure fails the run, skips what needed it, spares the rest, and says where it began",
  async play({ client, unique, submit, join, claim, watch, step }) {
    step("submit a chain of three beside a task of its own");
    const agent = await join(unique);
    const tasks = [
      { id: "breaks", capability: unique },
      { id: "child", needs: ["breaks"], capability: "core.echo" },
      { id: "grandchild", needs: ["child"], capability: "core.echo" },
      { id: "bystander", capability: "core.echo" },
    ];
    const run = await submit({ definition: { name: "failure-explained", tasks } });

    step("fail its first task for good");
    const error = { code: "NO_SUCH_CUSTOMER", message: "Customer 7 does not exist.", retryable: false };
    const failed = { ...proofOf(await claim(agent)), outcome: "failed", error } as const;
    await agent.report({ request_id: randomUUID(), reports: [failed] });

    step("read how the run ended");
    await watch(run.id);
    const result = await client.runs.result(run.id);
    equal("the run's status", result.status, "failed");
    const { code, message, task } = result.error ?? {};
    equal("the run's error", { code, message, task }, { code: error.code, message: error.message, task: "breaks" });

    step("read what became of each task");
    const { data } = await client.runs.tasks(run.id);
    const fates = Object.fromEntries(data.map(({ key, status, reason }) => [key, [status, reason]]));
    equal("the fates of the tasks", fates, {
      breaks: ["failed", null],
      child: ["skipped", "need_not_completed"],
      grandchild: ["skipped", "need_not_completed"],
      bystander: ["completed", null],
    });
    equal("the attempts at what cannot be retried", (await client.runs.task(run.id, "breaks")).attempts.length, 1);
  },
};

import { randomUUID } from "node:crypto";
import { isTaskFact } from "../../../core/event.ts";
import { equal } from "../expect.ts";
import { completed, type Scenario } from "../scenario.ts";

const TASKS = 4;

export const longPoll: Scenario = {
  name: "long-poll",
  title: "An agent without a broker waits for work over HTTP, and is given the next task with the answer to its report",
  async play({ client, unique, submit, join, signal, watch, step }) {
    step("wait for work before there is any");
    const agent = await join(unique);
    const claim = { request_id: randomUUID(), max: 1, wait: 30 };
    const waiting = agent.claim(claim, signal);

    step("submit a chain of tasks");
    const ids = Array.from({ length: TASKS }, (_, n) => `t${n}`);
    const tasks = ids.map((id, n) => ({ id, capability: unique, ...(n > 0 && { needs: [ids[n - 1]!] }) }));
    const run = await submit({ definition: { name: "long-poll", tasks } });
    let [lease] = (await waiting).tasks;
    equal("the task that the long-poll is given", lease?.key, "t0");

    step("repeat the claim, as if its answer had been lost");
    const again = (await agent.claim(claim)).tasks;
    equal(
      "the answer to the same claim",
      again.map(({ key, attempt }) => [key, attempt]),
      [["t0", 1]],
    );
    // The tokens are new, and the old ones are worth nothing.
    [lease] = again;

    step("report each task, and take the next in the same request");
    const keys: string[] = [];
    while (lease) {
      keys.push(lease.key);
      const next = { capabilities: [unique], max: 1 };
      const reports = [completed(lease, keys.length)];
      const answer = await agent.report({ request_id: randomUUID(), reports, claim: next });
      equal("the answer to a report", answer.reports[0]?.result, "accepted");
      [lease] = answer.tasks ?? [];
    }
    equal("the tasks, in their order", keys, ids);

    step("read through which doors the tasks were taken");
    const doors = (await watch(run.id)).flatMap((event) =>
      isTaskFact(event) && event.type === "task.claimed" ? [event.via] : [],
    );
    equal("the doors", doors, ["poll", ...Array(TASKS - 1).fill("handoff")]);
    equal("the door that the agent is registered with", (await client.agents.get(agent.id)).door, "poll");
  },
};

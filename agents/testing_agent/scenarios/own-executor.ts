import { equal } from "../expect.ts";
import { proofOf, type Scenario } from "../scenario.ts";

export const ownExecutor: Scenario = {
  name: "own-executor",
  title: "A program that speaks plain HTTP performs tasks: claim, heartbeat, report, with retries and fencing",
  async play({ client, unique, submit, join, claim, report, watch, step }) {
    step("register an agent with a capability of its own");
    const agent = await join(unique);
    const retry = { max_attempts: 2, initial_delay: "10ms", jitter: false };
    const task = { id: "work", capability: unique, input: { n: 20 }, retry };
    const run = await submit({
      definition: { name: "own-executor", tasks: [task], outputs: "{{ tasks.work.output }}" },
    });

    step("claim the task, keep its lease and tell the progress");
    const first = await claim(agent);
    equal("the input", first.input, { n: 20 });
    const beat = await agent.heartbeat({ leases: [{ ...proofOf(first), progress: "half way" }] });
    equal("the answer to a heartbeat", beat.leases[0]?.state, "ok");
    equal("the progress others see", (await client.runs.task(run.id, "work")).progress, "half way");

    step("fail the first attempt");
    const failed = { outcome: "failed", error: { code: "OUT_OF_PAPER", message: "The printer is empty." } } as const;
    equal("the answer to a failure", await report(agent, { ...proofOf(first), ...failed }), "accepted");

    step("claim the second attempt, and give it back");
    const second = await claim(agent);
    equal("the second attempt's number", second.attempt, 2);
    equal("the second attempt's idempotency key", second.idempotency_key, first.idempotency_key);
    await agent.release({ leases: [proofOf(second)] });
    const stale = { ...proofOf(second), outcome: "completed", output: "stale" } as const;
    equal("the answer to a report on a lease given back", await report(agent, stale), "stale");

    step("complete the third attempt, twice");
    const third = await claim(agent);
    const done = { ...proofOf(third), outcome: "completed", output: { n: 42 } } as const;
    equal("the answer to a forged report", await report(agent, { ...done, lease_token: "forged" }), "stale");
    equal("the answer to the result", await report(agent, done), "accepted");
    equal("the answer to the same result", await report(agent, done), "duplicate");

    step("fetch the result and the story of the attempts");
    await watch(run.id);
    equal("the outputs", (await client.runs.result(run.id)).outputs, { n: 42 });
    const { attempts } = await client.runs.task(run.id, "work");
    const outcomes = attempts.map(({ outcome }) => outcome);
    equal("how the attempts ended", outcomes, ["failed", "released", "completed"]);
  },
};

import { equal } from "../expect.ts";
import { completed, proofOf, type Scenario } from "../scenario.ts";

export const leaseLost: Scenario = {
  name: "lease-lost",
  title: "An agent that misses its heartbeats loses the task to another, and what it reports later changes nothing",
  async play({ client, unique, submit, join, claim, report, watch, step }) {
    step("begin a task that wants a heartbeat every two seconds");
    const first = await join(unique, "first");
    const task = { id: "work", capability: unique, heartbeat: "2s" };
    const run = await submit({ definition: { name: "lease-lost", tasks: [task], outputs: "{{ tasks.work.output }}" } });
    const lost = await claim(first);
    const beat = async () => (await first.heartbeat({ leases: [proofOf(lost)] })).leases[0]?.state;
    equal("the answer to a heartbeat in time", await beat(), "ok");

    step("be silent, while another agent waits for work");
    const second = await join(unique, "second");
    const taken = await claim(second);
    equal("the attempt of the other agent", taken.attempt, 2);
    equal("its idempotency key", taken.idempotency_key, lost.idempotency_key);

    step("come back");
    equal("the answer to a heartbeat that is late", await beat(), "lost");
    equal("the answer to a report that is late", await report(first, completed(lost, "of the first")), "stale");
    equal("the answer to the other's report", await report(second, completed(taken, "of the second")), "accepted");

    step("read what has become of it");
    await watch(run.id);
    equal("the outputs", (await client.runs.result(run.id)).outputs, "of the second");
    const { attempts, lost_leases } = await client.runs.task(run.id, "work");
    const outcomes = attempts.map(({ outcome }) => outcome);
    equal("how the attempts ended", outcomes, ["lease_expired", "completed"]);
    equal("how many leases were lost", lost_leases, 1);
  },
};

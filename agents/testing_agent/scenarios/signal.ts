import { equal, refused } from "../expect.ts";
import type { Scenario } from "../scenario.ts";

export const signal: Scenario = {
  name: "signal",
  title: "A signal ends one wait for it and brings a payload along; one that comes early is kept",
  async play({ client, submit, hear, watch, step }) {
    step("submit a run that waits for two signals and an hour");
    const tasks = [
      { id: "doors", wait: { signal: "open" } },
      { id: "again", needs: ["doors"], wait: { signal: "open" } },
      { id: "late", wait: { any_of: [{ signal: "hurry" }, { for: "1h" }] } },
    ];
    const outputs = {
      first: "{{ tasks.doors.output.payload }}",
      second: "{{ tasks.again.output.payload }}",
      by: "{{ tasks.late.output.event }}",
    };
    const run = await submit({ definition: { name: "signal", tasks, outputs } });
    await hear(run.id, "task.waiting", "doors");

    step("send a signal that ends a wait, and one for the wait after it");
    await client.runs.signal(run.id, "open", { by: "Ann" });
    await client.runs.signal(run.id, "open", { by: "Bob" });
    await client.runs.signal(run.id, "hurry");

    step("fetch what came of it");
    await watch(run.id);
    const result = await client.runs.result(run.id);
    equal("the outputs", result.outputs, { first: { by: "Ann" }, second: { by: "Bob" }, by: "signal" });
    await refused("a signal to what is over", "RUN_ALREADY_FINISHED", client.runs.signal(run.id, "open"));
  },
};

import { equal } from "../expect.ts";
import type { Scenario } from "../scenario.ts";

export const loop: Scenario = {
  name: "loop",
  title: "Tasks are repeated until a condition holds, each round with what the one before gave",
  async play({ client, submit, watch, step }) {
    step("submit a loop that halves a number, and one that cannot end");
    const halve = (max: number) => ({
      body: [{ id: "half", capability: "core.echo", input: { n: "{{ index == 0 ? 100 : previous.half.n / 2 }}" } }],
      until: "tasks.half.output.n <= 25",
      max,
    });
    const tasks = [
      { id: "enough", loop: halve(9) },
      { id: "too_few", loop: halve(2) },
      { id: "fallback", needs: ["too_few"], trigger_rule: "one_failed", capability: "core.echo", input: "given up" },
    ];
    const outputs = {
      rounds: "{{ tasks.enough.output.iterations }}",
      n: "{{ tasks.enough.output.outputs.half.n }}",
      fallback: "{{ tasks.fallback.output }}",
    };
    const run = await submit({ definition: { name: "loop", tasks, outputs } });

    step("fetch what came of it");
    await watch(run.id);
    equal("the outputs", (await client.runs.result(run.id)).outputs, { rounds: 3, n: 25, fallback: "given up" });
    equal("the loop that had to end", (await client.runs.task(run.id, "too_few")).error?.code, "loop_exhausted");
    equal("a task of a round", (await client.runs.task(run.id, "enough[1]/half")).output, { n: 50 });
  },
};

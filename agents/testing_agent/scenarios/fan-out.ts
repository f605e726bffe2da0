import type { Json } from "../../../core/json.ts";
import { equal } from "../expect.ts";
import type { Scenario } from "../scenario.ts";

const WIDTH = 100;

export const fanOut: Scenario = {
  name: "fan-out",
  title: `One task fans out to ${WIDTH}, and one that needs them all gets the output of each`,
  deadlineMs: 120_000,
  async play({ client, submit, watch, step }) {
    step(`submit ${WIDTH} tasks between two`);
    const ids = Array.from({ length: WIDTH }, (_, n) => `part_${n}`);
    const tasks = [
      { id: "source", capability: "core.echo", input: { offset: 1_000 } },
      ...ids.map((id, n) => ({
        id,
        needs: ["source"],
        capability: "core.echo",
        input: { n: `{{ tasks.source.output.offset + ${n} }}` },
      })),
      // Without an input, a task receives the outputs of all it needs.
      { id: "sink", needs: ids, capability: "core.echo" },
    ];
    const run = await submit({ definition: { name: "fan-out", tasks, outputs: "{{ tasks.sink.output.needs }}" } });

    step("watch it to the end");
    const events = await watch(run.id);
    const completions = events.filter(({ type }) => type === "task.completed");
    equal("the number of tasks completed", completions.length, WIDTH + 2);

    step("fetch what arrived at the last task");
    const expected: Json = Object.fromEntries(ids.map((id, n) => [id, { n: 1_000 + n }]));
    equal("the outputs", (await client.runs.result(run.id)).outputs, expected);
  },
};

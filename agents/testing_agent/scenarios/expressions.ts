import { equal } from "../expect.ts";
import type { Scenario } from "../scenario.ts";

export const expressions: Scenario = {
  name: "expressions",
  title: "Conditions skip tasks, and templates pass values on with their types",
  async play({ client, submit, watch, step }) {
    step("submit a workflow that decides");
    const run = await submit({ definition, inputs: { name: "Ada", items: [3, 1, 2], limit: 2 } });
    await watch(run.id);

    step("read which tasks ran");
    const { data } = await client.runs.tasks(run.id);
    const fates = Object.fromEntries(data.map(({ key, status, reason }) => [key, [status, reason]]));
    equal("the fates of the tasks", fates, {
      order: ["completed", null],
      large: ["completed", null],
      small: ["skipped", "condition_false"],
      after_small: ["skipped", "need_not_completed"],
    });

    step("read what the templates made");
    const result = await client.runs.result(run.id);
    equal("the run's status", result.status, "completed");
    equal("the outputs", result.outputs, {
      greeting: "Hello Ada, 3 items: [3,1,2]",
      items: [3, 1, 2],
      first: 3,
      next: 4,
      isLarge: true,
      small: null,
      literal: "{{ not an expression }}",
    });
  },
};

const definition = {
  name: "expressions",
  tasks: [
    { id: "order", capability: "core.echo", input: { count: "{{ size(inputs.items) }}" } },
    { id: "large", needs: ["order"], when: "tasks.order.output.count > inputs.limit", capability: "core.echo" },
    { id: "small", needs: ["order"], when: "tasks.order.output.count <= inputs.limit", capability: "core.echo" },
    { id: "after_small", needs: ["small"], capability: "core.echo" },
  ],
  outputs: {
    greeting: "Hello {{ inputs.name }}, {{ tasks.order.output.count }} items: {{ inputs.items }}",
    items: "{{ inputs.items }}",
    first: "{{ inputs.items[0] }}",
    next: "{{ tasks.order.output.count + 1 }}",
    isLarge: '{{ tasks.large.status == "completed" }}',
    small: "{{ tasks.small.output }}",
    literal: "\\{{ not an expression }}",
  },
};

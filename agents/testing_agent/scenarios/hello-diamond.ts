import { isTaskFact } from "../../../core/event.ts";
import { workflow } from "../../../sdk/workflow.ts";
import { equal, isTrue } from "../expect.ts";
import type { Scenario } from "../scenario.ts";

export const helloDiamond: Scenario = {
  name: "hello-diamond",
  title: "A diamond of four tasks runs in order and passes its numbers on",
  async play({ client, submit, watch, step }) {
    step("submit a diamond");
    const run = await submit({ definition: diamond(), inputs: { n: 1 } });
    equal("the number of its tasks", run.task_count, 4);

    step("watch its events to the end");
    const events = await watch(run.id);
    const place = (type: string, key?: string) =>
      events.findIndex(
        (event) => event.type === type && (key === undefined || (isTaskFact(event) && event.key === key)),
      );
    for (const [need, task] of edges) {
      const isInOrder = place("task.completed", need) < place("task.claimed", task);
      isTrue(`${task} is claimed after ${need} has completed`, isInOrder, events);
    }
    equal("the last event", events.at(-1)?.type, "run.completed");

    step("fetch its result");
    const result = await client.runs.result(run.id);
    equal("the result", result, { status: "completed", outputs: { n: 6 }, error: null });
  },
};

const edges = [
  ["top", "left"],
  ["top", "right"],
  ["left", "bottom"],
  ["right", "bottom"],
] as const;

function diamond() {
  const flow = workflow("hello-diamond");
  const echo = { capability: "core.echo" };
  flow.task("top", { ...echo, input: { n: "{{ inputs.n }}" } });
  flow.task("left", { ...echo, needs: ["top"], input: { n: "{{ tasks.top.output.n + 1 }}" } });
  flow.task("right", { ...echo, needs: ["top"], input: { n: "{{ tasks.top.output.n + 2 }}" } });
  flow.task("bottom", {
    ...echo,
    needs: ["left", "right"],
    input: { n: "{{ tasks.left.output.n * tasks.right.output.n }}" },
  });
  return flow.outputs({ n: "{{ tasks.bottom.output.n }}" }).build();
}

import { equal } from "../expect.ts";
import { completed, type Scenario } from "../scenario.ts";

/** Large enough to be stored apart. */
const CHARACTERS = 200_000;

export const cachedTask: Scenario = {
  name: "cached-task",
  title: "A task that asks the same as one before takes its output, however large, until the cache is cleared",
  async play({ client, unique, submit, join, claim, report, watch, step }) {
    step("complete a task that has a cache");
    const agent = await join(unique);
    const tasks = [{ id: "draw", capability: unique, input: { page: "{{ inputs.page }}" }, cache: { ttl: "1h" } }];
    const definition = { name: "cached-task", tasks, outputs: { drawing: "{{ tasks.draw.output }}" } };
    const first = await submit({ definition, inputs: { page: 1 } });
    const drawing = "~".repeat(CHARACTERS);
    await report(agent, completed(await claim(agent), drawing));
    await watch(first.id);

    step("ask for the same, and for something else");
    const same = await submit({ definition, inputs: { page: 1 } });
    const types = (await watch(same.id)).map(({ type }) => type).filter((type) => type.startsWith("task."));
    equal("what happened to the equal task", types, ["task.cached", "task.completed"]);
    const { drawing: taken } = (await client.runs.result(same.id)).outputs as { drawing: string };
    equal("its output", [taken.length, taken === drawing], [CHARACTERS, true]);
    equal("whose output it took", (await client.runs.task(same.id, "draw")).cached_from?.run_id, first.id);
    const other = await submit({ definition, inputs: { page: 2 } });
    const lease = await claim(agent);
    equal("the input of the task that is not equal", [lease.run_id, lease.input], [other.id, { page: 2 }]);
    await report(agent, completed(lease, "another"));
    await watch(other.id);

    step("clear what the first run stored");
    equal("what is forgotten", await client.cache.clear({ capability: unique, run: first.id }), { cleared: 1 });
    const again = await submit({ definition, inputs: { page: 1 } });
    const anew = await claim(agent);
    equal("the run that is done anew", anew.run_id, again.id);
    await report(agent, completed(anew, "new"));
    await watch(again.id);
  },
};

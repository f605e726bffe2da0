import { equal } from "../expect.ts";
import { completed, proofOf, type Scenario } from "../scenario.ts";

export const map: Scenario = {
  name: "map",
  title: "One task is done for each item of a list, and for each that an agent finds while the run goes on",
  async play({ client, unique, submit, join, claim, report, watch, step }) {
    step("submit a map over a list, and one over what is found");
    const agent = await join(unique);
    const tasks = [
      {
        id: "double",
        for_each: "{{ inputs.items }}",
        max_concurrency: 2,
        capability: "core.echo",
        input: "{{ item * 2 }}",
      },
      { id: "scout", capability: unique },
      { id: "visit", for_each: [], open: true, capability: "core.echo", input: "{{ item }}" },
    ];
    const outputs = { doubled: "{{ tasks.double.outputs }}", visited: "{{ tasks.visit.outputs }}" };
    const items = [3, 1, 4, 1, 5];
    const run = await submit({ definition: { name: "map", tasks, outputs }, inputs: { items } });

    step("find items, one of them twice, and say that there are no more");
    const scouting = await claim(agent);
    const find = (...places: string[]) => {
      const found = places.map((place) => ({ item: { place }, key: place }));
      return agent.emit({ ...proofOf(scouting), map: "visit", items: found });
    };
    equal("the answer to two items", await find("pond", "field"), { added: 2, repeated: 0 });
    equal("the answer to one of them again", await find("pond"), { added: 0, repeated: 1 });
    await report(agent, {
      ...completed(scouting, null),
      effects: { emit: [{ map: "visit", items: [], close: true }] },
    });

    step("fetch what came of it");
    const events = await watch(run.id);
    const { outputs: made } = await client.runs.result(run.id);
    const visited = [{ place: "pond" }, { place: "field" }];
    equal("the outputs, in the order of the items", made, { doubled: items.map((n) => n * 2), visited });
    const instances = events.filter(
      (event) => event.type === "task.completed" && /^double\[/.test(String(Object(event).key)),
    );
    equal("the instances of the first map", instances.length, items.length);
  },
};

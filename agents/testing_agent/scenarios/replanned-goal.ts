import { equal } from "../expect.ts";
import { broken, completed, type Scenario } from "../scenario.ts";

export const replannedGoal: Scenario = {
  name: "replanned-goal",
  title: "When a task of a plan fails, what is left of the goal is planned anew, around what has failed",
  async play({ client, unique, submit, join, claim, report, watch, step }) {
    step("register two ways to the same thing");
    const type = (name: string) => `${unique}.${name}`;
    const summary = { consumes: { text: type("text") }, produces: { summary: type("summary") } };
    const agent = await join([
      { name: type("read"), consumes: { address: type("address") }, produces: { text: type("text") } },
      { name: type("shorten"), cost: 1, ...summary },
      { name: type("retell"), cost: 5, ...summary },
    ]);

    step("submit a goal");
    const have = { page: { type: type("address"), value: "https://geese.example" } };
    const goal = { have, want: { short: type("summary") }, prefer: "cheapest" } as const;
    const run = await submit({ goal, on_failure: "replan" });

    step("perform the first task, and break at the second");
    await report(agent, completed(await claim(agent), { text: "Geese fly south." }));
    const cheapest = await claim(agent);
    equal("the capability that is asked first", cheapest.capability, type("shorten"));
    await report(agent, broken(cheapest, "OUT_OF_INK", "There is no ink left."));

    step("perform the task that takes its place");
    const other = await claim(agent);
    equal("the capability that is asked instead", other.capability, type("retell"));
    equal("its input, which was made before", other.input, { text: "Geese fly south." });
    await report(agent, completed(other, { summary: "South." }));

    step("read the story");
    const events = await watch(run.id);
    const result = await client.runs.result(run.id);
    equal("the result", result, { status: "completed", outputs: { short: "South." }, error: null });
    const story = events.map((event) => event.type).filter((one) => /replan|patched/.test(one));
    equal("how it was planned anew", story, ["run.replanning", "run.patched"]);
    const { status, superseded_in } = await client.runs.task(run.id, cheapest.key);
    equal("the task that failed", { status, superseded_in }, { status: "failed", superseded_in: 1 });
  },
};

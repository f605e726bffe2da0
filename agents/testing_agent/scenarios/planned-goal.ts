import { equal, includes, refused } from "../expect.ts";
import { completed, type Scenario } from "../scenario.ts";

export const plannedGoal: Scenario = {
  name: "planned-goal",
  title: "A goal of types becomes a plan with its reasons; once accepted, it runs and gives what was wanted",
  async play({ client, unique, adopt, join, claim, report, watch, step }) {
    step("register what there is to plan with");
    const type = (name: string) => `${unique}.${name}`;
    const agent = await join([
      { name: type("read"), consumes: { address: type("address") }, produces: { text: type("text") } },
      { name: type("shorten"), consumes: { text: type("text") }, produces: { summary: type("summary") } },
    ]);

    step("plan");
    const have = { page: { type: type("address"), value: "https://geese.example" } };
    const plan = await client.plans.create({ goal: { have, want: { short: type("summary") } } });
    const capabilities = plan.tasks.map(({ capability }) => capability);
    equal("the capabilities of the plan", capabilities, [type("read"), type("shorten")]);
    equal("whether anything runs", { status: plan.status, run: plan.run_id }, { status: "proposed", run: null });
    includes("the plan as a tree", await client.plans.draw(plan.id, "tree"), plan.tasks[0]!.reason);

    step("accept it");
    const run = await client.plans.accept(plan.id, { reason: "It looks fine." });
    adopt(run.id);
    equal("the run, accepted again", (await client.plans.accept(plan.id)).id, run.id);

    step("perform its tasks");
    const reading = await claim(agent);
    equal("what is to be read", reading.input, { address: have.page.value });
    await report(agent, completed(reading, { text: "Geese fly south." }));
    const shortening = await claim(agent);
    equal("what is to be shortened", shortening.input, { text: "Geese fly south." });
    await report(agent, completed(shortening, { summary: "South." }));

    step("fetch what was wanted");
    await watch(run.id);
    equal("the outputs", (await client.runs.result(run.id)).outputs, { short: "South." });

    step("ask for what nobody can make");
    const goal = { have, want: { song: type("song") } };
    const error = await refused("an impossible goal", "PLAN_IMPOSSIBLE", client.plans.create({ goal }));
    includes("what is said about it", error.message, type("song"));
  },
};

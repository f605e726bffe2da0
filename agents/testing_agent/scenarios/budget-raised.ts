import { randomUUID } from "node:crypto";
import { equal } from "../expect.ts";
import { completed, type Scenario } from "../scenario.ts";

export const budgetRaised: Scenario = {
  name: "budget-raised",
  title: "A task that does not fit into the budget of its run waits, says so, and starts once the budget is raised",
  async play({ client, unique, submit, join, claim, report, watch, step }) {
    step("spend all but a little of a budget");
    const agent = await join(unique);
    const tasks = [
      { id: "first", capability: unique, estimate: { tokens: 90 } },
      { id: "second", needs: ["first"], capability: unique, estimate: { tokens: 20 } },
    ];
    const budget = { tokens: 100, on_exhausted: "wait" as const };
    const run = await submit({ definition: { name: "budget-raised", tasks }, budget });
    const first = await claim(agent);
    const { budgets } = await client.runs.budget(run.id);
    equal("what is set aside", budgets[0]?.reserved.tokens, 90);
    await report(agent, { ...completed(first, 1), usage: { input_tokens: 80, output_tokens: 5 } });

    step("ask for the next task");
    const { tasks: handedOut } = await agent.claim({ request_id: randomUUID(), max: 1, wait: 1 });
    equal("what is handed out", handedOut, []);
    const { reasons } = await client.runs.why(run.id, "second");
    equal("why the second task does not start", reasons[0]?.code, "budget_exhausted");

    step("raise the budget");
    const raised = await client.runs.changeBudget(run.id, { tokens: 105 });
    equal("what is left", raised.budgets[0]?.left.tokens, 20);
    const second = await claim(agent);
    equal("what is handed out", second.key, "second");
    await report(agent, completed(second, 2));
    const events = await watch(run.id);
    const story = events.map(({ type }) => type).filter((type) => /^run\.(budget_changed|completed)$/.test(type));
    equal("the story of the run", story, ["run.budget_changed", "run.completed"]);
    equal("what was spent", (await client.runs.budget(run.id)).spent, { tokens: 105, cost: 0, calls: 2 });
  },
};

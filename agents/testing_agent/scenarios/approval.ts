import { equal, refused } from "../expect.ts";
import type { Scenario } from "../scenario.ts";

export const approval: Scenario = {
  name: "approval",
  title: "A run waits for somebody's decision: approved it goes on, rejected another branch takes over",
  async play({ client, submit, hear, watch, step }) {
    step("submit a run that asks three things");
    const form = { type: "object", required: ["count"], properties: { count: { type: "integer" } } };
    const tasks = [
      { id: "pay", wait: { approval: { assignee: "ann", payload: { sum: 7 } } } },
      { id: "paid", needs: ["pay"], capability: "core.echo", input: { comment: "{{ tasks.pay.output.comment }}" } },
      { id: "print", wait: { approval: {} } },
      { id: "filed", needs: ["print"], trigger_rule: "one_failed", capability: "core.echo", input: "filed" },
      { id: "geese", capability: "human.task", input: { form } },
    ];
    const outputs = {
      comment: "{{ tasks.paid.output.comment }}",
      filed: "{{ tasks.filed.output }}",
      count: "{{ tasks.geese.output.payload.count }}",
    };
    const run = await submit({ definition: { name: "approval", tasks, outputs } });
    for (const task of ["pay", "print", "geese"]) await hear(run.id, "task.waiting", task);
    equal("what is shown to who decides", (await client.runs.task(run.id, "pay")).input, {
      approval: { assignee: "ann", payload: { sum: 7 } },
    });

    step("approve the first, twice, and then change one's mind");
    await client.runs.approve(run.id, "pay", { comment: "Fine." });
    await client.runs.approve(run.id, "pay", { comment: "Fine." });
    await refused("another decision", "TASK_ALREADY_DECIDED", client.runs.reject(run.id, "pay"));

    step("reject the second");
    await client.runs.reject(run.id, "print", { comment: "Too long." });

    step("fill in the form of the third, wrongly and then rightly");
    const fill = (count: number | string) => client.runs.approve(run.id, "geese", { payload: { count } });
    const error = await refused("an answer that does not fit", "ANSWER_INVALID", fill("many"));
    equal("where it is wrong", error.issues[0]?.pointer, "/payload/count");
    await fill(7);

    step("read what came of it");
    await watch(run.id);
    const result = await client.runs.result(run.id);
    equal("the outputs", result.outputs, { comment: "Fine.", filed: "filed", count: 7 });
    const { status, error: rejection } = await client.runs.task(run.id, "print");
    equal("what was rejected", { status, code: rejection?.code }, { status: "failed", code: "rejected" });
  },
};

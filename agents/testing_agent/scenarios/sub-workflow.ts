import { equal } from "../expect.ts";
import { type Scenario, TEST_LABEL } from "../scenario.ts";

/** Workflows stay when they are registered: this one is always the same, so that it is there once. */
const child = {
  name: `${TEST_LABEL}.greeting`,
  description: "Registered by the testing agent, which needs it",
  inputs: { type: "object", required: ["who"], properties: { who: { type: "string" } } },
  labels: { [TEST_LABEL]: "sub-workflow" },
  tasks: [
    { id: "greet", capability: "core.echo", input: "Hello, {{ inputs.who }}!" },
    { id: "refuse", when: 'inputs.who == ""', terminate: { status: "failed", message: "There is nobody to greet." } },
  ],
  outputs: { greeting: "{{ tasks.greet.output }}" },
};

export const subWorkflow: Scenario = {
  name: "sub-workflow",
  title: "A registered workflow runs as a task of another; what it comes to is that task's output or failure",
  async play({ client, submit, watch, step }) {
    step("register a workflow, twice");
    const { version } = await client.workflows.register(child);
    equal("the version of the same content", (await client.workflows.register(child)).version, version);

    step("submit a run that runs it");
    const workflow = `${child.name}@${version}`;
    const tasks = [
      { id: "ann", workflow, input: { who: "Ann" } },
      { id: "nobody", workflow, input: { who: "" } },
      { id: "seven", workflow, input: { who: 7 } },
      { id: "sorry", needs: ["nobody", "seven"], trigger_rule: "all_failed", capability: "core.echo", input: "sorry" },
    ];
    const outputs = { ann: "{{ tasks.ann.output.greeting }}", sorry: "{{ tasks.sorry.output }}" };
    const run = await submit({ definition: { name: "sub-workflow", tasks, outputs } });

    step("fetch what came of it");
    await watch(run.id);
    const result = await client.runs.result(run.id);
    equal("the outputs", result.outputs, { ann: "Hello, Ann!", sorry: "sorry" });
    const codeOf = async (task: string) => (await client.runs.task(run.id, task)).error?.code;
    equal("why the task failed whose run did", await codeOf("nobody"), "subworkflow_failed");
    equal("why the task failed whose inputs do not fit", await codeOf("seven"), "RUN_INPUTS_INVALID");
  },
};

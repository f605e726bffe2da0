import { equal, includes } from "../expect.ts";
import { completed, type Scenario } from "../scenario.ts";

export const routedTask: Scenario = {
  name: "routed-task",
  title: "A task goes to an agent that fits it; as long as none does, it says why, and fails when its time is over",
  async play({ client, unique, submit, join, claim, report, watch, step }) {
    step("ask for an agent with a label that the only one lacks");
    await join(unique, "plain");
    const definition = { name: "routed-task", tasks: [{ id: "look", capability: unique, labels: { team: "geese" } }] };
    const run = await submit({ definition });
    const { reasons } = await client.runs.why(run.id, "look");
    equal("why it does not start", reasons[0]?.code, "no_agent");
    includes("the reason", reasons[0]!.message, "team");

    step("let one join that has it");
    const fitting = await join(unique, "fitting", { team: "geese" });
    const lease = await claim(fitting);
    equal("the task that it is given", lease.key, "look");
    await report(fitting, completed(lease, "seen"));
    await watch(run.id);
    equal("the outputs", (await client.runs.result(run.id)).outputs, { look: "seen" });

    step("ask for what nobody offers, for a second");
    const nobody = { id: "wish", capability: `${unique}.nobody`, schedule_timeout: "1s" };
    const hopeless = await submit({ definition: { name: "routed-task", tasks: [nobody] } });
    await watch(hopeless.id);
    const { status, error } = await client.runs.result(hopeless.id);
    equal("how it ends", [status, error?.code, error?.task], ["failed", "unroutable", "wish"]);
  },
};

import { equal, refused } from "../expect.ts";
import { broken, completed, type Scenario } from "../scenario.ts";

export const retriedRun: Scenario = {
  name: "retried-run",
  title: "A run that failed is retried as a new one, which keeps what has completed and does the rest again",
  async play({ client, unique, submit, adopt, join, claim, report, watch, step }) {
    step("fail the second of three tasks");
    const agent = await join(unique);
    const tasks = [
      { id: "fetch", capability: "core.echo", input: { page: 1 } },
      { id: "print", needs: ["fetch"], capability: unique, input: { page: "{{ tasks.fetch.output.page }}" } },
      { id: "bind", needs: ["print"], capability: "core.echo", input: "{{ tasks.print.output }}" },
    ];
    const definition = { name: "retried-run", tasks };
    const run = await submit({ definition });
    await report(agent, broken(await claim(agent), "OUT_OF_PAPER", "There is no paper."));
    await watch(run.id);

    step("retry it");
    const retry = await client.runs.retry(run.id, {}, { idempotencyKey: unique });
    adopt(retry.id);
    equal("what it retries", [retry.retried_from, retry.attempt], [run.id, 2]);
    const again = await claim(agent);
    equal("the input of the task that failed", again.input, { page: 1 });
    await report(agent, completed(again, "printed"));

    step("compare the two");
    await watch(retry.id);
    equal("the outputs of the retry", (await client.runs.result(retry.id)).outputs, { bind: "printed" });
    const kept = await client.runs.task(retry.id, "fetch");
    equal("where its first task comes from", kept.kept_from, (await client.runs.task(run.id, "fetch")).id);
    equal("what has become of the first run", (await client.runs.get(run.id)).status, "failed");

    step("retry what has completed");
    await refused("a retry of what completed", "NOTHING_TO_RETRY", client.runs.retry(retry.id));
  },
};

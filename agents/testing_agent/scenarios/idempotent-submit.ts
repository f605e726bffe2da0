import { equal, refused } from "../expect.ts";
import type { Scenario } from "../scenario.ts";

const REPEATS = 8;

export const idempotentSubmit: Scenario = {
  name: "idempotent-submit",
  title: "A submit repeated under its idempotency key is one run, however many arrive at once",
  async play({ client, unique, submit, watch, step }) {
    const tasks = [{ id: "once", capability: "core.echo" }];
    const body = { definition: { name: "idempotent-submit", tasks }, inputs: { n: 1 }, labels: { test: unique } };
    const options = { idempotencyKey: unique };

    step("submit the same many times at once");
    const runs = await Promise.all(Array.from({ length: REPEATS }, () => submit(body, options)));
    const run = runs[0]!;
    equal("the number of runs answered", new Set(runs.map(({ id }) => id)).size, 1);

    step("submit it again after it has finished");
    await watch(run.id);
    equal("the run answered", (await submit(body, options)).id, run.id);

    step("list what has come of it");
    const { data } = await client.runs.list({ label: [`test=${unique}`] });
    equal(
      "the runs listed",
      data.map(({ id }) => id),
      [run.id],
    );

    step("submit something else under the same key");
    await refused("another body", "IDEMPOTENCY_KEY_REUSED", submit({ ...body, inputs: { n: 2 } }, options));
  },
};

import { equal, isTrue } from "../expect.ts";
import type { Scenario } from "../scenario.ts";

const WAIT_MS = 500;

export const timers: Scenario = {
  name: "timers",
  title: "A task waits its time and no less; what takes longer than its deadline is ended, and so is its run",
  async play({ client, submit, watch, step }) {
    step("wait for half a second");
    const tasks = [
      { id: "pause", wait: { for: `${WAIT_MS}ms` } },
      { id: "after", needs: ["pause"], capability: "core.echo", input: 1 },
    ];
    const run = await submit({ definition: { name: "timers", tasks } });
    await watch(run.id);
    equal("the run's status", (await client.runs.get(run.id)).status, "completed");
    const { started_at, finished_at } = await client.runs.task(run.id, "pause");
    const waited = Date.parse(String(finished_at)) - Date.parse(String(started_at));
    isTrue(`it has waited ${WAIT_MS} ms`, waited >= WAIT_MS, { started_at, finished_at });

    step("submit a run that would wait beyond its deadline");
    const endless = { name: "timers", deadline: "1s", tasks: [{ id: "endless", wait: { signal: "never" } }] };
    const late = await submit({ definition: endless });
    await watch(late.id);
    const { status, error } = await client.runs.result(late.id);
    equal("how it ends", [status, error?.code], ["failed", "deadline_exceeded"]);
  },
};

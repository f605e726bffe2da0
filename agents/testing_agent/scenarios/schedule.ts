import { setTimeout as sleep } from "node:timers/promises";
import { equal, isTrue, refused } from "../expect.ts";
import type { Scenario } from "../scenario.ts";

/** Ticks that are waited for, of a schedule of every second. */
const TICKS = 2;
const LOOK_AGAIN_MS = 200;
/** Longer than two ticks are apart. */
const QUIET_MS = 2_500;

export const schedule: Scenario = {
  name: "schedule",
  title: "A workflow runs at the times of a calendar, each of them once, until its schedule is paused",
  async play({ client, unique: name, signal, adopt, step }) {
    step("register a workflow");
    const tasks = [{ id: "echo", capability: "core.echo", input: "{{ inputs.at }}" }];
    await client.workflows.register({ name: "scheduled-by-test", tasks, outputs: { at: "{{ tasks.echo.output }}" } });

    step("ask for what can never be");
    const wish = {
      name,
      workflow: "scheduled-by-test",
      cron: "* * * * * *",
      tick_input: "at",
      overlap: "allow" as const,
    };
    const never = await refused(
      "30 February",
      "SCHEDULE_NEVER_FIRES",
      client.schedules.create({ ...wish, cron: "0 0 30 2 *" }),
    );
    equal("where it is wrong", never.issues[0]?.pointer, "/cron");

    try {
      step("run it every second");
      await client.schedules.create(wish);
      const fired = async () => (await client.schedules.ticks(name, { outcome: "fired", limit: 100 })).data;
      while ((await fired()).length < TICKS) await sleep(LOOK_AGAIN_MS, undefined, { signal });

      step("pause it");
      await client.schedules.pause(name, "the test is over");
      const ticks = await fired();
      await sleep(QUIET_MS, undefined, { signal });
      equal("the ticks after the pause", await fired(), ticks);

      step("compare the ticks with the runs");
      const { data: runs } = await client.runs.list({ schedule: name, limit: 100 });
      for (const { id } of runs) adopt(id);
      const pairs = (rows: { tick_at: string | null; id: string | null }[]) =>
        rows.map(({ tick_at, id }) => `${tick_at} ${id}`).sort();
      equal("the run of each tick", pairs(runs), pairs(ticks.map(({ tick_at, run_id }) => ({ tick_at, id: run_id }))));
      isTrue(
        "each run was given its tick",
        runs.every(({ inputs, tick_at }) => inputs.at === tick_at),
        runs,
      );
    } finally {
      await client.schedules.delete(name).catch(() => {});
    }
    await refused("what was deleted", "SCHEDULE_NOT_FOUND", client.schedules.get(name));
  },
};

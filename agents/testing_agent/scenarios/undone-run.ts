import { isTaskFact } from "../../../core/event.ts";
import { equal } from "../expect.ts";
import { broken, completed, type Scenario } from "../scenario.ts";

export const undoneRun: Scenario = {
  name: "undone-run",
  title: "When a run fails, what has completed is undone, the last first, and the failure is still the run's",
  async play({ client, unique, submit, join, claim, report, watch, step }) {
    const agent = await join([unique, `${unique}.undo`]);
    const undo = { compensate: { capability: `${unique}.undo`, input: "{{ tasks.flight.output }}" } };
    const tasks = [
      { id: "flight", capability: unique, ...undo },
      { id: "hotel", needs: ["flight"], capability: unique, ...undo },
      { id: "car", needs: ["hotel"], capability: unique },
    ];
    const run = await submit({ definition: { name: "undone-run", tasks } });

    step("book two of three, and fail at the third");
    for (const booked of ["flight", "hotel"]) await report(agent, completed(await claim(agent), booked));
    await report(agent, broken(await claim(agent), "NO_CARS", "There are none left."));

    step("undo what was booked");
    for (const key of ["hotel/compensate", "flight/compensate"]) {
      const lease = await claim(agent);
      equal("what is to be undone next", [lease.key, lease.input], [key, "flight"]);
      await report(agent, completed(lease, null));
    }
    const events = await watch(run.id);
    const { status, error } = await client.runs.result(run.id);
    equal("how the run ended", [status, error?.code, error?.task], ["failed", "NO_CARS", "car"]);
    const undone = events.filter((event) => isTaskFact(event) && event.type === "task.completed");
    equal("how many tasks completed", undone.length, tasks.length - 1 + 2);
  },
};

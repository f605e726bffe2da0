import { randomUUID } from "node:crypto";
import { isTaskFact, type RunEvent } from "../../../core/event.ts";
import { equal, isTrue } from "../expect.ts";
import { completed, type Scenario } from "../scenario.ts";

const TASKS = 7;
/** One for each agent. */
const LIMIT = 2;
/** Seconds of a claim that must be given nothing. */
const SHORT_WAIT = 1;

export const limitedTasks: Scenario = {
  name: "limited-tasks",
  title: "Of the tasks of a concurrency key no more run at once than its limit allows, and all of them are done",
  async play({ client, unique, submit, join, claim, report, watch, step }) {
    step("submit two runs, whose tasks name the same key");
    const agents = [await join(unique, "ann"), await join(unique, "bob")] as const;
    const tasks = Array.from({ length: TASKS }, (_, n) => ({
      id: `t${n}`,
      capability: unique,
      concurrency: { key: unique, limit: LIMIT },
    }));
    const definition = { name: "limited-tasks", tasks };
    const runs = [await submit({ definition }), await submit({ definition })];
    const running = async () => {
      const pages = await Promise.all(runs.map(({ id }) => client.runs.tasks(id, { status: "running" })));
      return pages.flatMap(({ data }) => data.map(({ run_id, key }) => `${key} of ${run_id}`));
    };

    step("claim until the limit is reached, and then once more");
    const take = async (agent: (typeof agents)[number]) => ({ agent, lease: await claim(agent) });
    const held = [await take(agents[0]), await take(agents[1])];
    for (const agent of agents) {
      const { tasks: beyond } = await agent.claim({ request_id: randomUUID(), max: TASKS, wait: SHORT_WAIT });
      equal("what is given out beyond the limit", beyond, []);
    }
    equal("how many tasks run", (await running()).length, LIMIT);
    equal("how many hold the key", (await client.limits.get(unique)).holders, LIMIT);

    step("ask why another does not start");
    const ready = await client.runs.tasks(runs[1]!.id, { status: "ready" });
    const { reasons } = await client.runs.why(runs[1]!.id, ready.data[0]!.key);
    equal("the reason", reasons[0]?.code, "limit_reached");

    step("report one after the other, and look what runs");
    for (let done = 0; done < runs.length * TASKS; done++) {
      const { agent, lease } = held.shift()!;
      equal("the answer to the report", await report(agent, completed(lease, done)), "accepted");
      if (done + LIMIT < runs.length * TASKS) held.push(await take(agent));
      const now = await running();
      isTrue(`at most ${LIMIT} tasks run`, now.length <= LIMIT, now);
    }

    step("read how many ran at any time");
    const events = (await Promise.all(runs.map(({ id }) => watch(id)))).flat();
    const claimed = events.filter((event) => isTaskFact(event) && event.type === "task.claimed");
    equal("how often a task was begun", claimed.length, runs.length * TASKS);
    isTrue(`at most ${LIMIT} ran at once`, mostAtOnce(events) <= LIMIT, claimed);
    for (const { id } of runs) equal("the run's status", (await client.runs.get(id)).status, "completed");
  },
};

/** How many tasks were between claim and completion. What ends and what begins in the same moment is not at work together. */
function mostAtOnce(events: readonly RunEvent[]): number {
  const steps = events
    .flatMap(({ type, at }) =>
      type === "task.claimed" ? [{ at, by: 1 }] : type === "task.completed" ? [{ at, by: -1 }] : [],
    )
    .sort((one, other) => Date.parse(one.at) - Date.parse(other.at) || one.by - other.by);
  let now = 0;
  return Math.max(...steps.map(({ by }) => (now += by)));
}

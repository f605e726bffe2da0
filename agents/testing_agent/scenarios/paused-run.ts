import { randomUUID } from "node:crypto";
import { equal } from "../expect.ts";
import { completed, type Scenario } from "../scenario.ts";

export const pausedRun: Scenario = {
  name: "paused-run",
  title: "A paused run hands out nothing more; what runs goes on, and after the resume so does the rest",
  async play({ client, unique, submit, join, claim, report, watch, step }) {
    step("begin the first of two tasks");
    const agent = await join(unique);
    const tasks = [
      { id: "first", capability: unique },
      { id: "second", needs: ["first"], capability: unique },
    ];
    const run = await submit({ definition: { name: "paused-run", tasks } });
    const first = await claim(agent);

    step("pause the run, and complete the task");
    await client.runs.pause(run.id, "lunch");
    equal("the run's status", (await client.runs.get(run.id)).status, "paused");
    equal("the answer to the report", await report(agent, completed(first, 1)), "accepted");
    const { tasks: handedOut } = await agent.claim({ request_id: randomUUID(), max: 1, wait: 1 });
    equal("what is handed out", handedOut, []);
    const { reasons } = await client.runs.why(run.id, "second");
    equal("why the second task does not start", reasons[0]?.code, "paused");

    step("resume it");
    await client.runs.resume(run.id, "back");
    const second = await claim(agent);
    equal("what is handed out", second.key, "second");
    await report(agent, completed(second, 2));
    const events = await watch(run.id);
    const story = events.map(({ type }) => type).filter((type) => /^run\.(paused|resumed|completed)$/.test(type));
    equal("the story of the run", story, ["run.paused", "run.resumed", "run.completed"]);
  },
};

import { equal, refused } from "../expect.ts";
import { broken, completed, type Scenario } from "../scenario.ts";

export const deadLetter: Scenario = {
  name: "dead-letter",
  title: "A task that fails for good is found among the dead letters, and its run is run again from there, once",
  async play({ client, unique, submit, adopt, join, claim, report, watch, step }) {
    step("fail a task");
    const agent = await join(unique);
    const definition = {
      name: "dead-letter",
      tasks: [
        { id: "print", capability: unique },
        { id: "bind", needs: ["print"], capability: "core.echo", input: "{{ tasks.print.output }}" },
      ],
    };
    const run = await submit({ definition });
    await report(agent, broken(await claim(agent), "OUT_OF_PAPER", "There is no paper."));
    await watch(run.id);

    step("find it");
    const open = async () => (await client.deadLetters.list({ capability: unique })).data;
    const [letter, ...others] = await open();
    equal(
      "what there is",
      [letter?.run_id, letter?.task, letter?.error.code, others.length],
      [run.id, "print", "OUT_OF_PAPER", 0],
    );
    const { attempts } = await client.deadLetters.get(letter!.id);
    equal(
      "its attempts",
      attempts.map(({ outcome, agent_id }) => [outcome, agent_id]),
      [["failed", agent.id]],
    );

    step("redrive it, twice");
    const again = await client.deadLetters.redrive(letter!.id);
    adopt(again.id);
    equal("what it retries", again.retried_from, run.id);
    equal("the second redrive", (await client.deadLetters.redrive(letter!.id)).id, again.id);
    equal("what is open", await open(), []);
    await report(agent, completed(await claim(agent), "printed"));
    await watch(again.id);
    equal("the outputs", (await client.runs.result(again.id)).outputs, { bind: "printed" });

    step("discard what was redriven");
    await refused("that", "DEAD_LETTER_SETTLED", client.deadLetters.discard(letter!.id));
  },
};

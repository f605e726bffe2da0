import { equal, refused } from "../expect.ts";
import { completed, type Scenario } from "../scenario.ts";

export const reportEffects: Scenario = {
  name: "report-effects",
  title: "What a report brings along is written once, together with the result, or not at all",
  async play({ client, unique, submit, join, claim, report, watch, step }) {
    const worker = await join(unique, "worker");
    const boss = await join(`${unique}-none`, "boss");
    const retry = { max_attempts: 2, initial_delay: "10ms", jitter: false };
    const task = { id: "work", capability: unique, retry };
    const run = await submit({ definition: { name: "report-effects", tasks: [task] } });
    const heard = async () =>
      (await boss.data.inbox.read()).messages.filter(({ conversation }) => conversation === unique);
    const effects = (if_revision: number) => ({
      state: { document: { done: 1 }, if_revision },
      memory: [{ type: "observation", content: "It is done." }],
      messages: [{ to: boss.name, body: "done", conversation: unique }],
    });

    step("report with a state of a revision that it does not have");
    const wrong = await claim(worker);
    await report(worker, { ...completed(wrong, 1), effects: effects(99) });
    await refused("to read a state", "STATE_NOT_FOUND", worker.data.state.read());
    equal("what was remembered", (await worker.data.memory.list()).data, []);
    equal("what the boss was told", await heard(), []);

    step("report the next attempt rightly, twice");
    const right = await claim(worker);
    equal("its number", right.attempt, 2);
    const done = { ...completed(right, 1), effects: effects(0) };
    equal("the answer", await report(worker, done), "accepted");
    equal("the answer to the same report", await report(worker, done), "duplicate");

    step("read what was written");
    await watch(run.id);
    const writer = { task_id: right.task_id, attempt: 2 };
    const state = await worker.data.state.read();
    equal("the state", { document: state.document, writer: state.writer }, { document: { done: 1 }, writer });
    const { data } = await worker.data.memory.list();
    equal(
      "what was remembered",
      data.map((entry) => [entry.content, entry.writer]),
      [["It is done.", writer]],
    );
    const messages = await heard();
    equal(
      "what the boss was told",
      messages.map((message) => [message.body, message.from.name, message.writer]),
      [["done", worker.name, writer]],
    );
    const { attempts } = await client.runs.task(run.id, "work");
    const errors = attempts.map(({ error }) => error?.code ?? null);
    equal("why attempts failed", errors, ["STATE_CONFLICT", null]);
  },
};

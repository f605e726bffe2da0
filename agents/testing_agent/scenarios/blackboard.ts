import type { SharedChangeBody } from "../../../core/protocol/shared-memory.ts";
import { equal, refused } from "../expect.ts";
import type { Scenario } from "../scenario.ts";
import { nextOf } from "../streams.ts";

export const blackboard: Scenario = {
  name: "blackboard",
  title: "Agents share keys of a scope, change them under their revision, and are told of every change",
  async play({ unique, join, signal, step }) {
    const ann = await join(unique, "ann");
    const bob = await join(unique, "bob");
    const board = ann.memory(unique);
    const theirs = bob.memory(unique);

    step("write a key, and begin to watch");
    const begun = await board.write("plan", { step: 1 }, { ifRevision: 0 });
    const changes = theirs.watch({}, signal);
    const next = async () => {
      const { key, removed, value, by } = await nextOf(changes, (told): told is SharedChangeBody => told !== "reset");
      return { key, removed, value, by: by.name };
    };
    const ofAnn = { removed: false, by: ann.name };
    equal("what a watch begins with", await next(), { ...ofAnn, key: "plan", value: { step: 1 } });

    step("change it from both sides under the revision that both have read");
    const attempts = await Promise.allSettled([
      board.write("plan", { step: 2 }, { ifRevision: begun.revision }),
      theirs.write("plan", { step: 2 }, { ifRevision: begun.revision }),
    ]);
    const outcomes = attempts.map(({ status }) => status).sort();
    equal("who of the two may write", outcomes, ["fulfilled", "rejected"]);
    await refused("a stale revision", "MEMORY_CONFLICT", board.write("plan", 0, { ifRevision: begun.revision }));
    equal("what the watcher is told", (await next()).value, { step: 2 });

    step("write other keys");
    await board.write("bids/1", 10);
    equal("what the watcher is told", await next(), { ...ofAnn, key: "bids/1", value: 10 });
    const { data } = await theirs.list({ prefix: "bids/" });
    equal(
      "the keys that begin so",
      data.map(({ key, value, by }) => [key, value, by]),
      [["bids/1", 10, { kind: "agent", name: ann.name }]],
    );

    step("remove a key");
    await theirs.delete("plan");
    const removal = { key: "plan", removed: true, value: undefined, by: bob.name };
    equal("what the watcher is told", await next(), removal);
    await refused("to read what is gone", "MEMORY_NOT_FOUND", board.read("plan"));

    step("write what goes by itself");
    await board.write("bids/2", 20, { ttl: "1s" });
    equal("what the watcher is told", (await next()).removed, false);
    const gone = { key: "bids/2", removed: true };
    const { key, removed } = await next();
    equal("what the watcher is told after a second", { key, removed }, gone);
  },
};

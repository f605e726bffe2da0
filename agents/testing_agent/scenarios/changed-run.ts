import { equal, refused } from "../expect.ts";
import type { Scenario } from "../scenario.ts";

export const changedRun: Scenario = {
  name: "changed-run",
  title: "A run that goes on is given other tasks, by who knows how it stands; a fork of it goes another way",
  async play({ client, unique, submit, adopt, watch, step }) {
    step("submit a run that waits");
    const tasks = [
      { id: "ask", wait: { signal: "go" } },
      { id: "say", needs: ["ask"], capability: "core.echo", input: "as planned" },
    ];
    const run = await submit({ definition: { name: "changed-run", tasks, outputs: "{{ tasks.say.output }}" } });

    step("change its graph, and once more as it was before");
    const check = { id: "check", needs: ["ask"], capability: "core.echo", input: "checked" };
    const say = { id: "say", needs: ["check"], capability: "core.echo", input: "{{ tasks.check.output }}" };
    const change = { add: [check], replace: [say], reason: unique };
    const tried = await client.runs.patchGraph(run.id, run.revision, { ...change, dry_run: true });
    equal("what would be added", [tried.added, tried.dry_run], [["check"], true]);
    equal("the revision", (await client.runs.get(run.id)).revision, run.revision);
    const made = await client.runs.patchGraph(run.id, run.revision, change);
    equal("what has changed", [made.added, made.replaced, made.dry_run], [["check"], ["say"], false]);
    const again = client.runs.patchGraph(run.id, run.revision, { remove: ["check"] });
    await refused("a change of a graph that is no more", "REVISION_STALE", again);

    step("let it end");
    await client.runs.signal(run.id, "go");
    await watch(run.id);
    equal("the outputs", (await client.runs.result(run.id)).outputs, "checked");
    const done = client.runs.patchGraph(run.id, made.revision, { add: [{ ...check, id: "late" }] });
    await refused("a change of a run that has ended", "RUN_ALREADY_FINISHED", done);

    step("fork it with one task edited");
    const fork = await client.runs.fork(run.id, { edits: { say: { input: "{{ tasks.check.output }} twice" } } });
    adopt(fork.id);
    await watch(fork.id);
    equal("the outputs of the fork", (await client.runs.result(fork.id)).outputs, "checked twice");
    const kept = (await client.runs.tasks(fork.id)).data.filter(({ kept_from }) => kept_from !== null);
    equal("what it has kept", kept.map(({ key }) => key).sort(), ["ask", "check"]);
  },
};

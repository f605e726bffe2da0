import { uuidv7 } from "uuidv7";
import { expect, it } from "vitest";
import type { Json } from "../../core/json.ts";
import type { OpenTeam } from "../store.suite.ts";
import { newWorkflow, type Tasks, type Team } from "./team.ts";

export function engineCases(open: OpenTeam): void {
  const approve = (team: Team, runId: string, key: string, approved = true) =>
    team.store.runs.decide(team.namespace, runId, key, { approved, by: "ann", comment: null, payload: { ok: 1 } });
  const signal = (team: Team, runId: string, name: string, payload: string | null = null) =>
    team.store.runs.signal(team.namespace, runId, { name, payload, by: "ann" });

  /** Lets time pass for the waits of a run. */
  const pass = (team: Team, runId: string, ms: number) =>
    team.sql.query(
      `update task set started_at = started_at - $2 * interval '1 millisecond', wake_at = wake_at - $2 * interval '1 millisecond'
       where run_id = $1 and status = 'waiting'`,
      [runId, ms],
    );

  it("waits for a time", async () => {
    const team = await open();
    const runId = await team.submit({ pause: { wait: { for: "1h" } }, after: { needs: ["pause"] } });
    await team.settle();
    expect(await team.statuses(runId)).toEqual({ pause: "waiting", after: "pending" });
    await pass(team, runId, 3_600_000);
    await team.settle();
    expect(await team.statuses(runId)).toEqual({ pause: "completed", after: "ready" });
    expect((await team.task(runId, "pause")).output).toMatchObject({ event: "timer", index: 0 });
  });

  it("waits for a signal, which is kept until somebody waits for it", async () => {
    const team = await open();
    const runId = await team.submit({ first: {}, paid: { needs: ["first"], wait: { signal: "paid" } } });
    expect(await signal(team, runId, "paid", "early")).toBe("sent");
    await team.settle();
    await team.complete(await team.take(runId, "first"));
    await team.settle();
    expect((await team.task(runId, "paid")).output).toMatchObject({ event: "signal", name: "paid", payload: "early" });
    expect((await team.run(runId)).status).toBe("completed");
    expect(await signal(team, runId, "paid")).toBe("finished");
  });

  it("takes no transient signal from before the wait", async () => {
    const team = await open();
    const runId = await team.submit({ first: {}, go: { needs: ["first"], wait: { signal: "go", transient: true } } });
    await signal(team, runId, "go", "early");
    await team.complete(await team.take(runId, "first"));
    await team.settle();
    expect((await team.statuses(runId)).go).toBe("waiting");
    await signal(team, runId, "go", "in time");
    await team.settle();
    expect((await team.task(runId, "go")).output).toMatchObject({ payload: "in time" });
  });

  it("ends one wait with one signal, in the order of both", async () => {
    const team = await open();
    const runId = await team.submit({
      a: { wait: { signal: "s" } },
      b: { wait: { signal: "s" } },
      c: { wait: { signal: "t" } },
    });
    await team.settle();
    await signal(team, runId, "s", "1");
    await team.settle();
    expect(await team.statuses(runId)).toEqual({ a: "completed", b: "waiting", c: "waiting" });
    await signal(team, runId, "s", "2");
    await team.settle();
    expect((await team.task(runId, "b")).output).toMatchObject({ payload: "2" });
  });

  it("waits for whichever comes first", async () => {
    const team = await open();
    const wait = { any_of: [{ for: "1h" }, { signal: "yes" }, { approval: {} }] };
    const runId = await team.submit({ choice: { wait } });
    await team.settle();
    await signal(team, runId, "yes");
    await pass(team, runId, 7_200_000); // the timer is due as well by now, and was first
    await team.settle();
    expect((await team.task(runId, "choice")).output).toMatchObject({ event: "timer", index: 0 });
  });

  it("asks a person, whose answer counts once", async () => {
    const team = await open();
    const runId = await team.submit({ ask: { wait: { approval: { assignee: "ann" } } }, act: { needs: ["ask"] } });
    await team.settle();
    expect(await approve(team, runId, "act")).toBe("not_waiting");
    expect(await approve(team, runId, "nobody")).toBe("no_task");
    expect(await approve(team, runId, "ask")).toBe("decided");
    expect(await approve(team, runId, "ask")).toBe("repeated");
    await team.settle();
    expect(await team.statuses(runId)).toEqual({ ask: "completed", act: "ready" });
    expect((await team.task(runId, "ask")).output).toMatchObject({ event: "approval", by: "ann", payload: { ok: 1 } });
    expect(await approve(team, runId, "ask")).toBe("repeated");
    expect(await approve(team, runId, "ask", false)).toBe("settled");
  });

  it("fails when a person says no, and when nothing happens in time", async () => {
    const team = await open();
    const runId = await team.submit({
      ask: { wait: { approval: {} } },
      hear: { wait: { signal: "s", timeout: "1m" } },
      escalate: { needs: ["hear"], trigger_rule: "one_failed" },
    });
    await team.settle();
    await approve(team, runId, "ask", false);
    await pass(team, runId, 60_000);
    await team.settle();
    expect(await team.statuses(runId)).toEqual({ ask: "failed", hear: "failed", escalate: "ready" });
    expect((await team.task(runId, "ask")).error).toMatchObject({ code: "rejected" });
    expect((await team.task(runId, "hear")).error).toMatchObject({ code: "wait_timed_out" });
  });

  it("asks a person for an answer that fits a form, and holds no agent meanwhile", async () => {
    const team = await open(["work", "human.task"]);
    const form = { type: "object", required: ["ok"], properties: { ok: { const: "{{ inputs.wanted }}" } } };
    const ask = { capability: "human.task", input: { form, assignee: "{{ inputs.who }}" } };
    const runId = await team.submit({ ask, act: { needs: ["ask"] } }, { inputs: { wanted: 1, who: "ann" } });
    await team.settle();
    expect(await team.claim()).toEqual([]);
    expect((await team.task(runId, "ask")).input).toMatchObject({ approval: { assignee: "ann" } });
    const answer = (payload: Json, approved = true) =>
      team.store.runs.decide(team.namespace, runId, "ask", { approved, by: "ann", comment: null, payload });
    expect(await answer({ ok: 2 })).toMatchObject([{ code: "ANSWER_INVALID", pointer: "/payload/ok" }]);
    expect(await answer(null)).toMatchObject([{ pointer: "/payload" }]);
    await team.settle();
    expect(await team.statuses(runId)).toEqual({ ask: "waiting", act: "pending" });
    expect(await answer({ ok: 1 })).toBe("decided");
    await team.settle();
    expect(await team.statuses(runId)).toEqual({ ask: "completed", act: "ready" });
    expect((await team.task(runId, "ask")).output).toMatchObject({ by: "ann", payload: { ok: 1 } });
  });

  it("fails a task for a person who refuses it, does not answer in time, or cannot, for the form is none", async () => {
    const team = await open();
    const ask = { capability: "human.task", input: { form: { type: "object" } } };
    const runId = await team.submit(
      {
        refused: ask,
        late: { ...ask, timeout: "1m" },
        odd: { ...ask, input: { form: "{{ inputs.form }}" } },
        tidy: { needs: ["refused", "late", "odd"], trigger_rule: "all_done" },
      },
      { inputs: { form: { type: "nonsense" } } },
    );
    await team.settle();
    await approve(team, runId, "refused", false);
    await pass(team, runId, 60_000);
    await team.settle();
    const tasks = await team.tasks(runId);
    const codes = Object.fromEntries(Object.values(tasks).map(({ key, error }) => [key, error?.code]));
    const odd = "WORKFLOW_SCHEMA_INVALID";
    expect(codes).toEqual({ refused: "rejected", late: "wait_timed_out", odd, tidy: undefined });
  });

  it("fails a wait whose expressions make no sense", async () => {
    const team = await open();
    const runId = await team.submit({ pause: { wait: { for: "{{ inputs.span }}" } } }, { inputs: { span: "soon" } });
    await team.settle();
    expect((await team.run(runId)).error).toMatchObject({ code: "EXPRESSION_TYPE", task: "pause" });
  });

  it("ends a run at once, in the way a task says", async () => {
    const team = await open();
    const runId = await team.submit(
      { slow: {}, enough: { terminate: "completed" } },
      { outputs: { slow: "{{ tasks.slow.output }}" } },
    );
    await team.settle();
    expect(await team.statuses(runId)).toEqual({ slow: "cancelled", enough: "completed" });
    expect(await team.run(runId)).toMatchObject({ status: "completed", outputs: { slow: null } });
    const failing = await team.submit({ slow: {}, stop: { terminate: { status: "failed", message: "too dear" } } });
    await team.settle();
    expect((await team.run(failing)).error).toMatchObject({ code: "terminated", message: "too dear", task: "stop" });
  });

  it("cancels tasks by id and by group", async () => {
    const team = await open();
    const runId = await team.submit({
      a: { group: "scouts" },
      b: { group: "scouts", needs: ["a"] },
      c: {},
      d: {},
      stop: { needs: ["d"], cancel: ["scouts", "c"] },
    });
    await team.take(runId, "a");
    await team.complete(await team.take(runId, "d"));
    await team.settle();
    expect(await team.statuses(runId)).toEqual({
      a: "cancelled",
      b: "cancelled",
      c: "cancelled",
      d: "completed",
      stop: "completed",
    });
  });

  it("lets what another task cancels at the same moment do nothing any more", async () => {
    const team = await open();
    const runId = await team.submit({
      a: {},
      hear: { needs: ["a"], wait: { signal: "s" } },
      each: { needs: ["a"], for_each: [1] },
      other: { needs: ["a"], cancel: ["a"] },
      stop: { needs: ["a"], cancel: ["hear", "each"] },
    });
    await team.store.runs.signal(team.namespace, runId, { name: "s", payload: null, by: "ann" });
    await team.complete(await team.take(runId, "a"));
    await team.settle();
    expect(await team.statuses(runId)).toEqual({
      a: "completed",
      hear: "cancelled",
      each: "cancelled",
      other: "completed",
      stop: "completed",
    });
  });

  it("gives a signal to the wait that began first, though its task comes later in the graph", async () => {
    const team = await open();
    const runId = await team.submit({
      a: {},
      b: { needs: ["a"] },
      early: { needs: ["b"], trigger_rule: "always", wait: { signal: "s" } },
      late: { needs: ["a"], wait: { signal: "s" } },
    });
    await team.complete(await team.take(runId, "a"));
    await team.settle();
    expect(await team.statuses(runId)).toMatchObject({ early: "waiting", late: "waiting" });
    await signal(team, runId, "s");
    await team.settle();
    expect(await team.statuses(runId)).toMatchObject({ early: "completed", late: "waiting" });
  });

  it("lets the first of two cancels act, and the second come too late for the first", async () => {
    const team = await open();
    const runId = await team.submit({
      work: { group: "g" },
      first: { group: "g", cancel: ["work"] },
      second: { cancel: ["g"] },
    });
    await team.settle();
    expect(await team.statuses(runId)).toEqual({ work: "cancelled", first: "completed", second: "completed" });
    expect((await team.task(runId, "second")).output).toEqual({ cancelled: 0 });
  });

  it("runs a task for each item of a list that another gives", async () => {
    const team = await open();
    const runId = await team.submit({
      list: {},
      each: { needs: ["list"], for_each: "{{ tasks.list.output }}", input: "{{ item }}-{{ index }}" },
      all: { needs: ["each"], input: "{{ tasks.each.outputs }}" },
    });
    await team.complete(await team.take(runId, "list"), ["x", "y"]);
    await team.settle();
    expect(await team.statuses(runId)).toEqual({
      list: "completed",
      each: "waiting",
      "each[0]": "ready",
      "each[1]": "ready",
      all: "pending",
    });
    await team.complete(await team.take(runId, "each[1]"), "second");
    const first = await team.take(runId, "each[0]");
    expect(first.input).toBe("x-0");
    await team.complete(first, "first");
    await team.settle();
    expect((await team.take(runId, "all")).input).toEqual(["first", "second"]);
    expect((await team.task(runId, "each")).output).toEqual({
      total: 2,
      completed: 2,
      failed: 0,
      items: [
        { index: 0, status: "completed", output: "first" },
        { index: 1, status: "completed", output: "second" },
      ],
    });
    expect((await team.run(runId)).taskCount).toBe(5);
  });

  it("completes a map of nothing", async () => {
    const team = await open();
    const runId = await team.submit({ each: { for_each: [] }, after: { needs: ["each"] } });
    await team.settle();
    expect(await team.statuses(runId)).toEqual({ each: "completed", after: "ready" });
  });

  it("opens no more instances at a time than it may", async () => {
    const team = await open();
    const runId = await team.submit({ each: { for_each: [1, 2, 3, 4, 5], max_concurrency: 2 } });
    await team.settle();
    const open_ = async () =>
      Object.entries(await team.statuses(runId))
        .filter(([, status]) => status === "ready" || status === "running")
        .map(([key]) => key);
    expect(await open_()).toEqual(["each[0]", "each[1]"]);
    await team.complete(await team.take(runId, "each[1]"));
    await team.settle();
    expect(await open_()).toEqual(["each[0]", "each[2]"]);
    for (let round = 0; round < 3; round++) await team.work();
    expect((await team.run(runId)).status).toBe("completed");
  });

  it("fails a map with more failures than it tolerates, and cancels the rest", async () => {
    const team = await open();
    const runId = await team.submit({ each: { for_each: [1, 2, 3], tolerate_failures: 1 } });
    await team.settle();
    await team.fail(await team.take(runId, "each[0]"), { retryable: false });
    await team.settle();
    expect((await team.statuses(runId)).each).toBe("waiting");
    await team.fail(await team.take(runId, "each[1]"), { retryable: false });
    await team.settle();
    expect(await team.statuses(runId)).toMatchObject({ each: "failed", "each[2]": "cancelled" });
    expect((await team.run(runId)).error).toMatchObject({ code: "map_failed", task: "each" });
  });

  it("completes a map when enough have, and cancels the rest", async () => {
    const team = await open();
    const runId = await team.submit({ each: { for_each: [1, 2, 3], until: { succeeded: 1 } } });
    await team.settle();
    await team.fail(await team.take(runId, "each[2]"), { retryable: false });
    await team.complete(await team.take(runId, "each[1]"));
    await team.settle();
    expect(await team.statuses(runId)).toEqual({
      each: "completed",
      "each[0]": "cancelled",
      "each[1]": "completed",
      "each[2]": "failed",
    });
    expect((await team.run(runId)).status).toBe("completed");
  });

  it("repeats a loop until its condition holds", async () => {
    const team = await open();
    const runId = await team.submit({
      refine: {
        loop: {
          body: [
            { id: "draft", capability: "work", input: { round: "{{ index }}", before: "{{ previous }}" } },
            { id: "judge", needs: ["draft"], capability: "work", input: "{{ tasks.draft.output }}" },
          ],
          until: "tasks.judge.output >= 2",
          max: 5,
        },
      },
      use: { needs: ["refine"], input: "{{ tasks.refine.output.outputs.judge }}" },
    });
    await team.settle();
    for (let round = 0; round < 3; round++) {
      const draft = await team.take(runId, `refine[${round}]/draft`);
      expect(draft.input).toEqual({ round, before: round === 0 ? null : { draft: round - 1, judge: round - 1 } });
      await team.complete(draft, round);
      await team.settle();
      await team.complete(await team.take(runId, `refine[${round}]/judge`), round);
      await team.settle();
    }
    expect((await team.task(runId, "refine")).output).toEqual({ iterations: 3, outputs: { draft: 2, judge: 2 } });
    expect((await team.take(runId, "use")).input).toBe(2);
  });

  it("fails a loop that is exhausted, and one whose body fails", async () => {
    const team = await open();
    const body = [{ id: "try", capability: "work", retry: { max_attempts: 1 } }];
    const runId = await team.submit({
      again: { loop: { body, until: "false", max: 2 } },
      broken: { loop: { body, until: "true", max: 2 } },
    });
    await team.settle();
    await team.complete(await team.take(runId, "again[0]/try"));
    await team.fail(await team.take(runId, "broken[0]/try"));
    await team.settle();
    await team.complete(await team.take(runId, "again[1]/try"));
    await team.settle();
    expect((await team.task(runId, "again")).error).toMatchObject({ code: "loop_exhausted" });
    expect((await team.task(runId, "broken")).error).toMatchObject({ code: "broken", task: "broken[0]/try" });
  });

  it("runs a workflow as a run of its own", async () => {
    const team = await open();
    await team.store.workflows.register(team.namespace, {
      name: "child",
      inputs: { type: "object", required: ["n"] },
      tasks: [{ id: "inner", capability: "work", input: "{{ inputs.n }}" }],
      outputs: { doubled: "{{ tasks.inner.output }}" },
    });
    const runId = await team.submit({
      call: { workflow: "child", input: { n: 4 } },
      after: { needs: ["call"], input: "{{ tasks.call.output.doubled }}" },
      wrong: { workflow: "child" },
      absent: { workflow: "nobody@3" },
      aside: { workflow: "child", input: { n: 0 }, detached: true },
    });
    await team.settle();
    expect((await team.task(runId, "wrong")).error).toMatchObject({ code: "RUN_INPUTS_INVALID" });
    expect((await team.task(runId, "absent")).error).toMatchObject({ code: "WORKFLOW_NOT_FOUND" });
    expect((await team.task(runId, "aside")).status).toBe("completed");
    const { run_id } = (await team.task(runId, "call")).progress as { run_id: string };
    await team.complete(await team.take(run_id, "inner"), 8);
    await team.settle();
    expect((await team.take(runId, "after")).input).toBe(8);
  });

  it("brings failures and cancels across the border between runs", async () => {
    const team = await open();
    await team.store.workflows.register(team.namespace, {
      name: "child",
      tasks: [{ id: "inner", capability: "work" }],
    });
    const childOf = async (runId: string) => ((await team.task(runId, "call")).progress as { run_id: string }).run_id;
    const failing = await team.submit({ call: { workflow: "child" } });
    const cancelled = await team.submit({ call: { workflow: "child" } });
    await team.settle();
    await team.fail(await team.take(await childOf(failing), "inner"), { retryable: false });
    await team.store.runs.cancel(team.namespace, cancelled, "enough");
    await team.settle();
    expect((await team.run(failing)).error).toMatchObject({ code: "subworkflow_failed", task: "call" });
    expect((await team.run(await childOf(cancelled))).status).toBe("cancelled");
  });

  it("does not nest runs without end", async () => {
    const team = await open();
    await team.store.workflows.register(team.namespace, { name: "self", tasks: [{ id: "again", workflow: "self" }] });
    const runId = await team.submit({ start: { workflow: "self" } });
    await team.settle();
    expect((await team.run(runId)).status).toBe("failed");
    expect((await team.run(runId)).error!.message).toContain("16 deep");
  });

  it("maps over loops, and loops over maps", async () => {
    const team = await open();
    const runId = await team.submit({
      each: {
        for_each: ["a", "b"],
        loop: {
          body: [
            { id: "parts", capability: "work", for_each: [1, 2], input: "{{ item }}" },
            { id: "sum", needs: ["parts"], capability: "work", input: "{{ tasks.parts.outputs }}" },
          ],
          until: "index == 1",
          max: 3,
        },
      },
    });
    await team.settle();
    await team.work();
    for (let guard = 0; guard < 10 && (await team.run(runId)).status === "running"; guard++) await team.work();
    expect((await team.run(runId)).status).toBe("completed");
    expect(Object.keys(await team.statuses(runId))).toContain("each[1][1]/parts[0]");
  });

  it("takes items for an open map from its own instances, each key once, until none is left", async () => {
    const team = await open();
    const runId = await team.submit({
      crawl: { for_each: ["/"], open: "drain", input: "{{ item }}" },
      done: { needs: ["crawl"] },
    });
    await team.settle();
    const root = await team.take(runId, "crawl[0]");
    const emit = (items: { item: string; key: string }[], close = false) =>
      team.store.leases.emit({ ...team.proof(root), map: "crawl", items, close });
    expect(
      await emit([
        { item: "/a", key: "a" },
        { item: "/b", key: "b" },
        { item: "/a", key: "a" },
      ]),
    ).toEqual({
      outcome: "accepted",
      added: 2,
      repeated: 1,
    });
    expect(await emit([{ item: "/a", key: "a" }])).toMatchObject({ added: 0, repeated: 1 });
    await team.complete(root, "root");
    await team.settle();
    expect((await team.take(runId, "crawl[1]")).input).toBe("/a");
    await team.complete(await team.take(runId, "crawl[2]"), "b");
    await team.settle();
    expect((await team.statuses(runId)).done).toBe("pending");
    expect(await emit([{ item: "/late", key: "late" }])).toEqual({ outcome: "stale" });
  });

  it("keeps an open map open until somebody closes it", async () => {
    const team = await open();
    const runId = await team.submit({
      produce: {},
      consume: { for_each: [], open: true, input: "{{ item }}" },
      plain: {},
    });
    await team.settle();
    const producer = await team.take(runId, "produce");
    const emit = (map: string, close: boolean) =>
      team.store.leases.emit({ ...team.proof(producer), map, items: [{ item: 1, key: null }], close });
    expect(await emit("plain", false)).toMatchObject({ outcome: "refused" });
    expect(await emit("consume", false)).toMatchObject({ added: 1 });
    await team.complete(await team.take(runId, "consume[0]"));
    await team.settle();
    expect((await team.statuses(runId)).consume).toBe("waiting");
    const [answer] = await team.store.leases.report([
      { ...team.completion(producer), emit: [{ map: "consume", items: [{ item: 2, key: null }], close: true }] },
    ]);
    expect(answer).toBe("accepted");
    await team.settle();
    await team.complete(await team.take(runId, "consume[1]"));
    await team.settle();
    expect(await team.statuses(runId)).toMatchObject({ produce: "completed", consume: "completed" });
  });

  it("adds nothing of a report of which a part is refused, and tells of none of it", async () => {
    const team = await open();
    const openMap: Tasks[string] = { for_each: [], open: true };
    const runId = await team.submit({
      produce: { retry: { max_attempts: 1 } },
      first: openMap,
      second: openMap,
      other: { retry: { max_attempts: 1 } },
    });
    await team.settle();
    const item = (key: string) => [{ item: key, key }];
    const [produce, other] = [await team.take(runId, "produce"), await team.take(runId, "other")];
    await team.store.leases.emit({ ...team.proof(other), map: "second", items: [], close: true });
    const { revision } = await team.run(runId);
    const facts = (await team.events(runId)).length;
    await team.store.leases.report([
      {
        ...team.completion(produce),
        emit: [
          { map: "first", items: item("a"), close: false },
          { map: "second", items: item("b"), close: false },
        ],
      },
      {
        ...team.completion(other),
        emit: [{ map: "first", items: item("c"), close: true }],
        spawn: [{ id: "no good" }],
      },
    ]);
    expect((await team.task(runId, "produce")).error).toMatchObject({ code: "emit_refused" });
    expect((await team.task(runId, "other")).error).toMatchObject({ code: "spawn_invalid" });
    expect(Object.keys(await team.tasks(runId)).filter((key) => key.includes("["))).toEqual([]);
    expect(await team.run(runId)).toMatchObject({ revision });
    const told = (await team.events(runId)).slice(facts).map(({ type }) => type);
    expect(told.filter((type) => type !== "task.failed")).toEqual([]);
  });

  it("fails a task that emits into a closed map", async () => {
    const team = await open();
    const runId = await team.submit({ produce: {}, consume: { for_each: [1] } });
    await team.settle();
    const emit = [{ map: "consume", items: [{ item: 2, key: null }], close: false }];
    await team.store.leases.report([{ ...team.completion(await team.take(runId, "produce")), emit }]);
    expect((await team.task(runId, "produce")).error).toMatchObject({ code: "emit_refused" });
  });

  it("adds the tasks that a report spawns, with their needs and joins", async () => {
    const team = await open();
    const runId = await team.submit({ plan: {}, after: { needs: ["plan"] } });
    const spawn = [
      { id: "a", capability: "work", input: "{{ tasks.plan.output }}" },
      { id: "b", capability: "work", needs: ["a"] },
      { id: "c", capability: "work", needs: ["a", "b"], trigger_rule: "one_failed" },
    ];
    await team.store.leases.report([{ ...team.completion(await team.take(runId, "plan"), "goal"), spawn }]);
    await team.settle();
    expect(await team.statuses(runId)).toEqual({
      plan: "completed",
      after: "ready",
      "plan/a": "ready",
      "plan/b": "pending",
      "plan/c": "pending",
    });
    const first = await team.take(runId, "plan/a");
    expect(first.input).toBe("goal");
    await team.fail(first, { retryable: false });
    await team.settle();
    expect(await team.statuses(runId)).toMatchObject({ "plan/b": "skipped", "plan/c": "ready" });
    expect(await team.run(runId)).toMatchObject({ taskCount: 5, revision: 1 });
  });

  it("fails a task that spawns what is not valid, and adds nothing of it", async () => {
    const team = await open();
    const runId = await team.submit({ plan: {} });
    const spawn = [
      { id: "a", capability: "work", needs: ["b"] },
      { id: "b", capability: "work", needs: ["a"] },
    ];
    await team.store.leases.report([{ ...team.completion(await team.take(runId, "plan")), spawn }]);
    expect((await team.task(runId, "plan")).error).toMatchObject({ code: "spawn_invalid" });
    expect(Object.keys(await team.statuses(runId))).toEqual(["plan"]);
  });

  it.each<[string, object, RegExp]>([
    [
      "a capability that nobody has ever offered",
      { id: "b", capability: "wrok" },
      /"plan\/b|"b" asks for "wrok", which no agent has ever registered\. Did you mean "work"\?/,
    ],
    [
      "an input that its capability refuses",
      { id: "b", capability: "strict", input: { n: "one" } },
      /"b": the input does not fit "strict": \/n must be number/,
    ],
  ])("fails a task that spawns %s, and adds nothing of it", async (_, wrong, message) => {
    const team = await open();
    const inputSchema = { type: "object", properties: { n: { type: "number" } } };
    await team.join({ capabilities: [{ name: "work" }, { name: "strict", inputSchema }] });
    const runId = await team.submit({ plan: {}, other: {} });
    const spawn = (task: object) => [{ id: "a", capability: "work" }, task] as never;
    await team.store.leases.report([{ ...team.completion(await team.take(runId, "plan")), spawn: spawn(wrong) }]);
    const { error } = await team.task(runId, "plan");
    expect(error).toMatchObject({ code: "spawn_invalid", message: expect.stringMatching(message) });
    const right = spawn({ id: "b", capability: "strict", input: { n: 1 } });
    await team.store.leases.report([{ ...team.completion(await team.take(runId, "other")), spawn: right }]);
    expect(Object.keys(await team.statuses(runId))).toEqual(["plan", "other", "other/a", "other/b"]);
  });

  it("fails a task of a plan's run that spawns what no plan may have, and no other task", async () => {
    const team = await open();
    const capabilities = [{ name: "work", cost: 4, consumes: { text: "text" }, produces: { text: "text" } }];
    await team.join({ capabilities });
    const planned = async (limits: { budget?: number }, label?: string) => {
      const { id } = await team.store.plans.create({
        namespace: team.namespace,
        id: uuidv7(),
        planner: "capability",
        goal: { have: { text: { type: "text", value: "geese" } }, want: { text: "text" }, ...limits },
        workflow: newWorkflow({ plan: {} }),
        explanation: {
          tasks: [],
          edges: [],
          alternatives: [],
          estimate: { tasks: 1, depth: 1, cost: 4, durationMs: 0, reliability: 1 },
          isBest: true,
        },
        submission: {},
      });
      return team.submit({ plan: {} }, { labels: { "skein.plan": label ?? id } });
    };
    const outcome = async (runId: string, task: object) => {
      const spawn = [{ id: "a", capability: "work", ...task }] as never;
      await team.store.leases.report([{ ...team.completion(await team.take(runId, "plan")), spawn }]);
      const { status, error } = await team.task(runId, "plan");
      return error ? `${error.code}: ${error.message}` : status;
    };
    const right = { input: { text: "{{ tasks.plan.output.text }}" } };
    expect(await outcome(await planned({}), right)).toBe("completed");
    expect(await outcome(await planned({ budget: 8 }), right)).toBe("completed");
    expect(await outcome(await planned({ budget: 7 }), right)).toBe(
      "spawn_invalid: Spawned tasks do not keep to the plan's rules: With what is added the run costs 8, and the goal's budget is 7. (PLAN_TOO_EXPENSIVE)",
    );
    const own = { input: { text: "https://collector.example" }, priority: 9 };
    const runId = await planned({});
    expect(await outcome(runId, own)).toContain('Task "a" has `priority`');
    expect(Object.keys(await team.statuses(runId))).toEqual(["plan"]);
    // Labels that name no plan are anybody's.
    for (const label of ["mine", uuidv7()]) expect(await outcome(await planned({}, label), own)).toBe("completed");
    expect(await outcome(await team.submit({ plan: {} }), own)).toBe("completed");
  });

  it("tells of spawned tasks that ask what another one has asked", async () => {
    const team = await open();
    const runId = await team.submit({ one: {}, two: {} });
    const search = (id: string, query: string) => ({ id, capability: "work", input: { query } });
    const spawn = async (key: string, ...tasks: object[]) =>
      team.store.leases.report([{ ...team.completion(await team.take(runId, key)), spawn: tasks as never }]);
    await spawn("one", search("a", "geese"), search("b", "ducks"), search("c", "geese"));
    await spawn("two", search("a", "ducks"), search("b", "{{ tasks.two.output }}"));
    const told = (await team.events(runId)).flatMap((event) =>
      event.type === "task.repeated" ? [[event.key, event.of]] : [],
    );
    expect(told).toEqual([
      ["one/c", "one/a"],
      ["two/a", "one/b"],
    ]);
  });

  it("tells, when it is asked, which work several tasks of a run did", async () => {
    const team = await open();
    const search = (query: string) => ({ input: { query } });
    const runId = await team.submit(
      {
        a: search("geese"),
        b: { input: { query: "{{ inputs.query }}" } },
        c: search("ducks"),
        d: { needs: ["a"] },
        e: { needs: ["a"] },
        f: { needs: ["c"] },
        each: { for_each: ["geese", "geese", "ducks"], input: { query: "{{ item }}" } },
        off: { when: "false", ...search("geese") },
      },
      { inputs: { query: "geese" } },
    );
    const repeats = () => team.store.runs.repeats(team.namespace, runId, 10);
    expect(await repeats()).toEqual([]);
    await team.settle();
    await team.work();
    expect(await repeats()).toEqual([
      { capability: "work", tasks: ["a", "b", "each[0]", "each[1]"], count: 4 },
      { capability: "work", tasks: ["c", "each[2]"], count: 2 },
      { capability: "work", tasks: ["d", "e"], count: 2 },
    ]);
    expect(await team.store.runs.repeats("another", runId, 10)).toEqual([]);
    expect(await team.store.runs.repeats(team.namespace, runId, 1)).toHaveLength(1);
  });

  it("undoes what has completed when a run fails, the last first, whether or not one of them fails", async () => {
    const team = await open();
    const undo = { capability: "work" };
    const runId = await team.submit({
      flight: { compensate: { ...undo, input: "{{ tasks.flight.output }}" } },
      hotel: { needs: ["flight"], compensate: undo },
      car: { needs: ["hotel"], compensate: { ...undo, input: "{{ output.missing }}" } },
      pay: { needs: ["car"], compensate: undo },
    });
    for (const key of ["flight", "hotel", "car"]) {
      await team.complete(await team.take(runId, key), key);
      await team.settle();
    }
    await team.fail(await team.take(runId, "pay"), { retryable: false });
    await team.settle();
    expect(await team.statuses(runId)).toMatchObject({
      pay: "failed",
      "car/compensate": "failed",
      "hotel/compensate": "ready",
      "flight/compensate": "pending",
    });
    expect((await team.run(runId)).status).toBe("running");
    const hotel = await team.take(runId, "hotel/compensate");
    expect(hotel.input).toEqual({ output: "hotel" });
    await team.fail(hotel, { retryable: false });
    await team.settle();
    const flight = await team.take(runId, "flight/compensate");
    expect(flight.input).toBe("flight");
    await team.complete(flight);
    await team.settle();
    expect(await team.run(runId)).toMatchObject({ status: "failed", error: { code: "broken", task: "pay" } });
    expect(Object.keys(await team.statuses(runId))).not.toContain("pay/compensate");
  });

  it("undoes what has completed in a run that is cancelled only when asked", async () => {
    const team = await open();
    const tasks = { a: { compensate: { capability: "work" } }, b: { needs: ["a"] } };
    const [plain, undone] = [await team.submit(tasks), await team.submit(tasks)];
    for (const runId of [plain, undone]) await team.complete(await team.take(runId, "a"));
    await team.store.runs.cancel(team.namespace, plain, "enough");
    await team.store.runs.cancel(team.namespace, undone, "enough", { compensate: true });
    await team.settle();
    expect((await team.run(plain)).status).toBe("cancelled");
    expect(await team.statuses(undone)).toEqual({ a: "completed", b: "cancelled", "a/compensate": "ready" });
    await team.complete(await team.take(undone, "a/compensate"));
    await team.settle();
    expect(await team.run(undone)).toMatchObject({ status: "cancelled", error: { message: "enough" } });
  });

  it("cancels a group of tasks on demand, and the run goes on", async () => {
    const team = await open();
    const runId = await team.submit({ a: { group: "scouts" }, b: { group: "scouts", needs: ["a"] }, c: {} });
    await team.take(runId, "a");
    const { cancelGroup } = team.store.runs;
    expect(await cancelGroup(team.namespace, runId, "nobody", "x")).toBe("no_group");
    expect(await cancelGroup(team.namespace, runId, "scouts", "enough")).toBe(2);
    expect(await cancelGroup(team.namespace, runId, "scouts", "enough")).toBe(0);
    await team.settle();
    expect(await team.statuses(runId)).toEqual({ a: "cancelled", b: "cancelled", c: "ready" });
    await team.work();
    expect(await cancelGroup(team.namespace, runId, "scouts", "enough")).toBe("finished");
  });
}

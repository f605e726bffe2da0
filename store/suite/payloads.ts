import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import type { Json } from "../../core/json.ts";
import { LARGE_BYTES } from "../../core/payload.ts";
import type { OpenTeam } from "../store.suite.ts";
import type { ClaimedTask } from "../store.ts";
import type { Tasks, Team } from "./team.ts";

let made = 0;
/** Each is large, and another. */
export const big = (bytes = LARGE_BYTES + 1): string => `${++made} `.padEnd(bytes, "x");
export const hashOf = (value: Json) => createHash("sha256").update(JSON.stringify(value)).digest("hex");

interface BlobRow {
  is_stored: boolean;
  size: number;
  touched: number;
}
/** The row of a content. */
export async function blob(team: Team, value: Json): Promise<BlobRow | undefined> {
  const [row] = await team.sql.query<BlobRow>(
    "/* the suite's */ select is_stored, size, extract(epoch from touched_at)::float8 as touched from blob where hash = decode($1, 'hex')",
    [hashOf(value)],
  );
  return row;
}

/** Lets time pass for contents, and the upkeep collect what nothing refers to. */
export async function collect(team: Team, ...values: Json[]): Promise<void> {
  for (const value of values) {
    await team.sql.query(
      "/* the suite's */ update blob set touched_at = now() - interval '2 hours' where hash = decode($1, 'hex')",
      [hashOf(value)],
    );
  }
  await team.store.upkeep.prune();
}

export function payloadCases(open: OpenTeam): void {
  /** What is in the row itself. */
  async function rowOf(team: Team, runId: string, key: string) {
    const [row] = await team.sql.query<{
      input: Json;
      output: Json;
      refs: Record<string, [string, string, number][]> | null;
      blobs: number | null;
    }>(
      "/* the suite's */ select input, output, refs, cardinality(blobs) as blobs from task where run_id = $1 and key = $2",
      [runId, key],
    );
    return row!;
  }
  async function completeAll(team: Team, runId: string, outputs: Record<string, Json>): Promise<void> {
    for (const [key, output] of Object.entries(outputs)) await team.complete(await team.take(runId, key), output);
    await team.settle();
  }

  it("keeps a large output apart, once, and gives it back whole", async () => {
    const team = await open();
    const text = big();
    const runId = await team.submit({ a: {}, b: {}, c: { needs: ["a", "b"] } });
    await completeAll(team, runId, { a: text, b: text });
    expect(await rowOf(team, runId, "a")).toMatchObject({
      output: null,
      refs: { output: [["", hashOf(text), text.length + 2]] },
      blobs: 1,
    });
    expect(await blob(team, text)).toMatchObject({ is_stored: true, size: text.length + 2 });
    expect(await team.task(runId, "a")).toMatchObject({ status: "completed", output: text });
    expect((await team.tasks(runId)).b!.output).toBe(text);
    const lease = await team.take(runId, "c");
    expect(lease.input).toEqual({ inputs: {}, needs: { a: text, b: text } });
    await team.complete(lease, { both: [text, 1] });
    await team.settle();
    expect(await team.run(runId)).toMatchObject({ status: "completed", outputs: { c: { both: [text, 1] } } });
  });

  it("keeps a small output in its row, to the byte", async () => {
    const team = await open();
    const text = big().slice(0, LARGE_BYTES - 2);
    const runId = await team.submit({ a: {}, b: {} });
    await completeAll(team, runId, { a: text, b: `${text}x` });
    expect(await rowOf(team, runId, "a")).toMatchObject({ output: text, refs: null });
    expect(await rowOf(team, runId, "b")).toMatchObject({ output: null });
  });

  it("accepts a report of one once, and tells a duplicate and a stale one", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    const lease = await team.take(runId, "a");
    const reports = [team.completion(lease, big()), team.completion(lease, big())];
    expect(await team.store.leases.report(reports)).toEqual(["accepted", "duplicate"]);
    const forged = { ...team.completion(lease, big()), leaseToken: `${lease.leaseToken}x` };
    expect(await team.store.leases.report([forged])).toEqual(["stale"]);
    await team.settle();
  });

  it("passes an output on without a second copy of it, and shows it in input and result", async () => {
    const team = await open();
    const text = big();
    const tasks: Tasks = { a: {}, b: { needs: ["a"], input: { of: { a: "{{ tasks.a.output }}" }, n: 1 } } };
    const runId = await team.submit(tasks, { outputs: { all: "{{ tasks.a.output }}", from: "{{ tasks.b.output }}" } });
    await completeAll(team, runId, { a: text });
    expect(await rowOf(team, runId, "b")).toMatchObject({
      input: { of: { a: null }, n: 1 },
      refs: { input: [["/of/a", hashOf(text), text.length + 2]] },
    });
    const lease = await team.take(runId, "b");
    expect(lease.input).toEqual({ of: { a: text }, n: 1 });
    expect((await team.task(runId, "b")).input).toEqual({ of: { a: text }, n: 1 });
    await team.complete(lease, "done");
    await team.settle();
    expect(await team.run(runId)).toMatchObject({ status: "completed", outputs: { all: text, from: "done" } });
    const [row] = await team.sql.query("/* the suite's */ select outputs, refs from run where id = $1", [runId]);
    expect(row).toMatchObject({
      outputs: { all: null, from: "done" },
      refs: { outputs: [["/all", hashOf(text), expect.any(Number)]] },
    });
  });

  it("loads an output only for expressions that look into it", async () => {
    const team = await open();
    const output = { text: big(), n: 41 };
    const runId = await team.submit({
      a: {},
      blind: { needs: ["a"], when: "tasks.a.status == 'completed'", input: { it: "{{ tasks.a.output }}" } },
      seeing: {
        needs: ["a"],
        when: "tasks.a.output.n > 40",
        input: { n: "{{ tasks.a.output.n + 1 }}", size: "{{ size(tasks.a.output.text) }}" },
      },
      never: { needs: ["a"], when: "tasks.a.output.n > 41" },
    });
    const lease = await team.take(runId, "a");
    await team.complete(lease, output);
    expect(await team.statuses(runId)).toEqual({ a: "completed", blind: "ready", seeing: "ready", never: "skipped" });
    expect((await team.task(runId, "seeing")).input).toEqual({ n: 42, size: output.text.length });
    expect(await rowOf(team, runId, "seeing")).toMatchObject({ refs: null });
    await team.work();
  });

  it("starts a task whose expressions do not look into a large output though its content is out of reach", async () => {
    const team = await open();
    const output = { text: big() };
    const runId = await team.submit({
      a: {},
      gate: { needs: ["a"] },
      b: { needs: ["a", "gate"], when: "tasks.a.status == 'completed'", input: { it: "{{ tasks.a.output }}" } },
    });
    await completeAll(team, runId, { a: output });
    const gate = await team.take(runId, "gate");
    const hide =
      "/* the suite's */ update blob set content = $2, is_stored = $2::bytea is not null where hash = decode($1, 'hex')";
    await team.sql.query(hide, [hashOf(output), null]);
    await team.complete(gate);
    const started = "/* the suite's */ select status from task where run_id = $1 and key = 'b'";
    expect(await team.sql.query(started, [runId])).toEqual([{ status: "ready" }]);
    await team.sql.query(hide, [hashOf(output), Buffer.from(JSON.stringify(output))]);
    expect((await team.take(runId, "b")).input).toEqual({ it: output });
    await team.work();
  });

  it("keeps large inputs of runs apart, for expressions, tasks and retries", async () => {
    const team = await open();
    const inputs = { text: big(), n: 1 };
    const tasks: Tasks = { a: {}, b: { input: "{{ inputs }}" }, c: { when: "inputs.n == 1", input: "{{ inputs.n }}" } };
    const runId = await team.submit(tasks, { inputs });
    const [row] = await team.sql.query("/* the suite's */ select inputs, refs from run where id = $1", [runId]);
    expect(row).toEqual({ inputs: {}, refs: { inputs: [["", hashOf(inputs), expect.any(Number)]] } });
    expect((await team.run(runId)).inputs).toEqual(inputs);
    const leases = Object.fromEntries((await team.claim()).map(({ key, input }) => [key, input]));
    expect(leases).toEqual({ a: { inputs, needs: {} }, b: inputs, c: 1 });
  });

  it("keeps a large evaluated input apart", async () => {
    const team = await open();
    const text = big();
    const runId = await team.submit({ a: {}, b: { needs: ["a"], input: { prompt: "Read: {{ tasks.a.output }}" } } });
    await completeAll(team, runId, { a: text });
    const input = { prompt: `Read: ${text}` };
    expect(await rowOf(team, runId, "b")).toMatchObject({
      input: null,
      refs: { input: [["", hashOf(input), expect.any(Number)]] },
    });
    expect((await team.take(runId, "b")).input).toEqual(input);
  });

  it("carries large outputs through maps, loops and other runs", async () => {
    const team = await open();
    const [one, two] = [big(), big()];
    await team.store.workflows.register(team.namespace, {
      name: "inner",
      tasks: [{ id: "x", capability: "work", input: "{{ inputs }}" }],
      outputs: { given: "{{ inputs }}", made: "{{ tasks.x.output }}" },
    });
    const runId = await team.submit(
      {
        m: { for_each: [1, 2], input: "{{ item }}" },
        l: { loop: { body: [{ id: "d", capability: "work" }], until: "size(tasks.d.output) > 3", max: 2 } },
        w: { needs: ["m"], workflow: "inner", input: { first: "{{ tasks.m.outputs[0] }}" } },
        end: {
          needs: ["m", "l", "w"],
          input: { m: "{{ tasks.m.outputs }}", l: "{{ tasks.l.output.outputs.d }}", w: "{{ tasks.w.output.made }}" },
        },
      },
      { outputs: "{{ tasks.end.output }}" },
    );
    await team.settle();
    await completeAll(team, runId, { "m[0]": one, "m[1]": two, "l[0]/d": two });
    expect(await rowOf(team, runId, "m")).toMatchObject({
      refs: {
        output: [
          ["/items/0/output", hashOf(one), expect.any(Number)],
          ["/items/1/output", hashOf(two), expect.any(Number)],
        ],
      },
    });
    const [inner] = await team.claim();
    expect(inner!.input).toEqual({ first: one });
    await team.complete(inner!, two);
    await team.settle();
    expect((await team.task(runId, "w")).output).toEqual({ given: { first: one }, made: two });
    const lease = await team.take(runId, "end");
    expect(lease.input).toEqual({ m: [one, two], l: two, w: two });
    await team.complete(lease, one);
    await team.settle();
    expect((await team.run(runId)).outputs).toBe(one);
  });

  it("keeps what a retry keeps, whatever becomes of the older run", async () => {
    const team = await open();
    const text = big();
    const tasks: Tasks = { a: {}, b: { needs: ["a"] } };
    const first = await team.submit(tasks);
    await completeAll(team, first, { a: text });
    await team.fail(await team.take(first, "b"), { retryable: false });
    await team.settle();
    const { hash } = await team.run(first);
    const answer = await team.store.runs.rerun({
      kind: "retry",
      of: { runId: first, hash },
      from: [],
      submission: team.submission(tasks),
    });
    const second = (answer as { runId: string }).runId;
    await team.sql.query("/* the suite's */ delete from run where id = $1", [first]);
    await collect(team, text);
    expect((await team.task(second, "a")).output).toBe(text);
    expect((await team.take(second, "b")).input).toEqual({ inputs: {}, needs: { a: text } });
  });

  it("answers from the cache with a large output, once it is there", async () => {
    const team = await open();
    const text = big();
    const cached: Tasks = { a: { input: 1, cache: { ttl: "1h" } } };
    const first = await team.submit(cached);
    await completeAll(team, first, { a: text });
    await team.sql.query("/* the suite's */ delete from run where id = $1", [first]);
    await collect(team, text);
    const second = await team.submit(cached);
    expect(await team.task(second, "a")).toMatchObject({ status: "completed", output: text });
    await team.settle();
    expect(await team.store.cache.stats(team.namespace)).toMatchObject([{ bytes: text.length + 2 + 4 }]);
  });

  it("undoes with a large output", async () => {
    const team = await open();
    const output = { text: big() };
    const runId = await team.submit({ a: { compensate: { capability: "work" } }, b: { needs: ["a"] } });
    await completeAll(team, runId, { a: output });
    await team.fail(await team.take(runId, "b"), { retryable: false });
    await team.settle();
    const lease: ClaimedTask = await team.take(runId, "a/compensate");
    expect(lease.input).toEqual({ output });
    await team.work();
  });

  it("keeps a large artifact apart, as every content", async () => {
    const team = await open();
    const content = big();
    const runId = await team.submit({ a: {} });
    const access = { namespace: team.namespace, runId };
    // The same bytes as an output, which is JSON.
    const file = { path: "f", contentType: "application/json", content: Buffer.from(JSON.stringify(content)) };
    expect(await team.store.artifacts.write(access, file)).toMatchObject({ outcome: "written" });
    expect(await team.store.artifacts.write(access, file)).toMatchObject({ outcome: "same" });
    await completeAll(team, runId, { a: content });
    const rows = await team.sql.query("/* the suite's */ select from blob where hash = decode($1, 'hex')", [
      hashOf(content),
    ]);
    expect(rows).toHaveLength(1);
    await team.sql.query(
      "/* the suite's */ update task set refs = null, blobs = null, output = null where run_id = $1",
      [runId],
    );
    await collect(team, content);
    expect(await team.store.artifacts.read(access, "f")).toMatchObject({ content: file.content });
  });

  it("collects what nothing refers to any more, after an hour, and nothing else", async () => {
    const team = await open();
    const [kept, dropped, fresh] = [big(), big(), big()];
    const runs = [await team.submit({ a: {} }), await team.submit({ a: {} }), await team.submit({ a: {} })];
    for (const [n, value] of [kept, dropped, fresh].entries()) await completeAll(team, runs[n]!, { a: value });
    for (const runId of runs.slice(1)) await team.sql.query("/* the suite's */ delete from run where id = $1", [runId]);
    await collect(team, kept, dropped);
    expect([await blob(team, kept), await blob(team, dropped), await blob(team, fresh)]).toEqual([
      expect.anything(),
      undefined,
      expect.anything(),
    ]);
    expect((await team.task(runs[0]!, "a")).output).toBe(kept);
  });

  it("keeps a content that somebody writes again while it is collected", async () => {
    const team = await open();
    const text = big();
    const orphan = await team.submit({ a: {} });
    await completeAll(team, orphan, { a: text });
    await team.sql.query("/* the suite's */ delete from run where id = $1", [orphan]);
    const runId = await team.submit({ a: {} });
    const lease = await team.take(runId, "a");
    await Promise.all([collect(team, text), team.complete(lease, text), team.store.upkeep.prune()]);
    expect((await team.task(runId, "a")).output).toBe(text);
    await team.settle();
  });

  it("tells repeated work by what is in the holes", async () => {
    const team = await open();
    const outputs = { a: big(), b: big() };
    const runId = await team.submit({
      ...{ a: {}, b: {} },
      x: { needs: ["a", "b"], input: { it: "{{ tasks.a.output }}" } },
      y: { needs: ["a", "b"], input: { it: "{{ tasks.b.output }}" } },
      z: { needs: ["a", "b"], input: { it: "{{ tasks.b.output }}" } },
    });
    await completeAll(team, runId, outputs);
    await team.work();
    expect(await team.store.runs.repeats(team.namespace, runId, 10)).toMatchObject([
      { tasks: ["a", "b"] },
      { tasks: ["y", "z"] },
    ]);
  });
}

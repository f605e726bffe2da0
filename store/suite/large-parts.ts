/** What is large beside inputs and outputs: items of maps, what signals and decisions bring, inputs that a definition has in it. */
import { expect, it } from "vitest";
import type { Json } from "../../core/json.ts";
import type { OpenTeam } from "../store.suite.ts";
import { big, blob, collect, hashOf } from "./payloads.ts";
import type { Tasks, Team } from "./team.ts";

const MEBIBYTE = 1024 * 1024;
/** Of a row without anything large in it. */
const SMALL_ROW = 8_000;

export function largePartCases(open: OpenTeam): void {
  /** The rows of the run's tasks that hold more than they should. */
  async function largeRows(team: Team, runId: string): Promise<string[]> {
    const rows = await team.sql.query<{ key: string }>(
      "/* the suite's */ select key from task t where run_id = $1 and octet_length(row_to_json(t)::text) > $2",
      [runId, SMALL_ROW],
    );
    return rows.map(({ key }) => key);
  }
  const contents = async (team: Team) => {
    const [row] = await team.sql.query<{ count: number }>("/* the suite's */ select count(*)::int as count from blob");
    return row!.count;
  };
  const inputsOf = async (team: Team, runId: string) =>
    Object.fromEntries(
      (await team.claim({ max: 1_000 })).filter((task) => task.runId === runId).map((task) => [task.key, task.input]),
    );

  it("keeps an item of 1 MiB apart, once, however many of a map's 100 items it is", async () => {
    const team = await open();
    const large = big(MEBIBYTE);
    const items = Array.from({ length: 100 }, (_, n) => (n % 20 === 0 ? large : `small ${n}`));
    const before = await contents(team);
    const runId = await team.submit(
      { m: { for_each: "{{ inputs.items }}", when: "true", input: { it: "{{ item }}", size: "{{ size(item) }}" } } },
      { inputs: { items } },
    );
    await team.settle();
    expect(await largeRows(team, runId)).toEqual([]);
    // The run's inputs, the list, and the item.
    expect(await contents(team)).toBe(before + 3);
    expect(await blob(team, large)).toMatchObject({ is_stored: true, size: MEBIBYTE + 2 });
    expect(await inputsOf(team, runId)).toEqual(
      Object.fromEntries(items.map((it, n) => [`m[${n}]`, { it, size: it.length }])),
    );
    await collect(team, large);
    expect((await team.task(runId, "m[20]")).input).toEqual({ it: large, size: MEBIBYTE });
    await team.sql.query("/* the suite's */ delete from run where id = $1", [runId]);
    await collect(team, large);
    expect(await blob(team, large)).toBeUndefined();
  });

  it("gives large items to conditions, limits, loops within the map, and what undoes them", async () => {
    const team = await open();
    const items = [big(), "small", big()];
    const runId = await team.submit(
      {
        l: {
          for_each: "{{ inputs.items }}",
          max_concurrency: 1,
          loop: {
            body: [
              {
                id: "d",
                capability: "work",
                when: "size(item) > 1",
                input: { it: "{{ item }}" },
                compensate: { capability: "work", input: { of: "{{ item }}" } },
              },
            ],
            until: "size(item) > 0",
            max: 2,
          },
        },
        bad: { needs: ["l"] },
      },
      { inputs: { items } },
    );
    for (const [n, it] of items.entries()) {
      await team.settle();
      const task = await team.take(runId, `l[${n}][0]/d`);
      expect(task.input).toEqual({ it });
      await team.complete(task);
    }
    await team.settle();
    expect(await largeRows(team, runId)).toEqual([]);
    await team.fail(await team.take(runId, "bad"), { retryable: false });
    await team.settle();
    const undone: Json[] = [];
    for (let tasks = await team.claim(); tasks.length > 0; tasks = await team.claim()) {
      for (const task of tasks) {
        undone.push(task.input);
        await team.complete(task);
      }
      await team.settle();
    }
    expect(undone).toHaveLength(3);
    expect(undone).toEqual(expect.arrayContaining(items.map((of) => ({ of }))));
    expect(await largeRows(team, runId)).toEqual([]);
  });

  it("never gives an instance the large item of another", async () => {
    const team = await open();
    const [one, two] = [big(), big()];
    const items = ["a", one, "b", two, one];
    const runId = await team.submit(
      { m: { for_each: "{{ inputs.items }}", input: "{{ item }}" } },
      { inputs: { items } },
    );
    await team.settle();
    expect(await inputsOf(team, runId)).toEqual(Object.fromEntries(items.map((it, n) => [`m[${n}]`, it])));
    const distinct = new Set(
      (await team.store.runs.repeats(team.namespace, runId, 10)).map(({ tasks }) => tasks.join()),
    );
    expect(distinct).toEqual(new Set(["m[1],m[4]"]));
  });

  it("keeps large items that are emitted apart, for a retry, too", async () => {
    const team = await open();
    const item = big();
    const undo = { capability: "work", input: { of: "{{ item }}" } };
    const tasks: Tasks = {
      root: {},
      crawl: { for_each: [], open: true, input: "{{ item }}", compensate: undo },
      end: { needs: ["crawl"] },
    };
    const runId = await team.submit(tasks);
    await team.settle();
    const root = await team.take(runId, "root");
    const items = [{ item, key: "a" }];
    expect(await team.store.leases.emit({ ...team.proof(root), map: "crawl", items, close: true })).toMatchObject({
      added: 1,
    });
    await team.complete(root);
    await team.settle();
    const lease = await team.take(runId, "crawl[0]");
    expect(lease.input).toBe(item);
    await team.complete(lease);
    await team.settle();
    expect(await largeRows(team, runId)).toEqual([]);
    await team.fail(await team.take(runId, "end"), { retryable: false });
    await team.store.runs.cancel(team.namespace, runId, "no undoing");
    await team.settle();
    const { hash } = await team.run(runId);
    const submission = team.submission(tasks);
    await team.store.runs.rerun({ kind: "retry", of: { runId, hash }, from: [], submission });
    const again = submission.runId;
    await team.sql.query("/* the suite's */ delete from run where id = $1", [runId]);
    await collect(team, item);
    expect(await team.task(again, "crawl[0]")).toMatchObject({ status: "completed" });
    await team.fail(await team.take(again, "end"), { retryable: false });
    await team.settle();
    expect((await team.take(again, "crawl[0]/compensate")).input).toEqual({ of: item });
    await team.work();
  });

  it("keeps what a signal brings apart, until it is taken and after", async () => {
    const team = await open();
    const [payload, spare] = [{ text: big() }, big()];
    const runId = await team.submit({
      w: { wait: { signal: "go" } },
      a: { needs: ["w"], input: "{{ tasks.w.output }}" },
    });
    await team.settle();
    await team.store.runs.signal(team.namespace, runId, { name: "go", payload, by: "ann" });
    await team.store.runs.signal(team.namespace, runId, { name: "spare", payload: spare, by: "ann" });
    const rows = await team.sql.query(
      "/* the suite's */ select payload, refs -> 'payload' -> 0 ->> 1 as hash from signal where run_id = $1 order by id",
      [runId],
    );
    expect(rows).toEqual([payload, spare].map((value) => ({ payload: null, hash: hashOf(value) })));
    await collect(team, payload, spare);
    await team.settle();
    expect(await team.task(runId, "w")).toMatchObject({ status: "completed", output: { name: "go", payload } });
    expect(await largeRows(team, runId)).toEqual([]);
    expect((await team.take(runId, "a")).input).toMatchObject({ payload });
    expect(await blob(team, spare)).toBeDefined();
    await team.sql.query("/* the suite's */ delete from run where id = $1", [runId]);
    await collect(team, payload, spare);
    expect([await blob(team, payload), await blob(team, spare)]).toEqual([undefined, undefined]);
  });

  it("keeps what a person answers apart", async () => {
    const team = await open();
    const payload = { text: big() };
    const runId = await team.submit({ ask: { wait: { approval: {} } } }, { outputs: "{{ tasks.ask.output.payload }}" });
    await team.settle();
    const answer = { approved: true, by: "ann", comment: null, payload };
    expect(await team.store.runs.decide(team.namespace, runId, "ask", answer)).toBe("decided");
    expect(await largeRows(team, runId)).toEqual([]);
    await collect(team, payload);
    await team.settle();
    expect(await team.task(runId, "ask")).toMatchObject({ output: { event: "approval", by: "ann", payload } });
    expect(await largeRows(team, runId)).toEqual([]);
    expect((await team.run(runId)).outputs).toEqual(payload);
  });

  it("keeps a large input that a definition has in it apart, once for all runs of it", async () => {
    const team = await open();
    const text = big(MEBIBYTE);
    const input = { text, brace: "\\{{ not evaluated" };
    const tasks: Tasks = { a: { input }, b: { needs: ["a"], input }, c: { needs: ["a"], when: "true", input } };
    const ids = [await team.submit(tasks), await team.submit(tasks)];
    const given = { text, brace: "{{ not evaluated" };
    expect(await blob(team, given)).toMatchObject({ is_stored: true });
    for (const runId of ids) {
      expect(await largeRows(team, runId)).toEqual([]);
      for (const key of ["a", "b", "c"]) {
        const lease = await team.take(runId, key);
        expect(lease.input).toEqual(given);
        await team.complete(lease);
      }
      await team.settle();
      expect((await team.task(runId, "c")).input).toEqual(given);
      expect(await team.store.runs.repeats(team.namespace, runId, 10)).toMatchObject([{ tasks: ["a", "b", "c"] }]);
    }
  });

  it("tells large inputs of cached tasks apart, which stay where they are", async () => {
    const team = await open();
    const [one, two] = [big(), big()];
    const cached = (input: Json): Tasks => ({ gate: {}, a: { needs: ["gate"], input, cache: { ttl: "1h" } } });
    for (const [n, input] of [one, two, one].entries()) {
      const runId = await team.submit(cached(input));
      await team.complete(await team.take(runId, "gate"));
      if (n < 2) {
        const lease = await team.take(runId, "a");
        expect(lease.input).toBe(input);
        await team.complete(lease, n);
      }
      await team.settle();
      expect(await team.run(runId)).toMatchObject({ status: "completed", outputs: { a: n % 2 } });
    }
  });

  it("moves to history and back with the contents of all of them", async () => {
    const team = await open();
    const [item, payload, input] = [big(), big(), big()];
    const runId = await team.submit(
      {
        m: { for_each: "{{ inputs.items }}", input: { it: "{{ item }}" } },
        c: { input },
        w: { wait: { signal: "go" } },
      },
      { inputs: { items: [item, 1] } },
    );
    for (const name of ["go", "spare"]) {
      await team.store.runs.signal(team.namespace, runId, { name, payload: `${payload}${name}`, by: "ann" });
    }
    await team.settle();
    await team.work();
    expect(await team.run(runId)).toMatchObject({ status: "completed" });
    await team.sql.query(
      "/* the suite's */ update run set finished_at = finished_at - interval '2 days' where id = $1",
      [runId],
    );
    const keepMs = { completed: null, failed: null, cancelled: null };
    await team.store.history.setPolicy(team.namespace, { moveAfterMs: 86_400_000, keepMs });
    while ((await team.store.history.move(2_000)) > 0);
    expect(await team.sql.query("/* the suite's */ select from run where id = $1", [runId])).toEqual([]);
    const all = [item, `${payload}go`, `${payload}spare`, input];
    await collect(team, ...all);
    for (const value of all) expect(await blob(team, value)).toBeDefined();
    expect((await team.task(runId, "m[0]")).input).toEqual({ it: item });
    expect((await team.task(runId, "c")).input).toBe(input);
    expect((await team.task(runId, "w")).output).toMatchObject({ payload: `${payload}go` });
    expect(
      await team.sql.query("/* the suite's */ select from signal where refs is not null and run_id = $1", [runId]),
    ).toHaveLength(2);
  });
}

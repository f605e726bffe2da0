import { randomBytes } from "node:crypto";
import { uuidv7 } from "uuidv7";
import { expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";
import type { Page, PageOf } from "../store.ts";
import type { Tasks } from "./team.ts";

export function listingCases(open: OpenTeam): void {
  /** All pages of two; each but the last is full and says how to go on. */
  async function allPages<T>(list: (page: Page) => Promise<PageOf<T>>): Promise<T[]> {
    const all: T[] = [];
    let cursor: string | undefined;
    do {
      const page: PageOf<T> = await list(cursor === undefined ? { limit: 2 } : { limit: 2, cursor });
      expect(page.data.length).toBeLessThanOrEqual(2);
      if (page.nextCursor !== null) expect(page.data).toHaveLength(2);
      all.push(...page.data);
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
    return all;
  }

  it("give runs newest first, page by page", async () => {
    const team = await open();
    const submitted = [];
    for (let n = 0; n < 5; n++) submitted.push(await team.submit({ a: {} }));
    const runs = await allPages((page) => team.store.runs.list(team.namespace, page));
    expect(runs.map((run) => run.id)).toEqual(submitted.toReversed());
    expect(runs[0]).toEqual(await team.run(submitted.at(-1)!));
  });

  it("filter runs by status, workflow and labels", async () => {
    const team = await open();
    const red = await team.submit({ a: {} }, { labels: { colour: "red", size: "xl" } });
    const blue = await team.submit({ a: {} }, { labels: { colour: "blue" } });
    const ids = async (filter: Parameters<typeof team.store.runs.list>[1]) =>
      (await team.store.runs.list(team.namespace, filter)).data.map((run) => run.id);
    expect(await ids({ labels: { colour: "red" } })).toEqual([red]);
    expect(await ids({ labels: { colour: "red", size: "s" } })).toEqual([]);
    expect(await ids({ workflow: "flow" })).toEqual([blue, red]);
    expect(await ids({ workflow: "other" })).toEqual([]);
    await team.store.runs.cancel(team.namespace, red, "test");
    await team.settle();
    expect(await ids({ status: "cancelled" })).toEqual([red]);
    expect(await ids({ status: "running", workflow: "flow" })).toEqual([blue]);
  });

  it("give a run's tasks in topological order, page by page and by status", async () => {
    const team = await open();
    const runId = await team.submit({ e: { needs: ["d"] }, d: { needs: ["b", "c"] }, c: {}, b: {}, a: {} });
    const tasks = await allPages((page) => team.store.runs.tasks(team.namespace, runId, page));
    expect(tasks.map((task) => task.key)).toEqual(["c", "b", "a", "d", "e"]);
    expect(tasks[3]!.needs).toEqual(["b", "c"]);
    const pending = await allPages((page) =>
      team.store.runs.tasks(team.namespace, runId, { ...page, status: "pending" }),
    );
    expect(pending.map((task) => task.key)).toEqual(["d", "e"]);
  });

  it("give the outline of a run without payloads, and its attempts by task", async () => {
    const team = await open();
    const runId = await team.submit({ a: {}, b: { needs: ["a"] } });
    const first = await team.take(runId, "a");
    await team.fail(first, { retryAfterMs: 0 });
    await team.complete(await team.take(runId, "a"), { big: true });
    const outline = await team.store.runs.outline(team.namespace, runId);
    expect(outline).toMatchObject([
      { key: "a", status: "completed", output: null, attempt: 2 },
      { key: "b", status: "ready", needs: ["a"] },
    ]);
    const attempts = await team.store.runs.attempts(team.namespace, runId);
    expect(Object.fromEntries(attempts)).toMatchObject({
      [first.taskId]: [{ outcome: "failed" }, { outcome: "completed" }],
    });
    expect(attempts.size).toBe(1);
  });

  it("find a task by key or id", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    const byKey = await team.store.runs.task(team.namespace, runId, "a");
    expect(await team.store.runs.task(team.namespace, runId, byKey!.id)).toEqual(byKey);
    for (const unknown of ["b", uuidv7(), "a' or '1'='1", ""]) {
      expect(await team.store.runs.task(team.namespace, runId, unknown)).toBeUndefined();
    }
  });

  it("refuse texts that PostgreSQL cannot hold", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    const { runs, workflows } = team.store;
    const refused = [
      () => runs.task(team.namespace, runId, "a\0"),
      () => runs.list(team.namespace, { workflow: "\0" }),
      () => runs.list(team.namespace, { labels: { x: "\0" } }),
      () => workflows.find(team.namespace, "\0"),
    ];
    for (const read of refused) await expect(read()).rejects.toMatchObject({ code: "JSON_UNSTORABLE" });
    const task = await team.take(runId, "a");
    await expect(team.complete(task, "\0")).rejects.toMatchObject({ code: "JSON_UNSTORABLE" });
    expect(await team.complete(task, "fine")).toBe("accepted");
  });

  it("give agents and keys newest first, page by page", async () => {
    const team = await open();
    const [second, third] = [await team.join(), await team.join()];
    const agents = await allPages((page) => team.store.agents.list(team.namespace, page));
    expect(agents.map((agent) => agent.id)).toEqual([third.id, second.id, team.agent.id]);
    const created = [];
    for (const name of ["one", "two", "three"]) {
      const key = { namespace: team.namespace, name, prefix: "sk", scopes: [], capabilities: null, expiresAt: null };
      created.push(await team.store.keys.create(key, randomBytes(32)));
    }
    expect(await allPages((page) => team.store.keys.list(team.namespace, page))).toEqual(created.toReversed());
  });

  it("give a hundred unless asked otherwise, and never more than a thousand", async () => {
    const team = await open();
    const tasks: Tasks = {};
    for (let n = 0; n < 1_001; n++) tasks[`t${n}`] = {};
    const runId = await team.submit(tasks);
    expect((await team.store.runs.tasks(team.namespace, runId, {})).data).toHaveLength(100);
    expect((await team.store.runs.tasks(team.namespace, runId, { limit: 5_000 })).data).toHaveLength(1_000);
  });

  it("refuse a cursor they did not give out", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    const { runs, agents, keys, workflows } = team.store;
    for (const text of ["", "zzz", "\u0000", "' or 1=1", "{}"]) {
      const cursor = Buffer.from(text).toString("base64url");
      const listings = [
        () => runs.list(team.namespace, { cursor }),
        () => runs.tasks(team.namespace, runId, { cursor }),
        () => agents.list(team.namespace, { cursor }),
        () => keys.list(team.namespace, { cursor }),
        ...(text === "zzz" ? [] : [() => workflows.list(team.namespace, { cursor })]),
      ];
      for (const list of listings) await expect(list()).rejects.toMatchObject({ code: "REQUEST_INVALID" });
    }
  });
}

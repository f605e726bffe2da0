import { randomUUID } from "node:crypto";
import { expect, it } from "vitest";
import type { Json } from "../../core/json.ts";
import { defaultLimits } from "../../core/limits.ts";
import type { OpenTeam } from "../store.suite.ts";
import type { Change, Sender, SharedWrite } from "../store.ts";
import type { Team } from "./team.ts";

export function sharedMemoryCases(open: OpenTeam): void {
  const by: Sender = { kind: "agent", name: "a" };
  const at = ({ namespace }: Team, name = "plans") => ({ namespace, name });
  const write = (team: Team, key: string, value: Json | undefined, more: Partial<SharedWrite> = {}, scope?: string) =>
    team.store.sharedMemory.write(at(team, scope), key, { value, ttlMs: null, by, ...more });
  const read = (team: Team, key: string, scope?: string) => team.store.sharedMemory.read(at(team, scope), key);
  const changes = async (team: Team, after: number) =>
    (await team.store.sharedMemory.changes(at(team), after, 100)).changes.map(({ key, revision, ...rest }) => [
      revision,
      key,
      "value" in rest ? rest.value : "removed",
    ]);
  /** Lets the time of everything that has one run out. */
  const runOut = (team: Team) =>
    team.sql.query(
      "/* the suite's */ update shared_memory set expires_at = clock_timestamp() where expires_at > now() and namespace = $1",
      [team.namespace],
    );

  it("is written, read and removed by scope and key, with a revision of the scope and who did it", async () => {
    const [team, foreign] = [await open(), await open()];
    expect(await read(team, "k")).toBeUndefined();
    const shown = { key: "k", value: { n: 1 }, revision: 1, expiresAt: null, by, updatedAt: expect.any(Date) };
    expect(await write(team, "k", { n: 1 })).toEqual({ entry: shown });
    expect(await read(team, "k")).toEqual(shown);
    await write(team, "other", null, { by: { kind: "client", name: "somebody" } });
    expect(await read(team, "other")).toMatchObject({ value: null, revision: 2, by: { kind: "client" } });
    await write(team, "k", "elsewhere", {}, "scope-2");
    await write(foreign, "k", "foreign");
    expect([(await read(team, "k", "scope-2"))!.revision, (await read(foreign, "k"))!.value]).toEqual([1, "foreign"]);
    expect(await write(team, "k", undefined)).toEqual({});
    expect(await write(team, "k", undefined)).toEqual({});
    expect(await read(team, "k")).toBeUndefined();
    expect(await write(team, "k", "again")).toMatchObject({ entry: { revision: 4 } });
  });

  it("is written only if it is as the writer expects it", async () => {
    const team = await open();
    const conflict = (text: string) => ({ code: "MEMORY_CONFLICT", message: expect.stringContaining(text) });
    expect(await write(team, "k", 1, { condition: { revision: 1 } })).toMatchObject(conflict("there is none"));
    await write(team, "x", 0);
    expect(await write(team, "k", 1, { condition: { revision: 0 } })).toMatchObject({ entry: { revision: 2 } });
    expect(await write(team, "k", 2, { condition: { revision: 0 } })).toMatchObject(conflict("it has revision 2"));
    expect(await write(team, "k", 2, { condition: { revision: 1 } })).toMatchObject(conflict("revision 1"));
    expect(await write(team, "k", undefined, { condition: { revision: 1 } })).toMatchObject(conflict("revision 1"));
    expect(await write(team, "k", undefined, { condition: { revision: 2 } })).toEqual({});
    expect(await write(team, "k", 3, { condition: { revision: 2 } })).toMatchObject(conflict("there is none"));
    // A key that was removed is none.
    expect(await write(team, "k", 3, { condition: { revision: 0 } })).toMatchObject({ entry: { revision: 4 } });
  });

  it("is written once under one id", async () => {
    const team = await open();
    const writeId = randomUUID();
    const once = () => write(team, "k", 1, { writeId, condition: { revision: 0 } });
    expect(await once()).toEqual(await once());
    await write(team, "k", 2);
    expect(await once()).toMatchObject({ code: "MEMORY_CONFLICT" });
  });

  it("loses no write to another", async () => {
    const team = await open();
    const [writers, writes] = [8, 10];
    const count = async (): Promise<void> => {
      const entry = await read(team, "n");
      const value = ((entry?.value as number | undefined) ?? 0) + 1;
      const answer = await write(team, "n", value, { condition: { revision: entry?.revision ?? 0 } });
      if ("code" in answer) await count();
    };
    await Promise.all(
      Array.from({ length: writers }, async () => {
        for (let n = 0; n < writes; n++) await count();
      }),
    );
    expect(await read(team, "n")).toMatchObject({ value: writers * writes, revision: writers * writes });
  });

  it("is listed by key, in pages, by a beginning, without what is gone", async () => {
    const team = await open();
    for (const key of ["b", "a/2", "a/1", "c", "gone", "over"])
      await write(team, key, key, key === "over" ? { ttlMs: 60_000 } : {});
    await write(team, "gone", undefined);
    await runOut(team);
    const list = async (page: { limit?: number; cursor?: string; prefix?: string }) => {
      const { data, nextCursor } = await team.store.sharedMemory.list(at(team), page);
      return { keys: data.map(({ key }) => key), nextCursor };
    };
    expect((await list({})).keys).toEqual(["a/1", "a/2", "b", "c"]);
    expect((await list({ prefix: "a/" })).keys).toEqual(["a/1", "a/2"]);
    const first = await list({ limit: 3 });
    expect(first.keys).toEqual(["a/1", "a/2", "b"]);
    expect(await list({ limit: 3, cursor: first.nextCursor! })).toEqual({ keys: ["c"], nextCursor: null });
  });

  it("tells what has changed since a revision, the newest of each key, in order", async () => {
    const team = await open();
    const heard: Change[] = [];
    const stop = team.store.onChange((all) =>
      heard.push(...all.filter(({ namespace }) => namespace === team.namespace)),
    );
    expect(await team.store.sharedMemory.changes(at(team), 0, 10)).toEqual({
      changes: [],
      lastRevision: 0,
      isTooOld: false,
    });
    await write(team, "a", 1);
    await write(team, "b", 2);
    await write(team, "a", 3);
    await write(team, "b", undefined);
    await write(team, "nothing", undefined);
    await write(team, "a", 4, { condition: { revision: 1 } });
    stop();
    expect(heard).toEqual(
      Array.from({ length: 4 }, () => ({ kind: "memory", namespace: team.namespace, name: "plans" })),
    );
    expect(await changes(team, 0)).toEqual([
      [3, "a", 3],
      [4, "b", "removed"],
    ]);
    expect(await changes(team, 3)).toEqual([[4, "b", "removed"]]);
    expect((await team.store.sharedMemory.changes(at(team), 9, 10)).isTooOld).toBe(true);
    const revisions = await team.store.sharedMemory.lastRevisions([at(team, "none"), at(team)]);
    expect(revisions).toEqual([0, 4]);
  });

  it("removes what has run out as a change, once, however many look", async () => {
    const team = await open();
    await write(team, "stays", 1);
    for (let n = 0; n < 5; n++) await write(team, `k${n}`, n, { ttlMs: 60_000 });
    await team.store.sharedMemory.expire(100);
    expect(await read(team, "k1")).toMatchObject({ value: 1, expiresAt: expect.any(Date) });
    await runOut(team);
    expect(await read(team, "k1")).toBeUndefined();
    const expireAll = async () => {
      while ((await team.store.sharedMemory.expire(2)) > 0);
    };
    await Promise.all([expireAll(), expireAll(), expireAll()]);
    const gone = await changes(team, 6);
    expect(gone.map(([revision]) => revision)).toEqual([7, 8, 9, 10, 11]);
    expect(gone.map(([, key]) => key).sort()).toEqual(["k0", "k1", "k2", "k3", "k4"]);
    expect(new Set(gone.map(([, , value]) => value))).toEqual(new Set(["removed"]));
    expect((await team.store.sharedMemory.changes(at(team), 6, 1)).changes[0]!.by).toEqual({
      kind: "system",
      name: "skein",
    });
  });

  it("forgets removals after a while, and tells those who have seen less", async () => {
    const team = await open();
    await write(team, "a", 1);
    await write(team, "b", 1);
    await write(team, "a", undefined);
    await write(team, "c", 1);
    await team.store.upkeep.prune();
    expect(await changes(team, 2)).toHaveLength(2);
    await team.sql.query(
      "/* the suite's */ update shared_memory set updated_at = now() - interval '2 days' where namespace = $1",
      [team.namespace],
    );
    await team.store.upkeep.prune();
    const since = async (after: number) => (await team.store.sharedMemory.changes(at(team), after, 10)).isTooOld;
    expect([await since(2), await since(3), await since(4)]).toEqual([true, false, false]);
    expect(await changes(team, 0)).toEqual([
      [2, "b", 1],
      [4, "c", 1],
    ]);
    expect(await write(team, "a", 2)).toMatchObject({ entry: { revision: 5 } });
  });

  it("takes no value that is too large, and no more keys than a scope may have", async () => {
    const team = await open();
    expect(await write(team, "k", "x".repeat(defaultLimits.sharedBytes))).toMatchObject({
      code: "AGENT_DATA_TOO_LARGE",
    });
    await write(team, "one", 1);
    await team.sql.query(
      `insert into shared_memory (namespace, scope, key, value, revision, writer_kind, writer)
       select $1, 'plans', 'n' || n, '1', n, 'client', 'crowd' from generate_series(2, $2) as n`,
      [team.namespace, defaultLimits.sharedKeys],
    );
    await team.sql.query("update memory_scope set last_revision = $2 where namespace = $1 and scope = 'plans'", [
      team.namespace,
      defaultLimits.sharedKeys,
    ]);
    expect(await write(team, "more", 1)).toMatchObject({
      code: "MEMORY_FULL",
      message: expect.stringContaining("10,001 keys; the limit is 10,000 shared keys per scope (SKEIN_MAX_SHARED_KEYS"),
    });
    expect(await write(team, "more", 1)).not.toHaveProperty("retryAfterMs");
    expect(await write(team, "one", 2, { ttlMs: 3_600_000 })).toMatchObject({ entry: { value: 2 } });
    const { retryAfterMs } = (await write(team, "more", 1)) as { retryAfterMs?: number };
    expect(Math.round(retryAfterMs! / 60_000)).toBe(60);
    await write(team, "n2", undefined);
    expect(await write(team, "more", 1)).toMatchObject({ entry: { value: 1 } });
  });
}

import { createHash, randomUUID } from "node:crypto";
import { expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";
import type { ArtifactAccess, ArtifactWrite, ClaimedTask } from "../store.ts";
import { newSubmission, type Team } from "./team.ts";

export function artifactCases(open: OpenTeam): void {
  const text = (path: string, content: string, more: Partial<ArtifactWrite> = {}): ArtifactWrite => ({
    path,
    contentType: "text/plain",
    content: Buffer.from(content),
    ...more,
  });
  const outside = ({ namespace }: Team, runId: string): ArtifactAccess => ({ namespace, runId });
  const by = (team: Team, task: ClaimedTask): ArtifactAccess => ({
    namespace: team.namespace,
    runId: task.runId,
    lease: team.proof(task),
  });
  const contentOf = async (team: Team, access: ArtifactAccess, path: string) => {
    const found = await team.store.artifacts.read(access, path);
    return typeof found === "string" ? found : found.content.toString();
  };
  const pathsOf = async (team: Team, runId: string) => {
    const page = await team.store.artifacts.list(outside(team, runId), {});
    return typeof page === "string" ? page : page.data.map(({ path }) => path);
  };

  it("are read as they were written, byte by byte, with their type and hash", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    const content = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    const sha256 = createHash("sha256").update(content).digest("hex");
    const written = await team.store.artifacts.write(outside(team, runId), {
      path: "dir/bytes.bin",
      contentType: "application/octet-stream",
      content,
    });
    const artifact = {
      path: "dir/bytes.bin",
      contentType: "application/octet-stream",
      size: 256,
      sha256,
      writer: null,
    };
    expect(written).toMatchObject({ outcome: "written", artifact });
    const found = await team.store.artifacts.read(outside(team, runId), "dir/bytes.bin");
    expect(found).toMatchObject({ artifact });
    expect(content.equals((found as { content: Buffer }).content)).toBe(true);
    expect(await contentOf(team, outside(team, runId), "dir/bytes")).toBe("no_artifact");
  });

  it("may be empty, and are replaced by a later write", async () => {
    const team = await open();
    const access = outside(team, await team.submit({ a: {} }));
    const { write } = team.store.artifacts;
    expect(await write(access, text("a", ""))).toMatchObject({ outcome: "written", artifact: { size: 0 } });
    const first = await write(access, text("a", "one"));
    const again = await write(access, text("a", "one"));
    expect(again).toEqual({ ...first, outcome: "same" });
    expect(await write(access, text("a", "two", { condition: { absent: true } }))).toEqual({ outcome: "conflict" });
    expect(await contentOf(team, access, "a")).toBe("one");
    const sha256 = createHash("sha256").update("one").digest("hex");
    expect(await write(access, text("a", "two", { condition: { sha256 } }))).toMatchObject({ outcome: "written" });
    expect(await write(access, text("a", "three", { condition: { sha256 } }))).toEqual({ outcome: "conflict" });
    expect(await contentOf(team, access, "a")).toBe("two");
  });

  it("are listed by path, in pages, by prefix", async () => {
    const team = await open();
    const access = outside(team, await team.submit({ a: {} }));
    for (const path of ["b/2", "a", "b/1", "B", "b_", "b/10"])
      await team.store.artifacts.write(access, text(path, "x"));
    const all: string[] = [];
    for (let cursor: string | undefined, more = true; more; ) {
      const page = await team.store.artifacts.list(access, { limit: 2, cursor });
      if (typeof page === "string") throw new Error(page);
      all.push(...page.data.map(({ path }) => path));
      more = page.nextCursor !== null;
      cursor = page.nextCursor ?? undefined;
    }
    expect(all).toEqual(["B", "a", "b/1", "b/10", "b/2", "b_"]);
    const below = await team.store.artifacts.list(access, { prefix: "b/1" });
    expect(below).toMatchObject({ data: [{ path: "b/1" }, { path: "b/10" }], nextCursor: null });
  });

  it("belong to a run and its namespace", async () => {
    const [mine, other] = [await open(), await open()];
    const [runId, sibling] = [await mine.submit({ a: {} }), await mine.submit({ a: {} })];
    await mine.store.artifacts.write(outside(mine, runId), text("a", "x"));
    expect(await contentOf(mine, outside(mine, sibling), "a")).toBe("no_artifact");
    const foreign = outside(other, runId);
    expect(await contentOf(mine, foreign, "a")).toBe("no_run");
    expect(await mine.store.artifacts.list(foreign, {})).toBe("no_run");
    expect(await mine.store.artifacts.write(foreign, text("b", "x"))).toEqual({ outcome: "no_run" });
    expect(await contentOf(mine, outside(mine, randomUUID()), "a")).toBe("no_run");
    expect(await pathsOf(mine, runId)).toEqual(["a"]);
  });

  it("are reached by an attempt for as long as it holds its lease, in its run alone", async () => {
    const team = await open();
    const [runId, sibling] = [await team.submit({ a: {} }), await team.submit({ a: {} })];
    const task = await team.take(runId, "a");
    const { write, list } = team.store.artifacts;
    const writer = { taskId: task.taskId, attempt: 1 };
    expect(await write(by(team, task), text("a", "x"))).toMatchObject({ artifact: { writer } });
    expect(await contentOf(team, by(team, task), "a")).toBe("x");
    const wrong = [
      { ...by(team, task), runId: sibling },
      { ...by(team, task), runId: randomUUID() },
      { ...by(team, task), lease: { ...team.proof(task), leaseToken: "guessed" } },
      { ...by(team, task), lease: { ...team.proof(task), attempt: 2 } },
      { ...by(team, task), lease: { ...team.proof(task), agentId: (await team.join()).id } },
    ];
    await team.complete(task);
    for (const access of [...wrong, by(team, task)]) {
      expect(await write(access, text("b", "x"))).toEqual({ outcome: "stale" });
      expect(await contentOf(team, access, "a")).toBe("stale");
      expect(await list(access, {})).toBe("stale");
    }
    expect([await pathsOf(team, runId), await pathsOf(team, sibling)]).toEqual([["a"], []]);
  });

  it("left by an attempt that was lost are replaced by the next one, and that one no more writes", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    const lost = await team.take(runId, "a");
    const once = { condition: { absent: true } } as const;
    await team.store.artifacts.write(by(team, lost), text("a", "first try", once));
    await team.expireLease(lost);
    await team.store.upkeep.reap(10);
    const next = await team.take(runId, "a");
    expect(await team.store.artifacts.write(by(team, lost), text("a", "late"))).toEqual({ outcome: "stale" });
    expect(await team.store.artifacts.write(by(team, next), text("a", "second try", once))).toMatchObject({
      outcome: "written",
      artifact: { writer: { attempt: 2 } },
    });
    expect(await team.store.artifacts.write(by(team, next), text("a", "once more", once))).toEqual({
      outcome: "conflict",
    });
    expect(await contentOf(team, outside(team, runId), "a")).toBe("second try");
  });

  it("are not written to a run that has finished, and are still read from it", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    await team.store.artifacts.write(outside(team, runId), text("a", "x"));
    await team.work();
    expect(await team.store.artifacts.write(outside(team, runId), text("b", "x"))).toEqual({ outcome: "finished" });
    expect(await contentOf(team, outside(team, runId), "a")).toBe("x");
  });

  it("written at the same moment keep to what the run may hold", async () => {
    const team = await open();
    const access = outside(team, await team.submit({ a: {} }));
    const third = Buffer.alloc(7 * 1_024 * 1_024, "x");
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, n) => team.store.artifacts.write(access, text(`${n}`, "", { content: third }))),
    );
    const outcomes = answers.map(({ outcome }) => outcome).sort();
    expect(outcomes).toEqual(["limit", ...Array(9).fill("written")]);
    expect(answers.find(({ outcome }) => outcome === "limit")).toMatchObject({
      message: expect.stringContaining("SKEIN_MAX_ARTIFACT_BYTES_PER_RUN"),
    });
  });

  it("go with their run", async () => {
    const team = await open();
    const runId = await team.submit({ a: {} });
    await team.store.artifacts.write(outside(team, runId), text("a", "x"));
    const before = await team.sql.query("select from artifact where run_id = $1", [runId]);
    await team.sql.query("delete from event where run_id = $1", [runId]);
    await team.sql.query("delete from run where id = $1", [runId]);
    expect([before.length, (await team.sql.query("select from artifact where run_id = $1", [runId])).length]).toEqual([
      1, 0,
    ]);
  });

  it("of tasks that a retry keeps, of their instances, and from outside are there in the new run", async () => {
    const team = await open();
    const tasks = {
      keep: {},
      map: { for_each: [1, 2] },
      fail: { needs: ["keep", "map"] },
    };
    const runId = await team.submit(tasks);
    const writeEach = async () => {
      for (let claimed = await team.claim(); claimed.length > 0; claimed = await team.claim()) {
        for (const task of claimed) {
          await team.store.artifacts.write(by(team, task), text(`by/${task.key}`, task.runId));
          await (task.key === "fail" ? team.fail(task, { retryable: false }) : team.complete(task));
        }
        await team.settle();
      }
    };
    await team.settle();
    await team.store.artifacts.write(outside(team, runId), text("given", "x"));
    await writeEach();
    expect(await pathsOf(team, runId)).toEqual(["by/fail", "by/keep", "by/map[0]", "by/map[1]", "given"]);
    const retry = async (of: string) => {
      const { hash } = await team.run(of);
      const submission = { ...newSubmission(team.namespace, tasks), hash };
      const answer = await team.store.runs.rerun({ submission, of: { runId: of, hash }, from: [], kind: "retry" });
      return (answer as { runId: string }).runId;
    };
    const second = await retry(runId);
    expect(await pathsOf(team, second)).toEqual(["by/keep", "by/map[0]", "by/map[1]", "given"]);
    expect(await contentOf(team, outside(team, second), "by/map[1]")).toBe(runId);
    await team.settle();
    await writeEach();
    const third = await retry(second);
    expect(await pathsOf(team, third)).toEqual(["by/keep", "by/map[0]", "by/map[1]", "given"]);
  });
}

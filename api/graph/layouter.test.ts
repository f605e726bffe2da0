import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { expect, it, vi } from "vitest";
import { Layouter } from "./layouter.ts";

const small = "digraph { a -> b }";

/** Far more than Graphviz lays out in a minute: every node of a layer of 200 needs every node of the one before. */
const endless = `digraph { ${Array.from({ length: 6 }, (_, layer) =>
  Array.from({ length: 200 }, (_, i) => Array.from({ length: 200 }, (_, j) => `n${layer}_${i} -> n${layer + 1}_${j}`)),
)
  .flat(2)
  .join(";")} }`;

it("lays out graphs at the same time asked, each with its own answer", async () => {
  const layouter = new Layouter();
  const names = ["x", "y", "z"];
  const answers = await Promise.all(names.map((name) => layouter.layout(`digraph { ${name} }`)));
  for (const [index, name] of names.entries()) expect(answers[index]).toContain(`node ${name} `);
});

it("gives up after its time, and stops the thread that was at it", async () => {
  const terminate = vi.spyOn(Worker.prototype, "terminate");
  await expect(new Layouter({ timeoutMs: 300 }).layout(endless)).rejects.toMatchObject({
    code: "GRAPH_TOO_LARGE",
    message: expect.stringContaining("format=json"),
  });
  // Resolves only once the thread has ended, so a layout that cannot be interrupted would show here. Where the machine is so
  // busy that it had not begun, its exit code is 0.
  expect(await terminate.mock.results[0]?.value).toBeTypeOf("number");
  terminate.mockRestore();
});

it("lays out the next graph with a new worker after one that was aborted", async () => {
  const layouter = new Layouter();
  const [aborted, after] = [layouter.layout(endless, AbortSignal.timeout(300)), layouter.layout(small)];
  await expect(aborted).rejects.toMatchObject({ name: "TimeoutError" });
  expect(await after).toContain("edge a b");
});

it("refuses more work than it can wait for", async () => {
  const layouter = new Layouter({ maxWaiting: 1 });
  const stop = new AbortController();
  const first = layouter.layout(endless, stop.signal);
  const second = layouter.layout(small);
  await expect(layouter.layout(small)).rejects.toMatchObject({ code: "RATE_LIMITED" });
  stop.abort(new Error("enough"));
  await expect(first).rejects.toThrow("enough");
  expect(await second).toContain("edge a b");
});

it("forgets a waiting layout that is aborted", async () => {
  const layouter = new Layouter({ maxWaiting: 1 });
  const stop = new AbortController();
  const first = layouter.layout(small);
  const second = layouter.layout(small, stop.signal);
  stop.abort(new Error("never mind"));
  await expect(second).rejects.toThrow("never mind");
  expect(await first).toContain("edge a b");
  expect(await layouter.layout(small)).toContain("edge a b");
});

it("tells of a graph that Graphviz refuses, and goes on", async () => {
  const layouter = new Layouter();
  await expect(layouter.layout("digraph { a -> }")).rejects.toMatchObject({ code: "GRAPH_TOO_LARGE" });
  expect(await layouter.layout(small)).toContain("edge a b");
});

it("does not keep a process alive that is done", async () => {
  const module = new URL("./layouter.ts", import.meta.url).href;
  const script = `const { Layouter } = await import(${JSON.stringify(module)}); console.log(await new Layouter().layout("digraph { a }"));`;
  const options = { timeout: 20_000 };
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--import", "tsx", "--input-type=module", "-e", script],
    options,
  );
  expect(stdout).toContain("node a ");
}, 30_000);

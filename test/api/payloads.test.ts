/** Large inputs, outputs and artifacts over REST: whole, as if they stood in their rows. */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { RunBody, TaskDetailBody } from "../../core/protocol/runs.ts";
import { type Namespace, startServer, type TestAgent, type TestServer } from "./server.ts";

let server: TestServer;
let space: Namespace;
let agent: TestAgent;
beforeAll(async () => {
  server = await startServer();
  space = await server.newNamespace();
  agent = await space.join();
});
afterAll(() => server.stop());

const MIB = 1024 * 1024;

it("are claimed, shown and given as results whole", async () => {
  const inputs = { text: "i".repeat(MIB / 4) };
  const output = { text: "ö".repeat(MIB / 2), n: 1 };
  const { id } = await space.submit(
    [
      { id: "a", input: "{{ inputs.text }}" },
      { id: "b", needs: ["a"], input: { from: "{{ tasks.a.output }}", n: "{{ tasks.a.output.n + 1 }}" } },
    ],
    { inputs, definition: { outputs: { a: "{{ tasks.a.output }}", all: "{{ inputs }}" } } },
  );
  const given: unknown[] = [];
  await agent.work(({ key, input }) => {
    given.push(input);
    return key === "a" ? output : null;
  });
  expect(given).toEqual([inputs.text, { from: output, n: 2 }]);
  expect((await space.finished(id)).status).toBe("completed");
  const read = async <T>(path: string) => (await space.call<T>({ path: `/v1/runs/${id}${path}` })).body;
  expect(await read("/result")).toMatchObject({ status: "completed", outputs: { a: output, all: inputs } });
  expect((await read<RunBody>("")).inputs).toEqual(inputs);
  expect(await read<TaskDetailBody>("/tasks/b")).toMatchObject({ input: { from: output, n: 2 } });
  expect((await read<{ data: TaskDetailBody[] }>("/tasks")).data[0]!.output).toEqual(output);
  expect(await server.sql.query("select count(*)::int as count from blob")).toEqual([{ count: 3 }]);
});

it("are items of a map, what a signal brings, and what a definition has in it, too", async () => {
  const [item, payload, constant] = ["i", "s", "c"].map((letter) => letter.repeat(MIB / 2));
  const { id } = await space.submit(
    [
      { id: "each", for_each: "{{ inputs.items }}", capability: "work", input: { it: "{{ item }}" } },
      { id: "gate", wait: { signal: "go" } },
      { id: "told", needs: ["gate"], input: "{{ tasks.gate.output.payload }}" },
      { id: "fixed", input: { text: constant! } },
    ],
    { inputs: { items: [item!, item!, "small"] } },
  );
  const signal = await space.call({ path: `/v1/runs/${id}/signals/go`, body: { payload } });
  expect(signal.status).toBe(202);
  const given: Record<string, unknown> = {};
  const finished = space.finished(id);
  let isOver = false;
  void finished.then(() => {
    isOver = true;
  });
  while (!isOver) {
    await agent.work(({ key, input }) => {
      given[key] = input;
      return null;
    });
  }
  expect(given).toEqual({
    "each[0]": { it: item },
    "each[1]": { it: item },
    "each[2]": { it: "small" },
    told: payload,
    fixed: { text: constant },
  });
  const [largest] = await server.sql.query<{ bytes: number }>(
    "select max(octet_length(row_to_json(t)::text)) as bytes from task t where run_id = $1",
    [id],
  );
  expect(largest!.bytes).toBeLessThan(8_000);
});

it("may have as many bytes as one output, and the refusal names the limit", async () => {
  const { id } = await space.submit(["fits", "exceeds"].map((key) => ({ id: key, retry: { max_attempts: 1 } })));
  const leases = await agent.claim();
  for (const lease of leases) {
    const bytes = lease.key === "fits" ? 8 * MIB : 8 * MIB + 1;
    await agent.report([
      {
        task_id: lease.task_id,
        attempt: 1,
        lease_token: lease.lease_token,
        outcome: "completed",
        output: "x".repeat(bytes - 2),
      },
    ]);
  }
  await space.finished(id);
  const task = async (key: string) => (await space.call<TaskDetailBody>({ path: `/v1/runs/${id}/tasks/${key}` })).body;
  expect((await task("fits")).output).toHaveLength(8 * MIB - 2);
  expect(await task("exceeds")).toMatchObject({
    status: "failed",
    error: { code: "OUTPUT_TOO_LARGE", message: expect.stringContaining("SKEIN_MAX_OUTPUT_BYTES") },
  });
});

it("count together where they are passed on together", async () => {
  const { id } = await space.submit([
    { id: "a" },
    { id: "b", needs: ["a"], input: ["{{ tasks.a.output }}", "{{ tasks.a.output }}"] },
  ]);
  await agent.work(() => "x".repeat(5 * MIB));
  await space.finished(id);
  const { body } = await space.call<TaskDetailBody>({ path: `/v1/runs/${id}/tasks/b` });
  expect(body).toMatchObject({ status: "failed", error: { code: "EXPRESSION_LIMIT" } });
});

it("are kept as artifacts, too", async () => {
  const { id } = await space.submit([{ id: "a" }]);
  const content = "ü".repeat(MIB / 4);
  const path = `/v1/runs/${id}/artifacts/large`;
  const headers = { "content-type": "text/plain" };
  expect(await space.call({ method: "PUT", path, body: content, headers })).toMatchObject({ status: 201 });
  expect(await space.call({ method: "PUT", path, body: content, headers })).toMatchObject({ status: 200 });
  expect((await space.call({ path })).text).toBe(content);
  await agent.work();
});

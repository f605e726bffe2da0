/** A person answers over REST, by a form. */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { TaskDetailBody } from "../../core/protocol/runs.ts";
import { type Namespace, startServer, type TestServer } from "./server.ts";

let server: TestServer;
let space: Namespace;

beforeAll(async () => {
  server = await startServer();
  space = await server.newNamespace();
});
afterAll(() => server.stop());

const form = { type: "object", required: ["count"], properties: { count: { type: "integer", maximum: 9 } } };

it("a task for a person shows its form, refuses what does not fit, and completes with what does", async () => {
  const payload = { of: "{{ inputs.bird }}" };
  const ask = { id: "ask", capability: "human.task", input: { form, assignee: "ann", payload } };
  const { id } = await space.submit([ask], { inputs: { bird: "goose" } });
  const path = `/v1/runs/${id}/tasks/ask`;
  const read = async () => (await space.call<TaskDetailBody>({ path })).body;
  await expect.poll(async () => (await read()).status).toBe("waiting");
  expect((await read()).input).toEqual({ approval: { form, assignee: "ann", payload: { of: "goose" } } });
  const why = await space.call<{ reasons: { message: string }[] }>({ path: `${path}/why` });
  expect(why.body.reasons[0]!.message).toContain("wait for approval by ann");
  const approve = (body: object) => space.call({ path: `${path}/approve`, body });
  for (const [wrong, pointer] of [
    [{}, "/payload"],
    [{ payload: { count: "many" } }, "/payload/count"],
    [{ payload: { count: 10 } }, "/payload/count"],
  ] as const) {
    const { status, body } = await approve(wrong);
    expect([status, body.code, body.errors?.map((error) => error.pointer)]).toEqual([422, "ANSWER_INVALID", [pointer]]);
  }
  expect((await read()).status).toBe("waiting");
  expect((await approve({ payload: { count: 7 }, comment: "counted" })).status).toBe(202);
  expect((await approve({ payload: { count: 7 } })).status).toBe(202);
  expect((await space.finished(id)).status).toBe("completed");
  expect((await read()).output).toMatchObject({ payload: { count: 7 }, comment: "counted", by: "test" });
  expect((await approve({ payload: { count: 8 } })).status).toBe(202);
  expect((await read()).output).toMatchObject({ payload: { count: 7 } });
});

it("a task for a person is rejected without an answer", async () => {
  const { id } = await space.submit([{ id: "ask", capability: "human.task", input: { form } }]);
  await expect
    .poll(async () => (await space.call({ path: `/v1/runs/${id}/tasks/ask/reject`, body: { comment: "no" } })).status)
    .toBe(202);
  await space.finished(id);
  const { body } = await space.call<TaskDetailBody>({ path: `/v1/runs/${id}/tasks/ask` });
  expect(body.error).toMatchObject({ code: "rejected", message: "Rejected by test: no" });
});

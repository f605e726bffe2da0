/** What an agent reports is held against the output schema that it registered, whatever client it uses. */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { TaskDetailBody } from "../../core/protocol/runs.ts";
import { completion, failure, type Namespace, startReplica, startServer, type TestServer } from "./server.ts";

let server: TestServer;

beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

const numbered = {
  type: "object",
  required: ["n"],
  properties: { n: { type: "integer" }, at: { type: "string", format: "date-time" } },
};
const work = { name: "work", output_schema: numbered };
const retry = { initial_delay: "1ms", jitter: false };

async function taskOf(space: Namespace, runId: string, key = "a"): Promise<TaskDetailBody> {
  return (await space.call<TaskDetailBody>({ path: `/v1/runs/${runId}/tasks/${key}` })).body;
}

describe("an output", () => {
  it("that breaks the schema fails its attempt for good, says where, and spoils no other", async () => {
    const space = await server.newNamespace();
    const agent = await space.join([work]);
    const { id } = await space.submit([
      { id: "a", retry },
      { id: "b", needs: [] },
    ]);
    const [a, b] = await agent.claim();
    const message = 'The output of "work" is not valid: /n: must be integer, but is string';
    const { reports } = await agent.report([completion(a!, { n: "one" }), completion(b!, { n: 1 })]);
    expect(reports).toMatchObject([{ result: "invalid", message }, { result: "accepted" }]);
    expect(await taskOf(space, id)).toMatchObject({
      status: "failed",
      output: null,
      error: { code: "OUTPUT_INVALID", message, retryable: false },
      attempts: [{ outcome: "failed" }],
    });
    expect(await taskOf(space, id, "b")).toMatchObject({ status: "completed", output: { n: 1 } });
    expect((await agent.report([completion(a!, { n: "one" })])).reports[0]!.result).toBe("duplicate");
  });

  it.each([
    ["a missing output", null, "(the whole): must be object, but is null"],
    ["a missing field", {}, '(the whole): must have the property "n"'],
    ["a format", { n: 1, at: "noon" }, '/at: must match format "date-time"'],
  ])("is told of %s", async (_, output, message) => {
    const space = await server.newNamespace();
    const agent = await space.join([work]);
    await space.submit([{ id: "a" }]);
    const [lease] = await agent.claim();
    const { reports } = await agent.report([completion(lease!, output)]);
    expect(reports[0]).toMatchObject({ result: "invalid", message: expect.stringContaining(message) });
  });

  it("that breaks it is tried again where the task asks for that, as long as attempts are left", async () => {
    const space = await server.newNamespace();
    const agent = await space.join([work]);
    const { id } = await space.submit([{ id: "a", retry: { ...retry, max_attempts: 3, also_on: ["OUTPUT_INVALID"] } }]);
    for (const output of [{ n: "one" }, { n: "two" }]) {
      const [lease] = await agent.claim({ wait: 30 });
      await agent.report([completion(lease!, output)]);
    }
    const [third] = await agent.claim({ wait: 30 });
    await agent.report([completion(third!, { n: 3 })]);
    expect(await taskOf(space, id)).toMatchObject({
      status: "completed",
      output: { n: 3 },
      attempts: [
        { error: { code: "OUTPUT_INVALID" } },
        { error: { code: "OUTPUT_INVALID" } },
        { outcome: "completed" },
      ],
    });
  });

  it("is held against the schema of the agent that reports it, whatever others have registered since", async () => {
    const space = await server.newNamespace();
    const agent = await space.join([work]);
    await space.join([{ ...work, output_schema: { type: "string" } }]);
    await space.submit([{ id: "a" }]);
    const [lease] = await agent.claim();
    expect((await agent.report([completion(lease!, { n: 1 })])).reports[0]!.result).toBe("accepted");
  });

  it("is free where there is no schema, and of a failure", async () => {
    const space = await server.newNamespace();
    const agent = await space.join([{ name: "free" }, work]);
    await space.submit([{ id: "free", capability: "free" }, { id: "fails" }]);
    const leases = Object.fromEntries((await agent.claim()).map((lease) => [lease.key, lease]));
    const answer = await agent.report([completion(leases.free!, "anything"), failure(leases.fails!)]);
    expect(answer.reports.map(({ result }) => result)).toEqual(["accepted", "accepted"]);
  });

  it("has to fit one of the versions that its agent offers, and is free if one of them has no schema", async () => {
    const space = await server.newNamespace();
    const agent = await space.join([
      { name: "twice", version: "1", output_schema: numbered },
      { name: "twice", version: "2", output_schema: { type: "string" } },
      { name: "half", version: "1", output_schema: numbered },
      { name: "half", version: "2" },
    ]);
    const { id } = await space.submit([
      ...["one", "two", "neither"].map((id) => ({ id, capability: "twice" })),
      { id: "any", capability: "half" },
    ]);
    const leases = Object.fromEntries((await agent.claim()).map((lease) => [lease.key, lease]));
    const outputs = { one: { n: 1 }, two: "text", neither: 3, any: 3 };
    await agent.report(Object.entries(outputs).map(([key, output]) => completion(leases[key]!, output)));
    const tasks = await Promise.all(Object.keys(outputs).map((key) => taskOf(space, id, key)));
    expect(tasks).toMatchObject([
      { status: "completed" },
      { status: "completed" },
      { status: "failed", error: { code: "OUTPUT_INVALID", message: expect.stringContaining("must be string") } },
      { status: "completed" },
    ]);
  });

  it("is checked of the instances of a map and of compensations, and brings nothing about when it is broken", async () => {
    const space = await server.newNamespace();
    const agent = await space.join([work, { name: "undo", output_schema: numbered }, "free"]);
    const { id } = await space.submit([
      { id: "map", for_each: "{{ [1] }}" },
      { id: "done", capability: "free", compensate: { capability: "undo" } },
      { id: "end", capability: "free", needs: ["map", "done"] },
    ]);
    const leases = Object.fromEntries((await agent.claim()).map((lease) => [lease.key, lease]));
    await agent.report([completion(leases.done!)]);
    const logs = [{ at: new Date().toISOString(), level: "info", message: "so far so good" }];
    const effects = { spawn: [{ id: "more", capability: "free" }] };
    await agent.report([{ ...completion(leases["map[0]"]!, "broken"), logs, effects }]);
    const [undo] = await agent.claim({ wait: 30 });
    await agent.report([completion(undo!, "broken")]);
    await space.finished(id);
    const tasks = await Promise.all(
      ["map[0]", "done/compensate"].map((key) => taskOf(space, id, encodeURIComponent(key))),
    );
    expect(tasks).toMatchObject([
      { status: "failed", error: { code: "OUTPUT_INVALID" } },
      { status: "failed", error: { code: "OUTPUT_INVALID" } },
    ]);
    expect((await space.call({ path: `/v1/runs/${id}/logs` })).text).toContain("so far so good");
    const { status } = await space.call({ path: `/v1/runs/${id}/tasks/${encodeURIComponent("map[0]/more")}` });
    expect(status).toBe(404);
  });

  it("under a token that names another capability is stale: the name is part of what is proven", async () => {
    const space = await server.newNamespace();
    const agent = await space.join([work, "free"]);
    const { id } = await space.submit([{ id: "a" }]);
    const [lease] = await agent.claim();
    const [secret] = lease!.lease_token.split(".");
    for (const lease_token of [`${secret}.free`, secret!]) {
      const { reports } = await agent.report([{ ...completion(lease!, "no number"), lease_token }]);
      expect(reports[0]!.result).toBe("stale");
    }
    expect((await taskOf(space, id)).status).toBe("running");
  });

  it("is judged on any replica, each of which reads a schema once", async () => {
    const space = await server.newNamespace();
    const agent = await space.join([{ ...work, output_schema: { ...numbered, title: space.name } }]);
    const reads = vi.spyOn(server.store.agents, "outputSchema");
    const other = await startReplica(server);
    try {
      await space.submit([{ id: "a" }, { id: "b" }, { id: "c" }, { id: "d" }]);
      const results = [];
      for (const [n, lease] of (await agent.claim()).entries()) {
        const body = { request_id: `r${n}`, reports: [completion(lease, n < 2 ? "broken" : { n })] };
        const answer = await [server, other][n % 2]!.call<{ reports: { result: string }[] }>({
          path: "/v1/tasks/report",
          key: agent.token,
          body,
        });
        results.push(answer.body.reports[0]!.result);
      }
      expect(results).toEqual(["invalid", "invalid", "accepted", "accepted"]);
      expect(reads).toHaveBeenCalledTimes(2);
    } finally {
      await other.stop();
      reads.mockRestore();
    }
  });
});

describe("a registration", () => {
  it.each<[string, object, string]>([
    ["an unknown keyword", { tpe: "object" }, "/capabilities/1/output_schema/tpe"],
    ["a pattern that cannot be matched in linear time", { pattern: "(?=a)b" }, "/capabilities/1/output_schema/pattern"],
    ["a reference that leads nowhere", { $ref: "#/$defs/a" }, "/capabilities/1/output_schema/$ref"],
  ])("whose output schema has %s is refused whole", async (_, output_schema, pointer) => {
    const space = await server.newNamespace();
    const { status, body } = await space.call({
      path: "/v1/agents",
      body: { name: "broken", capabilities: ["free", { name: "work", output_schema }] },
    });
    expect([status, body.code, body.errors?.[0]?.pointer]).toEqual([422, "CAPABILITY_INVALID", pointer]);
    expect((await space.call<{ data: object[] }>({ path: "/v1/capabilities" })).body.data).toEqual([]);
  });
});

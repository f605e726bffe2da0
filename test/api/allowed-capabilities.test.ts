/** Keys whose runs may use some capabilities only: whoever writes a definition, and however the run grows. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { JsonObject } from "../../core/json.ts";
import type { Problem } from "../../core/protocol/common.ts";
import type { CreatedKey } from "../../core/protocol/keys.ts";
import type { RunBody, TaskDetailBody } from "../../core/protocol/runs.ts";
import { type Call, completion, type Namespace, startServer, type TestServer } from "./server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

/** A namespace, and a key of it whose runs may use `work` and what begins with `news.`. */
async function restricted() {
  const space = await server.newNamespace();
  const scopes = ["runs:read", "runs:write"];
  const created = await space.call<CreatedKey>({
    path: "/v1/keys",
    body: { name: "editor", scopes, capabilities: ["work", "news.*"] },
  });
  expect([created.status, created.body.capabilities]).toEqual([201, ["work", "news.*"]]);
  const call = <T = Problem>(one: Call) => server.call<T>({ key: created.body.key, ...one });
  return { space, call };
}

const flow = (...tasks: JsonObject[]) => ({ definition: { name: "flow", tasks } });
const echo = (id: string, more: JsonObject = {}) => ({ id, capability: "work", ...more });
const refused = { status: 403, body: { code: "CAPABILITY_NOT_ALLOWED" } };

async function taskOf(space: Namespace, run: string, key: string) {
  return (await space.call<TaskDetailBody>({ path: `/v1/runs/${run}/tasks/${encodeURIComponent(key)}` })).body;
}

describe("a key that allows some capabilities", () => {
  it("submits what uses them, and nothing else, wherever in the definition it is", async () => {
    const { space, call } = await restricted();
    const submit = (...tasks: JsonObject[]) => call({ path: "/v1/runs", body: flow(...tasks) });
    expect((await submit(echo("a"), { id: "b", capability: "news.lead" })).status).toBe(202);
    const answer = await submit(
      echo("a"),
      echo("b", { requires: ["shell.command"] }),
      { id: "c", loop: { until: "true", max: 1, body: [{ id: "d", capability: "sql.query" }] } },
      echo("e", { compensate: { capability: "email.send" } }),
    );
    expect(answer).toMatchObject(refused);
    expect(answer.body.errors!.map(({ pointer }) => pointer)).toEqual([
      "/definition/tasks/1/requires/0",
      "/definition/tasks/2/loop/body/0/capability",
      "/definition/tasks/3/compensate/capability",
    ]);
    expect((await space.call<{ data: object[] }>({ path: "/v1/runs" })).body.data).toHaveLength(1);
  });

  it("runs registered workflows only if they use no others, and neither may those within", async () => {
    const { space, call } = await restricted();
    const register = (name: string, capability: string) =>
      space.call({ path: "/v1/workflows", body: { name, tasks: [{ id: "a", capability }] } });
    await register("tame", "work");
    await register("wild", "shell.command");
    const run = (workflow: string) => call<Problem>({ path: "/v1/runs", body: { workflow } });
    expect((await run("tame")).status).toBe(202);
    expect(await run("wild")).toMatchObject({ ...refused, body: { errors: [{ pointer: "/workflow" }] } });
    const nested = await call<RunBody>({ path: "/v1/runs", body: flow({ id: "sub", workflow: "wild" }) });
    await space.finished(nested.body.id);
    expect(await taskOf(space, nested.body.id, "sub")).toMatchObject({
      status: "failed",
      error: { code: "CAPABILITY_NOT_ALLOWED", message: expect.stringContaining("shell.command") },
    });
  });

  it("patches, retries and forks only to what uses them", async () => {
    const { space, call } = await restricted();
    const { body: run } = await call<RunBody>({ path: "/v1/runs", body: flow(echo("a"), echo("b", { needs: ["a"] })) });
    const patch = (capability: string, as = call) =>
      as({
        method: "PATCH",
        path: `/v1/runs/${run.id}/graph`,
        headers: { "if-match": '"0"' },
        body: { add: [{ id: "c", capability }] },
      });
    expect(await patch("shell.command")).toMatchObject(refused);
    // The run keeps what it may use, whoever patches it.
    expect(await patch("shell.command", space.call)).toMatchObject(refused);
    expect((await patch("news.lead")).status).toBe(200);
    const { body: wild } = await space.call<RunBody>({
      path: "/v1/runs",
      body: flow({ id: "a", capability: "shell.command" }),
    });
    await space.call({ method: "POST", path: `/v1/runs/${wild.id}/cancel` });
    await space.finished(wild.id);
    const again = (kind: string, body: JsonObject = {}) => call({ path: `/v1/runs/${wild.id}/${kind}`, body });
    expect(await again("retry")).toMatchObject(refused);
    expect(await again("fork")).toMatchObject(refused);
    expect((await again("fork", { edits: { a: { capability: "work" } } })).status).toBe(202);
  });

  it("has runs whose tasks spawn no others", async () => {
    const { space, call } = await restricted();
    const agent = await space.join();
    await space.join([{ name: "news.lead" }]);
    const { body: run } = await call<RunBody>({ path: "/v1/runs", body: flow(echo("a"), echo("b")) });
    const leases = Object.fromEntries((await agent.claim()).map((lease) => [lease.key, lease]));
    const spawn = (key: string, capability: string) =>
      agent.report([{ ...completion(leases[key]!), effects: { spawn: [{ id: "more", capability }] } }]);
    await spawn("a", "shell.command");
    await spawn("b", "news.lead");
    expect(await taskOf(space, run.id, "a")).toMatchObject({
      status: "failed",
      error: { code: "CAPABILITY_NOT_ALLOWED" },
    });
    expect(await taskOf(space, run.id, "b/more")).toMatchObject({ capability: "news.lead" });
  });

  it("is planned for with them alone", async () => {
    const { space, call } = await restricted();
    await space.join(
      ["news", "other"].map((kind, n) => ({
        name: `${kind}.lead`,
        cost: n === 0 ? 5 : 1,
        consumes: { text: "article.text" },
        produces: { lead: "article.lead" },
        input_schema: { type: "object", properties: { text: { type: "string" } } },
        output_schema: { type: "object", properties: { lead: { type: "string" } }, required: ["lead"] },
      })),
    );
    const goal = { have: { text: { type: "article.text" } }, want: { lead: "article.lead" } };
    const planned = async (as: typeof call) => {
      const { body } = await as<{ tasks: { capability: string }[] }>({ path: "/v1/plans", body: { goal } });
      return body.tasks.map(({ capability }) => capability);
    };
    expect([await planned(call), await planned(space.call)]).toEqual([["news.lead"], ["other.lead"]]);
  });

  it("cannot be one that makes keys", async () => {
    const space = await server.newNamespace();
    const body = { name: "x", scopes: ["admin"], capabilities: ["work"] };
    expect(await space.call({ path: "/v1/keys", body })).toMatchObject({
      status: 400,
      body: { errors: [{ pointer: "/capabilities" }] },
    });
    const odd = { name: "x", scopes: ["runs:write"], capabilities: ["news.*.x"] };
    expect((await space.call({ path: "/v1/keys", body: odd })).body.errors![0]!.pointer).toBe("/capabilities/0");
  });
});

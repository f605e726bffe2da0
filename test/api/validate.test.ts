/** What a workflow is said to be before it runs, by what the agents are that are there. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Validation } from "../../core/protocol/workflows.ts";
import { type Namespace, startServer, type TestServer } from "./server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

const validate = async (space: Pick<Namespace, "call">, definition: object, key?: string) =>
  (await space.call<Validation>({ path: "/v1/workflows/validate", body: definition, ...(key && { key }) })).body;
const codesOf = ({ findings = [] }: Validation) =>
  findings.map(({ severity, code, pointer }) => `${severity} ${code} ${pointer}`);
const page = {
  name: "fetch",
  version: "2.1",
  cost: 3,
  duration_ms: 500,
  output_schema: {
    type: "object",
    properties: { body: { type: "string" } },
    additionalProperties: false,
  },
};
const register = (space: Namespace, capabilities: object[], labels = {}) =>
  space.call({ path: "/v1/agents", body: { name: "ann", capabilities, labels } });

describe("a workflow", () => {
  const workflow = {
    name: "flow",
    tasks: [
      { id: "a", capability: "fetch@^2", labels: { region: "eu" }, input: {}, retry: { max_attempts: 2 } },
      { id: "b", needs: ["a"], capability: "work", input: "{{ tasks.a.output.text }}" },
    ],
  };

  it("is held against the agents that are there, in one namespace", async () => {
    const space = await server.newNamespace();
    expect(codesOf(await validate(space, workflow))).toEqual([
      "warning CAPABILITY_NOT_OFFERED /tasks/0/capability",
      "warning CAPABILITY_NOT_OFFERED /tasks/1/capability",
    ]);
    await register(space, [page, { name: "work" }], { region: "eu" });
    const known = await validate(space, workflow);
    expect(codesOf(known)).toEqual(["warning EXPRESSION_NO_SUCH_FIELD /tasks/1/input"]);
    expect(known).toMatchObject({
      valid: true,
      tasks: 2,
      errors: [],
      bounds: {
        tasks: { least: 2, most: 2 },
        attempts: { least: 2, most: 5 },
        cost: { least: 3, most: 6 },
        duration_ms: { least: 0, expected: 500, path: ["a", "b"] },
        open: [],
        unknown: ["work"],
      },
    });
    expect(known.findings![0]).toMatchObject({ line: 1, message: expect.stringContaining('as "fetch" says') });
    const { findings } = await validate(await server.newNamespace(), workflow);
    expect(findings).toHaveLength(2);
  });

  it("is told how long the limits of its tasks keep it going, by what the namespace has set", async () => {
    const space = await server.newNamespace();
    const rate = { key: "api.example.org", limit: 60, per: "1m" };
    const items = Array.from({ length: 1_000 }, (_, n) => n);
    const workflow = { name: "slow", deadline: "5m", tasks: [{ id: "a", for_each: items, capability: "work", rate }] };
    const told = async () => {
      const answer = await validate(space, workflow);
      return [answer.bounds!.duration_ms.keys, codesOf(answer).filter((code) => code.includes("DEADLINE"))];
    };
    expect(await told()).toEqual([
      [{ key: "api.example.org", least: 998_250, expected: 998_250 }],
      ["warning DEADLINE_TOO_SHORT /deadline"],
    ]);
    const faster = { rate: { limit: 1_000, per: "1m" } };
    await space.call({ method: "PUT", path: "/v1/limits/api.example.org", body: faster });
    expect(await told()).toEqual([[{ key: "api.example.org", least: 59_190, expected: 59_190 }], []]);
    const slower = { rate: { limit: 100, per: "1m" } };
    await space.call({ method: "PUT", path: "/v1/limits/@capability:work", body: slower });
    const [keys] = await told();
    expect(keys).toMatchObject([{ key: "@capability:work", least: 598_650 }, { key: "api.example.org" }]);
  });

  it("is told which workflows its tasks run are not registered; it may run itself", async () => {
    const space = await server.newNamespace();
    const nested = {
      name: "outer",
      tasks: [
        { id: "in", workflow: "inner" },
        { id: "self", workflow: "outer" },
      ],
    };
    expect(codesOf(await validate(space, nested))).toEqual(["warning WORKFLOW_NOT_FOUND /tasks/0/workflow"]);
    await space.call({ path: "/v1/workflows", body: { name: "inner", tasks: [{ id: "x", wait: { for: "1s" } }] } });
    expect(codesOf(await validate(space, nested))).toEqual([]);
    const pinned = { name: "outer", tasks: [{ id: "in", workflow: "inner@7" }] };
    expect(codesOf(await validate(space, pinned))).toEqual(["warning WORKFLOW_NOT_FOUND /tasks/0/workflow"]);
  });

  it("that is certainly wrong is refused, here and when it is submitted", async () => {
    const space = await server.newNamespace();
    const wrong = {
      name: "wrong",
      inputs: { type: "object", properties: { topic: {} }, additionalProperties: false },
      tasks: [
        { id: "a", capability: "work", input: "{{ inputs.topik }}" },
        { id: "b", needs: ["a"], capability: "work", join: "a && !a" },
      ],
    };
    const { valid, errors, findings, bounds } = await validate(space, wrong);
    const codes = ["EXPRESSION_NO_SUCH_FIELD", "WORKFLOW_JOIN_UNSATISFIABLE"];
    expect([valid, errors.map(({ code }) => code), findings, bounds]).toEqual([false, codes, undefined, undefined]);
    for (const [path, body] of [
      ["/v1/workflows", wrong],
      ["/v1/runs", { definition: wrong }],
    ] as const) {
      expect(await space.call({ path, body })).toMatchObject({
        status: 422,
        body: { errors: [{ code: codes[0] }, { code: codes[1] }] },
      });
    }
  });

  it("is not valid for a key that may not use what it uses", async () => {
    const space = await server.newNamespace();
    const made = await space.call<{ key: string }>({
      path: "/v1/keys",
      body: { name: "narrow", scopes: ["runs:read"], capabilities: ["other"] },
    });
    const verdict = await validate(
      space,
      { name: "w", tasks: [{ id: "a", capability: "work", input: 1 }] },
      made.body.key,
    );
    expect(verdict).toMatchObject({
      valid: false,
      errors: [{ code: "CAPABILITY_NOT_ALLOWED", pointer: "/tasks/0/capability", line: 1 }],
    });
  });

  it("of any size is looked at, a large one apart from all else", { timeout: 60_000 }, async () => {
    const space = await server.newNamespace();
    await register(space, [{ name: "work" }]);
    const chain = Array.from({ length: 5_000 }, (_, n) => ({
      id: `t${n}`,
      capability: "work",
      input: n === 0 ? 0 : `{{ tasks.t${n - 1}.output }}`,
      needs: n === 0 ? [] : [`t${n - 1}`],
    }));
    const { valid, findings, bounds } = await validate(space, { name: "long", tasks: chain });
    expect([valid, findings, bounds!.tasks, bounds!.duration_ms.path.length]).toEqual([
      true,
      [],
      { least: 5_000, most: 5_000 },
      5_000,
    ]);
  });
});

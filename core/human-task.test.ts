import { describe, expect, it } from "vitest";
import { answerIssues } from "./human-task.ts";
import type { Json, JsonObject } from "./json.ts";
import { seedTask } from "./seed.ts";
import { armWait } from "./wait.ts";
import { validateWorkflow, workflowIssues } from "./workflow.ts";

const form = { type: "object", required: ["ok"], properties: { ok: { type: "boolean" } } };
const human = (more: JsonObject = {}) => ({ id: "ask", capability: "human.task", input: { form }, ...more });
const flow = (...tasks: JsonObject[]) => ({ name: "flow", tasks });

describe("a human.task", () => {
  it("is a wait for an approval, for as long as its timeout says, whatever the defaults say", () => {
    const input = { form, assignee: "ann", payload: { text: "{{ inputs.x }}" } };
    const workflow = { ...flow(human({ input, timeout: "2d" })), defaults: { timeout: "1m" } };
    const [task] = validateWorkflow(workflow).tasks;
    const { capability, spec, isPlain } = seedTask(task!, { timeout: "1m" });
    expect([capability, isPlain]).toEqual(["human.task", false]);
    expect(spec).toMatchObject({ input: { approval: input }, engine: { kind: "wait", timeoutMs: 172_800_000 } });
    expect(seedTask({ ...(human() as { id: string }) }, { timeout: "1m" }).spec.engine).toMatchObject({
      timeoutMs: null,
    });
  });

  it("may be mapped over a list", () => {
    const [task] = validateWorkflow(flow(human({ for_each: [1, 2] }))).tasks;
    expect(seedTask(task!, {}).spec.engine).toMatchObject({
      kind: "map",
      each: { capability: "human.task", spec: { engine: { kind: "wait" } } },
    });
  });

  it.each<[string, JsonObject, string, string, string]>([
    ["without an input", { input: undefined as never }, "WORKFLOW_INVALID", "/input", "JSON Schema of the answer"],
    ["without a form", { input: {} }, "WORKFLOW_INVALID", "/input", "JSON Schema of the answer"],
    ["with an input that is one expression", { input: "{{ inputs.x }}" }, "WORKFLOW_INVALID", "/input", "`form`"],
    [
      "with a form that is none",
      { input: { form: [] } },
      "WORKFLOW_SCHEMA_INVALID",
      "/input/form",
      "must be an object",
    ],
    [
      "with a form of a wrong type",
      { input: { form: { type: "nonsense" } } },
      "WORKFLOW_SCHEMA_INVALID",
      "/input/form/type",
      "/type",
    ],
    [
      "with a misspelt key",
      { input: { form, asignee: "ann" } },
      "WORKFLOW_INVALID",
      "/input/asignee",
      'Did you mean "assignee"',
    ],
    [
      "with an assignee that is no text",
      { input: { form, assignee: 5 } },
      "WORKFLOW_INVALID",
      "/input/assignee",
      "no text",
    ],
    ["with a version", { capability: "human.task@^1" }, "WORKFLOW_INVALID", "/capability", "no version"],
    ["with labels", { labels: { gpu: true } }, "WORKFLOW_INVALID", "/labels", "beside `human.task`"],
    ["with a retry", { retry: {} }, "WORKFLOW_INVALID", "/retry", "beside `human.task`"],
    ["with a heartbeat", { heartbeat: "1m" }, "WORKFLOW_INVALID", "/heartbeat", "beside `human.task`"],
    [
      "that undoes another task",
      { capability: "work", compensate: { capability: "human.task" } },
      "WORKFLOW_INVALID",
      "/compensate/capability",
      "not by a person",
    ],
  ])("%s is refused", (_, more, code, pointer, message) => {
    const definition = JSON.parse(JSON.stringify(flow(human(more)))) as Json;
    expect(workflowIssues(definition).issues).toEqual([
      { code, pointer: `/tasks/0${pointer}`, message: expect.stringContaining(message) },
    ]);
  });

  it("whose form holds expressions is looked at when it starts", () => {
    const input = { form: { enum: "{{ inputs.choices }}" } };
    expect(workflowIssues(flow(human({ input }))).issues).toEqual([]);
    const arm = (enumeration: Json) =>
      armWait({ kind: "wait", timeoutMs: null }, { approval: { form: { enum: enumeration } } }, 0);
    expect(arm(["a", "b"])).toMatchObject({ conditions: [{ event: "approval" }] });
    expect(arm("a")).toMatchObject({ code: "WORKFLOW_SCHEMA_INVALID", retryable: false });
  });
});

describe("an answer", () => {
  it.each<[string, Json, Json, string[]]>([
    ["that fits", { approval: { form } }, { ok: true }, []],
    ["that does not fit", { approval: { form } }, { ok: "yes" }, ["/payload/ok"]],
    ["that is missing", { approval: { form } }, null, ["/payload"]],
    ["without a form", { approval: {} }, "anything", []],
    ["to something else", { signal: "s" }, "anything", []],
    ["to a form that is none", { approval: { form: { type: 5 } } }, null, ["/payload"]],
  ])("%s", (_, wait, answer, pointers) => {
    const issues = answerIssues(wait, answer);
    expect(issues.map(({ code }) => code)).toEqual(pointers.map(() => "ANSWER_INVALID"));
    expect(issues.map(({ pointer }) => pointer)).toEqual(pointers);
  });
});

import { describe, expect, it } from "vitest";
import { workflowIssues } from "./workflow.ts";

const work = { id: "a", capability: "work" };
const key = "crm";
const issues = (value: object) =>
  workflowIssues({ name: "flow", tasks: [work], ...value }).issues.map(({ code, pointer }) => `${code} ${pointer}`);

describe("limits in a definition", () => {
  it.each<[string, object]>([
    ["of a task", { tasks: [{ ...work, concurrency: { key, limit: 1 }, rate: { key, limit: 9, per: "1m" } }] }],
    ["by an expression", { tasks: [{ ...work, concurrency: { key: "crm-{{ inputs.tenant }}", limit: 1 } }] }],
    ["that the namespace is to set", { tasks: [{ ...work, concurrency: { key } }] }],
    ["of each item", { tasks: [{ ...work, for_each: [1], concurrency: { key: "x-{{ item }}", limit: 1 } }] }],
    [
      "of the tasks of a loop",
      { tasks: [{ id: "l", loop: { max: 1, until: "true", body: [{ ...work, concurrency: { key, limit: 1 } }] } }] },
    ],
    ["of the workflow", { concurrency: { limit: 1, on_conflict: "cancel_running" }, rate: { limit: 1, per: "1h" } }],
    [
      "of a workflow that begins itself and does not wait",
      { concurrency: { limit: 1 }, tasks: [{ id: "again", workflow: "flow", detached: true }] },
    ],
  ])("are fine %s", (_, value) => {
    expect(issues(value)).toEqual([]);
  });

  it.each<[string, object, string]>([
    ["of 0", { ...work, concurrency: { key, limit: 0 } }, "WORKFLOW_INVALID /tasks/0/concurrency/limit"],
    ["that are negative", { ...work, concurrency: { key, limit: -3 } }, "WORKFLOW_INVALID /tasks/0/concurrency/limit"],
    [
      "that are no whole number",
      { ...work, concurrency: { key, limit: 1.5 } },
      "WORKFLOW_INVALID /tasks/0/concurrency/limit",
    ],
    ["without a key", { ...work, concurrency: { limit: 1 } }, "WORKFLOW_INVALID /tasks/0/concurrency/key"],
    ["with an empty key", { ...work, concurrency: { key: "", limit: 1 } }, "WORKFLOW_INVALID /tasks/0/concurrency/key"],
    [
      "with an unknown unit",
      { ...work, rate: { key, limit: 1, per: "1 moon" } },
      "WORKFLOW_DURATION_INVALID /tasks/0/rate/per",
    ],
    ["with a rate of 0", { ...work, rate: { key, limit: 0, per: "1s" } }, "WORKFLOW_INVALID /tasks/0/rate/limit"],
    [
      "with a misspelt word",
      { ...work, concurrency: { key, limt: 1 } },
      "WORKFLOW_KEY_UNKNOWN /tasks/0/concurrency/limt",
    ],
    [
      "that a task cannot decide on",
      { ...work, concurrency: { key, on_conflict: "cancel" } },
      "WORKFLOW_INVALID /tasks/0/concurrency/on_conflict",
    ],
    [
      "by a task that it does not need",
      { ...work, concurrency: { key: "{{ tasks.b.output }}" } },
      "EXPRESSION_UNKNOWN_NAME /tasks/0/concurrency/key",
    ],
    [
      "by a key that is too long",
      { ...work, concurrency: { key: "x".repeat(257), limit: 1 } },
      "FLOW_KEY_INVALID /tasks/0/concurrency/key",
    ],
    [
      "by a key that cannot be shown",
      { ...work, rate: { key: "a\u0007", limit: 1, per: "1s" } },
      "FLOW_KEY_INVALID /tasks/0/rate/key",
    ],
    [
      "by a key that is kept for whole capabilities",
      { ...work, concurrency: { key: "@capability:work", limit: 1 } },
      "FLOW_KEY_RESERVED /tasks/0/concurrency/key",
    ],
    [
      "by a key that could come to a reserved one",
      { ...work, rate: { key: "@{{ inputs.x }}", limit: 1, per: "1s" } },
      "FLOW_KEY_RESERVED /tasks/0/rate/key",
    ],
    ["of a wait", { id: "w", wait: { for: "1m" }, concurrency: { key } }, "WORKFLOW_INVALID /tasks/0/concurrency"],
    [
      "of a person",
      { id: "p", capability: "human.task", input: { form: { type: "object" } }, concurrency: { key } },
      "WORKFLOW_INVALID /tasks/0/concurrency",
    ],
    [
      "of a whole loop",
      { id: "l", loop: { max: 1, until: "true", body: [work] }, concurrency: { key } },
      "WORKFLOW_LIMIT_DEADLOCK /tasks/0/concurrency",
    ],
    [
      "of a task that waits for a run",
      { id: "s", workflow: "other", concurrency: { key } },
      "WORKFLOW_LIMIT_DEADLOCK /tasks/0/concurrency",
    ],
    [
      "with a rate of a loop",
      { id: "l", loop: { max: 1, until: "true", body: [work] }, rate: { key, limit: 1, per: "1s" } },
      "WORKFLOW_INVALID /tasks/0/rate",
    ],
  ])("are refused %s", (_, task, issue) => {
    expect(issues({ tasks: [task] })).toContain(issue);
  });

  it("are refused of a workflow that waits for itself, however deep", () => {
    const concurrency = { limit: 1 };
    const again = { id: "again", workflow: "flow@2" };
    const loop = { id: "l", loop: { max: 1, until: "true", body: [again] } };
    expect(issues({ concurrency, tasks: [again] })).toEqual(["WORKFLOW_LIMIT_DEADLOCK /tasks/0/workflow"]);
    expect(issues({ concurrency, tasks: [work, loop] })).toEqual([
      "WORKFLOW_LIMIT_DEADLOCK /tasks/1/loop/body/0/workflow",
    ]);
  });

  it("are refused of a workflow by what is not known when it is submitted", () => {
    expect(issues({ concurrency: { key: "{{ tasks.a.output }}", limit: 1 } })).toContain(
      "EXPRESSION_UNKNOWN_NAME /concurrency/key",
    );
    expect(issues({ rate: { key: "{{ item }}", limit: 1, per: "1s" } })).toEqual(["EXPRESSION_UNKNOWN_NAME /rate/key"]);
    expect(issues({ concurrency: { limit: 1, on_conflict: "cancel" } })).toEqual([
      "WORKFLOW_INVALID /concurrency/on_conflict",
    ]);
  });
});

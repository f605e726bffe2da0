/** Plans that run registered workflows: what the gate makes of these, and what it sees in them. */
import { describe, expect, it } from "vitest";
import type { Json } from "../json.ts";
import { defaultLimits } from "../limits.ts";
import { validateWorkflow } from "../workflow.ts";
import { judgePlan } from "./gate.ts";
import type { GoalInput } from "./goal.ts";
import { capability, goal } from "./samples.suite.ts";

const capabilities = [
  capability("read", "url -> page", { cost: 3, durationMs: 100, reliability: 0.5 }),
  capability("shorten", "page -> summary", { cost: 2, durationMs: 50 }),
  capability("proof", "summary -> ", { cost: 1 }),
];

const read = { id: "read", capability: "read", input: { url: "https://a.example" } };
const shorten = { id: "shorten", capability: "shorten", needs: ["read"], input: { page: "p" } };

interface Case {
  tasks?: object[];
  inputs?: object;
  declared?: object;
  wish?: Partial<GoalInput>;
  reference?: string;
  task?: object;
}

function judged({ tasks = [read, shorten], inputs, declared, wish, reference = "digest@2", task }: Case) {
  const outputs = { short: "{{ tasks.shorten.output.summary }}" };
  const purpose = { have: { page: "url" }, want: { short: "summary" }, ...declared };
  const workflow = validateWorkflow({
    name: "digest",
    version: 2,
    goal: purpose,
    tasks,
    outputs,
    ...(inputs && { inputs }),
  });
  const plan = {
    name: "plan",
    tasks: [{ id: "all", workflow: reference, input: { page: "{{ inputs.url }}" }, ...task }],
    outputs: { summary: "{{ tasks.all.output.short }}" },
  };
  return judgePlan(plan as unknown as Json, {
    goal: goal("url -> summary", wish),
    capabilities,
    limits: { ...defaultLimits, planTasks: 5 },
    templates: [{ name: "digest", version: 2, workflow }],
  });
}

const estimate = (one: Case) => {
  const verdict = judged(one);
  expect(verdict.issues).toEqual([]);
  return "estimate" in verdict ? verdict.estimate : undefined;
};
const loop = { id: "read", loop: { body: [{ ...read, id: "once" }], until: "index == 1", max: 3 } };
const mapOf = (list: Json) => [{ ...read, for_each: list }, shorten];
const urls = { type: "object", properties: { page: { type: "string" }, urls: { type: "array", maxItems: 4 } } };

describe("a plan that runs a registered workflow", () => {
  it("comes to what that comes to: its tasks and its depth, its cost and time with maps and loops as large as they can be", () => {
    expect(estimate({})).toEqual({ tasks: 2, depth: 2, cost: 5, durationMs: 150, reliability: 0.5 });
    expect(estimate({ tasks: [loop, shorten] })).toMatchObject({ tasks: 3, cost: 11 });
    expect(estimate({ tasks: mapOf([1, 2, 3]) })).toMatchObject({ tasks: 2, cost: 11, durationMs: 150 });
    expect(estimate({ tasks: mapOf("{{ inputs.urls }}"), inputs: urls })).toMatchObject({ cost: 14 });
    const retried = [{ ...read, retry: { max_attempts: 50 } }, shorten];
    expect(estimate({ tasks: retried, wish: { budget: 5 } })).toMatchObject({ cost: 5 });
  });

  it.each<[string, Case, string, string]>([
    ["is not there", { reference: "digest@1" }, "PLAN_CAPABILITY_UNKNOWN", '"digest@1", which is not one'],
    ["is named without its version", { reference: "digest" }, "PLAN_CAPABILITY_UNKNOWN", 'such as "digest@1"'],
    ["takes something of another type", { declared: { have: { page: "page" } } }, "PLAN_TYPE_MISMATCH", "wants page"],
    ["gives something of another type", { declared: { want: { short: "page" } } }, "PLAN_TYPE_MISMATCH", "is page"],
    [
      "requires more than is said",
      { inputs: { ...urls, required: ["urls"] } },
      "PLAN_INPUT_INVALID",
      '"digest" needs `urls`; fill it',
    ],
    ["is handed a text", { task: { input: { page: "https://b.example" } } }, "PLAN_LITERAL_NOT_ALLOWED", "neither"],
    ["is not waited for", { task: { detached: true } }, "PLAN_KEY_NOT_ALLOWED", "`detached`"],
    ["comes before others", { task: { priority: 9 } }, "PLAN_KEY_NOT_ALLOWED", "`priority`"],
    [
      "uses what is forbidden, in a loop",
      { tasks: [loop, shorten], wish: { must_not_use: ["read"] } },
      "PLAN_CAPABILITY_NOT_ALLOWED",
      'its task "once" uses "read", which the goal says',
    ],
    [
      "uses what is not there, to undo something",
      { tasks: [{ ...read, compensate: { capability: "unread" } }, shorten] },
      "PLAN_CAPABILITY_UNKNOWN",
      'uses "unread", which no live agent offers. Did you mean "read"?',
    ],
    [
      "needs a version that is not there",
      { tasks: [{ ...read, capability: "read@^2" }, shorten] },
      "PLAN_CAPABILITY_UNKNOWN",
      '"read@^2"',
    ],
    [
      "runs another one",
      { tasks: [{ id: "read", workflow: "other@1" }, shorten] },
      "PLAN_KEY_NOT_ALLOWED",
      'its task "read" runs the workflow "other@1", into which nobody looks',
    ],
    ["is too dear", { tasks: mapOf([1, 2, 3]), wish: { budget: 10 } }, "PLAN_TOO_EXPENSIVE", "cost 11"],
    [
      "may cost anything",
      { tasks: mapOf("{{ inputs.urls }}"), wish: { budget: 1_000 } },
      "PLAN_TOO_EXPENSIVE",
      "nothing says what it costs at most",
    ],
    ["is too slow", { wish: { deadline: "149ms" } }, "PLAN_TOO_SLOW", "takes 150 ms"],
    [
      "is too large",
      { tasks: [read, shorten, ...[1, 2, 3, 4].map((n) => ({ ...read, id: `more${n}` }))] },
      "PLAN_LIMIT_EXCEEDED",
      "The plan has 6 tasks",
    ],
    ["lacks what must be used", { wish: { must_use: ["proof"] } }, "PLAN_CAPABILITY_MISSING", "proof"],
    [
      "has what must verify inside, where nobody sees what it looks at",
      {
        tasks: [read, shorten, { id: "proof", capability: "proof", needs: ["shorten"], input: { summary: "s" } }],
        wish: { verify: ["proof"] },
      },
      "PLAN_CAPABILITY_MISSING",
      "must verify",
    ],
  ])("that %s is refused", (_, one, code, text) => {
    const { issues } = judged(one);
    expect(issues.map((issue) => issue.code)).toContain(code);
    expect(issues.map(({ message }) => message).join("\n")).toContain(text);
  });

  it("may have within it what must be used, and what the engine does itself", () => {
    expect(judged({ wish: { must_use: ["shorten"] } }).issues).toEqual([]);
    const asked = { id: "ask", capability: "human.task", needs: ["read"], input: { form: { type: "object" } } };
    expect(judged({ tasks: [read, asked, shorten] }).issues).toEqual([]);
  });
});

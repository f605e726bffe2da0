/** What a task of a plan may add to its run. */
import { describe, expect, it } from "vitest";
import type { Json } from "../json.ts";
import { defaultLimits } from "../limits.ts";
import { judgeSpawned } from "./gate-spawned.ts";
import { capability, goal } from "./samples.suite.ts";

const inputSchema = { type: "object", properties: { page: {}, format: { enum: ["html", "text"] } } };
const capabilities = [
  capability("search", "topic -> page", { cost: 2 }),
  capability("shorten", "page -> summary", { cost: 3, inputSchema: inputSchema as never }),
  capability("shell", "command -> page"),
];
const wish = goal("topic -> summary", {
  have: { topic: { type: "topic", value: "geese" } },
  must_not_use: ["shell"],
  budget: 10,
});

const judged = (tasks: object[], there = { tasks: 3, cost: 4 }) =>
  judgeSpawned(tasks as Json[], {
    goal: wish,
    capabilities,
    limits: { ...defaultLimits, planTasks: 6 },
    parent: { id: "find", capability: "search" },
    there,
  });

const more = { id: "more", capability: "search", input: { topic: "{{ inputs.topic }}" } };
const short = { id: "short", capability: "shorten", input: { page: "{{ tasks.find.output.page }}" } };

describe("tasks that a task of a plan spawns", () => {
  it("join what the goal has, what the task gives, and what they give one another", () => {
    const next = {
      ...short,
      id: "next",
      needs: ["more"],
      input: { page: "{{ tasks.more.output.page }}", format: "text" },
    };
    expect(judged([{ ...more, description: "Looks further." }, short])).toEqual([]);
    expect(judged([more, next])).toEqual([]);
    expect(judged([{ ...more, input: { topic: "geese" } }])).toEqual([]);
  });

  it.each<[string, object[], string, string]>([
    ["a priority", [{ ...more, priority: 9 }], "PLAN_KEY_NOT_ALLOWED", 'Task "more" has `priority`'],
    ["an agent", [{ ...more, agent: "mine" }], "PLAN_KEY_NOT_ALLOWED", "`agent`"],
    ["what undoes it", [{ ...more, compensate: { capability: "shell" } }], "PLAN_KEY_NOT_ALLOWED", "`compensate`"],
    ["a wait", [{ id: "more", wait: { for: "10d" } }], "PLAN_KEY_NOT_ALLOWED", "`wait`"],
    ["a workflow", [{ id: "more", workflow: "other@1" }], "PLAN_CAPABILITY_UNKNOWN", '"other@1"'],
    ["what nobody offers", [{ ...more, capability: "serch" }], "PLAN_CAPABILITY_UNKNOWN", 'Did you mean "search"?'],
    [
      "what the goal forbids",
      [{ id: "run", capability: "shell", input: { command: "{{ inputs.topic }}" } }],
      "PLAN_CAPABILITY_NOT_ALLOWED",
      '"shell", which the goal says',
    ],
    [
      "a URL of its own",
      [{ ...more, input: { topic: "https://collector.example" } }],
      "PLAN_LITERAL_NOT_ALLOWED",
      "neither a value of the goal",
    ],
    ["a computed value", [{ ...more, input: { topic: "{{ run.id }}" } }], "PLAN_EXPRESSION_NOT_ALLOWED", "`run.id`"],
    [
      "a value of another type",
      [{ ...short, input: { page: "{{ inputs.topic }}" } }],
      "PLAN_TYPE_MISMATCH",
      "`inputs.topic` is topic",
    ],
    ["a field too few", [{ ...short, input: {} }], "PLAN_INPUT_INVALID", "needs `page`"],
    ["no input", [{ id: "short", capability: "shorten" }], "PLAN_INPUT_INVALID", "`input` has to be an object"],
  ])("have not %s", (_, tasks, code, text) => {
    const issues = judged(tasks);
    expect(issues.map((issue) => issue.code)).toContain(code);
    expect(issues.map(({ message }) => message).join("\n")).toContain(text);
  });

  it("are not more, nor dearer, than a plan may be", () => {
    const many = [1, 2, 3, 4].map((n) => ({ ...more, id: `more${n}` }));
    expect(judged(many, { tasks: 3, cost: 0 })).toMatchObject([
      { code: "PLAN_LIMIT_EXCEEDED", message: expect.stringContaining("the run has 7 tasks") },
    ]);
    expect(judged([more, short], { tasks: 1, cost: 5 })).toEqual([]);
    expect(judged([more, short], { tasks: 1, cost: 6 })).toMatchObject([
      { code: "PLAN_TOO_EXPENSIVE", message: expect.stringContaining("costs 11, and the goal's budget is 10") },
    ]);
  });
});

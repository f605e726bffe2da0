/** Templates: which one is taken, and what its names become. */
import { describe, expect, it } from "vitest";
import { defaultLimits } from "../limits.ts";
import { validateWorkflow } from "../workflow.ts";
import { judgePlan } from "./gate.ts";
import type { Goal } from "./goal.ts";
import type { Template } from "./planner.ts";
import { capability, goal } from "./samples.suite.ts";
import { templatePlanner } from "./template-planner.ts";

const capabilities = [capability("join", "a b -> c"), capability("same", "a -> c"), capability("two", "a -> b")];

interface Task {
  id: string;
  capability: string;
  needs?: string[];
  input: Record<string, string>;
}

function template(name: string, tasks: Task[], rest: object): Template {
  return { name, version: 1, workflow: validateWorkflow({ name, version: 1, tasks, ...rest }) };
}

const join = (name: string, x: string, y: string) =>
  template(name, [{ id: "t", capability: "join", input: { a: `{{ inputs.${x} }}`, b: `{{ inputs["${y}"] }}` } }], {
    goal: { have: { [x]: "a", [y]: "b" }, want: { out: "c" } },
    inputs: { type: "object", additionalProperties: false, properties: { [x]: { type: "string" }, [y]: {} } },
    outputs: { out: "{{ tasks.t.output.c }}" },
  });

async function outcome(wish: Goal, templates: Template[]) {
  const context = { goal: wish, capabilities, limits: defaultLimits, templates };
  const got = await templatePlanner.plan(wish, capabilities, {
    flawsOf: (plan) => judgePlan(plan, context).issues,
    accepted: async () => [],
    templates: async () => templates,
    signal: new AbortController().signal,
  });
  if (got.outcome === "impossible") return got.issues.map(({ message }) => message).join("\n");
  expect(judgePlan(got.plan.workflow, context).issues).toEqual([]);
  return got.plan;
}

describe("a template", () => {
  it("gets the names of the goal for its inputs and outputs, also where they change places", async () => {
    const wish = goal("a b -> c");
    // Its own `b` is an a, and its own `a` is a b.
    expect(await outcome(wish, [join("swapped", "b", "a")])).toMatchObject({
      workflow: {
        name: "swapped",
        inputs: { type: "object", required: ["a", "b"], properties: { a: { type: "string" }, b: {} } },
        tasks: [{ id: "t", input: { a: "{{ inputs.a }}", b: "{{ inputs.b }}" } }],
        outputs: { c: "{{ tasks.t.output.c }}" },
      },
      isBest: false,
    });
  });

  it("takes a value once: two inputs of a type want two values", async () => {
    const greedy = template("greedy", [{ id: "t", capability: "same", input: { a: "{{ inputs.x }}" } }], {
      goal: { have: { x: "a", y: "a" }, want: { c: "c" } },
      outputs: { c: "{{ tasks.t.output.c }}" },
    });
    expect(await outcome(goal("a -> c"), [greedy])).toBe(
      "Template greedy@1: it takes a value of type a, of which the goal has none left; ask for what its `goal` says, or take another template.",
    );
    const two = goal("a -> c");
    const wish = { ...two, have: { x: { type: "a" }, another: { type: "a" } } };
    expect(await outcome(wish, [greedy])).toMatchObject({ workflow: { inputs: { required: ["x", "another"] } } });
  });

  const small = template("small", [{ id: "t", capability: "same", input: { a: "{{ inputs.v }}" } }], {
    goal: { have: { v: "a" }, want: { c: "c" } },
    outputs: { c: "{{ tasks.t.output.c }}" },
  });
  const large = template(
    "large",
    [
      { id: "t", capability: "two", input: { a: "{{ inputs.v }}" } },
      { id: "u", capability: "join", needs: ["t"], input: { a: "{{ inputs.v }}", b: "{{ tasks.t.output.b }}" } },
    ],
    { goal: { have: { v: "a" }, want: { c: "c" } }, outputs: { c: "{{ tasks.u.output.c }}" } },
  );

  it("is the one with the fewest tasks that passes the gate", async () => {
    expect(await outcome(goal("a -> c"), [large, small])).toMatchObject({ workflow: { name: "small" } });
    const without = goal("a -> c", { must_not_use: ["same"] });
    expect(await outcome(without, [large, small])).toMatchObject({ workflow: { name: "large" } });
  });

  it("that does not give what is wanted, or uses what nobody offers, is told of by name", async () => {
    expect(await outcome(goal("a -> d"), [small])).toContain("Template small@1: it does not give d, which is wanted");
    const gone = template("gone", [{ id: "t", capability: "sane", input: { a: "{{ inputs.v }}" } }], {
      goal: { have: { v: "a" }, want: { c: "c" } },
      outputs: { c: "{{ tasks.t.output.c }}" },
    });
    expect(await outcome(goal("a -> c"), [gone])).toContain(
      'Template gone@1: Task "gone" runs the workflow "gone@1": its task "t" uses "sane", which no live agent offers. Did you mean "same"?',
    );
  });

  it("that does more than join things is run by the plan, as it is, with the names of the goal", async () => {
    const rich = template("rich.one", [{ id: "t", capability: "same", input: { a: "see {{ inputs.v }}" } }], {
      description: "Does it with a text of its own.",
      goal: { have: { v: "a" }, want: { out: "c" } },
      inputs: { type: "object", required: ["v"], properties: { v: { type: "string" } } },
      defaults: { retry: { max_attempts: 9 } },
      outputs: { out: "{{ tasks.t.output.c }}" },
    });
    expect(await outcome(goal("a -> c"), [rich])).toEqual({
      workflow: {
        name: "rich.one",
        description: "Does it with a text of its own.",
        inputs: { type: "object", required: ["a"], properties: { a: { type: "string" } } },
        tasks: [{ id: "rich_one", workflow: "rich.one@1", input: { v: "{{ inputs.a }}" } }],
        outputs: { c: "{{ tasks.rich_one.output.out }}" },
      },
      tasks: [{ task: "rich_one", capability: "rich.one", reason: "Is in the template rich.one@1." }],
      edges: [],
      alternatives: [],
      isBest: false,
    });
    expect(await outcome(goal("a -> c", { must_not_use: ["rich.one"] }), [rich])).toContain("must not use");
    const { goal: _, ...silent } = rich.workflow;
    expect(await outcome(goal("a -> c"), [{ ...rich, workflow: silent }])).toContain(
      "which is not for plans to decide",
    );
  });

  it("without a goal, asked for by name, is held against the goal as it is", async () => {
    const { goal: _, ...workflow } = small.workflow;
    const asIs = { ...small, workflow };
    expect(await outcome({ ...goal("a -> c"), have: { v: { type: "a" } } }, [asIs])).toMatchObject({
      workflow: { name: "small" },
    });
    expect(await outcome(goal("a -> c"), [asIs])).toContain("inputs.v");
  });

  it("that is not there is missed", async () => {
    expect(await outcome(goal("a -> c"), [])).toContain("No registered workflow declares a `goal`");
  });
});

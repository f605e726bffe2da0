/** What the gate lets pass, and that it lets nothing else pass, whoever made the plan. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { latticeSample, randomSample, type Sample, twinSample } from "../../test/planning/catalogues.ts";
import { type ErrorCode, errorTitles } from "../errors.ts";
import type { Json } from "../json.ts";
import { defaultLimits } from "../limits.ts";
import type { PlannableCapability } from "./capability.ts";
import { capabilityPlanner } from "./capability-planner.ts";
import { judgePlan } from "./gate.ts";
import type { GateContext } from "./gate-doers.ts";
import { type Goal, goalSchema } from "./goal.ts";
import { type AnyPlan, spoilers } from "./hostile-plans.suite.ts";
import { capability, goal } from "./samples.suite.ts";

const limits = defaultLimits;

const fetchPage = capability("fetch", "url -> page", {
  cost: 3,
  durationMs: 100,
  inputSchema: {
    type: "object",
    required: ["url"],
    properties: { url: { type: "string" }, format: { enum: ["html", "text"] }, tags: { items: { type: "string" } } },
    additionalProperties: false,
  },
  outputSchema: { type: "object", properties: { page: { type: "string" } } },
});
const shorten = capability("shorten", "page -> summary", {
  cost: 2,
  durationMs: 50,
  reliability: 0.5,
  inputSchema: { type: "object", properties: { page: { type: "string" } } },
});
const count = capability("count", "page -> words", {
  inputSchema: { type: "object", properties: { page: { type: "array" } } },
});
const shell = capability("shell", "command -> page");
const untyped = capability("untyped", "");
const capabilities = [fetchPage, shorten, count, shell, untyped];

const wish = goalSchema.parse({
  have: { url: { type: "url", value: "https://a.example" }, depth: { type: "depth", value: { levels: [1, 2] } } },
  want: { summary: "summary" },
});

const good = () => ({
  name: "by-hand",
  tasks: [
    { id: "get", capability: "fetch", input: { url: "{{ inputs.url }}" } as Record<string, Json> },
    {
      id: "short",
      capability: "shorten",
      needs: ["get"],
      input: { page: "{{ tasks.get.output.page }}" } as Record<string, Json>,
    },
  ],
  outputs: { summary: "{{ tasks.short.output.summary }}" } as Record<string, Json>,
});

function judge(change: (plan: ReturnType<typeof good>) => void, context: Partial<GateContext> = {}) {
  const plan = good();
  change(plan);
  return judgePlan(plan, { goal: wish, capabilities, limits, ...context });
}

describe("the gate lets pass", () => {
  it.each<[string, (plan: ReturnType<typeof good>) => void]>([
    ["a plan that joins what there is", () => {}],
    ["a literal that the goal has", (plan) => Object.assign(plan.tasks[0]!.input, { url: "https://a.example" })],
    ["a literal that the capability lists", (plan) => Object.assign(plan.tasks[0]!.input, { format: "text" })],
    [
      "a list of values, where no type is declared",
      (plan) => Object.assign(plan.tasks[0]!.input, { tags: ["{{ inputs.url }}"] }),
    ],
    ["paths in brackets", (plan) => Object.assign(plan.tasks[1]!.input, { page: '{{ tasks["get"].output["page"] }}' })],
    ["`depends_on`", (plan) => Object.assign(plan.tasks[1]!, { needs: undefined, depends_on: ["get"] })],
  ])("%s", (_, change) => {
    const plan = JSON.parse(JSON.stringify(good()));
    change(plan);
    const verdict = judgePlan(JSON.parse(JSON.stringify(plan)), { goal: wish, capabilities, limits });
    expect(verdict.issues).toEqual([]);
    expect(verdict).toMatchObject({ estimate: { tasks: 2, depth: 2, cost: 5, durationMs: 150, reliability: 0.5 } });
  });
});

describe("a goal of words alone", () => {
  const { want: _, ...rest } = wish;
  const words = goalSchema.parse({ ...rest, text: "What does the page say?" });
  const judgeOutputs = (outputs: Record<string, Json>, more: Partial<Goal> = {}) =>
    judgePlan({ ...good(), outputs }, { goal: { ...words, ...more }, capabilities, limits }).issues;

  it("lets a plan choose its outputs among what tasks make", () => {
    expect(judgeOutputs({ brief: "{{ tasks.short.output.summary }}", page: "{{ tasks.get.output.page }}" })).toEqual(
      [],
    );
  });

  it.each<[string, Record<string, Json>, ErrorCode]>([
    ["none", {}, "PLAN_OUTPUT_MISSING"],
    ["what the plan makes up", { brief: "Geese!" }, "PLAN_LITERAL_NOT_ALLOWED"],
    ["what is computed", { brief: "{{ tasks.short.output.summary + '!' }}" }, "PLAN_EXPRESSION_NOT_ALLOWED"],
    ["what a task does not give", { brief: "{{ tasks.short.output.geese }}" }, "PLAN_INPUT_INVALID"],
    ["what is called by no name", { "a b": "{{ tasks.short.output.summary }}" }, "PLAN_KEY_NOT_ALLOWED"],
  ])("refuses as outputs %s", (_name, outputs, code) => {
    expect(judgeOutputs(outputs).map((issue) => issue.code)).toContain(code);
  });

  it("has some of its outputs verified", () => {
    const proof = capability("proof", "summary ->");
    const task = (source: string) => ({
      id: "proof",
      capability: "proof",
      needs: ["short"],
      input: { summary: source },
    });
    const judgeProof = (source: string) =>
      judgePlan(
        { ...good(), tasks: [...good().tasks, task(source)], outputs: { brief: "{{ tasks.short.output.summary }}" } },
        { goal: { ...words, verify: ["proof"] }, capabilities: [...capabilities, proof], limits },
      ).issues.map(({ code }) => code);
    expect(judgeProof("{{ tasks.short.output.summary }}")).toEqual([]);
    expect(judgeProof("{{ inputs.url }}")).toContain("PLAN_NOT_VERIFIED");
  });
});

describe("what is to verify", () => {
  const proof = capability("proof", "summary ->");
  const other = capability("other", "page -> summary", { cost: 9 });
  const context = { goal: { ...wish, verify: ["proof"] }, capabilities: [...capabilities, proof, other], limits };
  const withProof = (source: string) => ({
    ...good(),
    tasks: [
      ...good().tasks,
      { id: "other", capability: "other", needs: ["get"], input: { page: "{{ tasks.get.output.page }}" } },
      { id: "proof", capability: "proof", needs: ["short", "other"], input: { summary: source } },
    ],
  });

  it("has to be there, and to look at what the plan answers with", () => {
    expect(judgePlan(good(), context).issues.map(({ code }) => code)).toEqual(["PLAN_CAPABILITY_MISSING"]);
    const codes = judgePlan(withProof("{{ tasks.other.output.summary }}"), context).issues;
    expect(codes).toMatchObject([{ code: "PLAN_NOT_VERIFIED", pointer: "/tasks/3/input" }]);
    const right = withProof("{{ tasks.short.output.summary }}");
    right.tasks.splice(2, 1);
    right.tasks[2]!.needs = ["short"];
    expect(judgePlan(right, context).issues).toEqual([]);
  });
});

describe("the gate refuses, by name of the task,", () => {
  const withGoal = (more: Partial<Goal>): Partial<GateContext> => ({ goal: { ...wish, ...more } });
  const cases: [string, (plan: ReturnType<typeof good>) => void, ErrorCode, string, Partial<GateContext>?][] = [
    [
      "what must not be used",
      () => {},
      "PLAN_CAPABILITY_NOT_ALLOWED",
      'Task "get" uses "fetch"',
      withGoal({ must_not_use: ["fetch"] }),
    ],
    [
      "what should be used and is not",
      () => {},
      "PLAN_CAPABILITY_MISSING",
      '"count"',
      withGoal({ must_use: ["count"] }),
    ],
    ["what costs too much", () => {}, "PLAN_TOO_EXPENSIVE", "cost 5", withGoal({ budget: 4 })],
    ["what takes too long", () => {}, "PLAN_TOO_SLOW", "150 ms", withGoal({ deadline: "100ms" })],
    [
      "too deep a chain",
      () => {},
      "PLAN_LIMIT_EXCEEDED",
      "2 tasks on one chain",
      { limits: { ...limits, planDepth: 1 } },
    ],
    [
      "too many tasks",
      () => {},
      "PLAN_LIMIT_EXCEEDED",
      "SKEIN_MAX_PLAN_TASKS",
      { limits: { ...limits, planTasks: 1 } },
    ],
    [
      "no live agent",
      () => {},
      "PLAN_CAPABILITY_UNKNOWN",
      'Task "get" uses "fetch", which no live agent offers',
      { capabilities: [shorten] },
    ],
    [
      "a value of another type",
      (plan) => Object.assign(plan.tasks[1]!.input, { page: "{{ inputs.url }}" }),
      "PLAN_TYPE_MISMATCH",
      'Task "short": `page` wants page, and `inputs.url` is url.',
    ],
    [
      "a value that the schema does not take",
      (plan) => Object.assign(plan.tasks[1]!, { capability: "count" }),
      "PLAN_INPUT_INVALID",
      "`page` wants array, and `tasks.get.output.page` is string.",
    ],
    [
      "a value of the goal that the schema does not take",
      () => {},
      "PLAN_INPUT_INVALID",
      "must be string, but is number",
      withGoal({ have: { ...wish.have, url: { type: "url", value: 7 } } }),
    ],
    [
      "a command for a shell",
      (plan) => plan.tasks.splice(0, 1, { id: "get", capability: "shell", input: { command: "cat /etc/passwd" } }),
      "PLAN_LITERAL_NOT_ALLOWED",
      'Task "get": `command` is "cat /etc/passwd"',
    ],
    [
      "a choice that the capability does not list",
      (plan) => Object.assign(plan.tasks[0]!.input, { format: "pdf" }),
      "PLAN_LITERAL_NOT_ALLOWED",
      '`format` is "pdf"',
    ],
    [
      "a part of a value in the wrong place",
      (plan) => Object.assign(plan.tasks[0]!.input, { tags: [1] }),
      "PLAN_INPUT_INVALID",
      "must be string",
    ],
    [
      "a field misspelt",
      (plan) => Object.assign(plan.tasks[0]!.input, { formta: "html" }),
      "PLAN_INPUT_INVALID",
      'Did you mean "format"?',
    ],
    [
      "a task for its effects alone",
      (plan) => {
        plan.tasks.push({ id: "leak", capability: "untyped", input: { to: "{{ inputs.url }}" } });
        plan.tasks[0]!.needs = ["leak"];
      },
      "PLAN_TASK_UNUSED",
      'Task "leak"',
    ],
    [
      "a text as the name of a field",
      (plan) => {
        plan.tasks.push({ id: "leak", capability: "untyped", input: { "send to me": "{{ inputs.url }}" } });
      },
      "PLAN_LITERAL_NOT_ALLOWED",
      '"send to me"',
    ],
    [
      "an output of another type",
      (plan) => Object.assign(plan.outputs, { summary: "{{ tasks.get.output.page }}" }),
      "PLAN_TYPE_MISMATCH",
      "should be summary",
    ],
    [
      "an output of no declared type",
      (plan) => Object.assign(plan.outputs, { summary: "{{ tasks.short.output }}" }),
      "PLAN_TYPE_MISMATCH",
      "of no declared type",
    ],
  ];
  it.each(cases)("%s", (_, change, code, text, context) => {
    const { issues } = judge(change as never, context);
    expect(issues.map((one) => one.code)).toContain(code);
    expect(issues.find((one) => one.code === code)!.message).toContain(text);
  });

  it.each([null, 7, "plan", [], {}, { tasks: 1 }, { name: "x", tasks: [null] }, { name: "x", tasks: [{ id: {} }] }])(
    "%j",
    (value) => {
      expect(judgePlan(value, { goal: wish, capabilities, limits }).issues.length).toBeGreaterThan(0);
    },
  );
});

describe("whatever stands in the place of a part of a plan", () => {
  const context = { goal: wish, capabilities, limits };
  const places = (value: Json, path: string[] = []): string[][] => [
    path,
    ...(typeof value === "object" && value !== null
      ? Object.entries(value).flatMap(([key, child]) => places(child, [...path, key]))
      : []),
  ];

  it("is judged, never stumbled over, and brings no value of its own", () => {
    const marker = "made up by the plan";
    const anything = fc
      .jsonValue({ maxDepth: 3 })
      .chain((value) => fc.constantFrom(value, marker, [marker], { a: marker }));
    fc.assert(
      fc.property(fc.constantFrom(...places(good())), anything, (path, value) => {
        const root: { plan: Json } = { plan: structuredClone(good()) };
        let parent = root as Record<string, Json>;
        const steps = ["plan", ...path];
        for (const step of steps.slice(0, -1)) parent = parent[step] as Record<string, Json>;
        parent[steps.at(-1)!] = value as Json;
        const verdict = judgePlan(root.plan, context);
        if (!("workflow" in verdict)) return;
        const { tasks, outputs } = verdict.workflow;
        expect(JSON.stringify([tasks.map(({ input }) => input), outputs])).not.toContain(marker);
      }),
      { numRuns: 2_000 },
    );
  });
});

/** Plans that are right, of many shapes. */
async function goodPlans(): Promise<{ plan: AnyPlan; context: GateContext }[]> {
  const random = randomFrom(5);
  const samples: Sample[] = [
    { name: "pages", goal: goal("url -> summary"), capabilities, tasks: 2 },
    ...[1, 2, 3, 5, 8].map((layers) => twinSample(60, layers, random)),
    ...[1, 2, 3, 4].map((layers) => latticeSample(120, layers, 8, random)),
    ...Array.from({ length: 12 }, () => randomSample(30, random)),
  ];
  const plans = [];
  for (const one of samples) {
    const got = await capabilityPlanner.plan(one.goal, one.capabilities);
    if (got.outcome !== "planned") continue;
    const context = { goal: one.goal, capabilities: one.capabilities as PlannableCapability[], limits };
    plans.push({ plan: got.plan.workflow as unknown as AnyPlan, context });
  }
  return plans;
}

function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

describe("2,000 hostile plans", () => {
  it("are refused, each with a code and a sentence, and what they were made of is not", {
    timeout: 120_000,
  }, async () => {
    const plans = await goodPlans();
    expect(plans.length).toBeGreaterThanOrEqual(10);
    for (const { plan, context } of plans) expect(judgePlan(structuredClone(plan), context).issues).toEqual([]);
    const random = randomFrom(11);
    const accepted: string[] = [];
    let spoiled = 0;
    for (let at = 0; spoiled < 2_000; at++) {
      const spoiler = spoilers[at % spoilers.length]!;
      const { plan, context } = plans[Math.floor(at / spoilers.length) % plans.length]!;
      const copy = structuredClone(plan);
      if (spoiler.spoil(copy, random) === false) continue;
      spoiled++;
      const { issues } = judgePlan(copy, context);
      if (issues.length === 0) accepted.push(`${spoiler.name}: ${JSON.stringify(copy)}`);
      for (const { code, message } of issues) {
        expect(Object.keys(errorTitles)).toContain(code);
        expect(message.length).toBeGreaterThan(10);
      }
      if (spoiler.codes.length > 0 && issues.length > 0) {
        expect({ [spoiler.name]: issues.some(({ code }) => spoiler.codes.includes(code)), issues }).toMatchObject({
          [spoiler.name]: true,
        });
      }
    }
    expect(accepted).toEqual([]);
  });
});

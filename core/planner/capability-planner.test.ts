import { describe, expect, it } from "vitest";
import type { PlannableCapability } from "./capability.ts";
import { capabilityPlanner } from "./capability-planner.ts";
import { type Goal, goalSchema, readGoal } from "./goal.ts";
import type { Plan } from "./planner.ts";
import { capability, goal } from "./samples.suite.ts";

async function planned(wish: Goal, ...all: PlannableCapability[]): Promise<Plan> {
  const got = await capabilityPlanner.plan(wish, all);
  if (got.outcome !== "planned") throw new Error(got.issues.map(({ message }) => message).join("\n"));
  return got.plan;
}

async function refused(wish: Goal, ...all: PlannableCapability[]) {
  const got = await capabilityPlanner.plan(wish, all);
  return got.outcome === "impossible" ? got.issues : [];
}

const taskList = ({ workflow }: Plan) => workflow.tasks.map(({ id, needs }) => `${id}(${needs?.join(" ")})`).join(" ");

const read = capability("read", "url -> text");
const shorten = capability("shorten", "text -> summary");
const translate = capability("translate", "text -> french");
const join = capability("join", "summary french -> report");

describe("a plan by types", () => {
  it("joins branches that may run side by side", async () => {
    const plan = await planned(goal("url -> report"), join, shorten, read, translate);
    expect(taskList(plan)).toBe("read() shorten(read) translate(read) join(shorten translate)");
    expect(plan.workflow).toEqual({
      name: "plan",
      description: "Makes report from url.",
      inputs: { type: "object", required: ["url"], properties: { url: { description: "url" } } },
      tasks: [
        expect.objectContaining({ id: "read", capability: "read", input: { url: "{{ inputs.url }}" } }),
        expect.objectContaining({ id: "shorten", input: { text: "{{ tasks.read.output.text }}" } }),
        expect.objectContaining({ id: "translate", input: { text: "{{ tasks.read.output.text }}" } }),
        expect.objectContaining({
          id: "join",
          input: { summary: "{{ tasks.shorten.output.summary }}", french: "{{ tasks.translate.output.french }}" },
        }),
      ],
      outputs: { report: "{{ tasks.join.output.report }}" },
    });
    expect(plan.estimate).toEqual({ tasks: 4, depth: 3, cost: 0, durationMs: 0, reliability: 1 });
  });

  it("says why each task and each edge is there", async () => {
    const plan = await planned(
      goal("url -> report"),
      join,
      shorten,
      read,
      translate,
      capability("load", "url -> text", { cost: 1 }),
    );
    expect(plan.tasks[0]).toEqual({
      task: "read",
      capability: "read",
      reason:
        "Gives text for `text` of `shorten`; gives text for `text` of `translate`; of 2 that give text it makes the plan smallest, then cheapest.",
    });
    expect(plan.tasks[3]!.reason).toBe("Gives report, which is wanted as `report`; nothing else gives report.");
    expect(plan.edges).toContainEqual({
      from: "shorten",
      to: "join",
      reason: "`summary` takes summary, which `shorten` gives as `summary`.",
    });
    expect(plan.edges).toHaveLength(4);
    expect(plan.alternatives).toEqual([
      { task: "read", capability: "load", cost: 1, durationMs: 0, reliability: 0, reason: "`load` costs 1 more." },
    ]);
  });

  it("takes fewer tasks before less cost, and less cost between as few", async () => {
    const direct = capability("direct", "a -> c", { cost: 9 });
    const first = capability("first", "a -> b");
    const second = capability("second", "b -> c");
    expect(taskList(await planned(goal("a -> c"), first, second, direct))).toBe("direct()");
    const cheaper = { ...direct, name: "cheaper", cost: 8 };
    expect(taskList(await planned(goal("a -> c"), first, second, direct, cheaper))).toBe("cheaper()");
    const wish = goal("a -> c", { prefer: "cheapest" });
    expect(taskList(await planned(wish, first, second, direct, cheaper))).toBe("first() second(first)");
  });

  it("is fast or reliable where that is preferred", async () => {
    const slow = capability("slow", "a -> c", { durationMs: 100, reliability: 0.9 });
    const first = capability("first", "a -> b", { durationMs: 10, reliability: 0.8 });
    const second = capability("second", "b -> c", { durationMs: 10 });
    expect(taskList(await planned(goal("a -> c", { prefer: "fastest" }), slow, first, second))).toBe(
      "first() second(first)",
    );
    expect(taskList(await planned(goal("a -> c", { prefer: "most_reliable" }), slow, first, second))).toBe("slow()");
    expect(taskList(await planned(goal("a -> c", { deadline: "50ms" }), slow, first, second))).toBe(
      "first() second(first)",
    );
  });

  it("takes another step for a type that it has already, where that comes too late", async () => {
    const offers = [
      capability("both", "x -> a b", { durationMs: 8 }),
      capability("quick", "x -> b", { durationMs: 1 }),
      capability("next", "b -> c", { durationMs: 5 }),
    ];
    expect(taskList(await planned(goal("x -> a c"), ...offers))).toBe("both() next(both)");
    const inTime = await planned(goal("x -> a c", { deadline: "8ms" }), ...offers);
    expect(inTime.tasks.map(({ task }) => task).sort()).toEqual(["both", "next", "quick"]);
    expect(inTime.estimate.durationMs).toBe(8);
  });

  it("says at once that a budget is too small, however many ways there are round it", async () => {
    const ring = Array.from({ length: 2_000 }, (_, at) => [
      capability(`on${at}`, `t${at} -> t${(at + 1) % 2_000}`, { cost: 10 }),
      capability(`back${at}`, `t${(at + 1) % 2_000} -> t${at}`, { cost: 10 }),
    ]).flat();
    expect(await refused(goal("t0 -> t5", { budget: 49 }), ...ring)).toMatchObject([
      { code: "PLAN_IMPOSSIBLE", message: expect.stringContaining("costs 50"), pointer: "/budget" },
    ]);
  });

  it("puts what must be used first, in the order of the goal, and goes on from what it gives", async () => {
    const polish = capability("polish", "text -> text");
    const check = capability("check", "text -> text");
    const wish = goal("text -> summary", { must_use: ["polish", "check"] });
    expect(taskList(await planned(wish, shorten, check, polish))).toBe("polish() check(polish) shorten(check)");
    expect(taskList(await planned(goal("text -> text", { must_use: ["check"] }), check))).toBe("check()");
  });

  it("ends with what verifies, which takes what the plan answers with", async () => {
    const proof = capability("proof", "summary text ->");
    const plan = await planned(goal("url -> summary", { verify: ["proof"] }), shorten, proof, read);
    expect(taskList(plan)).toBe("read() shorten(read) proof(read shorten)");
    expect(plan.tasks.at(-1)).toMatchObject({ capability: "proof", reason: "Verifies what is wanted." });
    expect(plan.workflow.outputs).toEqual({ summary: "{{ tasks.shorten.output.summary }}" });
    // What it gives is for nobody else.
    const rate = capability("rate", "summary -> grade");
    const wish = goal("text -> summary", { verify: ["rate"] });
    expect(taskList(await planned(wish, rate, shorten))).toBe("shorten() rate(shorten)");
    const graded = goal("text -> summary grade", { verify: ["rate"] });
    expect(taskList(await planned(graded, rate, shorten))).toBe("shorten() rate(shorten) rate_2(shorten)");
  });

  it("verifies what must be used last, and not what it was made from", async () => {
    const proof = capability("proof", "text ->");
    const polish = capability("polish", "text -> text");
    const wish = goal("text -> text", { must_use: ["polish"], verify: ["proof"] });
    expect(taskList(await planned(wish, proof, polish))).toBe("polish() proof(polish)");
  });

  it("does without what must not be used", async () => {
    const other = capability("other", "text -> summary", { cost: 5 });
    expect(taskList(await planned(goal("text -> summary", { must_not_use: ["shorten"] }), shorten, other))).toBe(
      "other()",
    );
  });

  it("gives two fields of one type two values, where there are two", async () => {
    const compare = capability("compare", "-> verdict", { consumes: { left: "text", right: "text" } });
    const wish = goalSchema.parse({
      have: { right: { type: "text" }, draft: { type: "text" } },
      want: { verdict: "verdict" },
    });
    const plan = await planned(wish, compare);
    expect(plan.workflow.tasks[0]!.input).toEqual({ left: "{{ inputs.draft }}", right: "{{ inputs.right }}" });
    const one = await planned(goal("text -> verdict"), compare);
    expect(one.workflow.tasks[0]!.input).toEqual({ left: "{{ inputs.text }}", right: "{{ inputs.text }}" });
  });

  it("is not led astray by circles of types", async () => {
    const circle = [capability("ab", "a -> b"), capability("ba", "b -> a"), capability("bc", "b start -> c")];
    expect((await refused(goal("start -> c"), ...circle))[0]!.code).toBe("PLAN_IMPOSSIBLE");
    expect(taskList(await planned(goal("start -> c"), ...circle, capability("sa", "start -> a")))).toBe(
      "sa() ab(sa) bc(ab)",
    );
  });

  it("names a version where there are several, and writes names that are no identifiers", async () => {
    const old = capability("http.get", "url -> text", { produces: { "body-text": "text" } });
    const plan = await planned(goal("url -> summary"), old, { ...old, version: "2", cost: 1 }, shorten);
    expect(plan.workflow.tasks[0]).toMatchObject({ id: "http_get", capability: "http.get@1" });
    expect(plan.workflow.tasks[1]!.input).toEqual({ text: '{{ tasks.http_get.output["body-text"] }}' });
  });

  it("is the same in whatever order the capabilities come", async () => {
    const all = [join, shorten, read, translate, { ...read, name: "load" }, { ...shorten, name: "brief" }];
    const one = await planned(goal("url -> report"), ...all);
    expect(await planned(goal("url -> report"), ...all.toReversed())).toEqual(one);
  });
});

describe("where there is no plan, it says what is missing:", () => {
  const cases: [string, Goal, PlannableCapability[], string][] = [
    [
      "types",
      goalSchema.parse({ text: "Make it short" }),
      [shorten],
      "The goal says in words alone what is wanted; name it by type in `want`, or use the planner `llm`, which reads them.",
    ],
    [
      "no capabilities",
      goal("a -> b"),
      [],
      "Nothing gives b, which is wanted: no live agent offers a capability that declares what it `produces`; start one that does, or have the value.",
    ],
    [
      "a type misspelt",
      goal("text -> sumary"),
      [shorten],
      'Nothing gives sumary, which is wanted: have the value, or start an agent that gives it. Did you mean "summary"?',
    ],
    [
      "an input, told with the nearest capability",
      goal("summary -> report"),
      [join, translate],
      "report is wanted; the nearest capability that gives it is `join`, which lacks french. french would come from `translate`, which lacks text. Nothing gives text: have the value, or start an agent that gives it.",
    ],
    [
      "anything to do",
      goal("text -> text"),
      [shorten],
      "All that is wanted is among what there is; take it, or name in must_use what has to be done with it.",
    ],
    [
      "what must not be used",
      goal("text -> summary", { must_not_use: ["shorten"] }),
      [shorten],
      "Nothing gives summary, which is wanted: only shorten would, which must not be used; allow one, or have the value.",
    ],
    [
      "what must be used",
      goal("text -> summary", { must_use: ["shorten", "polsh"] }),
      [shorten, capability("polish", "text -> text")],
      '"polsh" must be used, but no live agent offers it with types. Did you mean "polish"?',
    ],
    [
      "what is to verify",
      goal("text -> summary", { verify: ["proof"] }),
      [shorten, capability("proof", "summary sources ->")],
      "`proof`, which must verify, lacks sources. Nothing gives sources: have the value, or start an agent that gives it.",
    ],
    [
      "what verifies something else",
      goal("text -> summary", { verify: ["proof"] }),
      [shorten, capability("proof", "text ->")],
      "`proof`, which must verify, takes nothing that is wanted (summary); name one that does.",
    ],
    [
      "money",
      goal("text -> summary", { budget: 1 }),
      [{ ...shorten, cost: 2 }],
      "The cheapest plan costs 2, and the budget is 1; raise it.",
    ],
    [
      "time",
      goal("text -> summary", { deadline: "1s" }),
      [{ ...shorten, durationMs: 2_000 }],
      "The fastest plan takes 2000 ms, and the deadline is 1s; give it more time.",
    ],
    [
      "money and time at once",
      goal("text -> summary", { deadline: "1s", budget: 1 }),
      [
        { ...shorten, durationMs: 2_000 },
        { ...shorten, name: "quick", cost: 5 },
      ],
      "There are plans within the budget and others within the deadline, but none within both; loosen either.",
    ],
  ];
  it.each(cases)("%s", async (_, wish, all, message) => {
    const issues = await refused(wish, ...all);
    expect(issues.map((one) => one.message)).toEqual([message]);
    expect(issues[0]!.code).toMatch(/^PLAN_(IMPOSSIBLE|EMPTY)$/);
  });
});

describe("a goal", () => {
  it.each([
    ["wants nothing", { want: {} }, "/want"],
    ["contradicts itself", { want: { a: "a" }, must_use: ["x"], must_not_use: ["x"] }, "/must_use"],
    ["has a key that does not exist", { want: { a: "a" }, wants: {} }, ""],
    ["has a type that is no name", { want: { a: "a b" } }, "/want/a"],
    ["has a deadline that is no duration", { want: { a: "a" }, deadline: "soon" }, "/deadline"],
    ["has a preference that does not exist", { want: { a: "a" }, prefer: "best" }, "/prefer"],
  ])("that %s is refused", (_, value, pointer) => {
    expect(() => readGoal(value)).toThrow(
      expect.objectContaining({ code: "GOAL_INVALID", issues: [expect.objectContaining({ pointer })] }),
    );
  });
});

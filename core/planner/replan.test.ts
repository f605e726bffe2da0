/** What is left of a goal when a task has failed, and the run that comes of planning that. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { topologicalOrder } from "../graph.ts";
import { defaultLimits } from "../limits.ts";
import { nameIn } from "../reference.ts";
import type { TaskStatus } from "../run.ts";
import { type Workflow, workflowIssues } from "../workflow.ts";
import type { PlannableCapability } from "./capability.ts";
import { capabilityPlanner } from "./capability-planner.ts";
import { judgePlan } from "./gate.ts";
import { sourcesIn } from "./gate-values.ts";
import type { Goal } from "./goal.ts";
import { mended, type Remainder, remainderOf, type Standing, type StandingTask } from "./replan.ts";
import { capability, goal } from "./samples.suite.ts";

const limits = defaultLimits;

function planOf(wish: Goal, all: readonly PlannableCapability[]): Workflow | undefined {
  const got = capabilityPlanner.plan(wish, all);
  return got.outcome === "planned" ? got.plan.workflow : undefined;
}

type How = Partial<Record<string, TaskStatus | { failed: string }>>;

/** A run of a plan whose tasks stand as told, else `completed`. */
function standing(wish: Goal, all: readonly PlannableCapability[], how: How, rest: Partial<Standing> = {}): Standing {
  const workflow = rest.workflow ?? planOf(wish, all)!;
  const tasks = workflow.tasks.map(({ id, capability = "" }): StandingTask => {
    const status = how[id] ?? "completed";
    const one = { key: id, capability: nameIn(capability) };
    return typeof status === "string" ? { ...one, status } : { ...one, status: "failed", error: status.failed };
  });
  return { goal: wish, workflow, tasks, capabilities: all, excluded: [], elapsedMs: 0, ...rest };
}

function left(of: Standing): Remainder {
  const rest = remainderOf(of);
  if ("issues" in rest) throw new Error(rest.issues[0]!.message);
  return rest;
}

/** The run as it goes on, after the typed planner has been asked for what is left. */
function replanned(of: Standing): { workflow: Workflow; added: string[] } {
  const rest = left(of);
  const allowed = of.capabilities;
  const plan = rest.goal ? planOf(rest.goal, allowed)! : { tasks: [], outputs: {} };
  if (rest.goal) expect(judgePlan(plan, { goal: rest.goal, capabilities: allowed, limits }).issues).toEqual([]);
  const whole = mended(of, rest, plan);
  expect(workflowIssues(whole.workflow, { limits }).issues).toEqual([]);
  return whole;
}

const shape = ({ tasks }: Workflow) => tasks.map(({ id, needs = [] }) => `${id}(${needs.join(" ")})`).join(" ");

const read = capability("read", "url -> text");
const shorten = capability("shorten", "text -> summary");
const brief = capability("brief", "text -> summary", { cost: 5 });
const count = capability("count", "text -> words");

describe("what is left", () => {
  it("goes on from what has been done, around what has failed", () => {
    const of = standing(goal("url -> summary words"), [read, shorten, brief, count], {
      shorten: "failed",
      count: "running",
    });
    const rest = left(of);
    expect(rest.goal).toMatchObject({ want: { summary: "summary" }, must_not_use: ["shorten"] });
    expect(rest.superseded).toEqual(["shorten"]);
    expect(Object.keys(rest.kept)).toEqual(["words"]);
    const { workflow, added } = replanned(of);
    expect(added).toEqual(["brief"]);
    expect(shape(workflow)).toBe("read() count(read) brief(read)");
    expect(workflow.tasks.at(-1)!.input).toEqual({ text: "{{ tasks.read.output.text }}" });
    expect(workflow.outputs).toEqual({
      words: "{{ tasks.count.output.words }}",
      summary: "{{ tasks.brief.output.summary }}",
    });
  });

  it("is all of it, where the first task has failed", () => {
    const load = capability("load", "url -> text", { cost: 9 });
    const of = standing(goal("url -> summary"), [read, load, shorten], { read: "failed", shorten: "skipped" });
    expect(left(of).superseded).toEqual(["read", "shorten"]);
    // What was never tried may be used again, under another name.
    expect(shape(replanned(of).workflow)).toBe("load() shorten_2(load)");
  });

  it("is nothing, where another task gives what is wanted", () => {
    const workflow: Workflow = {
      name: "by-hand",
      tasks: [
        { id: "read", capability: "read", input: { url: "{{ inputs.url }}" } },
        { id: "shorten", capability: "shorten", needs: ["read"], input: { text: "{{ tasks.read.output.text }}" } },
        { id: "brief", capability: "brief", needs: ["read"], input: { text: "{{ tasks.read.output.text }}" } },
      ],
      outputs: { summary: "{{ tasks.brief.output.summary }}" },
    };
    const of = standing(goal("url -> summary"), [read, shorten, brief], { brief: "failed" }, { workflow });
    const rest = left(of);
    expect(rest.goal).toBeUndefined();
    expect(replanned(of).workflow.outputs).toEqual({ summary: "{{ tasks.shorten.output.summary }}" });
  });

  it("does without what was found wanting in rounds before", () => {
    const of = standing(
      goal("url -> summary"),
      [read, shorten, brief],
      { brief: "failed" },
      {
        workflow: planOf(goal("url -> summary", { must_not_use: ["shorten"] }), [read, shorten, brief])!,
        excluded: ["shorten"],
      },
    );
    expect(left(of)).toMatchObject({ goal: { must_not_use: ["shorten", "brief"] }, excluded: ["shorten", "brief"] });
  });

  it("is worth what is left of the budget and of the time", () => {
    const wish = goal("url -> summary words", { budget: 9, deadline: "60s" });
    const all = [{ ...read, cost: 2 }, { ...shorten, cost: 3 }, { ...count, cost: 1 }, brief];
    const of = standing(wish, all, { shorten: "failed", count: "pending" }, { elapsedMs: 12_000.5 });
    expect(left(of).goal).toMatchObject({ budget: 4, deadline: "48000ms" });
    expect(remainderOf({ ...of, elapsedMs: 60_000 })).toMatchObject({
      issues: [{ code: "PLAN_IMPOSSIBLE", message: "The goal's deadline of 60s has passed; give it more time." }],
    });
  });

  it("has to be used is not replaced", () => {
    const of = standing(goal("url -> summary", { must_use: ["shorten"] }), [read, shorten, brief], {
      shorten: "failed",
    });
    expect(remainderOf(of)).toEqual({
      issues: [
        {
          code: "PLAN_IMPOSSIBLE",
          message: "`shorten`, which must be used, is what has failed; mend its agent, and retry the run.",
          pointer: "",
        },
      ],
    });
  });

  it("goes on from what must be used, and has been", () => {
    const polish = capability("polish", "text -> text");
    const wish = goal("text -> summary", { must_use: ["polish"] });
    const of = standing(wish, [polish, shorten, brief], { shorten: "failed" });
    expect(left(of).goal!.must_use).toEqual([]);
    expect(replanned(of).workflow.tasks.at(-1)!.input).toEqual({ text: "{{ tasks.polish.output.text }}" });
  });
});

describe("what was verified", () => {
  const proof = capability("proof", "summary ->");
  const wish = goal("url -> summary", { verify: ["proof"] });
  const all = [read, shorten, brief, proof];

  it("and found wrong is made anew by something else, and verified again", () => {
    const of = standing(wish, all, { proof: { failed: "VERIFICATION_FAILED" } });
    expect(left(of)).toMatchObject({
      goal: { verify: ["proof"], must_not_use: ["shorten"] },
      superseded: ["shorten", "proof"],
      excluded: ["shorten"],
    });
    expect(shape(replanned(of).workflow)).toBe("read() brief(read) proof_2(brief)");
  });

  it("by something that broke is not made anew", () => {
    const of = standing(wish, all, { proof: { failed: "CRASHED" } });
    expect(remainderOf(of)).toMatchObject({
      issues: [{ message: expect.stringContaining("`proof`, which must be used") }],
    });
  });
});

// --- any catalogue, any failures

const types = ["a", "b", "c", "d", "e", "f"];
const some = (least: number, most: number) =>
  fc.uniqueArray(fc.constantFrom(...types), { minLength: least, maxLength: most });
const catalogues = fc
  .array(fc.record({ takes: some(0, 2), gives: some(1, 2), cost: fc.nat({ max: 3 }) }), { minLength: 4, maxLength: 14 })
  .map((list) =>
    list.map(({ takes, gives, cost }, index) =>
      capability(`c${index}`, `${takes.join(" ")} -> ${gives.join(" ")}`, { cost }),
    ),
  );

/** All types that can be made of the ones that there are, by brute force. */
function closure(there: Iterable<string>, all: readonly PlannableCapability[]): Set<string> {
  const found = new Set(there);
  for (let size = -1; size !== found.size; ) {
    size = found.size;
    for (const { consumes, produces } of all) {
      if (Object.values(consumes).every((type) => found.has(type)))
        for (const type of Object.values(produces)) found.add(type);
    }
  }
  return found;
}

/** Lets the run go on for a while and then one of its tasks fail; undefined where all have completed before. */
function fail(of: Standing, progress: number): Standing | undefined {
  const { workflow, tasks } = of;
  const order = topologicalOrder(workflow.tasks.map(({ id, needs = [] }) => ({ id, needs })));
  if (!("order" in order)) throw new Error("a circle");
  const status = new Map(tasks.map((task) => [task.key, task.status]));
  const open = order.order.filter((id) => status.get(id) !== "completed");
  const failing = open[progress % (open.length + 1)];
  if (failing === undefined) return undefined;
  const before = new Set(open.slice(0, open.indexOf(failing)));
  return {
    ...of,
    tasks: tasks.map((task) =>
      task.key === failing
        ? { ...task, status: "failed" }
        : before.has(task.key)
          ? { ...task, status: "completed" }
          : task,
    ),
  };
}

describe("a run of any plan", () => {
  it("goes on, whatever fails, for as long as there is a way; and says so where there is none", () => {
    let rounds = 0;
    let hopeless = 0;
    fc.assert(
      fc.property(
        catalogues,
        some(0, 2),
        some(1, 2),
        fc.array(fc.nat({ max: 20 }), { minLength: 1, maxLength: 6 }),
        (all, have, want, failures) => {
          const wish = goal(`${have.join(" ")} -> ${want.join(" ")}`);
          const first = planOf(wish, all);
          if (!first) return;
          let of = standing(wish, all, Object.fromEntries(first.tasks.map(({ id }) => [id, "pending"])), {
            workflow: first,
          });
          for (const progress of failures) {
            const failed = fail(of, progress);
            if (!failed) return;
            const rest = left(failed);
            const lost = new Set(rest.superseded);
            const plan = rest.goal && planOf(rest.goal, all);
            const stands = failed.workflow.tasks.filter(({ id }) => !lost.has(id)).map(({ capability }) => capability);
            const made = all
              .filter(({ name }) => stands.includes(name))
              .flatMap(({ produces }) => Object.values(produces));
            const usable = all.filter(({ name }) => !rest.excluded.includes(name));
            const isPossible = want.every((type) => closure([...have, ...made], usable).has(type));
            expect(rest.goal === undefined || plan !== undefined).toBe(isPossible);
            if (!isPossible) {
              hopeless++;
              return;
            }
            rounds++;
            const { workflow, added } = mended(failed, rest, plan ?? { tasks: [], outputs: {} });
            expect(workflowIssues(workflow, { limits }).issues).toEqual([]);
            const ids = new Set(workflow.tasks.map(({ id }) => id));
            for (const name of want)
              for (const id of sourcesIn((workflow.outputs as Record<string, string>)[name]))
                expect(ids.has(id)).toBe(true);
            expect(workflow.tasks.some(({ capability }) => rest.excluded.includes(capability!))).toBe(false);
            for (const id of added) expect(failed.tasks.some(({ key }) => key === id)).toBe(false);
            of = {
              ...failed,
              workflow,
              excluded: rest.excluded,
              tasks: [
                ...failed.tasks.map((task) =>
                  lost.has(task.key) && task.status !== "failed" ? { ...task, status: "skipped" as const } : task,
                ),
                ...workflow.tasks
                  .filter(({ id }) => added.includes(id))
                  .map(({ id, capability = "" }) => ({ key: id, capability, status: "pending" as const })),
              ],
            };
          }
        },
      ),
      { numRuns: 2_000 },
    );
    expect(rounds).toBeGreaterThan(100);
    expect(hopeless).toBeGreaterThan(100);
  });
});

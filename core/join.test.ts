import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decideJoin, describeJoin, type Join, type NeedCounts, type TriggerRule, triggerRules } from "./join.ts";
import { evaluateJoin, type JoinExpression, parseJoin } from "./join-expression.ts";
import type { TaskStatus } from "./run.ts";

/** A need as a join sees it. */
type Outcome = "open" | "completed" | "failed" | "skipped" | "cancelled";
const settledOutcomes = ["completed", "failed", "skipped", "cancelled"] as const;
const outcomes: readonly Outcome[] = ["open", ...settledOutcomes];

/** Every sequence of `length` outcomes: 5⁴ for four needs. */
function mixes<T>(of: readonly T[], length: number): T[][] {
  if (length === 0) return [[]];
  return mixes(of, length - 1).flatMap((mix) => of.map((next) => [...mix, next]));
}

const upToFour = [0, 1, 2, 3, 4].flatMap((length) => mixes(outcomes, length));

/** Every way in which the open needs of a mix may yet settle. */
function endings(mix: Outcome[]): Outcome[][] {
  const open = mix.filter((outcome) => outcome === "open").length;
  return mixes<Outcome>(settledOutcomes, open).map((ending) =>
    mix.map((outcome) => (outcome === "open" ? ending.shift()! : outcome)),
  );
}

function verdict(join: Join, mix: Outcome[]) {
  const count = (...wanted: Outcome[]) => mix.filter((outcome) => wanted.includes(outcome)).length;
  const counts: NeedCounts = {
    left: count("open"),
    completed: count("completed"),
    failed: count("failed", "cancelled"),
    skipped: count("skipped"),
  };
  const names = ["a", "b", "c", "d"];
  return decideJoin(join, counts, (id) => {
    const outcome = mix[names.indexOf(id)]!;
    return outcome === "open" ? "running" : (outcome satisfies TaskStatus);
  });
}

/** What each rule asks of needs that have all settled, said once more and differently. */
const asks: Record<TriggerRule, (mix: Outcome[]) => boolean> = {
  all_success: (mix) => mix.every((outcome) => outcome === "completed"),
  all_done: () => true,
  all_failed: (mix) => mix.every((outcome) => outcome === "failed" || outcome === "cancelled"),
  one_success: (mix) => mix.includes("completed"),
  one_failed: (mix) => mix.includes("failed") || mix.includes("cancelled"),
  none_failed: (mix) => !mix.includes("failed") && !mix.includes("cancelled"),
  none_skipped: (mix) => !mix.includes("skipped"),
  always: () => true,
};

/** Those that say "as soon as one"; the others start only when all needs have settled. */
const startsEarly = new Set<TriggerRule>(["one_success", "one_failed", "always"]);

/** The verdict that follows from what is asked of the endings. */
function expected(mix: Outcome[], asked: (ending: Outcome[]) => boolean, early: boolean) {
  const possible = endings(mix).map(asked);
  if (!possible.includes(true)) return "skip";
  if (mix.includes("open") && !early) return "wait";
  return possible.includes(false) ? "wait" : "start";
}

describe.each(triggerRules)("the rule %s", (rule) => {
  it("has the right verdict on every mix of up to four needs", () => {
    for (const mix of upToFour) {
      const right = rule === "always" ? "start" : expected(mix, asks[rule], startsEarly.has(rule));
      expect([mix, verdict({ rule }, mix)]).toEqual([mix, right]);
    }
  });
});

describe("at_least", () => {
  it.each([1, 2, 3, 4, 5])("%i has the right verdict on every mix of up to four needs", (atLeast) => {
    const asked = (ending: Outcome[]) => ending.filter((outcome) => outcome === "completed").length >= atLeast;
    for (const mix of upToFour) {
      expect([mix, verdict({ atLeast }, mix)]).toEqual([mix, expected(mix, asked, true)]);
    }
  });
});

it("is shown as a count of the needs, or by the name of its rule", () => {
  expect(describeJoin({ atLeast: 2 }, 3)).toBe("2 of 3");
  expect(describeJoin({ rule: "none_failed" }, 3)).toBe("none_failed");
});

describe("without needs", () => {
  it("a task starts, unless its rule asks for one", () => {
    const rules = triggerRules.map((rule) => [rule, verdict({ rule }, [])]);
    expect(Object.fromEntries(rules)).toEqual({
      all_success: "start",
      all_done: "start",
      all_failed: "start",
      one_success: "skip",
      one_failed: "skip",
      none_failed: "start",
      none_skipped: "start",
      always: "start",
    });
  });
});

describe("a join expression", () => {
  const parsed = (source: string, needs = ["a", "b", "c", "d"]) => parseJoin(source, needs, "/join") as JoinExpression;

  it.each([
    ["a", ([a]: boolean[]) => a!],
    ["!a", ([a]: boolean[]) => !a],
    ["a && b", ([a, b]: boolean[]) => a! && b!],
    ["a || b", ([a, b]: boolean[]) => a! || b!],
    ["(a || b) && c", ([a, b, c]: boolean[]) => (a! || b!) && c!],
    ["a && !b || c && !d", ([a, b, c, d]: boolean[]) => (a! && !b) || (c! && !d)],
    ["!(a && (b || c)) && d", ([a, b, c, d]: boolean[]) => !(a! && (b! || c!)) && d!],
  ] as const)("%s has the right verdict on every mix of its needs", (source, asked) => {
    for (const mix of mixes(outcomes, 4)) {
      const right = expected(mix, (ending) => asked(ending.map((outcome) => outcome === "completed")), true);
      expect([mix, verdict({ expression: parsed(source) }, mix)]).toEqual([mix, right]);
    }
  });

  it("reads ids that CEL would not: with dots, and quoted", () => {
    const needs = ["read.pages", "my-task", "x"];
    expect(parsed('read.pages && tasks["my-task"] || tasks.x', needs)).toEqual({
      any: [{ all: [{ need: "read.pages" }, { need: "my-task" }] }, { need: "x" }],
    });
  });

  it.each(["a", "!a", "a && b", "(a || b) && !c", "!(a && b)", "a || (b && c)"])(
    "%s is shown as it was written",
    (source) => {
      expect(describeJoin({ expression: parsed(source) }, 4)).toBe(source);
    },
  );

  it.each([
    ["a &&", "EXPRESSION_SYNTAX", /./],
    ["", "EXPRESSION_SYNTAX", /./],
    ["a + b", "EXPRESSION_SYNTAX", /only ids of needs/],
    ["a == b", "EXPRESSION_SYNTAX", /only ids of needs/],
    ["true", "EXPRESSION_SYNTAX", /only ids of needs/],
    ["a || serach", "EXPRESSION_NOT_A_NEED", /"serach" is not among the needs.*"search"/],
    [`a${" && a".repeat(2_000)}`, "EXPRESSION_LIMIT", /parts/],
    [`${"!(".repeat(200)}a${")".repeat(200)}`, "EXPRESSION_LIMIT", /deeper/],
  ])("%s is refused", (source, code, message) => {
    const flaw = parseJoin(source, ["a", "b", "search"], "/tasks/0/join");
    expect(flaw).toMatchObject({ code, pointer: "/tasks/0/join", message: expect.stringMatching(message) });
  });

  it("never goes back on a verdict as needs settle, whatever the expression", () => {
    const leaf = fc.constantFrom("a", "b", "c", "d").map((need): JoinExpression => ({ need }));
    const { expression } = fc.letrec<{ expression: JoinExpression }>((tie) => ({
      expression: fc.oneof(
        { maxDepth: 4 },
        leaf,
        tie("expression").map((not): JoinExpression => ({ not })),
        fc.array(tie("expression"), { minLength: 1, maxLength: 3 }).map((all): JoinExpression => ({ all })),
        fc.array(tie("expression"), { minLength: 1, maxLength: 3 }).map((any): JoinExpression => ({ any })),
      ),
    }));
    const order = fc.shuffledSubarray(["a", "b", "c", "d"], { minLength: 4 });
    fc.assert(
      fc.property(expression, order, fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }), (tree, ids, values) => {
        const known = new Map<string, boolean>();
        let before: boolean | undefined;
        for (const [index, id] of ids.entries()) {
          known.set(id, values[index]!);
          const now = evaluateJoin(tree, (need) => known.get(need));
          if (before !== undefined) expect(now).toBe(before);
          before = now;
        }
        expect(before).toBeTypeOf("boolean");
      }),
    );
  });
});

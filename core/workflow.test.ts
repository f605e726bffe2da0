import { describe, expect, it } from "vitest";
import { z } from "zod";
import { type ErrorCode, SkeinError } from "./errors.ts";
import { defaultLimits } from "./limits.ts";
import { parseWorkflow, validateWorkflow, workflowHash, workflowIssues, workflowSchema } from "./workflow.ts";

function errorOf(act: () => unknown): SkeinError {
  try {
    act();
  } catch (error) {
    if (error instanceof SkeinError) return error;
    throw error;
  }
  throw new Error("expected a SkeinError");
}

const yamlError = (text: string) => errorOf(() => parseWorkflow(text));
const task = (id: string, more: object = {}) => ({ id, capability: "core.echo", ...more });
const workflow = (...tasks: object[]) => ({ name: "w", tasks });

/** The example of the contract, without the keys that come later. */
const example = `
name: research-report
version: 1
description: Search, read in parallel, write.
inputs:
  type: object
  required: [topic]
  properties: { topic: { type: string } }
defaults: { retry: { max_attempts: 3 }, timeout: 2m }
tasks:
  - id: search
    capability: http.request
    input: { url: "https://example.org/search?q={{ inputs.topic }}" }
  - id: read
    needs: [search]
    capability: llm.generate
    input: { prompt: "Summarise {{ tasks.search.output }}" }
    retry: { max_attempts: 5, backoff: exponential, initial_delay: 1s, max_delay: 1m, jitter: true }
    timeout: 90s
  - id: write
    depends_on: [read]
    when: "size(tasks.read.output) > 0"
    capability: llm.generate
    input: { prompt: "Write a report on {{ tasks.search.output }} from {{ tasks.read.output }}" }
outputs: { report: "{{ tasks.write.output.text }}" }
`;

describe("a good workflow", () => {
  it("is read from YAML as from JSON, and `depends_on` becomes `needs`", () => {
    const parsed = parseWorkflow(example);
    expect(parsed.tasks.map((each) => each.needs)).toEqual([undefined, ["search"], ["read"]]);
    expect(parsed.tasks[2]).not.toHaveProperty("depends_on");
    expect(parsed.defaults).toEqual({ retry: { max_attempts: 3 }, timeout: "2m" });
    const json = JSON.stringify(parsed);
    expect(parseWorkflow(json, { format: "json" })).toEqual(parsed);
    expect(parseWorkflow(json)).toEqual(parsed);
    expect(validateWorkflow(JSON.parse(json))).toEqual(parsed);
    expect(workflowIssues(JSON.parse(json))).toEqual({ workflow: parsed, issues: [] });
  });

  it("may use every key there is", () => {
    const times = { timeout: "1m", heartbeat: "PT30S", schedule_timeout: "1h", deadline: "P1D" };
    const retry = { max_attempts: 1, backoff: "linear", initial_delay: "1s", max_delay: "1s", jitter: false };
    const full = {
      name: "full",
      version: 3,
      description: "d",
      inputs: { type: "object" },
      defaults: { retry, ...times },
      deadline: "2d",
      labels: { team: "a", "example.org/cost": "b" },
      tasks: [
        task("a", { description: "d", needs: [], when: "true", input: null, retry, ...times, priority: 0 }),
        task("B.c-d_9", { needs: ["a"], input: [1, { x: "\\{{ literal" }], priority: 9 }),
        task("c", { needs: ["a"], trigger_rule: "all_done" }),
        task("d", { needs: ["a", "c"], join: { at_least: "first", cancel_rest: true } }),
        task("e", { needs: ["a", "c"], join: { at_least: 2, cancel_rest: false } }),
        task("f", { needs: ["a", "c"], join: { expression: "a || !c" } }),
        task("g", { needs: ["a", "B.c-d_9"], join: 'a && tasks["B.c-d_9"]' }),
      ],
      outputs: '{{ tasks["B.c-d_9"].output }}',
    };
    expect(validateWorkflow(full)).toEqual(full);
  });

  it("may cancel tasks and groups of any part of the run that is seen from there, and what comes of its tasks", () => {
    const body = [
      task("x", { group: "inner" }),
      { id: "stop", cancel: ["x", "a", "outer", "inner", "deep"] },
      { id: "again", loop: { body: [task("z", { group: "deep" })], until: "true", max: 1 } },
    ];
    const full = workflow(
      task("a", { group: "outer" }),
      task("m", { for_each: [1, 2] }),
      { id: "loop", loop: { body, until: "true", max: 2 } },
      { id: "one", cancel: "loop" },
      { id: "some", cancel: ["a", "outer", "inner", "deep", "m[1]", "a/spawned", "loop[0]/x"] },
    );
    expect(workflowIssues(full).issues).toEqual([]);
  });

  it("may have anchors, and tasks in any order", () => {
    const text =
      "name: w\ntasks:\n  - { id: b, capability: c, needs: [a], retry: &r { max_attempts: 1 } }\n  - { id: a, capability: c, retry: *r }\n";
    expect(parseWorkflow(text).tasks.map((each) => each.retry)).toEqual([{ max_attempts: 1 }, { max_attempts: 1 }]);
  });

  it("is not changed by being validated", () => {
    const value = workflow(task("a"), task("b", { depends_on: ["a"] }));
    const before = structuredClone(value);
    validateWorkflow(value);
    expect(value).toEqual(before);
  });
});

type Flaw = [
  title: string,
  text: string,
  code: ErrorCode,
  pointer: string,
  line: number,
  column: number,
  words: string,
];

const flaws: Flaw[] = [
  ["an empty file", "", "WORKFLOW_INVALID", "", 1, 1, "must be an object"],
  ["a list", "- a", "WORKFLOW_INVALID", "", 1, 1, "must be an object"],
  ["no name", "tasks: [{ id: a, capability: c }]", "WORKFLOW_INVALID", "/name", 1, 1, "no `name`"],
  ["no tasks", "name: w", "WORKFLOW_INVALID", "/tasks", 1, 1, "no `tasks`"],
  ["an empty list of tasks", "name: w\ntasks: []", "WORKFLOW_INVALID", "/tasks", 2, 8, "at least 1"],
  ["tasks as an object", "name: w\ntasks: { a: {} }", "WORKFLOW_INVALID", "/tasks", 2, 8, "must be a list"],
  ["a task that is a word", "name: w\ntasks: [a]", "WORKFLOW_INVALID", "/tasks/0", 2, 9, "Task number 1"],
  [
    "a name with a space",
    "name: my flow\ntasks: [{ id: a, capability: c }]",
    "WORKFLOW_INVALID",
    "/name",
    1,
    7,
    "letters",
  ],
  [
    "version 0",
    "name: w\nversion: 0\ntasks: [{ id: a, capability: c }]",
    "WORKFLOW_INVALID",
    "/version",
    2,
    10,
    "at least 1",
  ],
  [
    "an unknown key",
    "name: w\ncron: x\ntasks: [{ id: a, capability: c }]",
    "WORKFLOW_KEY_UNKNOWN",
    "/cron",
    2,
    1,
    "outputs",
  ],
  [
    "a merge key",
    "name: w\ntasks:\n  - { id: a, capability: c, <<: { timeout: 1s } }",
    "WORKFLOW_KEY_UNKNOWN",
    "/tasks/0/<<",
    3,
    29,
    "merge keys are not supported",
  ],
  ["YAML that ends early", "name: w\ntasks: [", "YAML_INVALID", "", 2, 9, "cannot be read"],
  [
    "a key that stands twice",
    "name: w\nname: v\ntasks: [{ id: a, capability: c }]",
    "YAML_INVALID",
    "/name",
    2,
    1,
    "twice",
  ],
  [
    "a lone surrogate",
    'name: w\ntasks: [{ id: a, capability: c, input: "\\ud800" }]',
    "JSON_UNSTORABLE",
    "/tasks/0/input",
    2,
    40,
    "surrogate",
  ],
  [
    "a NUL",
    'name: w\ntasks: [{ id: a, capability: c, input: ["\\0"] }]',
    "JSON_UNSTORABLE",
    "/tasks/0/input/0",
    2,
    41,
    "U+0000",
  ],
  [
    "an infinite number",
    "name: w\ntasks: [{ id: a, capability: c, input: .inf }]",
    "JSON_UNSTORABLE",
    "/tasks/0/input",
    2,
    40,
    "double",
  ],
  [
    "a schema that is a list",
    "name: w\ninputs: []\ntasks: [{ id: a, capability: c }]",
    "WORKFLOW_INVALID",
    "/inputs",
    2,
    9,
    "JSON Schema",
  ],
  [
    "a schema of no type",
    "name: w\ninputs: { type: txt }\ntasks: [{ id: a, capability: c }]",
    "WORKFLOW_SCHEMA_INVALID",
    "/inputs/type",
    2,
    17,
    "",
  ],
  [
    "a budget of no time",
    "name: w\nbudget: { wall_time: 0s }\ntasks: [{ id: a, capability: c }]",
    "WORKFLOW_DURATION_INVALID",
    "/budget/wall_time",
    2,
    22,
    "0s",
  ],
  [
    "a label that is a number",
    "name: w\nlabels: { a: 1 }\ntasks: [{ id: a, capability: c }]",
    "WORKFLOW_INVALID",
    "/labels/a",
    2,
    14,
    "must be a string",
  ],
  [
    "a label key with a space",
    "name: w\nlabels: { a b: x }\ntasks: [{ id: a, capability: c }]",
    "WORKFLOW_INVALID",
    "/labels/a b",
    2,
    16,
    "wrong form",
  ],
  [
    "an expression with a typing slip in outputs",
    'name: w\ntasks: [{ id: abc, capability: c }]\noutputs: "{{ tasks.abd.output }}"',
    "EXPRESSION_UNKNOWN_NAME",
    "/outputs",
    3,
    10,
    "abc",
  ],
];

/** Flaws of the second of three tasks, which stands in line 4; the column is that of `more` within it. */
const taskFlaws: [title: string, more: string, code: ErrorCode, at: string, column: number, words: string][] = [
  ["a misspelt key", "capabilty: d", "WORKFLOW_KEY_UNKNOWN", "/capabilty", 1, 'Did you mean "capability"?'],
  ["a key in camel case", "dependsOn: [a]", "WORKFLOW_KEY_UNKNOWN", "/dependsOn", 1, 'Did you mean "depends_on"?'],
  ["a key that comes later", "concurency: x", "WORKFLOW_KEY_UNKNOWN", "/concurency", 1, "concurrency"],
  [
    "a misspelt key of the retry",
    "retry: { maxAttempts: 3 }",
    "WORKFLOW_KEY_UNKNOWN",
    "/retry/maxAttempts",
    10,
    '"max_attempts"',
  ],
  ["a misspelt backoff", "retry: { backoff: exponentail }", "WORKFLOW_INVALID", "/retry/backoff", 19, '"exponential"'],
  ["no attempts", "retry: { max_attempts: 0 }", "WORKFLOW_INVALID", "/retry/max_attempts", 24, "at least 1"],
  ["half an attempt", "retry: { max_attempts: 1.5 }", "WORKFLOW_INVALID", "/retry/max_attempts", 24, "a whole number"],
  ["jitter in words", "retry: { jitter: yes }", "WORKFLOW_INVALID", "/retry/jitter", 18, "true or false"],
  [
    "a first delay above the longest",
    "retry: { initial_delay: 2s, max_delay: 1s }",
    "WORKFLOW_INVALID",
    "/retry",
    8,
    "lower the first",
  ],
  [
    "a first delay above the default longest",
    "retry: { initial_delay: 2m }",
    "WORKFLOW_INVALID",
    "/retry",
    8,
    "lower the first",
  ],
  [
    "a duration in words",
    "timeout: 5 minutes",
    "WORKFLOW_DURATION_INVALID",
    "/timeout",
    10,
    "500ms, 30s, 5m, 2h or 1d",
  ],
  ["a duration without a unit", "timeout: 30", "WORKFLOW_DURATION_INVALID", "/timeout", 10, "30 is not a duration"],
  ["a fraction of an hour", "heartbeat: 1.5h", "WORKFLOW_DURATION_INVALID", "/heartbeat", 12, "whole number"],
  ["a year", "deadline: P1Y", "WORKFLOW_DURATION_INVALID", "/deadline", 11, "without years"],
  ["an eternity", "schedule_timeout: 99999d", "WORKFLOW_DURATION_INVALID", "/schedule_timeout", 19, "at most 3650d"],
  ["no time at all", "retry: { max_delay: 0s }", "WORKFLOW_DURATION_INVALID", "/retry/max_delay", 21, "not a duration"],
  ["a negative budget", "budget: { tokens: -5 }", "WORKFLOW_INVALID", "/budget/tokens", 19, "at least 1"],
  ["a budget of nothing", "budget: { cost: 0 }", "WORKFLOW_INVALID", "/budget/cost", 17, "at least 0.000001"],
  ["a budget that is no number", "budget: { cost: .nan }", "JSON_UNSTORABLE", "/budget/cost", 17, "a number beyond"],
  ["an endless budget", "budget: { cost: .inf }", "JSON_UNSTORABLE", "/budget/cost", 17, "a number beyond"],
  ["a budget in words", "budget: { cost: much }", "WORKFLOW_INVALID", "/budget/cost", 17, "must be a number"],
  ["half a call", "budget: { calls: 1.5 }", "WORKFLOW_INVALID", "/budget/calls", 18, "a whole number"],
  ["a budget in an unknown unit", "budget: { euros: 5 }", "WORKFLOW_KEY_UNKNOWN", "/budget/euros", 11, "cost, calls"],
  ["a budget without a limit", "budget: { on_exhausted: wait }", "WORKFLOW_INVALID", "/budget", 9, "limits nothing"],
  [
    "an unknown end of a budget",
    "budget: { calls: 1, on_exhausted: stop }",
    "WORKFLOW_INVALID",
    "/budget/on_exhausted",
    35,
    "one of fail, wait, cheaper",
  ],
  ["a negative estimate", "estimate: { tokens: -1 }", "WORKFLOW_INVALID", "/estimate/tokens", 21, "at least 0"],
  ["priority 10", "priority: 10", "WORKFLOW_INVALID", "/priority", 11, "at most 9"],
  ["priority in words", "priority: high", "WORKFLOW_INVALID", "/priority", 11, "a whole number"],
  ["needs as a word", "needs: a", "WORKFLOW_INVALID", "/needs", 8, "must be a list"],
  ["needs left empty", "needs:", "WORKFLOW_INVALID", "/needs", 7, "must be a list"],
  ["a need that is a number", "needs: [a, 1]", "WORKFLOW_INVALID", "/needs/1", 12, "must be a string"],
  ["an unknown need", "needs: [a, search]", "WORKFLOW_NEED_UNKNOWN", "/needs/1", 12, "Add the task"],
  ["a misspelt need", "needs: [thrid]", "WORKFLOW_NEED_UNKNOWN", "/needs/0", 9, 'Did you mean "third"?'],
  ["an empty need", 'needs: [""]', "WORKFLOW_NEED_UNKNOWN", "/needs/0", 9, "not a task"],
  ["an unknown need under the other name", "depends_on: [x]", "WORKFLOW_NEED_UNKNOWN", "/depends_on/0", 14, '"x"'],
  ["a need that stands twice", "needs: [a, a]", "WORKFLOW_INVALID", "/needs/1", 12, "twice"],
  ["a task that needs itself", "needs: [b]", "WORKFLOW_HAS_CYCLE", "/needs/0", 9, "needs itself"],
  ["a circle", "needs: [third]", "WORKFLOW_HAS_CYCLE", "/needs", 8, "b → third → b"],
  ["a condition that is no text", "when: true", "WORKFLOW_INVALID", "/when", 7, "must be a string"],
  ["a condition that cannot be parsed", 'when: "1 +"', "EXPRESSION_SYNTAX", "/when", 7, ""],
  ["a condition about a stranger", 'when: "tasks.nobody.output == 1"', "EXPRESSION_UNKNOWN_NAME", "/when", 7, "nobody"],
  [
    "an input from a task that is no need",
    'input: { x: "{{ tasks.a.output }}" }',
    "EXPRESSION_NOT_A_NEED",
    "/input/x",
    13,
    "needs",
  ],
  ["an input from a later task", 'input: "{{ tasks.third.output }}"', "EXPRESSION_NOT_A_NEED", "/input", 8, "third"],
  ["an item outside a map", 'input: "{{ item }}"', "EXPRESSION_UNKNOWN_NAME", "/input", 8, "item"],
  ["an open template", 'input: "{{ inputs.a"', "EXPRESSION_SYNTAX", "/input", 8, "}}"],
  [
    "a misspelt rule",
    "trigger_rule: all_sucess",
    "WORKFLOW_INVALID",
    "/trigger_rule",
    15,
    'Did you mean "all_success"?',
  ],
];

/** Flaws of how a task that needs `a` and `my-task` joins them; the column is that within `join: …`. */
const joinFlaws: [title: string, join: string, code: ErrorCode, at: string, column: number, words: string][] = [
  ["a join left empty", "", "WORKFLOW_INVALID", "", 7, "must be a string or an object"],
  ["a join that is a count", "2", "WORKFLOW_INVALID", "", 7, "{ at_least: 2 }"],
  ["a join that is a list", "[a]", "WORKFLOW_INVALID", "", 7, "a string or an object"],
  ["a join that says nothing", "{}", "WORKFLOW_INVALID", "", 7, "neither `at_least` nor `expression`"],
  ["only cancel_rest", "{ cancel_rest: true }", "WORKFLOW_INVALID", "", 7, "neither `at_least` nor `expression`"],
  ["a count and an expression", "{ at_least: 1, expression: a }", "WORKFLOW_INVALID", "", 7, "keep one of them"],
  ["a misspelt key of the join", "{ atLeast: 1 }", "WORKFLOW_KEY_UNKNOWN", "/atLeast", 9, 'Did you mean "at_least"?'],
  [
    "a strange key beside the count",
    "{ at_least: 1, of: 2 }",
    "WORKFLOW_KEY_UNKNOWN",
    "/of",
    22,
    "It may have at_least, expression, cancel_rest.",
  ],
  ["a fraction above all needs", "{ at_least: 2.5 }", "WORKFLOW_INVALID", "/at_least", 19, 'a whole number or "first"'],
  ["more than all needs", "{ at_least: 3 }", "WORKFLOW_INVALID", "", 7, "more than its 2 needs"],
  ["none of the needs", "{ at_least: 0 }", "WORKFLOW_INVALID", "/at_least", 19, "at least 1"],
  ["half of a need", "{ at_least: 1.5 }", "WORKFLOW_INVALID", "/at_least", 19, 'a whole number or "first"'],
  ["a misspelt first", "{ at_least: frist }", "WORKFLOW_INVALID", "/at_least", 19, 'a whole number or "first"'],
  [
    "cancel_rest in words",
    "{ at_least: 1, cancel_rest: yes }",
    "WORKFLOW_INVALID",
    "/cancel_rest",
    35,
    "true or false",
  ],
  ["an expression that is a number", "{ expression: 1 }", "WORKFLOW_INVALID", "/expression", 21, "must be a string"],
  ["an expression that breaks off", "a &&", "EXPRESSION_SYNTAX", "", 7, "only ids of needs, &&, ||, ! and parentheses"],
  ["words for operators", "a and b", "EXPRESSION_SYNTAX", "", 7, "(a || b) && c"],
  ["braces around it", '"{{ a }}"', "EXPRESSION_SYNTAX", "", 7, "only ids of needs"],
  ["a call", "size(a)", "EXPRESSION_SYNTAX", "", 7, "only ids of needs"],
  ["a comparison", "a == 'completed'", "EXPRESSION_SYNTAX", "", 7, "only ids of needs"],
  ["an id to be quoted", "a && my-task", "EXPRESSION_SYNTAX", "", 7, 'write tasks["my-task"]'],
  ["a task that is no need", "a || third", "EXPRESSION_NOT_A_NEED", "", 7, '"third" is not among the needs'],
  ["a misspelt need in the join", "a || my_task", "EXPRESSION_NOT_A_NEED", "", 7, 'Did you mean "my-task"?'],
  ["a field of a need", "a.output", "EXPRESSION_NOT_A_NEED", "", 7, 'Write "a" alone'],
  ["a stranger in the long form", "{ expression: a || x }", "EXPRESSION_NOT_A_NEED", "", 7, "Add it to needs"],
];

/** Tasks of every kind but plain ones: what is wrong, the task beside its id, where, and what is said. */
const kindFlaws: [string, Record<string, unknown>, string, string, string][] = [
  ["of no kind", {}, "WORKFLOW_INVALID", "/capability", "one of `wait`, `loop`, `workflow`, `terminate` and `cancel`"],
  ["of two kinds", { capability: "c", wait: { for: "1s" } }, "WORKFLOW_INVALID", "/wait", "make two tasks of it"],
  ["with an input for a wait", { wait: { for: "1s" }, input: 1 }, "WORKFLOW_INVALID", "/input", "beside `wait`"],
  [
    "with retries of a loop",
    { loop: { body: [{ id: "x", capability: "c" }], until: "true", max: 2 }, retry: {} },
    "WORKFLOW_INVALID",
    "/retry",
    "beside `loop`",
  ],
  ["with a timeout of a run", { workflow: "w", timeout: "1s" }, "WORKFLOW_INVALID", "/timeout", "beside `workflow`"],
  [
    "detached without a workflow",
    { capability: "c", detached: true },
    "WORKFLOW_INVALID",
    "/detached",
    "beside `capability`",
  ],
  [
    "with an undoing of a wait",
    { wait: { for: "1s" }, compensate: { capability: "c" } },
    "WORKFLOW_INVALID",
    "/compensate",
    "beside `wait`",
  ],
  ["open without a map", { capability: "c", open: true }, "WORKFLOW_INVALID", "/open", "without `for_each`"],
  [
    "with a quorum without a map",
    { capability: "c", until: { succeeded: 1 } },
    "WORKFLOW_INVALID",
    "/until",
    "without `for_each`",
  ],
  [
    "with tolerance without a map",
    { capability: "c", tolerate_failures: 1 },
    "WORKFLOW_INVALID",
    "/tolerate_failures",
    "without `for_each`",
  ],
  [
    "with a width without a map",
    { capability: "c", max_concurrency: 1 },
    "WORKFLOW_INVALID",
    "/max_concurrency",
    "without `for_each`",
  ],
  [
    "with a map of no width",
    { capability: "c", for_each: [1], max_concurrency: 0 },
    "WORKFLOW_INVALID",
    "/max_concurrency",
    "at least 1",
  ],
  [
    "with a quorum of nobody",
    { capability: "c", for_each: [1], until: { succeeded: 0 } },
    "WORKFLOW_INVALID",
    "/until/succeeded",
    "at least 1",
  ],
  [
    "with a map over a number",
    { capability: "c", for_each: 3 },
    "WORKFLOW_INVALID",
    "/for_each",
    "neither a list nor one single",
  ],
  [
    "with a map over a text around an expression",
    { capability: "c", for_each: "all {{ inputs.list }}" },
    "WORKFLOW_INVALID",
    "/for_each",
    "neither a list nor one single",
  ],
  ["with a map of ends", { terminate: "completed", for_each: [1] }, "WORKFLOW_INVALID", "/for_each", "once is enough"],
  [
    "with an item in its own list",
    { capability: "c", for_each: "{{ item }}" },
    "EXPRESSION_UNKNOWN_NAME",
    "/for_each",
    "item",
  ],
  [
    "that waits on a budget",
    { wait: { for: "1s" }, budget: { calls: 1 } },
    "WORKFLOW_INVALID",
    "/budget",
    "means nothing beside `wait`",
  ],
  ["that waits for nothing", { wait: {} }, "WORKFLOW_INVALID", "/wait", "one thing at a time"],
  [
    "that waits for two things at a time",
    { wait: { for: "1s", signal: "s" } },
    "WORKFLOW_INVALID",
    "/wait",
    "go into `any_of`",
  ],
  [
    "that waits beside a list",
    { wait: { any_of: [{ for: "1s" }], signal: "s" } },
    "WORKFLOW_INVALID",
    "/wait",
    "put it into the list",
  ],
  ["that waits for any of nothing", { wait: { any_of: [] } }, "WORKFLOW_INVALID", "/wait/any_of", "at least 1"],
  ["that waits for no span", { wait: { for: "soon" } }, "WORKFLOW_DURATION_INVALID", "/wait", "no duration"],
  ["that waits until no time", { wait: { until: "tomorrow" } }, "WORKFLOW_INVALID", "/wait", "RFC 3339"],
  ["with a transient time", { wait: { for: "1s", transient: true } }, "WORKFLOW_INVALID", "/wait", "beside `signal`"],
  [
    "with a loop of nothing",
    { loop: { body: [], until: "true", max: 2 } },
    "WORKFLOW_INVALID",
    "/loop/body",
    "at least 1",
  ],
  [
    "with a loop without an end",
    { loop: { body: [{ id: "x", capability: "c" }], until: "true" } },
    "WORKFLOW_INVALID",
    "/loop/max",
    "max",
  ],
  [
    "with a circle in a loop",
    {
      loop: {
        body: [
          { id: "x", capability: "c", needs: ["y"] },
          { id: "y", capability: "c", needs: ["x"] },
        ],
        until: "true",
        max: 2,
      },
    },
    "WORKFLOW_HAS_CYCLE",
    "/loop/body/0/needs",
    "circle",
  ],
  [
    "with a loop until what it cannot see",
    { loop: { body: [{ id: "x", capability: "c" }], until: "tasks.y.output", max: 2 } },
    "EXPRESSION_UNKNOWN_NAME",
    "/loop/until",
    "y",
  ],
  ["that calls a version that is none", { workflow: "w@x" }, "WORKFLOW_INVALID", "/workflow", "name"],
  ["that cancels nothing", { cancel: [] }, "WORKFLOW_INVALID", "/cancel", "at least 1"],
  ["that cancels nobody", { cancel: "nobody" }, "WORKFLOW_CANCEL_UNKNOWN", "/cancel", '"nobody", which is neither'],
  [
    "that cancels nobody among others",
    { cancel: ["a", "aa"] },
    "WORKFLOW_CANCEL_UNKNOWN",
    "/cancel/1",
    'Did you mean "a"?',
  ],
  ["that cancels a spawned task of nobody", { cancel: "z/a" }, "WORKFLOW_CANCEL_UNKNOWN", "/cancel", '"z/a"'],
  [
    "that cancels nobody from within a loop",
    { loop: { body: [{ id: "x", cancel: ["y"] }], until: "true", max: 2 } },
    "WORKFLOW_CANCEL_UNKNOWN",
    "/loop/body/0/cancel/0",
    'Task "x" cancels "y"',
  ],
  [
    "that cancels a task within a loop from outside",
    { cancel: ["x"] },
    "WORKFLOW_CANCEL_UNKNOWN",
    "/cancel/0",
    "neither a task nor a group",
  ],
  ["that ends in no way", { terminate: "maybe" }, "WORKFLOW_INVALID", "/terminate", "completed"],
];

describe("a bad workflow", () => {
  it.each(kindFlaws)("with a task %s is refused for that alone", (_, more, code, at, words) => {
    const { issues } = workflowIssues({
      name: "w",
      tasks: [
        { id: "a", capability: "c" },
        { id: "b", ...more },
      ],
    });
    expect(issues).toEqual([
      expect.objectContaining({ code, pointer: `/tasks/1${at}`, message: expect.stringContaining(words) }),
    ]);
  });

  it.each(flaws)(
    "with %s is refused with code, pointer, position and remedy",
    (_, text, code, pointer, line, column, words) => {
      const { issues } = yamlError(text);
      expect(issues).toContainEqual({ code, pointer, line, column, message: expect.stringContaining(words) });
    },
  );

  it.each(taskFlaws)("with %s in a task is refused for that alone", (_, more, code, at, column, words) => {
    const text = `name: w\ntasks:\n  - { id: a, capability: c }\n  - id: b\n    capability: c\n    ${more}\n  - { id: third, capability: c, needs: [b] }\n`;
    const error = yamlError(text);
    const pointer = `/tasks/1${at}`;
    expect(error.issues).toEqual([
      { code, pointer, line: 6, column: column + 4, message: expect.stringContaining(words) },
    ]);
    expect(error.code).toBe(code);
    expect(error.message).toBe(error.issues[0]!.message);
  });

  it.each(joinFlaws)("with %s is refused for that alone", (_, join, code, at, column, words) => {
    const text = `name: w\ntasks:\n  - { id: a, capability: c }\n  - { id: my-task, capability: c }\n  - id: b\n    capability: c\n    needs: [a, my-task]\n    join: ${join}\n  - { id: third, capability: c, needs: [b] }\n`;
    expect(yamlError(text).issues).toEqual([
      { code, pointer: `/tasks/2/join${at}`, line: 8, column: column + 4, message: expect.stringContaining(words) },
    ]);
  });

  it.each([
    ["at_least", { at_least: 2 }],
    ["an expression", "a && nobody"],
  ])("with an unknown need is not told of it again by the join with %s", (_, join) => {
    const { issues } = workflowIssues(workflow(task("a"), task("b", { needs: ["a", "nobody"], join })));
    expect(issues).toMatchObject([{ code: "WORKFLOW_NEED_UNKNOWN" }]);
  });

  it("must not say in two ways when a task starts", () => {
    const { issues } = workflowIssues(
      workflow(task("a"), task("b", { needs: ["a"], trigger_rule: "all_done", join: "a" })),
    );
    expect(issues).toMatchObject([
      { code: "WORKFLOW_INVALID", pointer: "/tasks/1/join", message: expect.stringContaining("keep one of them") },
    ]);
  });

  it("names the task whose join is wrong", () => {
    const { issues } = workflowIssues(workflow(task("a"), task("b", { needs: ["a"], join: "a &" })));
    expect(issues[0]!.message).toMatch(/^Task "b": the join `a &`: /);
  });

  it.each(["a b", "9a", "", "-a", "ä", "a/b", "a[0]", "__proto__", "x".repeat(129), "a\n"])(
    "with the id %j is refused",
    (id) => {
      expect(workflowIssues(workflow(task(id))).issues).toMatchObject([
        { code: "WORKFLOW_INVALID", pointer: "/tasks/0/id" },
      ]);
    },
  );

  it.each(["constructor", "_", "x".repeat(128), "a.b-c_D9"])("with the id %j would be fine", (id) => {
    expect(validateWorkflow(workflow(task(id))).tasks[0]!.id).toBe(id);
  });

  it("has the same id shown at every place", () => {
    const { issues, code } = yamlError(
      "name: w\ntasks:\n  - { id: a, capability: c }\n  - { id: b, capability: c }\n  - { id: a, capability: c }\n",
    );
    const message = expect.stringContaining("tasks[0], tasks[2]");
    expect(issues).toEqual([
      { code: "WORKFLOW_TASK_DUPLICATE", pointer: "/tasks/0/id", line: 3, column: 11, message },
      { code: "WORKFLOW_TASK_DUPLICATE", pointer: "/tasks/2/id", line: 5, column: 11, message },
    ]);
    expect(code).toBe("WORKFLOW_TASK_DUPLICATE");
  });

  it("must not give needs under both names", () => {
    const { issues } = workflowIssues(workflow(task("a"), task("b", { depends_on: ["a"], needs: ["a"] })));
    expect(issues).toMatchObject([
      { code: "WORKFLOW_INVALID", pointer: "/tasks/1/depends_on", message: expect.stringContaining("keep `needs`") },
    ]);
  });

  it("has a task's retry judged together with what it inherits", () => {
    const of = (defaults: object, retry: object) => ({
      ...workflow(task("a", { retry })),
      defaults: { retry: defaults },
    });
    expect(workflowIssues(of({ max_delay: "1h" }, { initial_delay: "5m" })).issues).toEqual([]);
    expect(workflowIssues(of({ max_delay: "10s" }, { initial_delay: "20s" })).issues).toMatchObject([
      { pointer: "/tasks/0/retry" },
    ]);
    expect(workflowIssues(of({ initial_delay: "2m" }, { max_attempts: 2 })).issues).toMatchObject([
      { pointer: "/defaults/retry" },
    ]);
  });

  it("may name what it needs only indirectly, however far up", () => {
    const chain = Array.from({ length: 50 }, (_, i) =>
      task(`t${i}`, i > 0 ? { needs: [`t${i - 1}`], when: "tasks.t0.output == 1" } : {}),
    );
    expect(workflowIssues(workflow(...chain)).issues).toEqual([]);
  });

  it("has all its flaws told at once, in the order of the file", () => {
    const { code, message, issues } = yamlError(
      "labels: 5\nname: w\ntasks:\n  - needs: [b, x]\n    id: a\n    timeout: 1\n  - id: b\n    capability: c\n    needs: [a]\n    inptu: 1\ndeadline: soon\n",
    );
    expect(issues.map((issue) => [issue.line, issue.pointer])).toEqual([
      [1, "/labels"],
      [4, "/tasks/0/capability"],
      [4, "/tasks/0/needs"],
      [4, "/tasks/0/needs/1"],
      [6, "/tasks/0/timeout"],
      [10, "/tasks/1/inptu"],
      [11, "/deadline"],
    ]);
    expect(code).toBe("WORKFLOW_INVALID");
    expect(message).toBe(`${issues[0]!.message} (and 6 more)`);
  });

  it("given as a value has the same issues in the same order, without positions", () => {
    const text = '{"zz":1,"tasks":[{"needs":["q"],"id":"a","x":1,"timeout":5},{"id":"b"}],"name":"a b"}';
    const located = errorOf(() => parseWorkflow(text, { format: "json" })).issues;
    expect(located.every((issue) => issue.line === 1 && issue.column! > 0)).toBe(true);
    const plain = located.map(({ line, column, ...issue }) => issue);
    expect(workflowIssues(JSON.parse(text)).issues).toEqual(plain);
    expect(plain).toHaveLength(7);
  });

  it("has a code of its own when all its flaws are of one kind", () => {
    const { code, message } = errorOf(() => validateWorkflow({ ...workflow(task("a", { timeout: 1 })), deadline: 2 }));
    expect(code).toBe("WORKFLOW_DURATION_INVALID");
    expect(message).toMatch(/\(and 1 more\)$/);
  });

  it("with a great many flaws has the first hundred told, and that there are more", () => {
    const tasks = Array.from({ length: 5_000 }, (_, i) => ({
      id: `t${i}`,
      capabilty: 1,
      needs: [`x${i}`],
      when: "1 +",
    }));
    const { issues } = workflowIssues(workflow(...tasks));
    expect(issues).toHaveLength(101);
    expect(issues.slice(0, 100).every((issue) => /^\/tasks\/\d\d?\//.test(issue.pointer))).toBe(true);
    expect(issues.at(-1)!.message).toMatch(/^At least \d+ more issues/);
  });

  it("written in JSON has its syntax errors located", () => {
    const error = errorOf(() => parseWorkflow('{\n  "name": "w",\n}', { format: "json" }));
    expect(error).toMatchObject({ code: "JSON_INVALID", issues: [{ line: 3, column: 1 }] });
  });

  it("keeps its duplicate keys from hiding its other flaws", () => {
    const { issues } = yamlError("name: w\nname: v\ntasks: [{ id: a }]\n");
    expect(issues.map((issue) => issue.code)).toEqual(["YAML_INVALID", "WORKFLOW_INVALID"]);
  });

  it.each([undefined, null, 5, "w", [], () => 1, new Date(0), { name: undefined }])("is %j, which is none", (value) => {
    expect(workflowIssues(value).issues.length).toBeGreaterThan(0);
  });

  it("cannot reach the prototype", () => {
    const value = JSON.parse('{"name":"w","tasks":[{"id":"a","capability":"c","input":{"__proto__":{"x":1}}}]}');
    expect(workflowIssues(value).issues).toMatchObject([
      { code: "JSON_UNSTORABLE", pointer: "/tasks/0/input/__proto__" },
    ]);
  });
});

describe("a limit", () => {
  const limits = { ...defaultLimits, tasksPerRun: 4, edgesPerRun: 4, parentsPerTask: 2, depth: 3, labels: 1 };
  const chain = (length: number) =>
    Array.from({ length }, (_, i) => task(`t${i}`, i > 0 ? { needs: [`t${i - 1}`] } : {}));

  it.each([
    ["SKEIN_MAX_TASKS_PER_RUN", "/tasks", workflow(...chain(5))],
    [
      "SKEIN_MAX_EDGES_PER_RUN",
      "/tasks",
      workflow(task("a"), task("b"), task("c", { needs: ["a", "b"] }), task("d", { needs: ["a", "b", "c"] })),
    ],
    [
      "SKEIN_MAX_PARENTS_PER_TASK",
      "/tasks/3/needs",
      workflow(task("a"), task("b"), task("c"), task("d", { needs: ["a", "b", "c"] })),
    ],
    ["SKEIN_MAX_DEPTH", "/tasks/3/needs", workflow(...chain(4))],
    ["SKEIN_MAX_LABELS", "/labels", { ...workflow(task("a")), labels: { a: "1", b: "2" } }],
  ])("is named with its value and the key that raises it: %s", (key, pointer, value) => {
    const { issues } = workflowIssues(value, { limits });
    expect(issues).toContainEqual({ code: "WORKFLOW_LIMIT_EXCEEDED", pointer, message: expect.stringContaining(key) });
    expect(workflowIssues(value).issues).toEqual([]);
  });

  it("is reached before anything else about the tasks is looked at", () => {
    const tasks = Array.from({ length: 100_001 }, () => 5);
    const error = errorOf(() => validateWorkflow({ name: "w", tasks }));
    expect(error.code).toBe("WORKFLOW_LIMIT_EXCEEDED");
    expect(error.message).toBe(
      "The workflow has 100,001 tasks; the limit is 100,000 tasks per run (SKEIN_MAX_TASKS_PER_RUN raises it).",
    );
  });

  it("holds for the text as well", () => {
    const error = errorOf(() => parseWorkflow(example, { limits: { ...defaultLimits, definitionBytes: 100 } }));
    expect(error).toMatchObject({
      code: "BODY_TOO_LARGE",
      message: expect.stringContaining("SKEIN_MAX_DEFINITION_BYTES"),
    });
  });

  it("holds for the depth of a value", () => {
    let input: unknown = 1;
    for (let depth = 0; depth < 100_000; depth++) input = [input];
    expect(workflowIssues(workflow(task("a", { input }))).issues).toMatchObject([
      { message: expect.stringContaining("64 levels") },
    ]);
  });

  it("takes a workflow of 100,000 tasks and 200,000 needs", () => {
    const tasks = Array.from({ length: 100_000 }, (_, i) =>
      task(`t${i}`, i < 20 ? {} : { needs: [`t${i - 20}`, `t${i - 19}`] }),
    );
    expect(validateWorkflow(workflow(...tasks)).tasks).toHaveLength(100_000);
  });
});

describe("workflowHash", () => {
  it("is the same for the same content in another order", () => {
    const a = validateWorkflow({ name: "w", tasks: [{ id: "a", capability: "c", input: { x: 1, y: 2 } }] });
    const b = validateWorkflow({ tasks: [{ input: { y: 2, x: 1 }, capability: "c", id: "a" }], name: "w" });
    expect(workflowHash(a)).toBe(workflowHash(b));
    expect(workflowHash(a)).toMatch(/^[0-9a-f]{64}$/);
  });

  it("is another for another input or another order of tasks", () => {
    const hashes = [
      workflow(task("a", { input: 1 }), task("b")),
      workflow(task("a", { input: 2 }), task("b")),
      workflow(task("b"), task("a", { input: 1 })),
    ].map((value) => workflowHash(validateWorkflow(value)));
    expect(new Set(hashes).size).toBe(3);
  });
});

describe("workflowSchema", () => {
  it("becomes a JSON Schema in which every key is described", () => {
    const schema = z.toJSONSchema(workflowSchema, { target: "draft-2020-12" });
    const definitions = Object.values(schema.$defs ?? {});
    expect(Object.keys(schema.$defs ?? {}).sort()).toEqual([
      "ConcurrencyDefinition",
      "RateDefinition",
      "RetryDefinition",
      "RunConcurrencyDefinition",
      "RunRateDefinition",
      "TaskDefinition",
      "Workflow",
    ]);
    for (const definition of definitions) {
      expect(definition.additionalProperties).toBe(false);
      for (const [key, property] of Object.entries(definition.properties ?? {})) {
        const isReference = typeof property === "object" && "$ref" in property;
        expect(isReference || (property as { description?: string }).description, key).toBeTruthy();
      }
    }
    expect(schema.$defs!.TaskDefinition!.required).toEqual(["id"]);
    expect(schema.$defs!.TaskDefinition!.properties!.timeout).toMatchObject({
      type: "string",
      pattern: expect.any(String),
    });
  });
});

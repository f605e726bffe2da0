import { describe, expect, it } from "vitest";
import type { Json } from "../json.ts";
import { defaultLimits } from "../limits.ts";
import { type TaskDefinition, type Workflow, workflowIssues } from "../workflow.ts";
import type { Bounds } from "./bounds.ts";
import type { FindingCode } from "./finding.ts";
import { type ProofOptions, prove } from "./prove.ts";
import type { Contract, World } from "./world.ts";

type Tasks = Record<string, Partial<TaskDefinition>>;

function workflowOf(tasks: Tasks, more: Partial<Workflow> = {}): Workflow {
  const listed = Object.entries(tasks).map(([id, task]): TaskDefinition => {
    const isOther = ["wait", "loop", "workflow", "terminate", "cancel"].some((key) => key in task);
    return { id, ...(!isOther && { capability: "work" }), ...task };
  });
  return { name: "flow", tasks: listed, outputs: null, ...more };
}

function proofOf(workflow: Workflow, options: Partial<ProofOptions> = {}) {
  expect(workflowIssues(workflow).issues).toEqual([]);
  return prove(workflow, { limits: defaultLimits, ...options });
}

/** Findings of these codes, as `pointer: message`. */
function found(workflow: Workflow, codes: FindingCode[], options: Partial<ProofOptions> = {}): string[] {
  const { findings } = proofOf(workflow, options);
  return findings.filter(({ code }) => codes.includes(code)).map(({ pointer, message }) => `${pointer}: ${message}`);
}

const reach: FindingCode[] = ["TASK_NEVER_STARTS", "TASK_NEVER_COMPLETES"];
const contract = (name: string, more: Partial<Contract> = {}): Contract => ({
  name,
  version: "1",
  cost: 0,
  durationMs: 0,
  ...more,
});
const worldOf = (...contracts: Contract[]): World => ({
  contracts,
  agents: [
    {
      id: "1",
      name: "ann",
      labels: { region: "eu" },
      capabilities: contracts.map(({ name, version }) => ({ name, version })),
      slots: 1,
      busy: 0,
      isCordoned: false,
    },
  ],
  missingWorkflows: [],
  limits: [],
});

describe("what is out of reach", () => {
  it.each<[string, Tasks, string[]]>([
    ["nothing", { a: {}, b: { needs: ["a"] } }, []],
    ["nothing where a condition depends", { a: { when: "inputs.x" }, b: { needs: ["a"] } }, []],
    [
      "a condition that never holds, and who needs it",
      { a: { when: "false" }, b: { needs: ["a"] }, c: { needs: ["b"], trigger_rule: "all_done" } },
      [
        '/tasks/0: Task "a" can never start: its condition is always false.',
        '/tasks/1: Task "b" can never start: its join (all_success) asks for "a", which can never complete.',
      ],
    ],
    [
      "whoever can do without",
      { a: { when: "false" }, b: { needs: ["a"], trigger_rule: "none_failed" } },
      ["/tasks/0"],
    ],
    [
      "a rule about needs without any",
      { a: { trigger_rule: "one_success" } },
      ['/tasks/0: Task "a" can never start: its rule'],
    ],
    [
      "what needs the end of the run",
      { a: { terminate: "completed" }, b: { needs: ["a"] } },
      ['/tasks/1: Task "b" can never start: it needs "a", which ends the run.'],
    ],
    [
      "too few that can complete",
      { a: { when: "false" }, b: {}, c: { needs: ["a", "b"], join: { at_least: 2 } } },
      ["/tasks/0", '/tasks/2: Task "c" can never start: its join (2 of 2) asks for "a"'],
    ],
    [
      "a join of what never completes",
      { a: { when: "false" }, b: {}, c: { needs: ["a", "b"], join: "a && b" } },
      ["/tasks/0", "/tasks/2"],
    ],
    [
      "but not one that may do without",
      { a: { when: "false" }, b: {}, c: { needs: ["a", "b"], join: "!a && b" } },
      ["/tasks/0"],
    ],
    [
      "a loop that never ends",
      { a: { loop: { body: [{ id: "x", capability: "work" }], until: "false", max: 3 } }, b: { needs: ["a"] } },
      ['/tasks/0: Task "a" can never complete: the `until`', '/tasks/1: Task "b" can never start'],
    ],
    [
      "a task in a loop",
      { a: { loop: { body: [{ id: "x", capability: "work", when: "1 > 2 && false" }], until: "true", max: 3 } } },
      ['/tasks/0/loop/body/0: Task "x" can never start'],
    ],
    [
      "a map of too few",
      { a: { for_each: [1, 2], until: { succeeded: 3 } }, b: { needs: ["a"], trigger_rule: "all_failed" } },
      ['/tasks/0: Task "a" can never complete: 3 items have to complete, and it has no more than 2.'],
    ],
    ["but not of one that is given more", { a: { for_each: [1], until: { succeeded: 3 }, open: true } }, []],
  ])("is %s", (_, tasks, expected) => {
    const messages = found(workflowOf(tasks), reach);
    expect(messages).toEqual(expected.map((beginning) => expect.stringMatching(literal(beginning))));
  });

  it("is a map whose list the schema bounds", () => {
    const inputs = { type: "object", properties: { l: { type: "array", maxItems: 2 } } };
    const tasks = { a: { for_each: "{{ inputs.l }}", until: { succeeded: 3 } } };
    expect(found(workflowOf(tasks, { inputs }), reach)).toHaveLength(1);
    expect(found(workflowOf(tasks), reach)).toEqual([]);
  });
});

function literal(text: string): RegExp {
  return new RegExp(`^${text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}`);
}

describe("what is certainly wrong is refused", () => {
  const inputs = {
    type: "object",
    additionalProperties: false,
    properties: { topic: { type: "string" }, count: { type: "number" } },
  };
  it.each<[string, Tasks, string, string]>([
    [
      "a field that the inputs cannot have",
      { a: { input: "{{ inputs.topik }}" } },
      "/tasks/0/input",
      "EXPRESSION_NO_SUCH_FIELD",
    ],
    [
      "deep in a template",
      { a: { input: { x: [1, "{{ inputs.topik }}"] } } },
      "/tasks/0/input/x/1",
      "EXPRESSION_NO_SUCH_FIELD",
    ],
    ["a condition that is none", { a: { when: "inputs.count" } }, "/tasks/0/when", "EXPRESSION_TYPE"],
    ["a list that is none", { a: { for_each: "{{ inputs.topic }}" } }, "/tasks/0/for_each", "EXPRESSION_TYPE"],
    [
      "a field of an item",
      { a: { for_each: ["x"], input: "{{ item.f }}" } },
      "/tasks/0/input",
      "EXPRESSION_NO_SUCH_FIELD",
    ],
    [
      "a field of what a map gives",
      { a: { for_each: [1] }, b: { needs: ["a"], input: "{{ tasks.a.output.text }}" } },
      "/tasks/1/input",
      "EXPRESSION_NO_SUCH_FIELD",
    ],
    [
      "outputs of what is no map",
      { a: {}, b: { needs: ["a"], input: "{{ tasks.a.outputs }}" } },
      "/tasks/1/input",
      "EXPRESSION_NO_SUCH_FIELD",
    ],
    [
      "an until that is none",
      { a: { loop: { body: [{ id: "x", capability: "w" }], until: "index", max: 2 } } },
      "/tasks/0/loop/until",
      "EXPRESSION_TYPE",
    ],
    [
      "in a loop's body",
      { a: { loop: { body: [{ id: "x", capability: "w", when: "inputs.topik" }], until: "true", max: 2 } } },
      "/tasks/0/loop/body/0/when",
      "EXPRESSION_NO_SUCH_FIELD",
    ],
    [
      "in what undoes",
      { a: { compensate: { capability: "w", input: "{{ inputs.topik }}" } } },
      "/tasks/0/compensate/input",
      "EXPRESSION_NO_SUCH_FIELD",
    ],
    ["in a wait", { a: { wait: { signal: "{{ inputs.topic + 1 }}" } } }, "/tasks/0/wait/signal", "EXPRESSION_TYPE"],
    [
      "a join that contradicts itself",
      { a: {}, b: { needs: ["a"], join: "a && !a" } },
      "/tasks/1/join",
      "WORKFLOW_JOIN_UNSATISFIABLE",
    ],
  ])("%s", (_, tasks, pointer, code) => {
    const { issues } = workflowIssues(workflowOf(tasks, { inputs }));
    expect(issues.map((issue) => [issue.pointer, issue.code])).toEqual([[pointer, code]]);
  });

  it("in the outputs, too", () => {
    const workflow = workflowOf({ a: {} }, { inputs, outputs: { x: "{{ inputs.topik }}" } });
    expect(workflowIssues(workflow).issues).toMatchObject([{ pointer: "/outputs/x" }]);
  });

  it("and nothing that may be", () => {
    const tasks: Tasks = {
      a: {
        when: "has(inputs.topik) || inputs.topic.x == 1",
        input: "{{ inputs.topic }} {{ item }}",
        for_each: "{{ [] }}",
      },
      b: { needs: ["a"], input: "{{ tasks.a.outputs[0].whatever.there.is }}" },
      c: {
        needs: ["a"],
        loop: {
          body: [{ id: "x", capability: "w", input: "{{ previous.x.y }}" }],
          until: "tasks.x.output.done",
          max: 2,
        },
      },
    };
    expect(workflowIssues(workflowOf(tasks, { inputs })).issues).toEqual([]);
  });
});

describe("what agents say of themselves", () => {
  const object = (properties: Record<string, Json>, required: string[] = []) => ({
    type: "object",
    properties,
    required,
    additionalProperties: false,
  });
  const text = { type: "string" };
  const world = worldOf(
    contract("fetch", {
      inputSchema: object({ url: text, size: { type: "number" } }, ["url"]),
      outputSchema: object({ body: text }),
    }),
    contract("fetch2", { version: "2.1" }),
  );

  it("makes a field that they do not give doubtful, not wrong", () => {
    const tasks = {
      a: { capability: "fetch", input: { url: "x" } },
      b: { needs: ["a"], capability: "fetch2", input: "{{ tasks.a.output.text }}" },
    };
    const workflow = workflowOf(tasks);
    expect(proofOf(workflow, { world }).findings).toContainEqual({
      severity: "warning",
      code: "EXPRESSION_NO_SUCH_FIELD",
      pointer: "/tasks/1/input",
      message: expect.stringContaining('as "fetch" says, cannot have a field "text"'),
    });
    expect(found(workflow, ["EXPRESSION_NO_SUCH_FIELD"])).toEqual([]);
  });

  it.each<[string, Partial<TaskDefinition>, string[]]>([
    ["fits", { input: { url: "{{ inputs.u }}" } }, []],
    [
      "lacks a field",
      { input: { size: 3 } },
      ['/tasks/0/input: Task "a": its input has no "url", which "fetch" needs; add it.'],
    ],
    [
      "has one of another type",
      { input: { url: "x", size: "{{ inputs.n + 'px' }}" } },
      ['/tasks/0/input/size: Task "a": its `size` is a string, and "fetch" takes a number.'],
    ],
    [
      "has one too many",
      { input: { url: "x", ulr: 1 } },
      ['/tasks/0/input/ulr: Task "a": its input has a field "ulr", which "fetch" does not take. Did you mean "url"?'],
    ],
    [
      "is no object",
      { input: "{{ 1 + 1 }}" },
      ['/tasks/0/input: Task "a": its input is a number, and "fetch" takes an object.'],
    ],
    [
      "is not written at all",
      {},
      [
        '/tasks/0/capability: Task "a": its input has no "url", which "fetch" needs, which is what a task gets that has no `input`; add it.',
        expect.stringContaining('has a field "inputs"'),
        expect.stringContaining('has a field "needs"'),
      ],
    ],
    ["may be anything", { input: "{{ inputs.whole }}" }, []],
  ])("an input that %s", (_, task, expected) => {
    const workflow = workflowOf({ a: { capability: "fetch", ...task } });
    expect(found(workflow, ["INPUT_MISFIT"], { world })).toEqual(expected);
  });

  it.each<[string, Partial<TaskDefinition>, string | undefined]>([
    ["it is offered", { capability: "fetch" }, undefined],
    ["in a version that fits", { capability: "fetch2@^2" }, undefined],
    [
      "nobody offers it",
      { capability: "fecth" },
      "no agent offers fecth. Start an executor that does. The nearest that is offered is fetch.",
    ],
    ["in no version that fits", { capability: "fetch2@^3" }, "the nearest, ann, offers fetch2 in version 2.1, not ^3."],
    [
      "with a label that nobody has",
      { capability: "fetch", labels: { region: "us" } },
      "the nearest, ann, has region=eu, not us.",
    ],
    ["with another that nobody has as well", { capability: "fetch", requires: ["gpu"] }, "no agent offers gpu."],
    ["by somebody who is not there", { capability: "fetch", agent: "bob" }, "the nearest, ann, is not bob."],
    ["by the engine", { capability: "conversation.vote", input: { question: "?", members: ["a"] } }, undefined],
    ["by a person", { capability: "human.task", input: { form: { type: "object" } } }, undefined],
  ])("a task is done when %s", (_, task, why) => {
    const messages = found(workflowOf({ a: task }), ["CAPABILITY_NOT_OFFERED"], { world });
    expect(messages).toEqual(why === undefined ? [] : [expect.stringContaining(why)]);
  });

  it("says what nobody can undo, and which workflows are not registered", () => {
    const tasks = { a: { capability: "fetch", compensate: { capability: "undo" } }, b: { workflow: "child" } };
    const missing = { ...world, missingWorkflows: ["child"] };
    const codes: FindingCode[] = ["CAPABILITY_NOT_OFFERED", "WORKFLOW_NOT_FOUND"];
    expect(found(workflowOf(tasks), codes, { world: missing })).toEqual([
      expect.stringContaining('/tasks/0/compensate/capability: Nobody who is there can undo task "a"'),
      expect.stringContaining('/tasks/1/workflow: Task "b" runs the workflow child, which is not registered'),
    ]);
    expect(found(workflowOf(tasks), codes)).toEqual([]);
  });

  it("refuses what the key does not allow", () => {
    const workflow = workflowOf({ a: { capability: "fetch" } });
    expect(proofOf(workflow, { allowed: ["other"] }).findings).toContainEqual(
      expect.objectContaining({ severity: "error", code: "CAPABILITY_NOT_ALLOWED", pointer: "/tasks/0/capability" }),
    );
  });
});

describe("what nobody reads", () => {
  const codes: FindingCode[] = ["OUTPUT_UNUSED", "INPUT_UNUSED"];
  const inputs = { type: "object", properties: { a: {}, b: {} } };
  it.each<[string, Partial<Workflow>, Tasks, string[]]>([
    ["outputs", {}, { a: { input: 1 } }, ["/tasks/0"]],
    ["nothing that the run gives by default", { outputs: undefined as never }, { a: { input: 1 } }, []],
    ["nothing that the outputs read", { outputs: "{{ tasks.a.output }}" }, { a: { input: 1 } }, []],
    ["nothing that is handed on by default", {}, { a: { input: 1 }, b: { needs: ["a"] } }, ["/tasks/1"]],
    ["what is needed, and not read", {}, { a: { input: 1 }, b: { needs: ["a"], wait: { for: "1s" } } }, ["/tasks/0"]],
    [
      "nothing that a condition reads",
      {},
      { a: { input: 1 }, b: { needs: ["a"], wait: { for: "1s" }, when: "tasks.a.output.x" } },
      [],
    ],
    ["inputs", { inputs }, { a: { input: "{{ inputs.a }}" } }, ["/tasks/0", "/inputs/properties/b"]],
    ["no inputs where they are read whole", { inputs }, { a: { input: "{{ inputs }}" } }, ["/tasks/0"]],
    ["no inputs where they are handed on", { inputs }, { a: {} }, ["/tasks/0"]],
    ["no inputs that are computed", { inputs }, { a: { input: "{{ inputs['a'] + inputs.b }}" } }, ["/tasks/0"]],
  ])("is %s", (_, more, tasks, pointers) => {
    const workflow = workflowOf(tasks, more);
    if (more.outputs === undefined && "outputs" in more) delete workflow.outputs;
    expect(found(workflow, codes).map((line) => line.slice(0, line.indexOf(": ")))).toEqual(pointers);
  });
});

describe("bounds", () => {
  const world = worldOf(contract("work", { cost: 2, durationMs: 100 }));
  const boundsOf = (tasks: Tasks, more: Partial<Workflow> = {}): Bounds => {
    const once = { retry: { max_attempts: 1 }, timeout: "1s" };
    return proofOf(workflowOf(tasks, { defaults: once, ...more }), { world }).bounds;
  };

  it.each<[string, Tasks, Partial<Workflow>, Partial<Bounds>]>([
    [
      "one after the other",
      { a: {}, b: { needs: ["a"] } },
      {},
      {
        tasks: { least: 2, most: 2 },
        attempts: { least: 2, most: 2 },
        cost: { least: 4, most: 4 },
        durationMs: { least: 0, expected: 200, most: 2_000, path: ["a", "b"], keys: [] },
      },
    ],
    [
      "side by side, one of them perhaps",
      { a: {}, b: { when: "inputs.x" }, c: { needs: ["b"] } },
      {},
      {
        tasks: { least: 3, most: 3 },
        attempts: { least: 1, most: 3 },
        cost: { least: 2, most: 6 },
        durationMs: { least: 0, expected: 200, most: 2_000, path: ["b", "c"], keys: [] },
      },
    ],
    [
      "tried again",
      { a: { retry: { max_attempts: 3, backoff: "fixed", initial_delay: "1s", jitter: false } } },
      {},
      {
        attempts: { least: 1, most: 3 },
        cost: { least: 2, most: 6 },
        durationMs: { least: 0, expected: 100, most: 5_000, path: ["a"], keys: [] },
      },
    ],
    [
      "a list that is written",
      { a: { for_each: [1, 2, 3], max_concurrency: 2 } },
      {},
      {
        tasks: { least: 4, most: 4 },
        attempts: { least: 3, most: 3 },
        durationMs: { least: 0, expected: 200, most: 2_000, path: ["a"], keys: [] },
      },
    ],
    [
      "a list of which enough is enough",
      { a: { for_each: [1, 2, 3], until: { succeeded: 1 } } },
      {},
      { tasks: { least: 1, most: 4 }, attempts: { least: 0, most: 3 } },
    ],
    [
      "a list that the schema bounds",
      { a: { for_each: "{{ inputs.l }}" } },
      { inputs: { type: "object", properties: { l: { type: "array", minItems: 1, maxItems: 5 } } } },
      { tasks: { least: 2, most: 6 }, attempts: { least: 1, most: 5 } },
    ],
    [
      "a list of any length",
      { a: { for_each: "{{ inputs.l }}" } },
      {},
      {
        tasks: { least: 1, most: null },
        cost: { least: 0, most: null },
        open: [{ pointer: "/tasks/0/for_each", message: expect.stringContaining("maxItems") }],
      },
    ],
    [
      "a loop",
      {
        a: {
          loop: {
            body: [
              { id: "x", capability: "work" },
              { id: "y", capability: "work", needs: ["x"] },
            ],
            until: "index > 1",
            max: 4,
          },
        },
      },
      {},
      {
        tasks: { least: 3, most: 9 },
        attempts: { least: 2, most: 8 },
        durationMs: { least: 0, expected: 200, most: 8_000, path: ["a"], keys: [] },
      },
    ],
    [
      "waits",
      { a: { wait: { for: "5s" } }, b: { needs: ["a"], wait: { any_of: [{ for: "9s" }, { signal: "s" }] } } },
      {},
      {
        attempts: { least: 0, most: 0 },
        durationMs: { least: 5_000, expected: 5_000, most: 14_000, path: ["a", "b"], keys: [] },
      },
    ],
    [
      "a wait without end",
      { a: { wait: { signal: "s" } } },
      {},
      { durationMs: { least: 0, expected: 0, most: null, path: ["a"], keys: [] } },
    ],
    [
      "a deadline over it",
      { a: { wait: { signal: "s" } } },
      { deadline: "1m" },
      { durationMs: { least: 0, expected: 0, most: 60_000, path: ["a"], keys: [] } },
    ],
    [
      "what may have to be undone",
      { a: { compensate: { capability: "work" } } },
      {},
      { tasks: { least: 1, most: 2 }, attempts: { least: 1, most: 4 }, cost: { least: 2, most: 8 } },
    ],
    [
      "a capability that nobody offers",
      { a: { capability: "other" } },
      {},
      { unknown: ["other"], cost: { least: 0, most: 0 } },
    ],
    [
      "another workflow",
      { a: { workflow: "child" } },
      {},
      { tasks: { least: 1, most: 1 }, durationMs: { least: 0, expected: 0, most: null, path: ["a"], keys: [] } },
    ],
  ])("of %s", (_, tasks, more, expected) => {
    expect(boundsOf(tasks, more)).toMatchObject(expected);
  });

  describe("with the limits of tasks", () => {
    const items = (count: number) => Array.from({ length: count }, (_, n) => n);
    const rate = (limit: number, per: string, key = "k") => ({ rate: { key, limit, per } });
    const side = (count: number, task: Partial<TaskDefinition>): Tasks =>
      Object.fromEntries(items(count).map((n) => [`t${n}`, task]));
    const limit = (most: number, key = "k") => ({ concurrency: { key, limit: most } });
    const time = (least: number, expected: number, most: number | null) => ({ least, expected, most });
    const key = (least: number, expected = least, name = "k") => ({ key: name, least, expected });

    it.each<[string, Tasks, ReturnType<typeof time>, ReturnType<typeof key>[]]>([
      // 999 intervals of a second, of which 750 ms may have been kept; the most: each start waits for its turn.
      [
        "1,000 items at 60 a minute",
        { a: { for_each: items(1_000), ...rate(60, "1m") } },
        time(998_250, 998_250, 1_000_000),
        [key(998_250)],
      ],
      [
        "a rate that lets all start at once",
        { a: { for_each: items(5), ...rate(100, "1s") } },
        time(0, 100, 1_040),
        [],
      ],
      ["tasks side by side of a limit", side(10, limit(2)), time(0, 500, 6_000), [key(0, 500)]],
      ["as many as may run at once", side(3, limit(3)), time(0, 100, 1_000), [key(0, 100)]],
      ["one task of a limit", { a: limit(1) }, time(0, 100, 1_000), [key(0, 100)]],
      ["a map of a limit", { a: { for_each: items(6), ...limit(3) } }, time(0, 200, 3_000), [key(0, 200)]],
      [
        "a map of a limit and fewer at once of its own",
        { a: { for_each: items(6), max_concurrency: 2, ...limit(3) } },
        time(0, 300, 5_000),
        [key(0, 200)],
      ],
      [
        "a rate in the middle of a chain",
        { a: { wait: { for: "5s" } }, b: { needs: ["a"], for_each: items(11), ...rate(1, "1s") }, c: { needs: ["b"] } },
        time(14_250, 14_350, 17_000),
        [key(9_250)],
      ],
      [
        "a key that several places share",
        { a: { for_each: items(3), ...rate(1, "1s") }, b: rate(1, "1s"), c: rate(1, "1s", "other") },
        time(2_250, 2_250, 4_000),
        [key(2_250)],
      ],
      [
        "the loosest of several limits of a key",
        { ...side(4, limit(2)), b: limit(4), c: { ...limit(4), needs: ["b"] } },
        time(0, 200, 5_000),
        [key(0, 150)],
      ],
      [
        "both of one key",
        { a: { for_each: items(4), ...limit(1), ...rate(1, "1s") } },
        time(2_250, 2_250, 8_000),
        [key(2_250)],
      ],
      [
        "keys that each item has for itself, which may be one",
        { a: { for_each: items(4), ...limit(1, "{{ item }}") } },
        time(0, 100, 5_000),
        [],
      ],
      [
        "what is cancelled instead of waiting",
        { a: { for_each: items(9), concurrency: { key: "k", limit: 1, on_conflict: "cancel_new" } } },
        time(0, 100, 1_000),
        [],
      ],
      [
        "what the cache may answer",
        { a: { for_each: items(4), cache: { ttl: "1h" }, ...rate(1, "1s") } },
        time(0, 2_250, 4_000),
        [key(0, 2_250)],
      ],
      [
        "what may not start",
        { a: { when: "inputs.x", for_each: items(4), ...rate(1, "1s") } },
        time(0, 2_250, 4_000),
        [key(0, 2_250)],
      ],
      [
        "a loop",
        { a: { loop: { body: [{ id: "x", capability: "work", ...rate(1, "1s") }], until: "index > 1", max: 4 } } },
        time(0, 100, 7_000),
        [],
      ],
      ["a list of any length", { a: { for_each: "{{ inputs.l }}", ...rate(1, "1s") } }, time(0, 100, null), []],
      ["a key that nobody limits", { a: { concurrency: { key: "k" } } }, time(0, 100, 1_000), []],
    ])("%s", (_, tasks, expected, keys) => {
      const { path: __, ...durationMs } = boundsOf(tasks).durationMs;
      expect(durationMs).toEqual({ ...expected, keys });
    });

    it.each<[string, Partial<World["limits"][number]>, ReturnType<typeof time>]>([
      ["nothing", {}, time(0, 500, 6_000)],
      ["more at once", { concurrency: 5 }, time(0, 200, 3_000)],
      ["fewer at once", { concurrency: 1 }, time(0, 1_000, 11_000)],
      ["a rate", { rate: { limit: 1, perMs: 1_000 } }, time(8_250, 8_250, 15_000)],
      ["another key", { key: "other", concurrency: 1 }, time(0, 500, 6_000)],
      ["all tasks of the capability", { key: "@capability:work", concurrency: 1 }, time(0, 1_000, 16_000)],
      ["all of another capability", { key: "@capability:other", concurrency: 1 }, time(0, 500, 6_000)],
      ["a rate of all tasks", { key: "@namespace", rate: { limit: 2, perMs: 1_000 } }, time(3_750, 3_750, 10_500)],
    ])("counts what the namespace has set in their place: %s", (_, set, expected) => {
      const limits = [{ key: "k", concurrency: null, rate: null, ...set }];
      const once = { retry: { max_attempts: 1 }, timeout: "1s" };
      const workflow = workflowOf(side(10, limit(2)), { defaults: once });
      expect(proofOf(workflow, { world: { ...world, limits } }).bounds.durationMs).toMatchObject(expected);
    });

    it("is held against the deadline", () => {
      const slow = { a: { for_each: items(1_000), ...rate(60, "1m") } };
      expect(found(workflowOf(slow, { deadline: "16m" }), ["DEADLINE_TOO_SHORT"])).toHaveLength(1);
      expect(found(workflowOf(slow, { deadline: "17m" }), ["DEADLINE_TOO_SHORT"])).toEqual([]);
    });
  });

  it("are held against limits and deadlines", () => {
    const many = {
      a: {
        for_each: Array.from({ length: 400 }, (_, n) => n),
        loop: { body: [{ id: "x", capability: "work" }], until: "index > 3", max: 500 },
      },
    };
    expect(found(workflowOf(many), ["MAY_EXCEED_LIMIT"])).toEqual([
      expect.stringContaining("A run may have 200,401 tasks; the limit is 100,000 tasks per run"),
    ]);
    const costly = workflowOf({ a: {}, b: {} }, { budget: { calls: 1, cost: 3, wall_time: "1s" } });
    expect(found(costly, ["BUDGET_TOO_SMALL"], { world })).toEqual([
      "/budget/calls: A run needs at least 2 attempts, and its budget has `calls: 1`; raise that.",
      "/budget/cost: A run needs at least 4, and its budget has `cost: 3`; raise that.",
    ]);
    const cached = { cache: { ttl: "1h" }, estimate: { cost: 9 } };
    expect(
      found(workflowOf({ a: cached, b: {} }, { budget: { calls: 1, cost: 3 } }), ["BUDGET_TOO_SMALL"], { world }),
    ).toEqual([]);
    const slow = { a: { wait: { for: "2h" } } };
    expect(found(workflowOf(slow, { deadline: "1h" }), ["DEADLINE_TOO_SHORT"])).toHaveLength(1);
    expect(found(workflowOf({ ...slow, b: { cancel: "a" } }, { deadline: "1h" }), ["DEADLINE_TOO_SHORT"])).toEqual([]);
  });
});

it("tells some of each kind, however much there is", () => {
  const many = Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`t${n}`, { when: "false", input: 1 }]));
  const { findings } = proofOf(workflowOf(many));
  expect(findings.length).toBe(51);
  expect(findings.at(-1)!.message).toMatch(/^Nobody reads what 300 tasks give: t0, t1, .*t9, …\./);
  expect(new Set(findings.map(({ code }) => code))).toEqual(new Set(["TASK_NEVER_STARTS", "OUTPUT_UNUSED"]));
});

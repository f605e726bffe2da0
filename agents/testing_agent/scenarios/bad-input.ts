import type { ErrorCode } from "../../../core/errors.ts";
import type { JsonObject } from "../../../core/json.ts";
import { equal, refused } from "../expect.ts";
import type { Scenario } from "../scenario.ts";

export const badInput: Scenario = {
  name: "bad-input",
  title: "What is wrong with a request is refused with a stable code and a pointer to each flaw",
  async play({ client, submit, step }) {
    for (const { what, code, pointer, tasks } of definitions) {
      step(`submit ${what}`);
      const error = await refused(what, code, submit({ definition: { name: "bad-input", tasks } }));
      equal(`where ${what} is said to be wrong`, error.issues[0]?.pointer, `/definition${pointer}`);
    }

    step("submit inputs that the workflow's schema forbids");
    const inputs = { type: "object", required: ["n"], properties: { n: { type: "integer" } } };
    const definition = { name: "bad-input", inputs, tasks: [echo("a")] };
    const error = await refused("inputs", "RUN_INPUTS_INVALID", submit({ definition, inputs: { n: "one" } }));
    equal("where the inputs are said to be wrong", error.issues[0]?.pointer, "/inputs/n");

    step("submit a schema that is none");
    const odd = { name: "bad-input", inputs: { type: "goose" }, tasks: [echo("a")] };
    await refused("a schema that is none", "WORKFLOW_SCHEMA_INVALID", submit({ definition: odd }));

    step("validate a file with a misspelt key");
    const file = "name: bad-input\ntasks:\n  - id: a\n    capabilty: core.echo\n";
    const { valid, errors } = await client.workflows.validate(file);
    equal("whether the file is valid", valid, false);
    const misspelt = errors.find(({ code }) => code === "WORKFLOW_KEY_UNKNOWN");
    equal("where in the file it is wrong", [misspelt?.line, misspelt?.column], [4, 5]);

    step("read a run that does not exist");
    await refused("an unknown run", "RUN_NOT_FOUND", client.runs.get("0198c0de-0000-7000-8000-000000000000"));
    await refused("a malformed id", "REQUEST_INVALID", client.runs.get("not-an-id"));
  },
};

function echo(id: string, more: JsonObject = {}): JsonObject {
  return { id, capability: "core.echo", ...more };
}

/** Pointers are into the definition. */
const definitions: { what: string; code: ErrorCode; pointer: string; tasks: JsonObject[] }[] = [
  {
    what: "a cycle",
    code: "WORKFLOW_HAS_CYCLE",
    pointer: "/tasks/0/needs",
    tasks: [echo("a", { needs: ["b"] }), echo("b", { needs: ["a"] })],
  },
  {
    what: "a need that does not exist",
    code: "WORKFLOW_NEED_UNKNOWN",
    pointer: "/tasks/1/needs/0",
    tasks: [echo("a"), echo("b", { needs: ["c"] })],
  },
  {
    what: "two tasks of one name",
    code: "WORKFLOW_TASK_DUPLICATE",
    pointer: "/tasks/0/id",
    tasks: [echo("a"), echo("a")],
  },
  {
    what: "a duration that is none",
    code: "WORKFLOW_DURATION_INVALID",
    pointer: "/tasks/0/timeout",
    tasks: [echo("a", { timeout: "soon" })],
  },
  {
    what: "an expression over a task that is no need",
    code: "EXPRESSION_NOT_A_NEED",
    pointer: "/tasks/1/input/n",
    tasks: [echo("a"), echo("b", { input: { n: "{{ tasks.a.output }}" } })],
  },
  {
    what: "a key that does not exist",
    code: "WORKFLOW_KEY_UNKNOWN",
    pointer: "/tasks/0/neds",
    tasks: [echo("a", { neds: [] })],
  },
  {
    what: "an id that is none",
    code: "WORKFLOW_INVALID",
    pointer: "/tasks/0/id",
    tasks: [echo("a b")],
  },
  {
    what: "a cancel of what does not exist",
    code: "WORKFLOW_CANCEL_UNKNOWN",
    pointer: "/tasks/1/cancel",
    tasks: [echo("a"), { id: "b", cancel: "c" }],
  },
  {
    what: "an expression that cannot be read",
    code: "EXPRESSION_SYNTAX",
    pointer: "/tasks/0/when",
    tasks: [echo("a", { when: "1 +" })],
  },
  {
    what: "an expression over nothing",
    code: "EXPRESSION_UNKNOWN_NAME",
    pointer: "/tasks/0/when",
    tasks: [echo("a", { when: "geese > 1" })],
  },
  {
    what: "an expression with a function that is refused",
    code: "EXPRESSION_NOT_ALLOWED",
    pointer: "/tasks/0/when",
    tasks: [echo("a", { when: "'a'.matches('a')" })],
  },
  {
    what: "an expression without end",
    code: "EXPRESSION_LIMIT",
    pointer: "/tasks/0/when",
    tasks: [echo("a", { when: `${"1+".repeat(5_000)}1 > 0` })],
  },
];

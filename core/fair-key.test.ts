import { describe, expect, it } from "vitest";
import { fairIdOf, fairKeyOf, MAX_FAIR_KEY_LENGTH } from "./fair-key.ts";
import { validateWorkflow } from "./workflow.ts";

const run = { id: "run-1", attempt: 2 };

describe("the fair key of a run", () => {
  it.each([
    [undefined, {}, null],
    ["everyone", {}, "everyone"],
    ["{{ inputs.tenant }}", { tenant: "acme" }, "acme"],
    ["{{ inputs.tenant }}", { tenant: 7 }, "7"],
    ["{{ inputs.tenant }}", { tenant: { id: 7 } }, '{"id":7}'],
    ["{{ inputs.team }}/{{ inputs.tenant }}", { team: "a", tenant: "b" }, "a/b"],
    ["{{ run.id }}", {}, "run-1"],
    ["x".repeat(MAX_FAIR_KEY_LENGTH), {}, "x".repeat(MAX_FAIR_KEY_LENGTH)],
  ])("of %j with %j is %j", (fair_key, inputs, key) => {
    expect(fairKeyOf({ name: "flow", ...(fair_key !== undefined && { fair_key }) }, inputs, run)).toBe(key);
  });

  it.each([
    ["{{ inputs.tenant }}", {}, /cannot be told/],
    ["{{ inputs.tenant }}", { tenant: "" }, /is empty/],
    ["{{ inputs.tenant }}", { tenant: "x".repeat(MAX_FAIR_KEY_LENGTH + 1) }, /has 257 characters; it may have 256/],
  ])("of %j with %j is refused", (fair_key, inputs, message) => {
    let refused: unknown;
    try {
      fairKeyOf({ name: "flow", fair_key }, inputs, run);
    } catch (error) {
      refused = error;
    }
    expect(refused).toMatchObject({ code: "RUN_INPUTS_INVALID", issues: [{ pointer: "/inputs" }] });
    expect((refused as Error).message).toMatch(message);
  });

  it("is one UUID for each key in each namespace", () => {
    const ids = [
      fairIdOf("one", "a"),
      fairIdOf("one", "a"),
      fairIdOf("two", "a"),
      fairIdOf("one", "b"),
      fairIdOf("one", ""),
    ];
    expect(new Set(ids).size).toBe(4);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/);
  });
});

describe("the fair_key of a workflow", () => {
  const workflow = (fair_key: unknown) => ({ name: "flow", fair_key, tasks: [{ id: "a", capability: "work" }] });
  const flawOf = (fair_key: unknown) => {
    try {
      validateWorkflow(workflow(fair_key));
      return undefined;
    } catch (error) {
      const [issue] = (error as { issues: { code: string; pointer: string }[] }).issues;
      return `${issue!.code} ${issue!.pointer}`;
    }
  };

  it.each(["everyone", "{{ inputs.tenant }}", "{{ run.id }} {{ inputs.a }}"])("may be %j", (fair_key) => {
    expect(flawOf(fair_key)).toBeUndefined();
  });

  it.each([
    ["{{ tasks.a.output }}", "EXPRESSION_UNKNOWN_NAME /fair_key"],
    ["{{ item }}", "EXPRESSION_UNKNOWN_NAME /fair_key"],
    ["{{ inputs.", "EXPRESSION_SYNTAX /fair_key"],
    ["", "WORKFLOW_INVALID /fair_key"],
    [7, "WORKFLOW_INVALID /fair_key"],
  ])("may not be %j: %s", (fair_key, flaw) => {
    expect(flawOf(fair_key)).toBe(flaw);
  });
});

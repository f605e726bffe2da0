import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { editorSchemaText } from "./editor-schema.ts";

const root = join(import.meta.dirname, "..");
const committed = readFileSync(join(root, "docs", "workflow.schema.json"), "utf8");
const isValid = new Ajv({ strictTypes: false, allowUnionTypes: true }).compile(JSON.parse(committed));
const examples = readdirSync(join(root, "examples")).filter((file) => file.endsWith(".yaml"));

describe("docs/workflow.schema.json", () => {
  it("is what `npm run schema` writes", () => {
    expect(committed).toBe(editorSchemaText());
  });

  it.each(examples)("accepts examples/%s", (file) => {
    isValid(parse(readFileSync(join(root, "examples", file), "utf8")));
    expect(isValid.errors).toBeNull();
  });

  it.each([
    ["an unknown key", { cron: "x" }],
    ["a duration without a unit", { deadline: "30" }],
    ["an unknown rule", { tasks: [{ id: "a", capability: "c", trigger_rule: "all" }] }],
    ["a join of no needs", { tasks: [{ id: "a", capability: "c", join: { at_least: 0 } }] }],
  ])("refuses %s", (_, more) => {
    const workflow = { name: "w", tasks: [{ id: "a", capability: "c" }] };
    expect(isValid(workflow)).toBe(true);
    expect(isValid({ ...workflow, ...more })).toBe(false);
  });
});

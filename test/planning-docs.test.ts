/** docs/planning.md says what the code does: what it shows is run here or by examples/planning, and what it lists is all there is. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { invoke } from "../cli/invoke.suite.ts";
import { loadConfig } from "../config.ts";
import { type ErrorCode, errorTitles } from "../core/errors.ts";
import { defaultLimits, limitKey } from "../core/limits.ts";
import { plannableShape } from "../core/planner/capability.ts";
import { judgePlan } from "../core/planner/gate.ts";
import { goalSchema, preferences, readGoal } from "../core/planner/goal.ts";
import { capability } from "../core/planner/samples.suite.ts";
import { templatePlanner } from "../core/planner/template-planner.ts";
import { planFormats } from "../core/protocol/plans.ts";
import { validateWorkflow } from "../core/workflow.ts";

const docs = join(import.meta.dirname, "../docs");
const examples = join(import.meta.dirname, "../examples/planning");
const text = readFileSync(join(docs, "planning.md"), "utf8");
const blocks = (language: string) =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"))].map(([, code]) => code!);
const example = (file: string) => readFileSync(join(examples, file), "utf8");
/** The first cells of all rows of tables that are code. */
const keys = [...text.matchAll(/^\| (`[^|]+`) +\|/gm)].flatMap(([, cell]) =>
  [...cell!.matchAll(/`([^`]+)`/g)].map(([, key]) => key!),
);

describe("what docs/planning.md shows", () => {
  const [goal, template] = blocks("yaml");

  it("is the goal and the capabilities of the example, which tests run", () => {
    expect(blocks("yaml")).toHaveLength(2);
    expect(parse(goal!)).toEqual(parse(example("goal.yaml")));
    const [lead, verdict] = blocks("ts");
    expect(blocks("ts")).toHaveLength(2);
    expect(example("newsroom.ts")).toContain(lead);
    expect(example("strike.ts")).toContain(verdict!.trim());
    expect(Object.keys(plannableShape).filter((key) => !text.includes(`\`${key}\``))).toEqual([]);
  });

  it("is a template that fits a goal, and passes the gate", async () => {
    const workflow = validateWorkflow(parse(template!));
    const capabilities = [
      capability("read", "", { consumes: { url: "web.url" }, produces: { text: "document.text" } }),
      capability("shorten", "", { consumes: { text: "document.text" }, produces: { summary: "document.summary" } }),
    ];
    const wish = readGoal({ have: { page: { type: "web.url" } }, want: { summary: "document.summary" } });
    const outcome = await templatePlanner.plan(wish, capabilities, {
      flawsOf: (plan) => judgePlan(plan, { goal: wish, capabilities, limits: defaultLimits }).issues,
      accepted: async () => [],
      templates: async () => [{ name: "digest", version: 1, workflow }],
      signal: new AbortController().signal,
    });
    expect(outcome).toMatchObject({
      outcome: "planned",
      plan: { workflow: { tasks: [{ id: "get" }, { id: "shorten" }] } },
    });
  });

  const lines = blocks("bash").flatMap((block) => block.split("\n").filter((line) => line.startsWith("skein ")));
  it.each(lines)("is a command that there is: %s", async (line) => {
    const words = line
      .replace(/#.*$/, "")
      .replaceAll(/"[^"]*"/g, "x")
      .trim()
      .split(/\s+/)
      .slice(1);
    const nouns = words.slice(0, words[0] === "plan" ? 1 : 2);
    const { code, stdout } = await invoke([...nouns, "--help"]);
    expect([code, stdout]).toEqual([0, expect.stringContaining(`Usage: skein ${nouns.join(" ")} `)]);
    for (const option of words.filter((word) => word.startsWith("--"))) expect(stdout).toContain(`  ${option} `);
  });
});

describe("docs/planning.md lists", () => {
  it("every key of a goal, every preference, and every format", () => {
    expect(Object.keys(goalSchema.shape).filter((key) => !keys.includes(key))).toEqual([]);
    for (const word of [...preferences, ...planFormats]) expect(text).toMatch(new RegExp(`\`(\\?format=)?${word}\``));
  });

  it("variables that there are, with their defaults", () => {
    const variables = keys.filter((key) => /^(SKEIN|OPENAI)_/.test(key));
    expect(variables.length).toBeGreaterThan(6);
    const known = readFileSync(join(docs, "../config.ts"), "utf8");
    expect(variables.filter((name) => !known.includes(`  ${name}: `))).toEqual([]);
    const { repairs, tokens, timeMs } = loadConfig({}).planning;
    for (const [name, value] of [
      ["REPAIRS", repairs],
      ["TOKENS", tokens],
      ["TIMEOUT_MS", timeMs],
    ] as const) {
      expect(text).toMatch(new RegExp(`SKEIN_PLAN_${name}\` .*default ${value.toLocaleString("en")} `));
    }
  });

  it("every code of goals and plans, and no other", () => {
    const codes = new Set(
      [...text.matchAll(/`((?:GOAL|PLAN|PLANNER)_[A-Z_]+)`/g)].map(([, code]) => code as ErrorCode),
    );
    const own = (Object.keys(errorTitles) as ErrorCode[]).filter((code) => /^(GOAL|PLAN|PLANNER)_/.test(code));
    expect([...codes].toSorted()).toEqual(own.toSorted());
  });

  it("the limits of plans", () => {
    for (const name of ["planTasks", "planDepth"] as const) {
      expect(text).toContain(
        `${defaultLimits[name].toLocaleString("en")} ${name === "planTasks" ? "tasks" : "in a row"} (\`${limitKey(name)}\`)`,
      );
    }
  });

  it("links that lead somewhere", () => {
    const links = [...text.matchAll(/\]\(([^)#\s]+)/g)].map(([, target]) => target!);
    expect(links.length).toBeGreaterThan(4);
    expect(links.filter((link) => !existsSync(join(docs, link)))).toEqual([]);
  });
});

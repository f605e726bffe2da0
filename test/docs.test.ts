/** What the documents of the workflow file promise is there, and what is there is in the documents. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { performTask } from "../agents/executor_agents/perform-task.ts";
import { triggerRules } from "../core/join.ts";
import { defaultLimits, formatCount, type LimitName, limitKey } from "../core/limits.ts";
import { workflowSchema } from "../core/workflow.ts";
import { promises } from "../examples/promises.suite.ts";
import { defineExecutor } from "../sdk/executor.ts";

const docs = join(dirname(import.meta.dirname), "docs");
const patterns = readFileSync(join(docs, "patterns.md"), "utf8");
const reference = readFileSync(join(docs, "workflow-file.md"), "utf8");

/** Cells of every row that begins with a number. */
const rows = [...patterns.matchAll(/^\| (\d+) +\|.*$/gm)].map(([line]) => {
  const [, number = "", name = "", construct = "", example = "", tests = ""] = line
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim());
  return { number: Number(number), name, construct, example, tests };
});
const isRefused = (row: (typeof rows)[number]) => row.construct.startsWith("refused: ");
const isPlanned = (row: (typeof rows)[number]) => row.construct.startsWith("planned: ");
const direct = rows.filter((row) => !isRefused(row) && !isPlanned(row));

function linksIn(text: string): string[] {
  return [...text.matchAll(/\]\(([^)#\s]+)/g)]
    .map(([, target]) => target!)
    .filter((target) => !/^https?:/.test(target));
}

/** The keys of every object that a JSON Schema describes, at any depth. */
function keysIn(schema: unknown): string[] {
  if (typeof schema !== "object" || schema === null) return [];
  return Object.entries(schema).flatMap(([key, child]) => [
    ...(key === "properties" ? Object.keys(child as object) : []),
    ...keysIn(child),
  ]);
}

describe("docs/patterns.md", () => {
  it("has a row for each of the 43 patterns, in order", () => {
    expect(rows.map((row) => row.number)).toEqual(Array.from({ length: 43 }, (_, i) => i + 1));
    expect(new Set(rows.map((row) => row.name)).size).toBe(43);
  });

  it("refuses at most 7, with a reason, arbitrary cycles among them", () => {
    const refused = rows.filter(isRefused);
    expect(refused.length).toBeLessThanOrEqual(7);
    expect(refused.map((row) => row.name)).toContain("Arbitrary Cycles");
    for (const { construct, example, tests } of refused) {
      expect(construct.length).toBeGreaterThan(40);
      expect([example, tests]).toEqual(["", ""]);
    }
  });

  it.each(direct)("shows WCP-$number, $name, in an example whose order of events is asserted, and in a test", (row) => {
    const [example = "", ...others] = linksIn(row.example);
    const name = example.match(/^\.\.\/examples\/(.+)\.yaml$/)?.[1] ?? "";
    expect(others).toEqual([]);
    expect(promises[name]?.order?.length).toBeGreaterThan(0);
    expect(linksIn(row.tests).length).toBeGreaterThan(0);
    for (const test of linksIn(row.tests)) expect(test).toMatch(/\.test\.ts$|\/suite\//);
  });
});

describe.each(["cache.md", "executors.md", "patterns.md", "payloads.md", "runs.md", "workflow-file.md"])(
  "docs/%s",
  (file) => {
    it("links only to what exists", () => {
      const links = linksIn(readFileSync(join(docs, file), "utf8"));
      expect(links.length).toBeGreaterThan(0);
      expect(links.filter((link) => !existsSync(join(docs, link)))).toEqual([]);
    });
  },
);

describe("docs/workflow-file.md", () => {
  it("has every key of the schema and every rule", () => {
    const keys = keysIn(z.toJSONSchema(workflowSchema));
    expect(keys).toContain("cancel_rest");
    const inCode = reference.match(/`[^`\n]+`/g)!.join(" ");
    for (const word of [...keys, ...triggerRules]) expect(inCode).toMatch(new RegExp(`\\b${word}\\b`));
  });

  it.each(["tasksPerRun", "edgesPerRun", "parentsPerTask", "depth", "jsonDepth", "labels"] satisfies LimitName[])(
    "has the limit %s and how to set it",
    (name) => {
      const row = reference.split("\n").find((line) => line.includes(`\`${limitKey(name)}\``));
      expect(row).toContain(`| ${formatCount(defaultLimits[name])} `);
    },
  );
});

describe("docs/executors.md", () => {
  const text = readFileSync(join(docs, "executors.md"), "utf8");
  const folder = join(dirname(docs), "examples", "executors");
  const files = readdirSync(folder).map((name) => ({ name, content: readFileSync(join(folder, name), "utf8") }));
  const blocks = [...text.matchAll(/^```(ts|js|yaml)\n(.*?)^```$/gms)].map(([, , code]) => code!);

  it("shows every file of examples/executors, which tests run, from its first line to its last", () => {
    const shown = files.filter(({ content }) => blocks.some((block) => withoutPragma(content) === block));
    expect(shown.map(({ name }) => name)).toEqual(files.map(({ name }) => name));
    expect(blocks).toHaveLength(files.length);
  });

  it("names everything that a handler is given, and every part of a test's result", async () => {
    let given: string[] = [];
    const curious = defineExecutor({
      capability: "test.curious",
      run: (context) => {
        given = Object.keys(context);
      },
    });
    const result = await performTask(curious, null);
    for (const name of [...given, ...Object.keys(result), "error", "retryable", "thrown", "traceparent"]) {
      expect(text).toMatch(new RegExp(`\\|.*\`(await )?${name}\\b.*\\|`));
    }
  });
});

/** The first line of a module that imports the package as JavaScript: only a comment for our compiler. */
function withoutPragma(content: string): string {
  return content.replace(/^\/\/ @ts-nocheck.*\n/, "");
}

/** What is odd about a workflow is told before it runs, and a run of the corrected one keeps within its bounds. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createClient, type Embedded, loadConfig, parseWorkflow, startEmbedded } from "../../index.ts";

let system: Embedded;
beforeAll(async () => {
  const logger = pino({ level: "silent" });
  system = await startEmbedded({ config: loadConfig({ PORT: "0" }), logger, inMemory: true });
});
afterAll(() => system?.stop());

const textOf = (name: string) => readFileSync(join(import.meta.dirname, `${name}.yaml`), "utf8");

it("odd.yaml is told what is odd about it, by line", async () => {
  const { valid, findings, bounds } = await createClient({ url: system.url }).workflows.validate(textOf("odd"));
  expect(valid).toBe(true);
  expect(findings!.map(({ severity, code, line }) => `${line} ${severity} ${code}`)).toEqual([
    "16 warning TASK_NEVER_STARTS",
    "21 warning TASK_NEVER_STARTS",
    "28 warning INPUT_MISFIT",
    "32 warning CAPABILITY_NOT_OFFERED",
    "21 info OUTPUT_UNUSED",
    "25 info OUTPUT_UNUSED",
    "8 info INPUT_UNUSED",
  ]);
  expect(findings!.find(({ code }) => code === "CAPABILITY_NOT_OFFERED")!.message).toContain(
    "The nearest that is offered is core.echo.",
  );
  expect(bounds).toMatchObject({ tasks: { least: 5, most: 25 }, attempts: { least: 1, most: 52 } });
});

it("limited.yaml is told how long its limits keep it going, and a run of it ends no sooner", async () => {
  const client = createClient({ url: system.url });
  const { findings, bounds } = await client.workflows.validate(textOf("limited"));
  expect(findings!.filter(({ severity }) => severity !== "info")).toEqual([]);
  const { least, keys } = bounds!.duration_ms;
  // Eleven intervals of 200 ms after the first start, of which 750 ms may have been kept.
  expect([least, keys]).toEqual([1_450, [{ key: "pages.example.org", least: 1_450, expected: 1_450 }]]);
  const run = await client.runs.submit({ definition: parseWorkflow(textOf("limited")) }, { wait: 30 });
  expect(run).toMatchObject({ status: "completed" });
  expect(Date.parse(run.finished_at!) - Date.parse(run.created_at)).toBeGreaterThanOrEqual(least);
});

it("plain.yaml is told nothing, and a run of it keeps within what was told", async () => {
  const client = createClient({ url: system.url });
  const { findings, bounds } = await client.workflows.validate(textOf("plain"));
  expect(findings).toEqual([]);
  const inputs = { pages: ["one", "two", "three"] };
  const run = await client.runs.submit({ definition: parseWorkflow(textOf("plain")), inputs }, { wait: 30 });
  expect(run).toMatchObject({ status: "completed" });
  const { data } = await client.runs.tasks(run.id);
  expect(data.length).toBeGreaterThanOrEqual(bounds!.tasks.least);
  expect(data.length).toBeLessThanOrEqual(bounds!.tasks.most!);
});

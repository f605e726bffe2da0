/** docs/experiments.md names everything that there is, and its example is one. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { behaviourNames, behaviourSchema, failures } from "../core/experiment/behaviour.ts";
import { parseExperiment } from "../core/experiment/experiment.ts";
import { experimentSchema, faultsSchema, termKeys } from "../core/experiment/schema.ts";
import { measureNames } from "../core/experiment/summary.ts";

const text = readFileSync(join(import.meta.dirname, "../docs/experiments.md"), "utf8");
const traits = Object.keys(behaviourSchema.options[1].shape).filter((key) => key !== "kind");

describe("docs/experiments.md", () => {
  it.each([
    ["key of a file", Object.keys(experimentSchema.shape)],
    ["key of the matrix", Object.keys(experimentSchema.shape.matrix.shape)],
    ["term", termKeys],
    ["behaviour", behaviourNames],
    ["failure", failures],
    ["trait", traits],
    ["key of a fault profile", Object.keys(faultsSchema.shape)],
    ["measure", measureNames],
  ])("names every %s", (_, names) => {
    expect(names.length).toBeGreaterThan(3);
    expect(names.filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
  });

  it("has an example that can be played", () => {
    const [, example] = /```yaml\n(.*?)```/s.exec(text)!;
    expect(parseExperiment(example!).cells).toHaveLength(27);
  });
});

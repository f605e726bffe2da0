/** The experiments that come with Skein: they are valid, their protocol is one field, and what they say is to be seen is so. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { protocolNames } from "../../core/conversation/state.ts";
import { type Experiment, parseExperiment } from "../../core/experiment/experiment.ts";
import { type CellSummary, type MeasureName, summarize } from "../../core/experiment/summary.ts";
import { simulate } from "../../core/experiment/trial.ts";
import { trialsOf } from "../../core/experiment/trials.ts";

const textOf = (name: string) => readFileSync(join(import.meta.dirname, `${name}.yaml`), "utf8");

function played(experiment: Experiment): CellSummary[] {
  return summarize(
    experiment.cells,
    trialsOf(experiment).map((trial) => simulate(trial).result),
  );
}

/** The mean of a measure in the cell that has these. */
function meanIn(
  summaries: readonly CellSummary[],
  measure: MeasureName,
  cell: { protocol: string; faults: string; size: number },
) {
  const found = summaries.filter(
    (one) =>
      one.cell.protocol === cell.protocol && one.cell.faultsName === cell.faults && one.cell.teamSize === cell.size,
  );
  expect(found).toHaveLength(1);
  return found[0]!.estimates[measure]!;
}

describe("the experiments", () => {
  it.each(["abc", "allocation", "agreement"])("%s is named like its file, and says what is to be seen", (name) => {
    const experiment = parseExperiment(textOf(name));
    expect(experiment.name).toBe(name);
    expect(experiment.notes.length).toBeGreaterThan(200);
  });

  it.each(protocolNames)("abc is one of %s alone by changing one field", (protocol) => {
    const text = textOf("abc").replace(/ {2}protocol:\n( {4}- .*\n)+/, `  protocol: ${protocol}\n`);
    const experiment = parseExperiment(text);
    expect(experiment.cells.map((cell) => [cell.protocol, cell.faultsName])).toEqual([
      [protocol, "none"],
      [protocol, "lossy"],
    ]);
    const [sound] = played({ ...experiment, repetitions: 3 });
    expect(sound!.estimates.success!.mean).toBe(1);
  });
});

describe("allocation", () => {
  const summaries = played(parseExperiment(textOf("allocation")));
  const mean = (measure: MeasureName, protocol: string, faults: string, size: number) =>
    meanIn(summaries, measure, { protocol, faults, size });

  it.each([3, 6, 10])(
    "in teams of %i: a contract net survives the crashes that an auction and a supervisor do not",
    (size) => {
      expect(mean("success", "contract-net", "crash", size).mean).toBe(1);
      for (const protocol of ["auction", "supervisor"]) {
        expect(mean("success", protocol, "crash", size).high).toBeLessThan(
          mean("success", "contract-net", "crash", size).low!,
        );
      }
    },
  );

  it.each([3, 6, 10])(
    "in teams of %i: the cheapest do the work, but not for a supervisor, who asks for no bids",
    (size) => {
      expect(mean("cost", "auction", "none", size).mean).toBe(mean("cost", "contract-net", "none", size).mean);
      expect(mean("cost", "supervisor", "none", size).low).toBeGreaterThan(
        mean("cost", "contract-net", "none", size).high!,
      );
      expect(mean("messages", "supervisor", "none", size).mean).toBeLessThan(
        mean("messages", "contract-net", "none", size).mean,
      );
    },
  );
});

describe("agreement", () => {
  const summaries = played(parseExperiment(textOf("agreement")));
  const mean = (measure: MeasureName, protocol: string, faults: string, size: number) =>
    meanIn(summaries, measure, { protocol, faults, size });

  it.each([4, 7, 10])("in teams of %i: who debates agrees more than who gossips, and pays for it", (size) => {
    for (const faults of ["none", "liars"]) {
      expect(mean("agreement", "debate", faults, size).mean).toBeGreaterThan(
        mean("agreement", "gossip", faults, size).mean,
      );
      expect(mean("cost", "debate", faults, size).mean).toBeGreaterThan(0);
      expect(mean("cost", "gossip", faults, size).mean).toBe(0);
    }
  });

  it.each([4, 7, 10])(
    "in teams of %i: liars cost a vote its majority, and every protocol some of the truth",
    (size) => {
      expect(mean("success", "vote", "liars", size).mean).toBeLessThan(mean("success", "vote", "none", size).mean);
      for (const protocol of ["debate", "vote", "gossip"]) {
        expect(mean("accuracy", protocol, "liars", size).mean).toBeLessThan(
          mean("accuracy", protocol, "none", size).mean,
        );
      }
    },
  );
});

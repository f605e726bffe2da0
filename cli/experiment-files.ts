/** The files that an experiment leaves: report, raw data, plots, event logs and diagrams. */
import { createHash } from "node:crypto";
import { access, mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { conversationMermaid } from "../core/conversation/diagram.ts";
import { conversationSvg } from "../core/conversation/diagram-svg.ts";
import type { LoggedTrial } from "../core/experiment/event-log.ts";
import type { Experiment } from "../core/experiment/experiment.ts";
import { ocelOf } from "../core/experiment/ocel.ts";
import { plot } from "../core/experiment/plot.ts";
import { cellsCsv, jsonLines, trialsCsv } from "../core/experiment/raw-data.ts";
import { plotPath, reportOf, runPath } from "../core/experiment/report.ts";
import { type CellSummary, measureNames } from "../core/experiment/summary.ts";
import type { TrialResult } from "../core/experiment/trial.ts";
import { xesOf } from "../core/experiment/xes.ts";
import { UsageError } from "./problem.ts";

export interface Finished {
  experiment: Experiment;
  /** The text of its file. */
  source: string;
  results: readonly TrialResult[];
  logged: readonly LoggedTrial[];
  summaries: readonly CellSummary[];
  command: string;
  version: string;
  clock: string;
}

/** Text by path, the same for the same results. */
export function filesOf(finished: Finished): Map<string, string> {
  const { experiment, source, results, logged, summaries, command, version, clock } = finished;
  const fileHash = createHash("sha256").update(source).digest("hex");
  const diagrams = logged.map(({ cell, transcript }) => {
    const members = cell.team.map(({ name }) => name);
    return {
      path: runPath(cell),
      view: { protocol: cell.protocol, topic: experiment.question, members, entries: transcript },
    };
  });
  return new Map([
    ["README.md", reportOf({ experiment, summaries, command, version, fileHash, clock })],
    ["experiment.yaml", source],
    ["trials.jsonl", jsonLines(results)],
    ["trials.csv", trialsCsv(results)],
    ["cells.csv", cellsCsv(summaries)],
    ["events.ocel.json", ocelOf(logged)],
    ["events.xes", xesOf(experiment.name, logged)],
    ...measureNames.map((name): [string, string] => [plotPath(name), plot(name, summaries)]),
    ...diagrams.map(({ path, view }): [string, string] => [`${path}.svg`, conversationSvg(view)]),
    ...diagrams.map(({ path, view }): [string, string] => [`${path}.mmd`, conversationMermaid(view)]),
  ]);
}

/** Throws a UsageError when something is there already that must not be overwritten. */
export async function requireFree(folder: string, isForced: boolean): Promise<void> {
  if (isForced) return;
  const isThere = await access(folder).then(
    () => true,
    () => false,
  );
  if (isThere)
    throw new UsageError(`${folder} is there already; name another with --out, or write over it with --force.`);
}

/** What an older run has left of plots and diagrams goes, as it may have had other cells. */
export async function writeFiles(folder: string, files: ReadonlyMap<string, string>): Promise<void> {
  for (const own of ["plots", "runs"]) await rm(join(folder, own), { recursive: true, force: true });
  for (const [path, text] of files) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
}

/** `skein experiment …`: teams of simulated agents under protocols, policies and faults, with a table of what came of it. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as breathe } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Issue, SkeinError } from "../core/errors.ts";
import type { LoggedTrial } from "../core/experiment/event-log.ts";
import { type Experiment, parseExperiment, withSeeds } from "../core/experiment/experiment.ts";
import { estimateText } from "../core/experiment/report.ts";
import { type CellSummary, measureNames, measures, summarize } from "../core/experiment/summary.ts";
import { type Played, simulateInSlices, startTrial, type Trial, type TrialResult } from "../core/experiment/trial.ts";
import { isLogged, trialsOf } from "../core/experiment/trials.ts";
import { version } from "../version.ts";
import type { Context } from "./context.ts";
import { filesOf, requireFree, writeFiles } from "./experiment-files.ts";
import { counted, printJson, printTable, visible } from "./output.ts";
import { exitCodes, explain, FileError, UsageError } from "./problem.ts";
import { readText } from "./read-file.ts";
import { createRealBus } from "./real-bus.ts";

/** Those that come with Skein; the build copies them, too. */
const readyFolder = fileURLToPath(new URL("../examples/experiments/", import.meta.url));

export interface ExperimentOptions {
  out?: string;
  force?: boolean;
  seed?: number[];
  repetitions?: number;
  clock: "virtual" | "real";
  timeScale: number;
}

/** Plays the experiment, writes its files and prints its table. */
export async function runExperiment(context: Context, file: string, options: ExperimentOptions): Promise<number> {
  const source = await readText(context, await pathOf(file));
  const experiment = inFile(file, () => withSeeds(parseExperiment(source), options));
  const folder = options.out ?? join("project_logs", "experiments", `${today()}-${experiment.name}`);
  await requireFree(folder, options.force ?? false);
  const results: TrialResult[] = [];
  const logged: LoggedTrial[] = [];
  const take = (trial: Trial, { result, transcript }: Played) => {
    results.push(result);
    if (isLogged(trial)) logged.push({ cell: trial.cell, result, transcript });
  };
  const signal = context.interrupt();
  const play = options.clock === "real" ? playReally : playVirtually;
  if (!(await play(trialsOf(experiment), take, { signal, options, context }))) {
    context.note("Interrupted; nothing was written.");
    return exitCodes.runFailed;
  }
  const summaries = summarize(experiment.cells, results);
  const clock = clockSentence(options);
  const command = commandOf(file, options);
  const files = filesOf({ experiment, source, results, logged, summaries, command, version, clock });
  await writeFiles(folder, files);
  if (context.json) printJson(context, { folder, cells: summaries.map(cellJson) });
  else
    printResults(
      context,
      summaries,
      `${counted(results.length, "conversation")}. ${clock}\nWritten to ${visible(folder)}`,
    );
  return exitCodes.ok;
}

interface Playing {
  signal: AbortSignal;
  options: ExperimentOptions;
  context: Context;
}

type Take = (trial: Trial, played: Played) => void;

/** So many at a time, then whatever else waits has its turn. */
const BATCH = 50;
const TELL_EVERY = 1_000;

/** False: interrupted. */
async function playVirtually(trials: readonly Trial[], take: Take, { signal, context }: Playing): Promise<boolean> {
  for (const [index, trial] of trials.entries()) {
    if (index % BATCH === 0) await breathe();
    if (index > 0 && index % TELL_EVERY === 0) context.note(`${index} of ${counted(trials.length, "conversation")} …`);
    const simulation = simulateInSlices(trial);
    let step = simulation.next();
    for (; !step.done && !signal.aborted; step = simulation.next()) await breathe();
    if (signal.aborted || !step.done) return false;
    take(trial, step.value);
  }
  return true;
}

/** So many conversations run side by side; more would only wait for one another, and take longer by it. */
const SIDE_BY_SIDE = 10;

/** In batches, each of which takes as long as its longest conversation. */
async function playReally(
  trials: readonly Trial[],
  take: Take,
  { signal, options, context }: Playing,
): Promise<boolean> {
  for (let index = 0; index < trials.length; index += SIDE_BY_SIDE) {
    const batch = trials.slice(index, index + SIDE_BY_SIDE);
    const buses = batch.map(() => createRealBus({ scale: options.timeScale }));
    const stop = () => {
      for (const bus of buses) bus.stop();
    };
    signal.addEventListener("abort", stop, { once: true });
    const plays = batch.map((trial, at) => startTrial(trial, buses[at]!));
    await Promise.all(buses.map((bus) => bus.idle()));
    signal.removeEventListener("abort", stop);
    if (signal.aborted) return false;
    for (const [at, trial] of batch.entries()) take(trial, plays[at]!.finish());
    const done = index + batch.length;
    if (done < trials.length) context.note(`${done} of ${counted(trials.length, "conversation")} …`);
  }
  return true;
}

function clockSentence({ clock, timeScale }: ExperimentOptions): string {
  if (clock === "virtual")
    return "On a virtual clock: the same file, seed and version give the same files, to the byte.";
  return `On the real clock, a second of the trial in ${timeScale} s: times and whatever depends on them differ from run to run.`;
}

function commandOf(file: string, { out, force, seed, repetitions, clock, timeScale }: ExperimentOptions): string {
  const quoted = (word: string) => (/^[\w./@:=+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
  return [
    `skein experiment run ${quoted(file)}`,
    ...(seed ?? []).map((one) => `--seed ${one}`),
    ...(repetitions === undefined ? [] : [`--repetitions ${repetitions}`]),
    ...(clock === "real" ? [`--clock real --time-scale ${timeScale}`] : []),
    ...(out === undefined ? [] : [`--out ${quoted(out)}`]),
    ...(force ? ["--force"] : []),
  ].join(" ");
}

function today(): string {
  return new Date().toISOString().slice(0, "2026-01-31".length);
}

function cellJson({ cell, count, estimates }: CellSummary) {
  const { number, protocol, policy, teamSize, faultsName } = cell;
  return { cell: number, protocol, policy, team_size: teamSize, faults: faultsName, count, ...estimates };
}

function printResults(context: Context, summaries: readonly CellSummary[], last: string): void {
  const titles = measureNames.map((name) => measures[name].title.toUpperCase());
  const rows = summaries.map(({ cell, count, estimates }) => {
    const values = measureNames.map((name) => estimateText(estimates[name], measures[name]));
    return [cell.protocol, cell.policy, String(cell.teamSize), cell.faultsName, String(count), ...values];
  });
  printTable(context, ["PROTOCOL", "POLICY", "TEAM", "FAULTS", "N", ...titles], rows);
  context.stdout.write(`${last}\n`);
}

interface Verdict {
  file: string;
  valid: boolean;
  cells?: number;
  conversations?: number;
  errors: readonly Issue[];
}

/** Checks files and plays nothing. Exits with 2 when one of them is not valid. */
export async function validateExperiments(context: Context, files: string[]): Promise<number> {
  const verdicts: Verdict[] = [];
  for (const file of files) verdicts.push(await judge(context, file));
  if (context.json) printJson(context, verdicts.length === 1 ? verdicts[0] : verdicts);
  return verdicts.every(({ valid }) => valid) ? exitCodes.ok : exitCodes.usage;
}

async function judge(context: Context, file: string): Promise<Verdict> {
  const { stdout, stderr, paint, json } = context;
  try {
    const source = await readText(context, await pathOf(file));
    const experiment = inFile(file, () => parseExperiment(source));
    const { cells, conversations } = sizeOf(experiment);
    const size = `${counted(cells, "cell")}, ${counted(conversations, "conversation")}`;
    if (!json) stdout.write(`${paint.green("✔")} ${visible(file)}: ${experiment.name}, ${size}\n`);
    return { file, valid: true, cells, conversations, errors: [] };
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    if (!json) stderr.write(`${explain(error).text}\n`);
    const { code, message, issues } = error.cause;
    return { file, valid: false, errors: issues.length > 0 ? issues : [{ code, message, pointer: "" }] };
  }
}

/** The experiments that come with Skein. */
export async function listExperiments(context: Context): Promise<void> {
  const listed = [];
  for (const file of await readyFiles()) {
    const experiment = parseExperiment(await readText(context, join(readyFolder, file)));
    const { name, description } = experiment;
    listed.push({ name, ...sizeOf(experiment), description: description.trim() });
  }
  if (context.json) return printJson(context, listed);
  printTable(
    context,
    ["EXPERIMENT", "CELLS", "CONVERSATIONS", "DESCRIPTION"],
    listed.map(({ name, cells, conversations, description }) => [
      name,
      String(cells),
      String(conversations),
      description,
    ]),
  );
  context.stdout.write("To run one: skein experiment run <name>\n");
}

function sizeOf({ cells, seeds, repetitions }: Experiment): { cells: number; conversations: number } {
  return { cells: cells.length, conversations: cells.length * seeds.length * repetitions };
}

async function readyFiles(): Promise<string[]> {
  return (await readdir(readyFolder)).filter((file) => file.endsWith(".yaml")).sort();
}

/** A word without a dot or a slash is the name of one that comes with Skein. */
async function pathOf(file: string): Promise<string> {
  if (file === "-" || /[./\\]/.test(file)) return file;
  const ready = await readyFiles();
  if (ready.includes(`${file}.yaml`)) return join(readyFolder, `${file}.yaml`);
  const names = ready.map((one) => one.replace(/\.yaml$/, "")).join(", ");
  throw new UsageError(`There is no experiment "${file}"; name a file, or one of ${names}.`);
}

function inFile<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof SkeinError ? new FileError(file === "-" ? "<stdin>" : file, error) : error;
  }
}

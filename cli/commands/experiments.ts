/** `skein experiment …`. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { type Does, notNegative, wholeNumber } from "./options.ts";

/** Of a repeatable option. */
function collectNumber(parse: (text: string) => number) {
  return (text: string, previous: number[] = []) => [...previous, parse(text)];
}

function timeScale(text: string): number {
  const scale = notNegative(text);
  if (scale >= 0.001 && scale <= 10) return scale;
  throw new InvalidArgumentError("It must be a number from 0.001 to 10.");
}

export function addExperiments(program: Command, does: Does): void {
  const experiment = program
    .command("experiment")
    .description("compare protocols on simulated teams of agents, under faults; see docs/experiments.md");
  const load = () => import("../experiment.ts");
  experiment
    .command("run <file>")
    .description("play every cell of an experiment, and write a report with table, plots, raw data and event logs")
    .option("--out <folder>", "where to write; default: project_logs/experiments/<date>-<name>")
    .option("--force", "write over what is there")
    .option("--seed <n>", "in the place of the file's; repeatable", collectNumber(wholeNumber(0, 2 ** 32 - 1)))
    .option("--repetitions <n>", "in the place of the file's", wholeNumber(1, 1_000))
    .addOption(
      new Option("--clock <clock>", "virtual: simulated, the same to the byte")
        .choices(["virtual", "real"])
        .default("virtual"),
    )
    .option("--time-scale <x>", "of the real clock: what a second of the trial takes, in seconds", timeScale, 0.1)
    .action(does(async () => (await load()).runExperiment));
  experiment
    .command("validate <files...>")
    .description("say everything that is wrong with a file, with line and column; plays nothing")
    .action(does(async () => (await load()).validateExperiments));
  experiment
    .command("list")
    .description("the experiments that come with Skein")
    .action(does(async () => (await load()).listExperiments));
}

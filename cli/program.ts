/** The command line: every command, with what it takes, is in commands/; what it does is loaded when it is asked for: help comes at once. */
import { Command } from "commander";
import { version } from "../version.ts";
import { addExperiments } from "./commands/experiments.ts";
import type { Does } from "./commands/options.ts";
import { addRest } from "./commands/others.ts";
import { addPlans } from "./commands/plans.ts";
import { addProcesses } from "./commands/processes.ts";
import { addRun } from "./commands/run.ts";
import { addRuns } from "./commands/runs.ts";
import { addWorkflow } from "./commands/workflow.ts";
import { createContext, type GlobalOptions, type Surroundings } from "./context.ts";
import { exitCodes, explain } from "./problem.ts";

/** Runs a command line (without the names of node and of the script) and answers the exit code. Never rejects. */
export async function runCli(args: string[], surroundings: Surroundings): Promise<number> {
  let exitCode: number = exitCodes.ok;
  const program = buildProgram(surroundings, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (error) {
    if (isCommanderError(error)) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    const problem = explain(error);
    surroundings.stderr.write(`${problem.text}\n`);
    if (surroundings.env.SKEIN_DEBUG && error instanceof Error) surroundings.stderr.write(`${error.stack}\n`);
    return problem.exitCode;
  }
}

function isCommanderError(error: unknown): error is { exitCode: number } {
  return error instanceof Error && "code" in error && String(error.code).startsWith("commander.");
}

function buildProgram(surroundings: Surroundings, setExitCode: (code: number) => void): Command {
  const program = new Command("skein")
    .description("Runs workflows on teams of agents: submit, watch, get results")
    .version(version, "--version")
    .option("--server <url>", "address of the server (SKEIN_URL; else the local one, see `skein dev`)")
    .option("--api-key <key>", "API key (SKEIN_API_KEY)")
    .option("--json", "print JSON, for programs")
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => surroundings.stdout.write(text),
      writeErr: (text) => surroundings.stderr.write(text),
    })
    .showHelpAfterError("(skein --help lists commands and options)")
    .exitOverride();
  // Commander hands an action its arguments, its options and its command, in this order.
  const does: Does =
    (load) =>
    async (...args) => {
      const command = args.pop() as Command;
      const context = createContext(surroundings, command.optsWithGlobals<GlobalOptions>());
      const work = await load();
      const answer = await work(context, ...(args as never[]));
      if (typeof answer === "number") setExitCode(answer);
    };
  addProcesses(program, does);
  addRun(program, does);
  addRuns(program, does);
  addWorkflow(program, does);
  addPlans(program, does);
  addExperiments(program, does);
  addRest(program, does);
  return program;
}

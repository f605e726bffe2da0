/** `skein runs …`: what is asked of runs, and done to them. */
import { Argument, type Command, Option } from "commander";
import { exhaustionPolicies, MAX_CALLS, MAX_TOKENS } from "../../core/budget.ts";
import { bulkActions } from "../../core/protocol/runs.ts";
import { collect, type Does, LIMIT_DEFAULT, limit, notNegative, requireRunId, wholeNumber } from "./options.ts";

/** With the options that runs are looked for by. */
function filtered(command: Command): Command {
  return command
    .option("--status <status>", "those that are running, completed, failed, …; repeatable", collect)
    .option("--workflow <name>", "those of this workflow")
    .option("--schedule <name>", "those that this schedule has started")
    .option("--name <text>", "those with this in the name of their workflow")
    .option("--label <key=value>", "those with this label; repeatable", collect)
    .option("--since <time>", "created since then: RFC 3339, or how long ago, such as 1d")
    .option("--until <time>", "created before")
    .option("--finished-since <time>", "finished since then")
    .option("--finished-until <time>", "finished before");
}

export function addRuns(program: Command, does: Does): void {
  const runs = program.command("runs").description("look at runs, steer and cancel them");
  const load = () => import("../runs.ts");
  runs.hook("preAction", (_, { args, registeredArguments }) => {
    if (registeredArguments[0]?.name() === "run") requireRunId(args[0]!);
  });
  filtered(runs.command("list"))
    .description("the newest runs first")
    .option("--limit <n>", "at most so many", limit, LIMIT_DEFAULT)
    .action(does(async () => (await import("../run-search.ts")).listRuns));
  filtered(runs.command("bulk"))
    .description("do one thing to all runs that the options name")
    .addArgument(new Argument("<action>", "what to do").choices(bulkActions))
    .option("--dry-run", "say how many there are, and change nothing")
    .addOption(
      new Option("--expect <n>", "how many they are; with another number nothing is done")
        .argParser(wholeNumber(0, Number.MAX_SAFE_INTEGER))
        .conflicts("all"),
    )
    .option("--all", "however many they are")
    .option("--reason <text>", "kept with the runs; not of retry")
    .option("--compensate", "of cancel: undo what has completed")
    .action(does(async () => (await import("../run-search.ts")).bulkRuns));
  runs
    .command("get <run>")
    .description("a run and its tasks")
    .action(does(async () => (await load()).getRun));
  runs
    .command("watch <run>")
    .description("follow a run to its end; exits with 1 when it fails")
    .action(does(async () => (await load()).watch));
  runs
    .command("result <run>")
    .description("a run's outputs; exits with 1 when it failed")
    .action(does(async () => (await load()).result));
  runs
    .command("logs <run>")
    .description("what happened, step by step, and what the handlers logged")
    .action(does(async () => (await load()).logs));
  runs
    .command("graph <run>")
    .description("the DAG with its present state")
    .addOption(
      new Option("--format <format>", "default: by the file").choices(["json", "mermaid", "dot", "svg", "html"]),
    )
    .option("-o, --output <file>", "write to a file")
    .action(does(async () => (await load()).graph));
  runs
    .command("timeline <run>")
    .description("what ran when")
    .addOption(new Option("--format <format>", "default: by the file").choices(["json", "svg"]))
    .option("-o, --output <file>", "write to a file")
    .action(does(async () => (await load()).timeline));
  runs
    .command("why <run> <task>")
    .description("why a task is where it is")
    .action(does(async () => (await load()).why));
  runs
    .command("repeats <run>")
    .description("work that several tasks did: the same capability on the same input")
    .action(does(async () => (await load()).repeats));
  runs
    .command("bids <run> <task>")
    .description("who bid what for a task that is allocated by contract-net")
    .action(does(async () => (await load()).bids));
  runs
    .command("artifacts <run> [path]")
    .description("the files of a run; with a path, the content of one")
    .option("--prefix <prefix>", "only those whose path begins so")
    .option("-o, --out <file>", "write the content to a file")
    .action(does(async () => (await import("../artifacts.ts")).artifacts));
  runs
    .command("patch <run> <file>")
    .description("change the graph of a run by a patch in YAML or JSON: add, replace, rewire, remove")
    .option("--revision <n>", "of the graph it was made for; default: the present one")
    .option("--dry-run", "check and tell, but change nothing")
    .option("--reason <text>", "kept in its events")
    .action(does(async () => (await load()).patch));
  runs
    .command("pause <run>")
    .description("hand out nothing of it; what runs goes on")
    .option("--reason <text>", "kept in its events")
    .action(does(async () => (await load()).pause));
  runs
    .command("resume <run>")
    .description("go on with a paused run")
    .option("--reason <text>", "kept in its events")
    .action(does(async () => (await load()).resume));
  runs
    .command("budget <run>")
    .description("what it may spend and has spent; with limits, changes them first")
    .option("--task <key>", "change the budget of this task, not of the run")
    .option("--tokens <most>", "tokens of models, in all", wholeNumber(1, MAX_TOKENS))
    .option("--cost <most>", "money, in all", notNegative)
    .option("--calls <most>", "attempts of tasks, in all", wholeNumber(1, MAX_CALLS))
    .option("--wall-time <longest>", "from its submit, such as 2h")
    .addOption(
      new Option("--on-exhausted <policy>", "what happens when the next attempt does not fit").choices(
        exhaustionPolicies,
      ),
    )
    .action(does(async () => (await import("../budgets.ts")).budget));
  runs
    .command("signal <run> <name>")
    .description("send a signal, which ends one wait for its name, now or later")
    .option("--payload <json>", "what the waiting task completes with")
    .action(does(async () => (await load()).signal));
  runs
    .command("approve <run> <task>")
    .description("approve a task that waits for it")
    .option("--comment <text>", "why")
    .option("--payload <json>", "what the task completes with")
    .action(does(async () => (await load()).approve));
  runs
    .command("reject <run> <task>")
    .description("reject a task that waits for approval: it fails")
    .option("--comment <text>", "why")
    .action(does(async () => (await load()).reject));
  runs
    .command("retry <run>")
    .description("run again what did not complete of a finished run, as a new run that keeps the rest")
    .option("--from <task>", "also this task and all that depends on it; repeatable", collect)
    .option("--budget <unit=most>", "in place of what the run might spend, such as tokens=1000; repeatable", collect)
    .option("--idempotency-key <key>", "the same key is the same retry")
    .option("--watch", "follow the new run to its end")
    .action(does(async () => (await import("../reruns.ts")).retry));
  runs
    .command("fork <run>")
    .description("start another run from what a run has done so far")
    .option("--from <task>", "run this task again and all that depends on it; repeatable", collect)
    .option("--input <name=value>", "an input to change; JSON where it parses as such, else text; repeatable", collect)
    .option("--inputs <file>", "a JSON or YAML file with all inputs (- is stdin)")
    .option("--edits <file>", "a JSON or YAML file: by task id, what to change in its definition (- is stdin)")
    .option("--budget <unit=most>", "in place of what the run might spend, such as tokens=1000; repeatable", collect)
    .option("--idempotency-key <key>", "the same key is the same fork")
    .option("--watch", "follow the new run to its end")
    .action(does(async () => (await import("../reruns.ts")).fork));
  runs
    .command("cancel <run>")
    .description("stop a run, or a group of its tasks")
    .option("--reason <text>", "kept with the run")
    .option("--group <name>", "only the tasks of this group; the run goes on")
    .option("--compensate", "undo what has completed")
    .action(does(async () => (await load()).cancel));
}

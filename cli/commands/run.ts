/** `skein run`. */
import { type Command, Option } from "commander";
import { collect, type Does, wholeNumber } from "./options.ts";

export function addRun(program: Command, does: Does): void {
  program
    .command("run")
    .description("run a workflow and print its result; without a server, in a system of its own")
    .argument("<workflow>", "a file (- is stdin), or the name of a registered workflow (name, name@3)")
    .option("--input <name=value>", "an input; JSON where it parses as such, else text; repeatable", collect)
    .option("--inputs <file>", "a JSON or YAML file with inputs (- is stdin)")
    .option("--label <key=value>", "a label; repeatable", collect)
    .option("--priority <0-9>", "9 goes first", wholeNumber(0, 9))
    .option("--budget <unit=most>", "the most it may spend, such as tokens=1000 or cost=0.5; repeatable", collect)
    .option("--idempotency-key <key>", "the same key is the same run")
    .addOption(new Option("--watch", "follow the run to its end (the default)").conflicts("detach"))
    .option("--detach", "print the run's id and do not wait")
    .option("--data-dir <folder>", "without a server: where to keep the database (SKEIN_DATA_DIR, .skein)")
    .option("--in-memory", "without a server: keep nothing")
    .option("--executors <file>", "without a server: a module that exports executors of yours; repeatable", collect)
    .option("--verbose", "without a server: write the log to stderr")
    .action(does(async () => (await import("../run.ts")).run));
}

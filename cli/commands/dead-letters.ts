/** `skein dead-letters …`. */
import { type Command, Option } from "commander";
import { letterStates } from "../../core/dead-letter.ts";
import { type Does, LIMIT_DEFAULT, limit, wholeNumber } from "./options.ts";

const LETTERS_DEFAULT = 100;

export function addDeadLetters(program: Command, does: Does): void {
  const load = () => import("../dead-letters.ts");
  const letters = program
    .command("dead-letters")
    .description("tasks that failed for good though an agent was at them; see docs/dead-letters.md");
  const many = (command: Command) =>
    command
      .option("--workflow <name>", "those of this workflow")
      .option("--capability <name>", "those of this capability")
      .option("--code <code>", "those with this error, such as executor_crash_loop")
      .option("--run <run>", "those of this run")
      .option("--since <time>", "failed then or later; RFC 3339");
  many(letters.command("list"))
    .description("newest first")
    .addOption(new Option("--state <state>", "default: open").choices(letterStates))
    .option("--limit <n>", "at most so many", limit, LIMIT_DEFAULT)
    .action(does(async () => (await load()).listLetters));
  letters
    .command("get <letter>")
    .description("one, with its attempts")
    .action(does(async () => (await load()).getLetter));
  many(letters.command("redrive [letter]"))
    .description("run one again, or many by filter: their runs are retried")
    .option("--limit <n>", "at most so many", wholeNumber(1, 1_000), LETTERS_DEFAULT)
    .action(does(async () => (await load()).redriveLetters));
  many(letters.command("discard [letter]"))
    .description("let one be, or many by filter")
    .option("--limit <n>", "at most so many", wholeNumber(1, 1_000), LETTERS_DEFAULT)
    .option("--reason <text>", "kept with it")
    .action(does(async () => (await load()).discardLetters));
}

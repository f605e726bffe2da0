/** `skein schedules …`. */
import { type Command, Option } from "commander";
import { catchUps, overlaps, tickOutcomes } from "../../core/schedule/policies.ts";
import { collect, type Does, LIMIT_DEFAULT, limit, wholeNumber } from "./options.ts";

export function addSchedules(program: Command, does: Does): void {
  const load = () => import("../schedules.ts");
  const schedules = program.command("schedules").description("workflows that are run at the times of a calendar");
  schedules
    .command("create <name>")
    .description("run a workflow at the times of a cron expression; see docs/schedules.md")
    .requiredOption("--cron <expression>", "minute, hour, day of month, month, day of week; or @daily")
    .requiredOption("--workflow <name>", "a registered one: name, or name@3")
    .option("--timezone <zone>", "such as Europe/Berlin (default: UTC)")
    .option("--input <name=value>", "an input; JSON where it parses as such, else text; repeatable", collect)
    .option("--inputs <file>", "a JSON or YAML file with inputs (- is stdin)")
    .option("--tick-input <name>", "the input that is given the tick's time")
    .option("--label <key=value>", "a label of its runs; repeatable", collect)
    .option("--priority <0-9>", "9 goes first", wholeNumber(0, 9))
    .addOption(new Option("--catch-up <policy>", "ticks that nobody was there to fire").choices(catchUps))
    .option("--catch-up-limit <n>", "of `all`: at most so many", wholeNumber(1, 1_000))
    .addOption(new Option("--overlap <policy>", "a tick while a run of it goes on").choices(overlaps))
    .option("--jitter <duration>", "start up to so much later")
    .option("--description <text>", "what it is for")
    .action(does(async () => (await load()).createSchedule));
  schedules
    .command("update <schedule>")
    .description("change it; what is not given stays as it is")
    .option("--cron <expression>", "minute, hour, day of month, month, day of week; or @daily")
    .option("--workflow <name>", "a registered one: name, or name@3")
    .option("--timezone <zone>", "such as Europe/Berlin")
    .option("--input <name=value>", "an input, with the others given in place of all there were; repeatable", collect)
    .option("--inputs <file>", "a JSON or YAML file with inputs (- is stdin), in place of all there were")
    .option("--tick-input <name>", "the input that is given the tick's time")
    .option("--no-tick-input", "give it to none")
    .option("--label <key=value>", "a label of its runs, in place of all there were; repeatable", collect)
    .option("--priority <0-9>", "9 goes first", wholeNumber(0, 9))
    .addOption(new Option("--catch-up <policy>", "ticks that nobody was there to fire").choices(catchUps))
    .option("--catch-up-limit <n>", "of `all`: at most so many", wholeNumber(1, 1_000))
    .addOption(new Option("--overlap <policy>", "a tick while a run of it goes on").choices(overlaps))
    .option("--jitter <duration>", "start up to so much later")
    .option("--no-jitter", "start at the time of the tick")
    .option("--description <text>", "what it is for")
    .option("--no-description", "say nothing of what it is for")
    .option("--if-revision <n>", "only if it is at this revision still", wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .action(does(async () => (await load()).updateSchedule));
  schedules
    .command("list")
    .description("schedules by name, and when they fire next")
    .option("--workflow <name>", "only those of this workflow")
    .option("--limit <n>", "at most so many", limit, LIMIT_DEFAULT)
    .action(does(async () => (await load()).listSchedules));
  schedules
    .command("get <schedule>")
    .description("one, with all it was created with")
    .action(does(async () => (await load()).getSchedule));
  schedules
    .command("next <schedule>")
    .description("when it fires next")
    .option("--count <n>", "so many ticks", wholeNumber(1, 100), 10)
    .action(does(async () => (await load()).nextTicks));
  schedules
    .command("ticks <schedule>")
    .description("what became of its ticks, newest first")
    .addOption(new Option("--outcome <outcome>", "only these").choices(tickOutcomes))
    .option("--limit <n>", "at most so many", limit, LIMIT_DEFAULT)
    .action(does(async () => (await load()).listTicks));
  schedules
    .command("pause <schedule>")
    .description("start nothing until it is resumed")
    .option("--reason <text>", "kept with it")
    .action(does(async () => (await load()).pauseSchedule));
  schedules
    .command("resume <schedule>")
    .description("go on with the next tick")
    .action(does(async () => (await load()).resumeSchedule));
  schedules
    .command("backfill <schedule>")
    .description("fire the ticks of the past that have not been fired")
    .requiredOption("--from <time>", "RFC 3339, such as 2026-11-01T00:00:00Z")
    .option("--to <time>", "exclusive (default: now)")
    .action(does(async () => (await load()).backfillSchedule));
  schedules
    .command("delete <schedule>")
    .description("delete it, with the record of its ticks; its runs go on")
    .action(does(async () => (await load()).deleteSchedule));
}

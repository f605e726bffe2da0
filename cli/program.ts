/** Every command with its arguments and options. What a command does is loaded when it is asked for: help comes at once. */
import { Argument, Command, InvalidArgumentError, Option } from "commander";
import { exhaustionPolicies, MAX_CALLS, MAX_TOKENS, spendGroups } from "../core/budget.ts";
import { letterStates } from "../core/dead-letter.ts";
import { isDuration, parseDuration } from "../core/duration.ts";
import { preferences } from "../core/planner/goal.ts";
import { bulkActions } from "../core/protocol/runs.ts";
import { allocationPolicies } from "../core/routing.ts";
import { catchUps, overlaps, tickOutcomes } from "../core/schedule/policies.ts";
import { version } from "../version.ts";
import { type Context, createContext, type GlobalOptions, type Surroundings } from "./context.ts";
import { exitCodes, explain, UsageError } from "./problem.ts";

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

/** Takes its context, then its arguments and options. A number that it answers is the exit code. */
type Work = (context: Context, ...rest: never[]) => Promise<unknown>;
type Does = (load: () => Promise<Work>) => (...args: unknown[]) => Promise<void>;

const collect = (value: string, previous: string[] = []) => [...previous, value];

function wholeNumber(least: number, most: number) {
  return (text: string) => {
    const number = Number(text);
    if (/^\d+$/.test(text) && number >= least && number <= most) return number;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  };
}

function requireRunId(text: string): void {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) return;
  throw new UsageError(`"${text}" is not the id of a run; \`skein runs list\` shows the ids.`);
}

const port = wholeNumber(0, 65_535);
const limit = wholeNumber(1, 100_000);
const LIMIT_DEFAULT = 50;
const LETTERS_DEFAULT = 100;

function notNegative(text: string): number {
  const number = Number(text);
  if (text.trim() !== "" && Number.isFinite(number) && number >= 0) return number;
  throw new InvalidArgumentError("It must be a number, such as 0.01.");
}

/** Of a repeatable option. */
function collectNumber(parse: (text: string) => number) {
  return (text: string, previous: number[] = []) => [...previous, parse(text)];
}

function timeScale(text: string): number {
  const scale = notNegative(text);
  if (scale >= 0.001 && scale <= 10) return scale;
  throw new InvalidArgumentError("It must be a number from 0.001 to 10.");
}

function duration(text: string): number {
  if (isDuration(text)) return parseDuration(text);
  throw new InvalidArgumentError("It must be a duration, such as 500ms or 2s.");
}

function addProcesses(program: Command, does: Does): void {
  program
    .command("dev")
    .description("start everything in this process, with nothing installed")
    .option("--port <port>", "where to listen (PORT, 8080)", port)
    .option("--host <host>", "on which address (HOST, 127.0.0.1); others than loopback need SKEIN_ADMIN_KEY")
    .option("--data-dir <folder>", "where to keep the database (SKEIN_DATA_DIR, .skein)")
    .option("--in-memory", "keep nothing")
    .option("--example", "run an example workflow first")
    .option(
      "--executors <file>",
      "a module that exports executors of yours, reloaded when it changes; repeatable",
      collect,
    )
    .option("--verbose", "write the log to stderr")
    .action(does(async () => (await import("./dev.ts")).dev));
  program
    .command("orchestrator")
    .description("start an orchestrator (DATABASE_URL, AMQP_URL)")
    .option("--port <port>", "where to listen (PORT, 8080)", port)
    .option("--host <host>", "on which address (HOST, 127.0.0.1)")
    .action(does(async () => (await import("./orchestrator.ts")).orchestrator));
  program
    .command("executor")
    .description("start an executor (SKEIN_URL, SKEIN_API_KEY, AMQP_URL)")
    .option("--capability <names>", "offer only these; repeatable, or with commas", collect)
    .option("--slots <n>", "tasks at once (SKEIN_SLOTS, 16)", wholeNumber(1, 100_000))
    .option("--label <key=value>", "what tasks can choose it by (SKEIN_LABELS); repeatable", collect)
    .option("--name <name>", "the agent's name (SKEIN_AGENT_NAME, host and process id)")
    .option("--import <file>", "a module that exports executors of yours; repeatable", collect)
    .addOption(new Option("--supervised").hideHelp())
    .action(does(async () => (await import("./executor.ts")).executor));
  program
    .command("mcp")
    .description("serve the Model Context Protocol on stdin and stdout")
    .action(does(async () => (await import("./mcp.ts")).mcp));
}

function addRun(program: Command, does: Does): void {
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
    .action(does(async () => (await import("./run.ts")).run));
}

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

function addRuns(program: Command, does: Does): void {
  const runs = program.command("runs").description("look at runs, steer and cancel them");
  const load = () => import("./runs.ts");
  runs.hook("preAction", (_, { args, registeredArguments }) => {
    if (registeredArguments[0]?.name() === "run") requireRunId(args[0]!);
  });
  filtered(runs.command("list"))
    .description("the newest runs first")
    .option("--limit <n>", "at most so many", limit, LIMIT_DEFAULT)
    .action(does(async () => (await import("./run-search.ts")).listRuns));
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
    .action(does(async () => (await import("./run-search.ts")).bulkRuns));
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
    .action(does(async () => (await import("./artifacts.ts")).artifacts));
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
    .action(does(async () => (await import("./budgets.ts")).budget));
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
    .action(does(async () => (await import("./reruns.ts")).retry));
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
    .action(does(async () => (await import("./reruns.ts")).fork));
  runs
    .command("cancel <run>")
    .description("stop a run, or a group of its tasks")
    .option("--reason <text>", "kept with the run")
    .option("--group <name>", "only the tasks of this group; the run goes on")
    .option("--compensate", "undo what has completed")
    .action(does(async () => (await load()).cancel));
}

function addWorkflow(program: Command, does: Does): void {
  const workflow = program.command("workflow").description("check workflow files, and keep workflows on the server");
  const load = () => import("./workflow.ts");
  workflow
    .command("validate <files...>")
    .description("say all that is wrong with a file, what in it is odd, and how large, dear and long a run can become")
    .option("--strict", "fail for warnings, too")
    .option("--offline", "ask no server, even where one is named: then nothing is said of the agents there are")
    .action(does(async () => (await load()).validate));
  workflow
    .command("register <file>")
    .description("store a workflow; the same content is the same version")
    .action(does(async () => (await load()).register));
  workflow
    .command("save-from-run <run>")
    .description("store what a run is a run of, with all patches, to run it again with other inputs")
    .requiredOption("--name <name>", "of the workflow that it becomes")
    .option("--description <text>", "what it is for; default: as it was")
    .hook("preAction", (_, { args }) => requireRunId(args[0]!))
    .action(does(async () => (await load()).saveFromRun));
  workflow
    .command("list")
    .description("the registered workflows")
    .option("--limit <n>", "at most so many", limit, LIMIT_DEFAULT)
    .action(does(async () => (await load()).listWorkflows));
  workflow
    .command("get <name>")
    .description("a registered workflow as YAML (name, name@3)")
    .action(does(async () => (await load()).getWorkflow));
}

function addPlans(program: Command, does: Does): void {
  const load = () => import("./plan.ts");
  program
    .command("plan")
    .description("plan a goal, and show the plan with its reasons; nothing runs without --accept")
    .argument("[goal]", 'what there is and what is wanted, by type: "web.url -> document.summary"')
    .option("--goal <file>", "a JSON or YAML file with the goal (- is stdin)")
    .option("--planner <name>", "default: capability, which needs no model")
    .option("--template <name>", "take this registered workflow (name, name@3)")
    .addOption(new Option("--prefer <what>", "default: as few tasks as possible").choices(preferences))
    .option("--must-use <capability>", "has to be in the plan; repeatable, in this order", collect)
    .option("--must-not-use <capability>", "must not be in the plan; repeatable", collect)
    .option("--verify <capability>", "has to look at what is wanted, last of all; repeatable", collect)
    .option("--budget <cost>", "the most that it may cost", notNegative)
    .option("--deadline <duration>", "the longest that it may take, such as 30s")
    .option("--accept", "run it at once, and follow the run")
    .option("--input <name=value>", "with --accept: an input; JSON where it parses as such; repeatable", collect)
    .option("--inputs <file>", "with --accept: a JSON or YAML file with inputs")
    .addOption(new Option("--on-failure <what>", "with --accept: when a task fails").choices(["fail", "replan"]))
    .option("--rounds <n>", "with --on-failure replan: how often, at most (3)", wholeNumber(1, 10))
    .option("--executors <file>", "without a server: a module that exports executors of yours; repeatable", collect)
    .action(does(async () => (await load()).plan));
  const plans = program.command("plans").description("look at plans, accept or reject them");
  plans
    .command("get <plan>")
    .description("a plan with its reasons")
    .action(does(async () => (await load()).getPlan));
  plans
    .command("accept <plan>")
    .description("start the plan's run")
    .option("--input <name=value>", "an input that the goal has no value for; repeatable", collect)
    .option("--inputs <file>", "a JSON or YAML file with inputs (- is stdin)")
    .addOption(new Option("--on-failure <what>", "when a task fails").choices(["fail", "replan"]))
    .option("--rounds <n>", "with --on-failure replan: how often, at most (3)", wholeNumber(1, 10))
    .option("--reason <text>", "kept with the plan")
    .option("--watch", "follow the run to its end")
    .action(does(async () => (await load()).acceptPlan));
  plans
    .command("reject <plan>")
    .description("keep the plan from ever running")
    .option("--reason <text>", "kept with the plan")
    .action(does(async () => (await load()).rejectPlan));
}

function addConversations(program: Command, does: Does): void {
  const load = () => import("./conversations.ts");
  const conversations = program.command("conversations").description("agents talking under a protocol");
  conversations
    .command("start <file>")
    .description("start one, from a JSON or YAML file with protocol, topic and members")
    .option("--wait", "follow it to its end")
    .action(does(async () => (await load()).startConversation));
  conversations
    .command("list")
    .description("conversations, newest first")
    .addOption(new Option("--status <status>").choices(["open", "completed", "failed", "cancelled"]))
    .option("--limit <n>", "at most so many", limit)
    .action(does(async () => (await load()).listConversations));
  conversations
    .command("get <conversation>")
    .description("its members, who has the floor, its result")
    .action(does(async () => (await load()).getConversation));
  conversations
    .command("transcript <conversation>")
    .description("what was said")
    .action(does(async () => (await load()).transcript));
  conversations
    .command("graph <conversation>")
    .description("a sequence diagram")
    .addOption(new Option("--format <format>").choices(["mermaid", "svg"]))
    .option("-o, --out <file>", "write it to a file")
    .action(does(async () => (await load()).drawConversation));
  conversations
    .command("cancel <conversation>")
    .description("end it")
    .option("--reason <text>", "for its members and the record")
    .action(does(async () => (await load()).cancelConversation));
}

function addSchedules(program: Command, does: Does): void {
  const load = () => import("./schedules.ts");
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

function addDeadLetters(program: Command, does: Does): void {
  const load = () => import("./dead-letters.ts");
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

function addExperiments(program: Command, does: Does): void {
  const experiment = program
    .command("experiment")
    .description("compare protocols on simulated teams of agents, under faults; see docs/experiments.md");
  const load = () => import("./experiment.ts");
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

const scopeNames = ["runs:read", "runs:write", "work", "agents", "memory", "messages", "admin"];

function addRest(program: Command, does: Does): void {
  addAgents(program, does);
  addConversations(program, does);
  addSchedules(program, does);
  addDeadLetters(program, does);
  addMessages(program, does);
  addMemory(program, does);
  addCache(program, does);
  addKeys(program, does);
  addLimits(program, does);
  program
    .command("spend")
    .description("sum what attempts have spent, the dearest first")
    .addOption(new Option("--by <group>", "what is summed").choices(spendGroups).default("workflow"))
    .option("--since <time>", "reported from then on, RFC 3339")
    .option("--until <time>", "and before then")
    .option("--limit <n>", "at most so many", wholeNumber(1, 1_000), LIMIT_DEFAULT)
    .action(does(async () => (await import("./budgets.ts")).spend));
  program
    .command("import")
    .description("turn what others recorded into workflows")
    .command("wfcommons <file>")
    .description("a WfFormat 1.5 instance as a workflow of sleeping tasks")
    .option("--time-scale <x>", "how long to sleep, in times of the recorded running time", notNegative, 1)
    .option("-o, --output <file>", "write to a .yaml or .json file")
    .action(does(async () => (await import("./import-wfcommons.ts")).importWfcommons));
  addRetention(program, does);
  program
    .command("doctor")
    .description(
      "audit the invariants in the database (DATABASE_URL, else the embedded one), and try the object store (SKEIN_BLOBS_URL)",
    )
    .option("--data-dir <folder>", "the embedded database there (SKEIN_DATA_DIR, .skein)")
    .option("--repair", "say what can be healed, and how")
    .option("--apply", "with --repair: heal it")
    .action(does(async () => (await import("./doctor.ts")).doctor));
  program
    .command("test")
    .description("try a running deployment with the testing agent")
    .option("--url <url>", "another word for --server")
    .option("--only <pattern>", "only scenarios so called, such as 'message-*'; repeatable", collect)
    .option("--list", "say which scenarios there are, and ask nobody")
    .action(does(async () => (await import("./test-deployment.ts")).testDeployment));
  program
    .command("certify")
    .description("try an executor of any language with the conformance kit, which starts it; see docs/certify.md")
    .argument("<command...>", "what starts the executor, after --")
    .option("--url <url>", "another word for --server")
    .option("--listen <port>", "where the kit stands between executor and server; default: any free port", port)
    .option("--case <name>", "only this one; repeatable", collect)
    .action(does(async () => (await import("./certify.ts")).certify));
}

function addAgents(program: Command, does: Does): void {
  const agents = program.command("agents").description("who is there, and who is given work");
  const load = () => import("./agents.ts");
  agents
    .command("list")
    .description("agents, the newest first")
    .option("--limit <n>", "at most so many", limit, LIMIT_DEFAULT)
    .action(does(async () => (await load()).listAgents));
  agents
    .command("watch")
    .description("agents that register, leave, are lost and return, until Ctrl-C")
    .action(does(async () => (await load()).watchAgents));
  agents
    .command("cordon <agent>")
    .description("give it nothing new; what it has it finishes")
    .action(does(async () => (await load()).cordon));
  agents
    .command("uncordon <agent>")
    .description("give it work again")
    .action(does(async () => (await load()).uncordon));
  agents
    .command("drain <agent>")
    .description("cordon it, and have it leave when it has finished")
    .action(does(async () => (await load()).drain));
  const data = () => import("./agent-data.ts");
  agents
    .command("state <agent>")
    .description("the document that an agent, by id or name, keeps as its state")
    .option("--working", "its working state instead, which may be lost")
    .action(does(async () => (await data()).agentState));
  agents
    .command("memory <agent>")
    .description("what an agent remembers, the newest first")
    .option("--type <type>", "entries of this type, such as observation")
    .option("--similar-to <text>", "entries that mean something like this, the closest first; needs a model")
    .option("--search <words>", "entries with such words, as in a web search: 'geese \"grey goose\" -duck'")
    .option("--limit <n>", "at most so many", limit, LIMIT_DEFAULT)
    .action(does(async () => (await data()).agentMemory));
  agents
    .command("inbox <agent>")
    .description("messages that an agent has not acknowledged, the oldest first")
    .option("--limit <n>", "at most so many", wholeNumber(1, 1_000), LIMIT_DEFAULT)
    .option("--follow", "go on with what comes, until Ctrl-C")
    .action(does(async () => (await data()).agentInbox));
  agents
    .command("topics <agent>")
    .description("the topics of which an agent's inbox has what is said")
    .option("--subscribe <topic>", "one more; repeatable", collect)
    .option("--unsubscribe <topic>", "one less; repeatable", collect)
    .action(does(async () => (await data()).agentTopics));
  const capabilities = program
    .command("capabilities")
    .description("what tasks can ask for, and how many offer it")
    .action(does(async () => (await load()).listCapabilities));
  capabilities
    .command("allocate <capability>")
    .description("how agents are chosen for its tasks")
    .addOption(
      new Option("--policy <policy>", "push is the shared queue").choices(allocationPolicies).makeOptionMandatory(),
    )
    .option("--bid-window <duration>", "of contract-net: how long a round waits for bids, default 500ms", duration)
    .action(does(async () => (await load()).allocate));
}

function addMessages(program: Command, does: Does): void {
  program
    .command("send <body>")
    .description("send a message to an agent, a topic, or all agents; the body is JSON, or else a text")
    .addOption(new Option("--to <agent>", "an agent, by name or id").conflicts(["topic", "broadcast"]))
    .addOption(new Option("--topic <topic>", "all that are subscribed to it").conflicts("broadcast"))
    .option("--broadcast", "all agents that are there")
    .option("--type <type>", "for the receiver to tell messages apart by")
    .option("--conversation <name>", "what it belongs to")
    .option("--key <key>", "send it once under this key, however often it is asked for")
    .option("--ask <duration>", "wait for a reply, and print it; without one exit with 1")
    .action(does(async () => (await import("./send.ts")).sendMessage));
}

function addMemory(program: Command, does: Does): void {
  const memory = program.command("memory").description("keys that agents share, by scope");
  const load = () => import("./shared-memory.ts");
  memory
    .command("list <scope>")
    .description("the keys of a scope")
    .option("--prefix <text>", "only keys that begin so")
    .option("--limit <n>", "at most so many", limit, LIMIT_DEFAULT)
    .option("--watch", "what there is, and then each change, until Ctrl-C")
    .action(does(async () => (await load()).listShared));
  memory
    .command("get <scope> <key>")
    .description("the value of a key")
    .action(does(async () => (await load()).getShared));
  memory
    .command("put <scope> <key> <value>")
    .description("write a key; the value is JSON, or else a text")
    .option("--ttl <duration>", "gone after this long, such as 1h; default: it stays")
    .option(
      "--if-revision <n>",
      "only if that is its revision; 0: if there is none",
      wholeNumber(0, Number.MAX_SAFE_INTEGER),
    )
    .action(does(async () => (await load()).putShared));
  memory
    .command("delete <scope> <key>")
    .description("take a key away")
    .action(does(async () => (await load()).deleteShared));
}

function addRetention(program: Command, does: Does): void {
  const retention = program.command("retention").description("how long finished runs are kept");
  const load = () => import("./retention.ts");
  retention
    .command("get")
    .description("the policy of the namespace")
    .action(does(async () => (await load()).getRetention));
  retention
    .command("set")
    .description("move finished runs to history, and forget them in time")
    .requiredOption("--move-after <duration>", "after they have finished, at least 1h")
    .option("--completed <duration>", "forget completed runs after this long, such as 30d; default: never")
    .option("--failed <duration>", "forget failed runs after this long; default: never")
    .option("--cancelled <duration>", "forget cancelled runs after this long; default: never")
    .action(does(async () => (await load()).setRetention));
  retention
    .command("remove")
    .description("keep everything from now on")
    .action(does(async () => (await load()).removeRetention));
  program
    .command("storage")
    .description("how much is stored, by namespace and table")
    .action(does(async () => (await load()).showStorage));
}

function addCache(program: Command, does: Does): void {
  const cache = program.command("cache").description("outputs that answer for equal tasks; see docs/cache.md");
  const load = () => import("./cache.ts");
  cache
    .command("stats")
    .description("what is stored, and how many tasks took it, by capability")
    .action(does(async () => (await load()).cacheStats));
  cache
    .command("clear")
    .description("forget what is stored, so that equal tasks run again")
    .option("--capability <name[@version]>", "only outputs of this capability, or of one version of it")
    .option("--run <id>", "only of the tasks of this run")
    .action(does(async () => (await load()).clearCache));
}

function addKeys(program: Command, does: Does): void {
  const keys = program.command("keys").description("API keys");
  const load = () => import("./keys.ts");
  keys
    .command("create <name>")
    .description("create a key and print it, this once")
    .addOption(new Option("--scope <scopes...>", "what it may do").choices(scopeNames).makeOptionMandatory())
    .option(
      "--capability <names...>",
      "what its runs may use: names, or beginnings such as 'news.*'; default: everything",
    )
    .option("--namespace <name>", "default: that of the key that asks")
    .option("--expires-at <time>", "RFC 3339, such as 2030-01-31T00:00:00Z; default: never")
    .action(does(async () => (await load()).createKey));
  keys
    .command("list")
    .description("keys, without their secrets")
    .option("--limit <n>", "at most so many", limit, LIMIT_DEFAULT)
    .action(does(async () => (await load()).listKeys));
  keys
    .command("revoke <id>")
    .description("make a key worthless")
    .action(does(async () => (await load()).revokeKey));
}

function addLimits(program: Command, does: Does): void {
  const limits = program
    .command("limits")
    .description(
      "how much may run at once, and how often, by key; @namespace: all tasks, @capability:<name>: all of a capability",
    );
  const load = () => import("./flow-limits.ts");
  limits
    .command("list")
    .description("keys that something is set for, or that are in use")
    .option("--limit <n>", "at most so many", limit, LIMIT_DEFAULT)
    .action(does(async () => (await load()).listLimits));
  limits
    .command("get <key>")
    .description("what is set for a key, and what holds it")
    .action(does(async () => (await load()).getLimit));
  limits
    .command("set <key>")
    .description("set a limit, in place of what workflows say; what runs goes on")
    .option("--concurrency <n>", "how many may run at once", wholeNumber(1, 2_147_483_647))
    .option("--rate <n/period>", "how many may start in a period, such as 100/1m")
    .action(does(async () => (await load()).setLimit));
  limits
    .command("remove <key>")
    .description("take a limit away; what workflows say holds again")
    .action(does(async () => (await load()).removeLimit));
  limits
    .command("pause <key>")
    .description("let nothing new start under a key; what runs goes on")
    .option("--reason <text>", "why, for whoever asks why a task waits")
    .action(does(async () => (await load()).pauseLimit));
  limits
    .command("resume <key>")
    .description("let start what a pause has held back")
    .action(does(async () => (await load()).resumeLimit));
}

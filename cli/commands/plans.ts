/** `skein plan` and what becomes of plans. */
import { type Command, Option } from "commander";
import { preferences } from "../../core/planner/goal.ts";
import { planStatuses } from "../../core/protocol/plans.ts";
import { collect, type Does, LIMIT_DEFAULT, limit, notNegative, wholeNumber } from "./options.ts";

export function addPlans(program: Command, does: Does): void {
  const load = () => import("../plan.ts");
  program
    .command("plan")
    .description("plan a goal, and show the plan with its reasons; nothing runs without --accept")
    .argument("[goal]", 'what there is and what is wanted, by type: "web.url -> document.summary"')
    .option("--goal <file>", "a JSON or YAML file with the goal (- is stdin)")
    .option("--planner <name>", "default: capability, which needs no model")
    .option("--template <name>", "take this registered workflow (name, name@3)")
    .option("--workflow <file>", "hold a plan of your own against the goal: a JSON or YAML file")
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
    .command("list")
    .description("plans that wait for a decision, the newest first")
    .addOption(new Option("--status <status>", "others").choices(planStatuses).default("proposed"))
    .option("--limit <n>", "at most so many", limit, LIMIT_DEFAULT)
    .action(does(async () => (await load()).listPlans));
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

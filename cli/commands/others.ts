/** The nouns in the order of the help, and commands without one. */
import { type Command, Option } from "commander";
import { spendGroups } from "../../core/budget.ts";
import { addAgents } from "./agents.ts";
import { addCache } from "./cache.ts";
import { addConversations } from "./conversations.ts";
import { addDeadLetters } from "./dead-letters.ts";
import { addKeys } from "./keys.ts";
import { addLimits } from "./limits.ts";
import { addMemory } from "./memory.ts";
import { addMessages } from "./messages.ts";
import { collect, type Does, LIMIT_DEFAULT, notNegative, port, wholeNumber } from "./options.ts";
import { addRetention } from "./retention.ts";
import { addSchedules } from "./schedules.ts";

export function addRest(program: Command, does: Does): void {
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
    .action(does(async () => (await import("../budgets.ts")).spend));
  program
    .command("import")
    .description("turn what others recorded into workflows")
    .command("wfcommons <file>")
    .description("a WfFormat 1.5 instance as a workflow of sleeping tasks")
    .option("--time-scale <x>", "how long to sleep, in times of the recorded running time", notNegative, 1)
    .option("-o, --output <file>", "write to a .yaml or .json file")
    .action(does(async () => (await import("../import-wfcommons.ts")).importWfcommons));
  addRetention(program, does);
  program
    .command("doctor")
    .description(
      "audit the invariants in the database (DATABASE_URL, else the embedded one), and try the object store (SKEIN_BLOBS_URL)",
    )
    .option("--data-dir <folder>", "the embedded database there (SKEIN_DATA_DIR, .skein)")
    .option("--repair", "say what can be healed, and how")
    .option("--apply", "with --repair: heal it")
    .action(does(async () => (await import("../doctor.ts")).doctor));
  program
    .command("test")
    .description("try a running deployment with the testing agent")
    .option("--url <url>", "another word for --server")
    .option("--only <pattern>", "only scenarios so called, such as 'message-*'; repeatable", collect)
    .option("--list", "say which scenarios there are, and ask nobody")
    .option("--junit <file>", "also write the report as JUnit XML, for CI systems")
    .action(does(async () => (await import("../test-deployment.ts")).testDeployment));
  program
    .command("certify")
    .description("try an executor of any language with the conformance kit, which starts it; see docs/certify.md")
    .argument("<command...>", "what starts the executor, after --")
    .option("--url <url>", "another word for --server")
    .option("--listen <port>", "where the kit stands between executor and server; default: any free port", port)
    .option("--case <name>", "only this one; repeatable", collect)
    .action(does(async () => (await import("../certify.ts")).certify));
}

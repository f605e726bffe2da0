/** Commands that start processes. */
import { type Command, Option } from "commander";
import { collect, type Does, port, wholeNumber } from "./options.ts";

export function addProcesses(program: Command, does: Does): void {
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
    .action(does(async () => (await import("../dev.ts")).dev));
  program
    .command("orchestrator")
    .description("start an orchestrator (DATABASE_URL, AMQP_URL)")
    .option("--port <port>", "where to listen (PORT, 8080)", port)
    .option("--host <host>", "on which address (HOST, 127.0.0.1)")
    .action(does(async () => (await import("../orchestrator.ts")).orchestrator));
  program
    .command("executor")
    .description("start an executor (SKEIN_URL, SKEIN_API_KEY, AMQP_URL)")
    .option("--capability <names>", "offer only these; repeatable, or with commas", collect)
    .option("--slots <n>", "tasks at once (SKEIN_SLOTS, 16)", wholeNumber(1, 100_000))
    .option("--label <key=value>", "what tasks can choose it by (SKEIN_LABELS); repeatable", collect)
    .option("--name <name>", "the agent's name (SKEIN_AGENT_NAME, host and process id)")
    .option("--import <file>", "a module that exports executors of yours; repeatable", collect)
    .addOption(new Option("--supervised").hideHelp())
    .action(does(async () => (await import("../executor.ts")).executor));
  program
    .command("mcp")
    .description("serve the Model Context Protocol on stdin and stdout")
    .option("--tools <groups>", "offer only these groups of tools, such as workflows,runs (mcp/README.md)")
    .action(does(async () => (await import("../mcp.ts")).mcp));
}

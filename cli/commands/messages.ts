/** `skein send`. */
import { type Command, Option } from "commander";
import type { Does } from "./options.ts";

export function addMessages(program: Command, does: Does): void {
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
    .action(does(async () => (await import("../send.ts")).sendMessage));
}

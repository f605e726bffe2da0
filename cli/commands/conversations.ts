/** `skein conversations …`. */
import { type Command, Option } from "commander";
import { type Does, limit } from "./options.ts";

export function addConversations(program: Command, does: Does): void {
  const load = () => import("../conversations.ts");
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

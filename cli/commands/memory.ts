/** `skein memory …`. */
import type { Command } from "commander";
import { type Does, LIMIT_DEFAULT, limit, wholeNumber } from "./options.ts";

export function addMemory(program: Command, does: Does): void {
  const memory = program.command("memory").description("keys that agents share, by scope");
  const load = () => import("../shared-memory.ts");
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

/** `skein keys …`. */
import { type Command, Option } from "commander";
import { type Does, LIMIT_DEFAULT, limit } from "./options.ts";

const scopeNames = ["runs:read", "runs:write", "work", "agents", "memory", "messages", "admin"];

export function addKeys(program: Command, does: Does): void {
  const keys = program.command("keys").description("API keys");
  const load = () => import("../keys.ts");
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

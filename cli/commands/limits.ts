/** `skein limits …`. */
import type { Command } from "commander";
import { type Does, LIMIT_DEFAULT, limit, wholeNumber } from "./options.ts";

export function addLimits(program: Command, does: Does): void {
  const limits = program
    .command("limits")
    .description(
      "how much may run at once, and how often, by key; @namespace: all tasks, @capability:<name>: all of a capability",
    );
  const load = () => import("../flow-limits.ts");
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

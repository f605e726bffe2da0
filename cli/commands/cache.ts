/** `skein cache …`. */
import type { Command } from "commander";
import type { Does } from "./options.ts";

export function addCache(program: Command, does: Does): void {
  const cache = program.command("cache").description("outputs that answer for equal tasks; see docs/cache.md");
  const load = () => import("../cache.ts");
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

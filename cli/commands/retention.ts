/** `skein retention …` and storage. */
import type { Command } from "commander";
import type { Does } from "./options.ts";

export function addRetention(program: Command, does: Does): void {
  const retention = program.command("retention").description("how long finished runs are kept");
  const load = () => import("../retention.ts");
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
    .option("--conversations <duration>", "forget conversations this long after they have ended; default: never")
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

/** `skein workflow …`. */
import type { Command } from "commander";
import { type Does, LIMIT_DEFAULT, limit, requireRunId } from "./options.ts";

export function addWorkflow(program: Command, does: Does): void {
  const workflow = program.command("workflow").description("check workflow files, and keep workflows on the server");
  const load = () => import("../workflow.ts");
  workflow
    .command("validate <files...>")
    .description("say all that is wrong with a file, what in it is odd, and how large, dear and long a run can become")
    .option("--strict", "fail for warnings, too")
    .option("--offline", "ask no server, even where one is named: then nothing is said of the agents there are")
    .action(does(async () => (await load()).validate));
  workflow
    .command("register <file>")
    .description("store a workflow; the same content is the same version")
    .action(does(async () => (await load()).register));
  workflow
    .command("save-from-run <run>")
    .description("store what a run is a run of, with all patches, to run it again with other inputs")
    .requiredOption("--name <name>", "of the workflow that it becomes")
    .option("--description <text>", "what it is for; default: as it was")
    .hook("preAction", (_, { args }) => requireRunId(args[0]!))
    .action(does(async () => (await load()).saveFromRun));
  workflow
    .command("list")
    .description("the registered workflows")
    .option("--limit <n>", "at most so many", limit, LIMIT_DEFAULT)
    .action(does(async () => (await load()).listWorkflows));
  workflow
    .command("get <name>")
    .description("a registered workflow as YAML (name, name@3)")
    .action(does(async () => (await load()).getWorkflow));
}

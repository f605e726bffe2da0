/** `skein agents …`. */
import { type Command, Option } from "commander";
import { allocationPolicies } from "../../core/routing.ts";
import { collect, type Does, duration, LIMIT_DEFAULT, limit, wholeNumber } from "./options.ts";

export function addAgents(program: Command, does: Does): void {
  const agents = program.command("agents").description("who is there, and who is given work");
  const load = () => import("../agents.ts");
  agents
    .command("list")
    .description("agents, the newest first")
    .option("--limit <n>", "at most so many", limit, LIMIT_DEFAULT)
    .action(does(async () => (await load()).listAgents));
  agents
    .command("watch")
    .description("agents that register, leave, are lost and return, until Ctrl-C")
    .action(does(async () => (await load()).watchAgents));
  agents
    .command("cordon <agent>")
    .description("give it nothing new; what it has it finishes")
    .action(does(async () => (await load()).cordon));
  agents
    .command("uncordon <agent>")
    .description("give it work again")
    .action(does(async () => (await load()).uncordon));
  agents
    .command("drain <agent>")
    .description("cordon it, and have it leave when it has finished")
    .action(does(async () => (await load()).drain));
  const data = () => import("../agent-data.ts");
  agents
    .command("state <agent>")
    .description("the document that an agent, by id or name, keeps as its state")
    .option("--working", "its working state instead, which may be lost")
    .action(does(async () => (await data()).agentState));
  agents
    .command("memory <agent>")
    .description("what an agent remembers, the newest first")
    .option("--type <type>", "entries of this type, such as observation")
    .option("--similar-to <text>", "entries that mean something like this, the closest first; needs a model")
    .option("--search <words>", "entries with such words, as in a web search: 'geese \"grey goose\" -duck'")
    .option("--limit <n>", "at most so many", limit, LIMIT_DEFAULT)
    .action(does(async () => (await data()).agentMemory));
  agents
    .command("inbox <agent>")
    .description("messages that an agent has not acknowledged, the oldest first")
    .option("--limit <n>", "at most so many", wholeNumber(1, 1_000), LIMIT_DEFAULT)
    .option("--follow", "go on with what comes, until Ctrl-C")
    .action(does(async () => (await data()).agentInbox));
  agents
    .command("topics <agent>")
    .description("the topics of which an agent's inbox has what is said")
    .option("--subscribe <topic>", "one more; repeatable", collect)
    .option("--unsubscribe <topic>", "one less; repeatable", collect)
    .action(does(async () => (await data()).agentTopics));
  const capabilities = program
    .command("capabilities")
    .description("what tasks can ask for, and how many offer it")
    .action(does(async () => (await load()).listCapabilities));
  capabilities
    .command("allocate <capability>")
    .description("how agents are chosen for its tasks")
    .addOption(
      new Option("--policy <policy>", "push is the shared queue").choices(allocationPolicies).makeOptionMandatory(),
    )
    .option("--bid-window <duration>", "of contract-net: how long a round waits for bids, default 500ms", duration)
    .action(does(async () => (await load()).allocate));
}

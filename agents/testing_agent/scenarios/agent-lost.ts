import type { RegistryEventBody } from "../../../core/protocol/agents.ts";
import { equal } from "../expect.ts";
import type { Scenario } from "../scenario.ts";
import { nextOf } from "../streams.ts";

export const agentLost: Scenario = {
  name: "agent-lost",
  title: "An agent that falls silent is told of as lost within a minute, and as returned when it is heard again",
  // Nothing was heard of an agent for 30 s, and then somebody has to look.
  deadlineMs: 120_000,
  async play({ client, unique, join, signal, step }) {
    step("begin to watch");
    const registry = client.agents.watch(signal);
    await nextOf(registry, (told) => told === "start");
    const next = () => nextOf(registry, (told): told is RegistryEventBody => Object(told).name === unique);

    step("register an agent, and be silent for 30 s");
    const agent = await join(unique);
    equal("what the watcher is told", (await next()).type, "registered");
    equal("what the watcher is told", (await next()).type, "lost");
    equal("the agent in the registry", (await client.agents.get(agent.id)).status, "lost");

    step("send a heartbeat");
    await agent.present();
    equal("what the watcher is told", (await next()).type, "returned");
    equal("the agent in the registry", (await client.agents.get(agent.id)).status, "live");
  },
};

import type { RegistryEventBody } from "../../../core/protocol/agents.ts";
import { equal } from "../expect.ts";
import type { Scenario } from "../scenario.ts";
import { nextOf } from "../streams.ts";

export const registryWatched: Scenario = {
  name: "registry-watched",
  title: "Who watches the registry is told of an agent that comes, and that it leaves",
  async play({ client, unique, join, signal, step }) {
    step("begin to watch");
    const registry = client.agents.watch(signal);
    await nextOf(registry, (told) => told === "start");
    const next = () => nextOf(registry, (told): told is RegistryEventBody => Object(told).name === unique);

    step("register an agent");
    const capability = {
      name: unique,
      version: "1.2",
      description: "Counts geese",
      output_schema: { type: "integer" },
    };
    const agent = await join([capability]);
    const { type, agent_id } = await next();
    equal("what the watcher is told", { type, agent_id }, { type: "registered", agent_id: agent.id });

    step("look it up");
    const { name, kind, status, healthy, offers } = await client.agents.get(agent.id);
    equal(
      "the agent in the registry",
      { name, kind, status, healthy, offers },
      { name: unique, kind: "external", status: "live", healthy: true, offers: [{ name: unique, version: "1.2" }] },
    );
    const offered = async () => (await client.capabilities()).data.find((one) => one.name === unique);
    equal("what tasks can ask it for", (await offered())?.description, capability.description);
    equal("how many agents offer that", (await offered())?.agents, 1);

    step("tell its load");
    await agent.present({ geese: 7 });
    equal("the load that others see", (await client.agents.get(agent.id)).load, { geese: 7 });

    step("leave");
    await agent.leave();
    equal("what the watcher is told", (await next()).type, "left");
    equal("the agent in the registry", (await client.agents.get(agent.id)).status, "left");
    equal("how many agents offer its capability", (await offered())?.agents ?? 0, 0);
  },
};

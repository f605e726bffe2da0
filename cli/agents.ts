/** `skein agents list`, `skein capabilities`: who is there, and what can be asked of them. */
import type { Context } from "./context.ts";
import { formatMs, printJson, printTable } from "./output.ts";
import { firstItems } from "./pages.ts";

export async function listAgents(context: Context, { limit }: { limit: number }): Promise<void> {
  const client = await context.client();
  const agents = await firstItems((page) => client.agents.list(page), limit);
  if (context.json) return printJson(context, agents);
  printTable(
    context,
    ["AGENT", "NAME", "STATUS", "DOOR", "BUSY", "SEEN", "CAPABILITIES"],
    agents.map((agent) => [
      agent.id,
      agent.name,
      agent.status,
      agent.door,
      `${agent.running}/${agent.slots}`,
      `${formatMs(Date.now() - Date.parse(agent.last_seen_at))} ago`,
      agent.capabilities.join(", "),
    ]),
  );
}

export async function listCapabilities(context: Context): Promise<void> {
  const client = await context.client();
  const { data } = await client.capabilities();
  if (context.json) return printJson(context, data);
  printTable(
    context,
    ["CAPABILITY", "VERSION", "AGENTS", "SLOTS", "DESCRIPTION"],
    data.map(({ name, version, agents, slots, description }) => [
      name,
      version,
      String(agents),
      String(slots),
      description ?? "",
    ]),
  );
}

/** `skein agents list`, `skein capabilities`: who is there, and what can be asked of them. */
import type { AgentBody, AllocationBody, CordonBody } from "../core/protocol/agents.ts";
import type { Context } from "./context.ts";
import { ago, counted, printJson, printTable, visible } from "./output.ts";
import { firstItems } from "./pages.ts";

export async function listAgents(context: Context, { limit }: { limit: number }): Promise<void> {
  const client = await context.client();
  const agents = await firstItems((page) => client.agents.list(page), limit);
  if (context.json) return printJson(context, agents);
  printTable(
    context,
    ["AGENT", "NAME", "VERSION", "STATUS", "DOOR", "BUSY", "SEEN", "CLAIMED", "ERRORS", "LABELS", "CAPABILITIES"],
    agents.map((agent) => [
      agent.id,
      agent.name,
      agent.version ?? "",
      statusOf(agent),
      agent.door,
      `${agent.running}/${agent.slots}`,
      ago(agent.last_seen_at),
      agent.last_claim_at === null ? "" : ago(agent.last_claim_at),
      agent.last_error === null ? "0" : `${agent.error_count}, last ${agent.last_error.code}`,
      Object.entries(agent.labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(","),
      agent.offers.map(({ name, version }) => `${name}@${version}`).join(", "),
    ]),
  );
}

/** A line an event; as JSON, a line of JSON. */
export async function watchAgents(context: Context): Promise<void> {
  const client = await context.client();
  try {
    for await (const event of client.agents.watch(context.interrupt())) {
      if (event === "start") continue;
      if (event === "reset") context.note("Too much was missed; `skein agents list` shows who is there.");
      else if (context.json) context.stdout.write(`${JSON.stringify(event)}\n`);
      else context.stdout.write(`${event.at} ${event.type} ${visible(event.name)} ${event.agent_id}\n`);
    }
  } catch (error) {
    // Ctrl-C is how one leaves.
    if ((error as Error).name !== "AbortError") throw error;
  }
}

function statusOf({ status, cordoned, draining }: AgentBody): string {
  if (status !== "live") return status;
  return draining ? "draining" : cordoned ? "cordoned" : status;
}

export function cordon(context: Context, id: string): Promise<void> {
  return setCordon(context, id, { cordoned: true });
}

export function uncordon(context: Context, id: string): Promise<void> {
  return setCordon(context, id, { cordoned: false });
}

export function drain(context: Context, id: string): Promise<void> {
  return setCordon(context, id, { cordoned: true, draining: true });
}

async function setCordon(context: Context, id: string, body: CordonBody): Promise<void> {
  const client = await context.client();
  const agent = await client.agents.cordon(id, body);
  if (context.json) return printJson(context, agent);
  context.stdout.write(`${visible(agent.name)} is ${statusOf(agent)}; it runs ${counted(agent.running, "task")}\n`);
}

/** For tasks that are added from now on. */
export async function allocate(
  context: Context,
  capability: string,
  { policy, bidWindow }: { policy: AllocationBody["policy"]; bidWindow?: number },
): Promise<void> {
  const client = await context.client();
  const answer = await client.allocate(capability, policy, bidWindow === undefined ? {} : { bid_window_ms: bidWindow });
  if (context.json) return printJson(context, answer);
  context.stdout.write(`Tasks for ${visible(capability)} are given to agents by ${answer.policy} from now on\n`);
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

/** How the tools speak about an agent. */
import type { z } from "zod";
import { agent } from "../core/protocol/agents.ts";

/** An agent without its card and load, which may be large. */
export const agentSummary = agent.pick({
  id: true,
  name: true,
  kind: true,
  status: true,
  cordoned: true,
  draining: true,
  capabilities: true,
  labels: true,
  slots: true,
  running: true,
  version: true,
  last_seen_at: true,
});

/** `ann (01…): live, 1 of 4 slots at work, offers review.text` */
export function agentLine(told: z.infer<typeof agentSummary>): string {
  const { id, name, status, cordoned, draining, capabilities, slots, running } = told;
  const held = draining ? ", draining" : cordoned ? ", cordoned" : "";
  return `${name} (${id}): ${status}${held}, ${running} of ${slots} slots at work, offers ${capabilities.join(", ")}`;
}

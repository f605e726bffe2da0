/** `skein agents state`, `memory`, `inbox`: what an agent keeps, and what it has been told. */
import type { AgentStateBody } from "../core/protocol/agent-data.ts";
import type { Context } from "./context.ts";
import { ago, formatMs, printJson, printTable, toJson } from "./output.ts";
import { firstItems } from "./pages.ts";

export async function agentState(context: Context, agent: string): Promise<void> {
  const client = await context.client();
  const state = await client.agentData(agent).state.read();
  if (context.json) return printJson(context, state);
  context.note(`Revision ${state.revision}, written ${ago(state.updated_at)}${writerOf(state)}${untilWhen(state)}.`);
  context.stdout.write(`${toJson(state.document)}\n`);
}

export async function agentMemory(
  context: Context,
  agent: string,
  { limit, type, search }: { limit: number; type?: string; search?: string },
): Promise<void> {
  const client = await context.client();
  const { memory } = client.agentData(agent);
  const entries = await firstItems((page) => memory.list({ ...page, type, search }), limit);
  if (context.json) return printJson(context, entries);
  printTable(
    context,
    ["ENTRY", "TYPE", "WRITTEN", "EXPIRES", "CONTENT"],
    entries.map(({ id, type, created_at, expires_at, content }) => [
      id,
      type,
      ago(created_at),
      expires_at === null ? "" : fromNow(expires_at),
      JSON.stringify(content),
    ]),
  );
}

export async function agentInbox(context: Context, agent: string, { limit }: { limit: number }): Promise<void> {
  const client = await context.client();
  const { messages } = await client.agentData(agent).inbox.read({ limit });
  if (context.json) return printJson(context, messages);
  printTable(
    context,
    ["MESSAGE", "FROM", "TYPE", "CONVERSATION", "SENT", "EXPIRES", "BODY"],
    messages.map(({ id, from, type, conversation, created_at, expires_at, body }) => [
      id,
      from.kind === "agent" ? from.name : `${from.name} (${from.kind})`,
      type ?? "",
      conversation ?? "",
      ago(created_at),
      fromNow(expires_at),
      JSON.stringify(body),
    ]),
  );
}

function writerOf({ writer }: AgentStateBody): string {
  return writer ? ` by attempt ${writer.attempt} of task ${writer.task_id}` : "";
}

function untilWhen({ expires_at }: AgentStateBody): string {
  return expires_at === null ? "" : `, gone ${fromNow(expires_at)}`;
}

function fromNow(time: string): string {
  return `in ${formatMs(Date.parse(time) - Date.now())}`;
}

/** `skein agents state`, `memory`, `inbox`, `topics`: what an agent keeps, and what it has been told. */
import type { Addressee, AgentStateBody, MessageBody } from "../core/protocol/agent-data.ts";
import type { Context } from "./context.ts";
import { ago, formatMs, printJson, printTable, toJson, visible } from "./output.ts";
import { firstItems } from "./pages.ts";

export async function agentState(
  context: Context,
  agent: string,
  { working }: { working?: boolean } = {},
): Promise<void> {
  const client = await context.client();
  if (working) {
    const state = await client.agentData(agent).working.read();
    if (context.json) return printJson(context, state);
    context.note(`Revision ${state.revision}, written ${ago(state.updated_at)}, gone ${fromNow(state.expires_at)}.`);
    context.stdout.write(`${toJson(state.document)}\n`);
    return;
  }
  const state = await client.agentData(agent).state.read();
  if (context.json) return printJson(context, state);
  context.note(`Revision ${state.revision}, written ${ago(state.updated_at)}${writerOf(state)}${untilWhen(state)}.`);
  context.stdout.write(`${toJson(state.document)}\n`);
}

export async function agentMemory(
  context: Context,
  agent: string,
  { limit, type, search, similarTo }: { limit: number; type?: string; search?: string; similarTo?: string },
): Promise<void> {
  const client = await context.client();
  const { memory } = client.agentData(agent);
  const entries = await firstItems((page) => memory.list({ ...page, type, search, similarTo }), limit);
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

export async function agentInbox(
  context: Context,
  agent: string,
  { limit, follow }: { limit: number; follow?: boolean },
): Promise<void> {
  const client = await context.client();
  const { inbox } = client.agentData(agent);
  if (follow) return followInbox(context, inbox.stream(context.interrupt()));
  const { messages } = await inbox.read({ limit });
  if (context.json) return printJson(context, messages);
  printTable(
    context,
    ["MESSAGE", "FROM", "TO", "TYPE", "CONVERSATION", "SENT", "EXPIRES", "BODY"],
    messages.map(({ id, from, to, type, conversation, created_at, expires_at, body }) => [
      id,
      senderOf(from),
      addresseeOf(to),
      type ?? "",
      conversation ?? "",
      ago(created_at),
      fromNow(expires_at),
      JSON.stringify(body),
    ]),
  );
}

/** A line a message; as JSON, a line of JSON. */
async function followInbox(context: Context, messages: AsyncIterable<MessageBody>): Promise<void> {
  try {
    for await (const message of messages) {
      const { id, from, to, type, body } = message;
      const head = [id, senderOf(from), "→", addresseeOf(to), ...(type === null ? [] : [type])].map(visible).join(" ");
      context.stdout.write(context.json ? `${JSON.stringify(message)}\n` : `${head} ${JSON.stringify(body)}\n`);
    }
  } catch (error) {
    // Ctrl-C is how one leaves.
    if ((error as Error).name !== "AbortError") throw error;
  }
}

export async function agentTopics(
  context: Context,
  agent: string,
  { subscribe = [], unsubscribe = [] }: { subscribe?: string[]; unsubscribe?: string[] },
): Promise<void> {
  const client = await context.client();
  const { subscriptions } = client.agentData(agent);
  for (const topic of subscribe) await subscriptions.add(topic);
  for (const topic of unsubscribe) await subscriptions.remove(topic);
  const { data } = await subscriptions.list();
  if (context.json) return printJson(context, data);
  printTable(
    context,
    ["TOPIC", "SUBSCRIBED"],
    data.map(({ topic, created_at }) => [topic, ago(created_at)]),
  );
}

function senderOf({ kind, name }: MessageBody["from"]): string {
  return kind === "agent" ? name : `${name} (${kind})`;
}

function addresseeOf(to: Addressee): string {
  if (typeof to === "string") return to;
  return "topic" in to ? `topic ${to.topic}` : "all";
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

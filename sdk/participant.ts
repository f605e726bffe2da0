/** Members of conversations, as functions. */
import { SkeinError } from "../core/errors.ts";
import { isJsonObject, type Json, type JsonObject } from "../core/json.ts";
import type { MessageBody } from "../core/protocol/agent-data.ts";
import { type AgentClient, type ClientOptions, createAgentClient, createClient } from "./client.ts";
import { type InboxNotices, noticedInbox } from "./noticed-inbox.ts";
import { untilAnswered } from "./repeat.ts";

/** Something that a conversation, or one of its members, says to a member. */
export interface Turn {
  conversation: string;
  protocol: string;
  /** Null: the conversation itself. */
  from: string | null;
  type: string;
  body: JsonObject;
  /** What may be answered, by when (epoch milliseconds); null: it is only told. */
  expects: { types: string[]; by: number } | null;
}

export type Speech = { type: string; body?: Json };
export type Speak = (turn: Turn) => Speech | Speech[] | undefined | Promise<Speech | Speech[] | undefined>;

export interface TakePartOptions {
  /** Aborts when the member has had enough. */
  signal: AbortSignal;
  /** Told of what the rules refused; default: nothing is made of it. */
  onRefused?: (refusal: SkeinError, turn: Turn) => void;
  /** What tells of the inbox (`connectInbox`); default: a stream of the server. */
  notices?: InboxNotices | undefined;
  /** Whatever else comes to the inbox. It is acknowledged once this has resolved; default: it is left there. */
  onMessage?: (message: MessageBody) => void | Promise<void>;
}

export interface ParticipateOptions extends ClientOptions, TakePartOptions {
  /** Of the agent: its conversations and its inbox belong to it. */
  name: string;
}

/** How often it says that it is there. */
const PRESENCE_MS = 10_000;
/** So long it says again what a server that is away has not heard. */
const PATIENCE_MS = 60_000;

/**
 * Takes part in conversations as an agent of its own, which leaves the registry in the end: whenever something is said to it,
 * it is asked what it says to that. Resolves when the signal aborts. A turn that comes again after a crash is answered under
 * the same id, so nothing is said twice.
 */
export async function participate(
  { name, signal, onRefused, onMessage, notices, ...options }: ParticipateOptions,
  speak: Speak,
): Promise<void> {
  const registered = await createClient(options).agents.register({ name, kind: "external", capabilities: [] });
  const agent = createAgentClient(options, registered);
  await takePart(agent, speak, { signal, notices, ...(onRefused && { onRefused }), ...(onMessage && { onMessage }) });
  await agent.leave();
}

/** The same as an agent that is registered already, and stays so. */
export async function takePart(
  agent: AgentClient,
  speak: Speak,
  { signal, onRefused, onMessage, notices }: TakePartOptions,
): Promise<void> {
  const presence = setInterval(() => void agent.present().catch(() => {}), PRESENCE_MS);
  try {
    for await (const message of notices ? noticedInbox(agent, notices, signal) : agent.data.inbox.stream(signal)) {
      const turn = turnOf(message);
      if (turn) await answer(agent, message, turn, speak, { signal, onRefused });
      else if (onMessage) await onMessage(message);
      if (turn || onMessage) await patiently(signal, () => agent.data.inbox.acknowledge([message.id]));
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    clearInterval(presence);
  }
}

async function answer(
  agent: AgentClient,
  { id }: MessageBody,
  turn: Turn,
  speak: Speak,
  { signal, onRefused }: { signal: AbortSignal; onRefused: TakePartOptions["onRefused"] },
): Promise<void> {
  const said = await speak(turn);
  for (const [index, speech] of (said === undefined ? [] : [said].flat()).entries()) {
    try {
      await patiently(signal, () => agent.conversations.say(turn.conversation, { ...speech, id: `${id}.${index}` }));
    } catch (error) {
      const isRefused = error instanceof SkeinError && error.code.startsWith("CONVERSATION_");
      if (!isRefused) throw error;
      onRefused?.(error, turn);
    }
  }
}

function patiently<T>(signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
  return untilAnswered(ask, { giveUpAfterMs: PATIENCE_MS, signal });
}

/** Undefined: it is of no conversation. */
function turnOf({ from, type, body, conversation }: MessageBody): Turn | undefined {
  if (from.kind !== "system" || conversation === null || type === null || !isJsonObject(body)) return undefined;
  const { protocol, from: speaker, body: said, expects } = body as unknown as Omit<Turn, "conversation" | "type">;
  if (typeof protocol !== "string") return undefined;
  return { conversation, protocol, from: speaker, type, body: isJsonObject(said) ? said : {}, expects };
}

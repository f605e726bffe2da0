/**
 * `capability: conversation.<protocol>`: a conversation is the work of a task. The engine does it: its members talk over their
 * inboxes, and no agent holds a lease meanwhile. The input is what a conversation is started with, without the protocol.
 */

import type { ConversationParameters } from "./conversation/parameters.ts";
import { protocolNames } from "./conversation/state.ts";
import { type ProtocolName, readConversation } from "./conversation.ts";
import { agentKeys } from "./engine-task.ts";
import { type Issue, SkeinError } from "./errors.ts";
import { isJsonObject, type Json, pointerTo } from "./json.ts";
import { didYouMean } from "./near-miss.ts";

export interface ConversationSpec {
  kind: "conversation";
  protocol: ProtocolName;
}

const PREFIX = "conversation.";

/** The protocol that a capability names; undefined: it names none, or one that there is not. */
export function protocolOf(capability: string | undefined): ProtocolName | undefined {
  if (!capability?.startsWith(PREFIX)) return undefined;
  const name = capability.slice(PREFIX.length) as ProtocolName;
  return protocolNames.includes(name) ? name : undefined;
}

/** What is wrong with a task of a workflow for being a conversation; nothing when it is none. `at` is where it stands. */
export function wrongConversation(raw: Record<string, unknown>, id: string, at: string): Issue[] {
  const { capability, input } = raw;
  if (typeof capability !== "string" || !capability.startsWith(PREFIX)) return [];
  const issue = (message: string, place: string): Issue => {
    return { code: "WORKFLOW_INVALID", message: `Task "${id}" ${message}`, pointer: pointerTo(at, place) };
  };
  const protocol = protocolOf(capability);
  if (!protocol) {
    const known = protocolNames.map((name) => PREFIX + name);
    const remedy = didYouMean(capability, known) || ` There are ${known.join(", ")}.`;
    return [issue(`asks for "${capability}", which is no protocol of conversations.${remedy}`, "capability")];
  }
  const beside = [...agentKeys, "timeout"]
    .filter((key) => raw[key] !== undefined)
    .map((key) => issue(`has \`${key}\`, which means nothing beside a conversation; remove it.`, key));
  if (!isJsonObject(input)) {
    return [
      ...beside,
      issue("has no `input` with what a conversation takes, such as `topic` and `members`; add it.", "input"),
    ];
  }
  if (input.protocol !== undefined) {
    return [
      ...beside,
      issue("has a `protocol` in its `input`, which its capability says already; remove it.", "input"),
    ];
  }
  return [...beside, ...wrongParameters(protocol, input as Json, pointerTo(at, "input"))];
}

/** With expressions in it, an input is looked at when the task starts. */
function wrongParameters(protocol: ProtocolName, input: Json, at: string): Issue[] {
  if (JSON.stringify(input).includes("{{")) return [];
  try {
    readTask({ kind: "conversation", protocol }, input);
    return [];
  } catch (error) {
    if (!(error instanceof SkeinError)) throw error;
    return error.issues.map(({ message, pointer }) => ({ code: "WORKFLOW_INVALID", message, pointer: at + pointer }));
  }
}

/** Throws CONVERSATION_INVALID. */
export function readTask({ protocol }: ConversationSpec, input: Json): ConversationParameters {
  return readConversation({ ...(isJsonObject(input) ? input : {}), protocol });
}

/** What agents keep and tell each other: one document of state, memory entries, messages. What may be written, and why not. */
import type { ErrorCode } from "./errors.ts";
import type { Json } from "./json.ts";
import { formatCount, type LimitName, type Limits, limitSentence } from "./limits.ts";
import type { Addressee } from "./protocol/agent-data.ts";

/** The attempt of a task that wrote something; null for what an agent or a client said by itself. */
export type Writer = { taskId: string; attempt: number } | null;

/** Why something is not written. */
export interface Refusal {
  code: Extract<
    ErrorCode,
    | "STATE_CONFLICT"
    | "MEMORY_CONFLICT"
    | "AGENT_DATA_TOO_LARGE"
    | "MEMORY_FULL"
    | "INBOX_FULL"
    | "AGENT_NOT_FOUND"
    | "TOO_MANY_RECIPIENTS"
    | "SUBSCRIPTIONS_FULL"
    | "IDEMPOTENCY_KEY_REUSED"
  >;
  message: string;
  /** Of MEMORY_FULL: so many have to go before the same is accepted. */
  excess?: number;
  /** When the same may be accepted, as far as that is known. */
  retryAfterMs?: number;
}

/** A full inbox is emptied by its reader, whenever that is: so soon it is worth another try. */
const INBOX_LOOK_AGAIN_MS = 5_000;

/** Whether the same may be accepted later though nobody changes it: a document is read again, an inbox is emptied. */
export function mayPass({ code }: Refusal): boolean {
  return code === "STATE_CONFLICT" || code === "INBOX_FULL" || code === "MEMORY_FULL";
}

/** The revision that a state must have for a write to take place; 0: there must be none. */
export type StateCondition = { revision: number };

export interface StateWish {
  /** That of the document there is; 0: there is none. */
  revision: number;
  /** Undefined takes the document away. */
  document: Json | undefined;
  condition: StateCondition | undefined;
}

/** Undefined: it is written. */
export function refuseState({ revision, document, condition }: StateWish, limits: Limits): Refusal | undefined {
  if (condition && condition.revision !== revision) {
    const found = revision === 0 ? "there is none" : `it has revision ${revision}`;
    const expected = condition.revision === 0 ? "there to be none" : `revision ${condition.revision}`;
    return {
      code: "STATE_CONFLICT",
      message: `The write expects ${expected} of the agent's state, but ${found}; read it and decide again.`,
    };
  }
  return document === undefined ? undefined : tooLarge("stateBytes", document, "The state", limits);
}

/** `existing` are entries that have not run out. Undefined: all are written. */
export function refuseEntries(existing: number, contents: readonly Json[], limits: Limits): Refusal | undefined {
  for (const content of contents) {
    const refusal = tooLarge("memoryEntryBytes", content, "A memory entry", limits);
    if (refusal) return refusal;
  }
  const count = existing + contents.length;
  if (count <= limits.memoryEntries) return undefined;
  const message = tooMany("memoryEntries", count, "the agent's memory would have", limits);
  return {
    code: "MEMORY_FULL",
    message: `${message} Else delete some, or give them a ttl.`,
    excess: count - limits.memoryEntries,
  };
}

/** Undefined: it is sent. `unread` are the messages in the inbox that have not run out. */
export function refuseMessage(
  {
    unread,
    isKnown,
    mustRoute,
    to,
    body,
  }: { unread: number; isKnown: boolean; mustRoute: boolean; to: string; body: Json },
  limits: Limits,
): Refusal | undefined {
  if (mustRoute && !isKnown) return noSuchRecipient(to);
  return refuseBody(body, limits) ?? refuseInbox(to, unread, limits);
}

/** One message to many, of whom each has so many unread. A full inbox misses it, unless all must have it. */
export function addressPost<T extends { name: string; unread: number }>(
  { to, recipients, body, mustRoute }: { to: string; recipients: readonly T[]; body: Json; mustRoute: boolean },
  limits: Limits,
): { recipients: T[]; missed: number } | Refusal {
  if (mustRoute && recipients.length === 0) {
    return { code: "AGENT_NOT_FOUND", message: `Nobody but its sender would hear a message to ${to}.` };
  }
  const tooBig = refuseBody(body, limits);
  if (tooBig) return tooBig;
  if (recipients.length > limits.recipients) {
    const message = `The message to ${to} would have ${formatCount(recipients.length)} recipients; ${limitSentence("recipients", limits)}.`;
    return { code: "TOO_MANY_RECIPIENTS", message };
  }
  const full = recipients.filter(({ name, unread }) => refuseInbox(name, unread, limits));
  if (mustRoute && full.length > 0) return refuseInbox(full[0]!.name, full[0]!.unread, limits)!;
  const missing = new Set(full);
  return { recipients: recipients.filter((one) => !missing.has(one)), missed: full.length };
}

/** Undefined: it may subscribe to one more than it has. */
export function refuseSubscription(name: string, existing: number, limits: Limits): Refusal | undefined {
  if (existing < limits.subscriptions) return undefined;
  const message = `The agent "${name}" would have ${formatCount(existing + 1)} subscriptions; ${limitSentence("subscriptions", limits)}. Else give some up.`;
  return { code: "SUBSCRIPTIONS_FULL", message };
}

/** Undefined: a key that agents share may have this value. */
export function refuseSharedValue(value: Json, limits: Limits): Refusal | undefined {
  return tooLarge("sharedBytes", value, "The value", limits);
}

function refuseBody(body: Json, limits: Limits): Refusal | undefined {
  return tooLarge("messageBytes", body, "The message", limits);
}

function refuseInbox(name: string, unread: number, limits: Limits): Refusal | undefined {
  if (unread < limits.inboxMessages) return undefined;
  const message = tooMany("inboxMessages", unread + 1, `the inbox of "${name}" would have`, limits);
  return {
    code: "INBOX_FULL",
    message: `${message} Else have them acknowledged, or give them a ttl.`,
    retryAfterMs: INBOX_LOOK_AGAIN_MS,
  };
}

/** For a message to another than the one that had the key. A repetition may say something else, and is not sent again. */
export function refuseReusedKey({ key, was, to }: { key: string; was: Addressee; to: Addressee }): Refusal {
  return {
    code: "IDEMPOTENCY_KEY_REUSED",
    message: `The key "${key}" was that of a message to ${describeAddressee(was)}, so nothing is sent to ${describeAddressee(to)} under it; give each message a key of its own.`,
  };
}

export function describeAddressee(to: Addressee): string {
  if (typeof to === "string") return `"${to}"`;
  return "topic" in to ? `the topic "${to.topic}"` : "all";
}

export function noSuchRecipient(to: string): Refusal {
  return {
    code: "AGENT_NOT_FOUND",
    message: `No agent that is there is called "${to}"; GET /v1/agents lists them.`,
  };
}

function tooLarge(name: LimitName, content: Json, subject: string, limits: Limits): Refusal | undefined {
  const bytes = Buffer.byteLength(JSON.stringify(content));
  if (bytes <= limits[name]) return undefined;
  return {
    code: "AGENT_DATA_TOO_LARGE",
    message: `${subject} has ${formatCount(bytes)} bytes as JSON; ${limitSentence(name, limits)}. Keep what is larger as an artifact (PUT /v1/runs/{run}/artifacts/{path}) and name that.`,
  };
}

function tooMany(name: LimitName, count: number, subject: string, limits: Limits): string {
  return `With this, ${subject} ${formatCount(count)} entries; ${limitSentence(name, limits)}.`;
}

/** Tells other replicas, and whoever listens on the broker, of messages and changes. Hints only: what there is is in the store. */

import type { Json, JsonObject } from "../../core/json.ts";
import type { Change, DeliveredMessage } from "../../store/store.ts";
import { agentRoutingKey, type OutgoingEvent } from "../../transport/transport.ts";

/** Of a larger message only the id is told. */
const MAX_ENVELOPE_BYTES = 4_096;
/** Replicas find out by themselves, within a second, whose inbox has a message that more than so many have. */
const MAX_INBOXES_TOLD = 1_000;

/** What was committed at once and goes to the same is told of at once: each notice costs the broker as much as a task's hint. */
export function noticesOf(delivered: readonly DeliveredMessage[]): OutgoingEvent[] {
  const notices = new Map<string, { namespace: string; inboxes: Set<string>; messages: JsonObject[] }>();
  for (const message of delivered) {
    const routingKey = routingKeyOf(message);
    let notice = notices.get(routingKey);
    if (!notice) {
      notice = { namespace: message.namespace, inboxes: new Set(), messages: [] };
      notices.set(routingKey, notice);
    }
    for (const inbox of message.inboxes) notice.inboxes.add(inbox);
    notice.messages.push(envelopeOf(message));
  }
  return Array.from(notices, ([routingKey, { namespace, inboxes, messages }]) => ({
    routingKey,
    body: { v: 1, namespace, ...(inboxes.size <= MAX_INBOXES_TOLD && { inboxes: [...inboxes] }), messages },
  }));
}

/** By namespace, the names of the agents that have something new. */
export function inboxesOf(delivered: readonly DeliveredMessage[]): Map<string, string[]> {
  const names = new Map<string, Set<string>>();
  for (const { namespace, inboxes } of delivered) {
    const known = names.get(namespace) ?? new Set();
    for (const inbox of inboxes) known.add(inbox);
    names.set(namespace, known);
  }
  return new Map(Array.from(names, ([namespace, inboxes]) => [namespace, [...inboxes]]));
}

export function changeNoticesOf(changes: readonly Change[]): OutgoingEvent[] {
  return changes.map(({ kind, namespace, name }) =>
    kind === "memory"
      ? { routingKey: agentRoutingKey(kind, namespace, name), body: { v: 1, namespace, scope: name } }
      : { routingKey: agentRoutingKey(kind, namespace), body: { v: 1, namespace, registry: true } },
  );
}

/** What a notice of another replica is about. */
interface HeardOf {
  namespace: string;
  inboxes: string[];
  /** Of shared memory. */
  scopes: string[];
  registry: boolean;
}

export function newsIn(notice: Json): HeardOf {
  const {
    namespace,
    inboxes = [],
    scope,
    registry = false,
  } = notice as {
    namespace: string;
    inboxes?: string[];
    scope?: string;
    registry?: boolean;
  };
  return { namespace, inboxes, scopes: scope === undefined ? [] : [scope], registry };
}

/** The message as its inbox shows it, but without times, which only the database knows; of a large one the id alone. */
function envelopeOf({ id, from, to, type, body, conversation, replyTo, writer }: DeliveredMessage): JsonObject {
  const envelope = {
    id,
    from: { ...from },
    to,
    type,
    body,
    conversation,
    reply_to: replyTo,
    writer: writer && { task_id: writer.taskId, attempt: writer.attempt },
  };
  return Buffer.byteLength(JSON.stringify(envelope)) <= MAX_ENVELOPE_BYTES ? envelope : { id };
}

function routingKeyOf({ namespace, to }: DeliveredMessage): string {
  if (typeof to === "string") return agentRoutingKey("agent", namespace, to);
  if ("topic" in to) return agentRoutingKey("topic", namespace, to.topic);
  return agentRoutingKey("broadcast", namespace);
}

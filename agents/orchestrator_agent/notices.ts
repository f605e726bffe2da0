/** Tells other replicas, and whoever listens on the broker, of messages and changes. Hints only: what there is is in the store. */

import type { Json, JsonObject } from "../../core/json.ts";
import type { Change, DeliveredMessage } from "../../store/store.ts";
import { agentRoutingKey, type OutgoingEvent } from "../../transport/transport.ts";

/** A larger message is told of without its contents. */
const MAX_ENVELOPE_BYTES = 4_096;
/** Replicas find out by themselves, within a second, whose inbox has a message that more than so many have. */
const MAX_INBOXES_TOLD = 1_000;

export function noticesOf(messages: readonly DeliveredMessage[]): OutgoingEvent[] {
  return messages.map((message) => {
    const { namespace, id, inboxes } = message;
    const envelope = envelopeOf(message);
    const isSmall = Buffer.byteLength(JSON.stringify(envelope)) <= MAX_ENVELOPE_BYTES;
    const body = {
      v: 1,
      namespace,
      id,
      ...(inboxes.length <= MAX_INBOXES_TOLD && { inboxes }),
      ...(isSmall && { message: envelope }),
    };
    return { routingKey: routingKeyOf(message), body };
  });
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

/** The message as its inbox shows it, but without times, which only the database knows. */
function envelopeOf({ id, from, to, type, body, conversation, replyTo, writer }: DeliveredMessage): JsonObject {
  return {
    id,
    from: { ...from },
    to,
    type,
    body,
    conversation,
    reply_to: replyTo,
    writer: writer && { task_id: writer.taskId, attempt: writer.attempt },
  };
}

function routingKeyOf({ namespace, to }: DeliveredMessage): string {
  if (typeof to === "string") return agentRoutingKey("agent", namespace, to);
  if ("topic" in to) return agentRoutingKey("topic", namespace, to.topic);
  return agentRoutingKey("broadcast", namespace);
}

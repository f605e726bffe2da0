/** Tells other replicas, and whoever listens on the broker, of messages. Hints only: the inboxes are in the store. */
import type { Json, JsonObject } from "../../core/json.ts";
import type { DeliveredMessage } from "../../store/store.ts";
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

/** The names of the agents that a notice of another replica is about. */
export function inboxesIn(notice: Json): { namespace: string; inboxes: string[] } {
  const { namespace, inboxes = [] } = notice as { namespace: string; inboxes?: string[] };
  return { namespace, inboxes };
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

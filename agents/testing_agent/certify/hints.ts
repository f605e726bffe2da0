/** Hints as the orchestrator publishes them, written from contract.md and not with the transport: another witness. */
import { connect } from "amqplib";
import { SkeinError } from "../../../core/errors.ts";
import type { LeaseBody } from "../../../core/protocol/tasks.ts";

/** Puts the hint that led to `lease` into `queue` again, `times` times. Rejects with BROKER_UNAVAILABLE. */
export async function repeatHint(amqpUrl: string, queue: string, lease: LeaseBody, times: number): Promise<void> {
  const { task_id, run_id, capability, attempt } = lease;
  const body = Buffer.from(JSON.stringify({ v: 1, task_id, run_id, capability, attempt_hint: attempt }));
  const properties = { persistent: true, contentType: "application/json", messageId: `${task_id}:${attempt}` };
  try {
    const connection = await connect(amqpUrl);
    try {
      const channel = await connection.createConfirmChannel();
      for (let i = 0; i < times; i++) channel.sendToQueue(queue, body, properties);
      await channel.waitForConfirms();
    } finally {
      await connection.close();
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SkeinError("BROKER_UNAVAILABLE", `Cannot publish through AMQP_URL (${reason}); correct or unset it.`);
  }
}

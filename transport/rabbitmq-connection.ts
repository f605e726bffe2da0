import { connect, type RecoveringChannelModel } from "amqplib";
import { SkeinError } from "../core/errors.ts";
import type { Logger } from "./transport.ts";

/** Half-open connections are noticed within two to three of these; a handler that blocks its thread gets as long. */
const HEARTBEAT_SECONDS = 30;
const CONNECT_TIMEOUT_MS = 10_000;
const RECONNECT_MS = { initialDelay: 200, maxDelay: 3_000 };

/** Tries once; a later loss is retried for ever. `name` is what the broker's operators see. */
export async function openConnection(url: URL, name: string, log: Logger): Promise<RecoveringChannelModel> {
  const connection = await connect(url.href, {
    noDelay: true, // hints are small and wait for answers: Nagle would hold them for 40 ms
    keepAlive: true,
    timeout: CONNECT_TIMEOUT_MS,
    clientProperties: { connection_name: name },
    recovery: { ...RECONNECT_MS, initialMaxRetries: 0 },
  });
  connection.on("error", (error) => log.debug({ err: error, connection: name }, "the connection to RabbitMQ failed"));
  connection.on("handler-error", (error: Error) => log.error({ err: error }, "a listener of the connection threw"));
  connection.on("reconnect-scheduled", ({ attempt, delay: delayMs, error }) => {
    const level = attempt === 1 ? "warn" : "debug";
    log[level]({ err: error, connection: name, attempt, delayMs }, "RabbitMQ is away; connecting again");
  });
  connection.on("connect", () => log.info({ connection: name }, "connected to RabbitMQ again"));
  return connection;
}

/** Throws CONFIG_INVALID for what is not an AMQP URL. */
export function parseUrl(url: string): URL {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (!parsed?.hostname || !["amqp:", "amqps:"].includes(parsed.protocol)) {
    // The text itself may hold a password, in any place.
    throw new SkeinError(
      "CONFIG_INVALID",
      "AMQP_URL must look like amqp://user:password@host:5672/vhost (or amqps://).",
    );
  }
  if (!parsed.searchParams.has("heartbeat")) parsed.searchParams.set("heartbeat", String(HEARTBEAT_SECONDS));
  return parsed;
}

/** Names the broker without its credentials. */
export function unavailable(url: URL, cause: unknown): SkeinError {
  const address = `${url.protocol}//${url.host}${url.pathname}`;
  const remedy = "Start it, or correct AMQP_URL (host, port, user, password, virtual host).";
  return new SkeinError("BROKER_UNAVAILABLE", `Cannot use RabbitMQ at ${address}: ${messageOf(cause)}. ${remedy}`, {
    cause,
  });
}

/** A refused connection to a name with several addresses is an AggregateError without a message of its own. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return messageOf(error.errors[0]);
  return error instanceof Error ? error.message : String(error);
}

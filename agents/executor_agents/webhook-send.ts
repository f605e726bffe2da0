/**
 * `webhook.send` — one signed POST, as Standard Webhooks has it (https://www.standardwebhooks.com).
 *
 * The message id is the task's idempotency key, the same for every attempt; the receiver checks the signature over id,
 * time and body, and takes each id once. The address passes the guard of `http.request`; redirects are refused.
 * Docs, limits and errors: docs/executors/webhook.send.md.
 */

import { createHmac } from "node:crypto";
import { type Agent, fetch } from "undici";
import { z } from "zod";
import type { Json } from "../../core/json.ts";
import { defineExecutor, type ExecutorContext, NonRetryableError, TaskError } from "../../sdk/executor.ts";
import {
  guardedAgent,
  httpHeaders,
  httpUrl,
  isTransientStatus,
  networkFailure,
  shownUrl,
  statusFailure,
} from "./http-request/guarded-fetch.ts";
import type { GuardOptions } from "./http-request/ssrf-guard.ts";

/** Names to secrets, `whsec_` and base64. With several, a message bears a signature of each: so secrets are rotated. */
type Secrets = Readonly<Record<string, readonly string[]>>;

const DEFAULT_TIMEOUT_MS = 30_000;
const MAX_TIMEOUT_MS = 300_000;
const MAX_BODY_CHARS = 1024 * 1024;
const SECRET_PREFIX = "whsec_";
const GONE = 410;

const input = z.strictObject({
  url: httpUrl.describe("An http or https URL without credentials"),
  secret: z.string().min(1).describe("One of the names in SKEIN_WEBHOOK_SECRETS"),
  body: z.json().describe("Sent as JSON; usually { type, timestamp, data }"),
  headers: httpHeaders
    .refine((headers) => !Object.keys(headers).some((name) => /^(?:webhook-.*|content-type)$/i.test(name)), {
      message: "webhook-* and content-type are set by the executor",
    })
    .default({}),
  timeout_ms: z.int().min(1).max(MAX_TIMEOUT_MS).default(DEFAULT_TIMEOUT_MS).describe("For the whole exchange"),
});

const output = z.strictObject({
  status: z.int(),
  id: z.string().describe("webhook-id: the same for every attempt"),
  timestamp: z.int().describe("webhook-timestamp: when this attempt was signed, in seconds"),
});

type WebhookInput = z.output<typeof input>;
type WebhookOutput = z.input<typeof output>;

/** The executor, for the secrets of SKEIN_WEBHOOK_SECRETS. */
export function webhookSend(secrets: Secrets, guard: GuardOptions = {}) {
  const agent = guardedAgent(guard);
  return defineExecutor({
    capability: "webhook.send",
    description: "Sends one signed webhook (Standard Webhooks) to a public address",
    input,
    output,
    run: (context) => perform(context, agent, secretsFor(context.input, secrets)),
  });
}

function secretsFor({ secret: name }: WebhookInput, secrets: Secrets): readonly string[] {
  const found = Object.hasOwn(secrets, name) ? secrets[name] : undefined;
  if (found) return found;
  throw new NonRetryableError(
    `There is no secret "${name}"; SKEIN_WEBHOOK_SECRETS has ${Object.keys(secrets).join(", ")}`,
    { code: "WEBHOOK_SECRET_UNKNOWN" },
  );
}

async function perform(
  { input, signal, idempotencyKey: id, traceparent }: ExecutorContext<WebhookInput>,
  agent: Agent,
  secrets: readonly string[],
): Promise<WebhookOutput> {
  const url = new URL(input.url);
  const body = bodyOf(input.body);
  const timestamp = Math.floor(Date.now() / 1_000);
  const timeout = AbortSignal.timeout(input.timeout_ms);
  try {
    const response = await fetch(url, {
      method: "POST",
      body,
      headers: {
        ...(traceparent !== undefined && { traceparent }),
        ...input.headers,
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": String(timestamp),
        "webhook-signature": secrets.map((secret) => signatureOf(secret, `${id}.${timestamp}.${body}`)).join(" "),
      },
      redirect: "manual",
      dispatcher: agent,
      signal: AbortSignal.any([signal, timeout]),
    });
    if (!response.ok) {
      throw await statusFailure(response, {
        what: `POST ${shownUrl(url)}`,
        code: codeOf(response.status),
        isTransient: isTransientStatus(response.status),
      });
    }
    await response.body?.cancel();
    return { status: response.status, id, timestamp };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (timeout.aborted) throw new TaskError(`No response within ${input.timeout_ms} ms`, { code: "HTTP_TIMEOUT" });
    throw networkFailure(error, url);
  }
}

function bodyOf(value: Json): string {
  const body = JSON.stringify(value);
  if (body.length <= MAX_BODY_CHARS) return body;
  throw new NonRetryableError(`The body is ${body.length} characters of JSON, the limit is ${MAX_BODY_CHARS}`, {
    code: "WEBHOOK_BODY_TOO_LARGE",
  });
}

function signatureOf(secret: string, content: string): string {
  const key = Buffer.from(secret.slice(SECRET_PREFIX.length), "base64");
  return `v1,${createHmac("sha256", key).update(content).digest("base64")}`;
}

/** Gone and moved say that the address is to be changed, not that the message is wrong. */
function codeOf(status: number): string {
  if (status === GONE) return "WEBHOOK_GONE";
  return status < 400 ? "WEBHOOK_REDIRECTED" : "HTTP_STATUS";
}

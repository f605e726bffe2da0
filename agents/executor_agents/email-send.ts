/**
 * `email.send` — one message through the operator's mail server (SMTP).
 *
 * Addresses, subject and headers that could smuggle in a header or a recipient are refused whole. The Message-ID follows
 * from the idempotency key: a repeated attempt sends the same message, which receivers can tell.
 * Docs, limits and errors: docs/executors/email.send.md.
 */

import { createHash } from "node:crypto";
import { createTransport } from "nodemailer";
import { z } from "zod";
import { EMAIL_FORMS, type EmailAddress, parseEmailAddress } from "../../core/email-address.ts";
import { defineExecutor, type ExecutorContext, NonRetryableError, TaskError } from "../../sdk/executor.ts";

/** How mail leaves, and to whom it may go. */
export interface SmtpSettings {
  /** `smtp://` or `smtps://`, with user and password where the server wants them. */
  url: string;
  from: string;
  /** `example.org`, `*.example.org`; empty: anybody. */
  recipientDomains: readonly string[];
}

const MAX_RECIPIENTS = 50;
/** RFC 5322 §2.1.1: the longest line. */
const MAX_LINE_CHARS = 998;
const MAX_TEXT_CHARS = 2 * 1024 * 1024;
const MAX_HEADERS = 20;
const DEFAULT_TIMEOUT_MS = 60_000;
const MAX_TIMEOUT_MS = 600_000;
const MESSAGE_ID_HEX_CHARS = 40;

/** They are made from the other fields, or say who vouches for the message. */
const OWN_HEADERS =
  /^(?:from|sender|to|cc|bcc|reply-to|subject|date|message-id|mime-version|content-.*|return-path|received.*|delivered-to|resent-.*|dkim-.*|domainkey-.*|arc-.*|authentication-results|x-original-.*)$/i;

const line = z
  .string()
  .max(MAX_LINE_CHARS)
  .regex(/^\P{Cc}*$/u, "holds a line break or another control character");
const address = z
  .string()
  .refine((text) => parseEmailAddress(text) !== undefined, `is not ${EMAIL_FORMS}`)
  .describe("jane@example.org or Jane Doe <jane@example.org>");
const addresses = z.union([address, z.array(address).max(MAX_RECIPIENTS)]);
const headerName = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9-]{0,75}$/, "is not a header name")
  .refine((name) => !OWN_HEADERS.test(name), "is set from the other fields");

const input = z
  .strictObject({
    to: addresses.describe("One address or a list"),
    cc: addresses.optional(),
    bcc: addresses.optional(),
    reply_to: address.optional(),
    subject: line,
    text: z.string().max(MAX_TEXT_CHARS),
    html: z.string().max(MAX_TEXT_CHARS).optional().describe("The same as HTML"),
    headers: z
      .record(headerName, line)
      .refine((headers) => Object.keys(headers).length <= MAX_HEADERS, `are more than ${MAX_HEADERS}`)
      .default({}),
    timeout_ms: z.int().min(1).max(MAX_TIMEOUT_MS).default(DEFAULT_TIMEOUT_MS).describe("For everything"),
  })
  .refine((mail) => between(recipientsOf(mail).length, 1, MAX_RECIPIENTS), {
    path: ["to"],
    message: `with cc and bcc must be 1 to ${MAX_RECIPIENTS} addresses`,
  });

const output = z.strictObject({
  message_id: z.string(),
  accepted: z.array(z.string()).describe("Recipients the server took the message for"),
  rejected: z
    .array(z.strictObject({ address: z.string(), status: z.int(), message: z.string() }))
    .describe("Recipients it refused, if it took the message for others"),
});

type EmailInput = z.output<typeof input>;
type EmailOutput = z.input<typeof output>;

/** The executor, for the mail server of SKEIN_SMTP_URL. */
export function emailSend(settings: SmtpSettings) {
  const transport = createTransport({ url: settings.url, disableFileAccess: true, disableUrlAccess: true });
  return defineExecutor({
    capability: "email.send",
    description: "Sends one email",
    input,
    output,
    run: (context) => perform(context, transport, settings),
  });
}

async function perform(
  { input, signal, idempotencyKey }: ExecutorContext<EmailInput>,
  transport: ReturnType<typeof createTransport>,
  { from, recipientDomains }: SmtpSettings,
): Promise<EmailOutput> {
  refuseOthers(recipientsOf(input), recipientDomains);
  const sender = parsed(from);
  const messageId = messageIdOf(idempotencyKey, sender.domain);
  const timeout = AbortSignal.timeout(input.timeout_ms);
  try {
    const sent = await transport.sendMail({
      from: sender,
      to: list(input.to),
      cc: list(input.cc),
      bcc: list(input.bcc),
      ...(input.reply_to !== undefined && { replyTo: parsed(input.reply_to) }),
      subject: input.subject,
      text: input.text,
      ...(input.html !== undefined && { html: input.html }),
      // RFC 3834: nobody's absence notice is wanted.
      headers: { "Auto-Submitted": "auto-generated", ...input.headers },
      messageId,
      signal: AbortSignal.any([signal, timeout]),
    });
    return { message_id: messageId, accepted: sent.accepted.map(textOf), rejected: rejectedOf(sent) };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (timeout.aborted) throw new TaskError(`Not sent within ${input.timeout_ms} ms`, { code: "EMAIL_TIMEOUT" });
    throw failureOf(error as SmtpError);
  }
}

type Addresses = string | string[] | undefined;

function recipientsOf({ to, cc, bcc }: { to: Addresses; cc?: Addresses; bcc?: Addresses }): EmailAddress[] {
  return [to, cc, bcc].flatMap(list);
}

function list(addresses: Addresses = []): EmailAddress[] {
  return [addresses].flat().map(parsed);
}

/** Of an address that the schema or the configuration has accepted. */
function parsed(text: string): EmailAddress {
  return parseEmailAddress(text) ?? { name: "", address: "", domain: "" };
}

function refuseOthers(recipients: EmailAddress[], domains: readonly string[]): void {
  const isAllowed = ({ domain }: EmailAddress) =>
    domains.some((allowed) => {
      const wanted = allowed.toLowerCase();
      return wanted.startsWith("*.") ? domain.endsWith(wanted.slice(1)) : domain === wanted;
    });
  const refused = recipients.find((recipient) => domains.length > 0 && !isAllowed(recipient));
  if (!refused) return;
  throw new NonRetryableError(
    `Mail to ${refused.domain} is not allowed; the operator can add the domain to SKEIN_SMTP_RECIPIENT_DOMAINS`,
    { code: "EMAIL_RECIPIENT_REFUSED" },
  );
}

function messageIdOf(idempotencyKey: string, domain: string): string {
  const digest = createHash("sha256").update(idempotencyKey).digest("hex");
  return `<${digest.slice(0, MESSAGE_ID_HEX_CHARS)}@${domain}>`;
}

/** What nodemailer throws: with the server's reply, if it was one. */
interface SmtpError extends Error {
  code?: string;
  responseCode?: number;
  recipient?: string;
  response?: string;
}

function rejectedOf({ rejectedErrors = [] }: { rejectedErrors?: SmtpError[] | undefined }): EmailOutput["rejected"] {
  return rejectedErrors.map(({ recipient = "", responseCode = 0, response, message }) => ({
    address: recipient,
    status: responseCode,
    message: response ?? message,
  }));
}

/** nodemailer's codes for what it refuses itself, such as a message larger than the server has said it takes. */
const ABOUT_THE_MESSAGE: readonly (string | undefined)[] = ["EMESSAGE", "EENVELOPE"];

/** RFC 5321 §4.2.1: 4yz asks to come again, 5yz not to. Without a reply it was the way there. */
function failureOf(error: SmtpError): TaskError {
  const { responseCode: status, response, message } = error;
  if (status === undefined && !ABOUT_THE_MESSAGE.includes(error.code)) {
    return new TaskError(`The mail server cannot be reached: ${message}`, { code: "EMAIL_UNAVAILABLE", cause: error });
  }
  const text = `The mail server does not take the message: ${response ?? message}`;
  if (status !== undefined && status < 500) return new TaskError(text, { code: "EMAIL_DEFERRED", cause: error });
  const code = error.code === "EAUTH" ? "EMAIL_LOGIN_REFUSED" : "EMAIL_REJECTED";
  return new NonRetryableError(text, { code, cause: error });
}

function textOf(recipient: string | { address: string }): string {
  return typeof recipient === "string" ? recipient : recipient.address;
}

function between(value: number, min: number, max: number): boolean {
  return value >= min && value <= max;
}

import { createServer, type Server } from "node:net";
import { text } from "node:stream/consumers";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Json } from "../../core/json.ts";
import { emailSend } from "./email-send.ts";
import { perform } from "./perform.suite.ts";

interface Received {
  from: string;
  to: string[];
  source: string;
}

const MAX_MESSAGE_BYTES = 1_000_000;
const received: Received[] = [];
/** What the server answers to a recipient, by its local part, and to the data of a message with such a subject. */
const replies: Record<string, number> = { busy: 451, full: 452, unknown: 550, moved: 551, greylisted: 450, spam: 554 };
const refusal = (status: number) => Object.assign(new Error("because\u001b[31m of this"), { responseCode: status });

let server: SMTPServer;
let port: number;

function startServer(options: SMTPServerOptions = {}): Promise<SMTPServer> {
  const started = new SMTPServer({
    hideSTARTTLS: true,
    authOptional: true,
    logger: false,
    size: MAX_MESSAGE_BYTES,
    onAuth: ({ username, password }, _session, callback) =>
      username === "skein" && password === "right" ? callback(null, { user: username }) : callback(refusal(535)),
    onRcptTo: ({ address }, _session, callback) => {
      const status = replies[address.split("@")[0]!];
      callback(status === undefined ? null : refusal(status));
    },
    onData: async (stream, { envelope }, callback) => {
      const source = await text(stream);
      const status = replies[/^Subject: (\w+)/m.exec(source)?.[1] ?? ""];
      if (stream.sizeExceeded) return callback(refusal(552));
      if (status !== undefined) return callback(refusal(status));
      const { mailFrom, rcptTo } = envelope;
      received.push({ from: mailFrom ? mailFrom.address : "", to: rcptTo.map(({ address }) => address), source });
      callback(null, "queued");
    },
    ...options,
  });
  return new Promise((resolve) => started.listen(0, "127.0.0.1", () => resolve(started)));
}
const portOf = (one: { server: Server }) => (one.server.address() as { port: number }).port;

beforeAll(async () => {
  server = await startServer();
  port = portOf(server);
});
beforeEach(() => void received.splice(0));
afterAll(() => new Promise<void>((resolve) => server.close(resolve)));

const FROM = "Skein <skein@sender.example>";
const MAIL = { to: "jane@example.org", subject: "Hello", text: "How are you?" };
const executorFor = (auth = "", recipientDomains: string[] = []) =>
  emailSend({ url: `smtp://${auth}127.0.0.1:${port}`, from: FROM, recipientDomains });
const send = (input: Record<string, Json> = {}, rest = {}) => perform(executorFor(), { ...MAIL, ...input }, rest);
/** The headers of the only message, unfolded. */
const headersReceived = () => {
  expect(received).toHaveLength(1);
  const [head = ""] = received[0]!.source.split("\r\n\r\n");
  return head.replaceAll(/\r\n\s+/g, " ").split("\r\n");
};

describe("a message", () => {
  it("arrives with its sender, recipients, subject and text", async () => {
    const output = await send({
      to: ["Jane Doe <jane@example.org>"],
      cc: "joe@example.org",
      bcc: ["secret@example.org"],
    });
    expect(output).toEqual({
      message_id: expect.stringMatching(/^<[0-9a-f]{40}@sender\.example>$/),
      accepted: ["jane@example.org", "joe@example.org", "secret@example.org"],
      rejected: [],
    });
    expect(received[0]).toMatchObject({
      from: "skein@sender.example",
      to: ["jane@example.org", "joe@example.org", "secret@example.org"],
      source: expect.stringContaining("How are you?"),
    });
    expect(headersReceived()).toEqual(
      expect.arrayContaining([
        "From: Skein <skein@sender.example>",
        "To: Jane Doe <jane@example.org>",
        "Cc: joe@example.org",
        "Subject: Hello",
        "Auto-Submitted: auto-generated",
        `Message-ID: ${(output as { message_id: string }).message_id}`,
      ]),
    );
    expect(received[0]!.source).not.toContain("secret@");
  });

  it("of a repeated attempt has the same Message-ID, that of another task another", async () => {
    const ids: string[] = [];
    for (const idempotencyKey of ["a", "a", "b"]) {
      ids.push(((await send({}, { idempotencyKey })) as { message_id: string }).message_id);
    }
    expect(ids[0]).toBe(ids[1]);
    expect(ids[0]).not.toBe(ids[2]);
    expect(received.every(({ source }, i) => source.includes(`Message-ID: ${ids[i]}\r\n`))).toBe(true);
  });

  it("may have HTML, an address for replies, and headers of its own", async () => {
    const headers = { "X-Topic": "Grüße", "List-Unsubscribe": "<https://example.org/u>" };
    await send({ html: "<b>How</b> are you?", reply_to: "Team <team@example.org>", headers });
    const seen = headersReceived();
    expect(seen).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^Content-Type: multipart\/alternative/),
        "Reply-To: Team <team@example.org>",
        "List-Unsubscribe: <https://example.org/u>",
        expect.stringMatching(/^X-Topic: =\?UTF-8\?/),
      ]),
    );
    expect(received[0]!.source).toContain("<b>How</b>");
  });

  it("holds whatever text it is given, and is still one message", async () => {
    const lines = [
      "one",
      ".",
      "MAIL FROM:<x@evil.example>",
      "RCPT TO:<y@evil.example>",
      "DATA",
      "Subject: two",
      "",
      ".",
    ];
    for (const end of ["\r\n", "\n", "\r"])
      await send({ text: lines.join(end), subject: `ends with ${JSON.stringify(end)}` });
    expect(received).toHaveLength(3);
    for (const { to } of received) expect(to).toEqual(["jane@example.org"]);
  });

  it("logs in where the URL has a user", async () => {
    expect(await perform(executorFor("skein:right@"), MAIL)).toMatchObject({ accepted: ["jane@example.org"] });
    await expect(perform(executorFor("skein:wrong@"), MAIL)).rejects.toMatchObject({
      name: "NonRetryableError",
      code: "EMAIL_LOGIN_REFUSED",
      message: expect.not.stringContaining("wrong"),
    });
  });
});

describe("what would smuggle something in", () => {
  it.each<[string, Record<string, Json>]>([
    ["/to", { to: "jane@example.org\r\nBcc: joe@example.org" }],
    ["/to", { to: "jane@example.org, joe@example.org" }],
    ["/to", { to: ["jane@example.org", '"x@evil.example y"@example.org'] }],
    ["/to", { to: "Jane\nX-A: b <jane@example.org>" }],
    ["/to", { to: { path: "/etc/passwd" } }],
    ["/to", { to: [] }],
    ["/to", { to: Array(51).fill("jane@example.org") }],
    ["/to", { to: Array(30).fill("jane@example.org"), bcc: Array(21).fill("jane@example.org") }],
    ["/cc", { cc: "joe@[127.0.0.1]" }],
    ["/bcc", { bcc: "joe@localhost" }],
    ["/reply_to", { reply_to: "a@b.example\r\nX-A: b" }],
    ["/subject", { subject: "Hello\r\nBcc: joe@example.org" }],
    ["/subject", { subject: "Hello\u0000" }],
    ["/subject", { subject: "x".repeat(999) }],
    ["/text", { text: { path: "/etc/passwd" } }],
    ["/text", { text: "x".repeat(2 * 1024 * 1024 + 1) }],
    ["/html", { html: { href: "http://127.0.0.1/" } }],
    ["/headers/X-A", { headers: { "X-A": "b\r\nBcc: joe@example.org" } }],
    ["/headers", { headers: { "X-A\r\nBcc": "joe@example.org" } }],
    ["/headers", { headers: { Bcc: "joe@example.org" } }],
    ["/headers", { headers: { from: "boss@example.org" } }],
    ["/headers", { headers: { "Message-ID": "<1@x>" } }],
    ["/headers", { headers: { "Content-Type": "text/html" } }],
    ["/headers", { headers: { "DKIM-Signature": "v=1" } }],
    ["/headers", { headers: { "Resent-To": "joe@example.org" } }],
    ["attachments", { attachments: [{ path: "/etc/passwd" }] }],
    ["envelope", { envelope: { to: "joe@example.org" } }],
  ])("at %s is refused (%#)", (pointer, input) => {
    expect(() => executorFor().parseInput({ ...MAIL, ...input })).toThrow(
      expect.objectContaining({ code: "INPUT_INVALID", message: expect.stringContaining(pointer) }),
    );
  });
});

describe("the domains that mail may go to", () => {
  const domains = ["example.org", "*.Example.com"];
  it.each(["jane@example.org", "jane@EXAMPLE.org", "jane@a.example.com", "Jane <jane@a.b.example.com>"])(
    "let mail to %s through",
    async (to) => {
      expect(await perform(executorFor("", domains), { ...MAIL, to })).toMatchObject({ rejected: [] });
    },
  );

  it.each(["jane@example.com", "jane@a.example.org", "jane@evilexample.com", "jane@example.org.evil.example"])(
    "keep mail to %s back, wherever it stands",
    async (address) => {
      for (const where of ["to", "cc", "bcc"]) {
        await expect(perform(executorFor("", domains), { ...MAIL, [where]: address })).rejects.toMatchObject({
          name: "NonRetryableError",
          code: "EMAIL_RECIPIENT_REFUSED",
          message: expect.stringContaining("SKEIN_SMTP_RECIPIENT_DOMAINS"),
        });
      }
      expect(received).toEqual([]);
    },
  );
});

describe("a refusal", () => {
  it.each(["busy", "full", "greylisted"])("with 4xx for a recipient who is %s may be retried", async (name) => {
    const failure = send({ to: `${name}@example.org` });
    await expect(failure).rejects.toMatchObject({
      name: "TaskError",
      code: "EMAIL_DEFERRED",
      message: expect.stringContaining(String(replies[name])),
    });
  });

  it.each(["unknown", "moved"])("with 5xx for a recipient who is %s is final", async (name) => {
    await expect(send({ to: `${name}@example.org` })).rejects.toMatchObject({
      name: "NonRetryableError",
      code: "EMAIL_REJECTED",
    });
  });

  it("of everybody may be retried if it may for one", async () => {
    await expect(send({ to: ["unknown@example.org", "busy@example.org"] })).rejects.toMatchObject({
      code: "EMAIL_DEFERRED",
    });
  });

  it("of some is told in the output, as the others have the message", async () => {
    expect(await send({ to: ["unknown@example.org", "jane@example.org"] })).toMatchObject({
      accepted: ["jane@example.org"],
      rejected: [{ address: "unknown@example.org", status: 550, message: expect.stringContaining("of this") }],
    });
  });

  it.each([
    ["busy", "TaskError", "EMAIL_DEFERRED"],
    ["spam", "NonRetryableError", "EMAIL_REJECTED"],
  ])("of the message itself, as %s, is a %s", async (subject, name, code) => {
    await expect(send({ subject })).rejects.toMatchObject({ name, code });
  });

  it("of a message larger than the server takes is final", async () => {
    await expect(send({ text: "x ".repeat(MAX_MESSAGE_BYTES) })).rejects.toMatchObject({
      name: "NonRetryableError",
      code: "EMAIL_REJECTED",
    });
  });

  it("to speak without TLS, where the URL asks for it, may be retried", async () => {
    const strict = emailSend({ url: `smtp://127.0.0.1:${port}?requireTLS=true`, from: FROM, recipientDomains: [] });
    await expect(perform(strict, MAIL)).rejects.toMatchObject({ code: expect.stringMatching(/^EMAIL_/) });
    expect(received).toEqual([]);
  });
});

describe("a server that does not answer", () => {
  let silent: Server;
  let silentPort: number;
  let open = 0;
  beforeAll(async () => {
    silent = createServer((socket) => {
      open++;
      socket
        .on("error", () => {})
        .on("close", () => open--)
        .resume();
    });
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    silentPort = portOf({ server: silent });
  });
  afterAll(() => void silent.close());
  const patient = () => emailSend({ url: `smtp://127.0.0.1:${silentPort}`, from: FROM, recipientDomains: [] });

  it("ends at the time limit", async () => {
    await expect(perform(patient(), { ...MAIL, timeout_ms: 100 })).rejects.toMatchObject({
      name: "TaskError",
      code: "EMAIL_TIMEOUT",
    });
    await expect.poll(() => open).toBe(0);
  });

  it("ends at an abort, with its reason, and the connection is closed", async () => {
    const abort = new AbortController();
    const failure = expect(perform(patient(), MAIL, { signal: abort.signal })).rejects.toThrow("lease lost");
    await expect.poll(() => open).toBe(1);
    abort.abort(new Error("lease lost"));
    await failure;
    await expect.poll(() => open).toBe(0);
  });

  it("as there is none may be retried", async () => {
    const gone = createServer();
    await new Promise<void>((resolve) => gone.listen(0, "127.0.0.1", resolve));
    const closedPort = portOf({ server: gone });
    await new Promise((resolve) => gone.close(resolve));
    const nobody = emailSend({ url: `smtp://u:hush@127.0.0.1:${closedPort}`, from: FROM, recipientDomains: [] });
    await expect(perform(nobody, MAIL)).rejects.toMatchObject({
      name: "TaskError",
      code: "EMAIL_UNAVAILABLE",
      message: expect.not.stringContaining("hush"),
    });
  });
});

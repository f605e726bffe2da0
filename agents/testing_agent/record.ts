/** Requests as they were sent, kept while a scenario plays, so that a failure can show them as curl lines. No secret stands in them. */
import type { ClientOptions } from "../../sdk/client.ts";

export interface Recorder {
  /** For clients: sends, and keeps what was sent and how it was answered. */
  fetch: typeof fetch;
  /** What is sent from now on belongs to another step. */
  nextStep(): void;
  /** The latest requests of this step, or of the one before if it has sent nothing; each with the status that came. */
  curlLines(): string[];
  /** A text without the secrets that were seen. */
  redact(text: string): string;
}

interface Sent {
  step: number;
  command: string;
  /** Absent while nothing has come. */
  answer?: string;
}

/** Of one failure. */
const MAX_SHOWN = 6;
/** A larger body is named, not shown. */
const MAX_BODY_CHARS = 2_000;
/** Kept at all. */
const MAX_KEPT = 50;
/** What a terminal, a proxy and curl add themselves, and what stands for the caller. */
const unshownHeaders = /^(accept|authorization|accept-encoding|connection|content-length|host|user-agent)$/;

export function createRecorder({ apiKey, fetch: send = fetch }: ClientOptions): Recorder {
  const leaseTokens = new Set<string>();
  let sent: Sent[] = [];
  let step = 0;

  const redactWith = (text: string, name: (variable: string) => string): string => {
    let clean = text.replace(/\bska_[\w-]+/g, name("AGENT_TOKEN")).replace(/\bskk_[\w-]+/g, name("SKEIN_API_KEY"));
    if (apiKey) clean = clean.replaceAll(apiKey, name("SKEIN_API_KEY"));
    for (const token of leaseTokens) clean = clean.replaceAll(token, name("LEASE_TOKEN"));
    return clean;
  };
  async function record(input: string | URL | Request, init: RequestInit = {}): Promise<Response> {
    const url = input instanceof Request ? input.url : String(input);
    const entry: Sent = { step, command: commandOf(url, init, apiKey) };
    sent = [...sent, entry].slice(-MAX_KEPT);
    let response: Response;
    try {
      response = await send(input, init);
    } catch (error) {
      entry.answer = init.signal?.aborted ? "given up" : "no answer";
      throw error;
    }
    entry.answer = String(response.status);
    if (!/json/.test(response.headers.get("content-type") ?? "")) return response;
    const text = await response.text();
    for (const [, token] of text.matchAll(/"lease_token":"([^"]+)"/g)) leaseTokens.add(token!);
    const code = response.ok ? undefined : /"code":"(\w+)"/.exec(text)?.[1];
    if (code !== undefined) entry.answer += ` ${code}`;
    const { status, statusText, headers } = response;
    return new Response(text, { status, statusText, headers });
  }

  return {
    fetch: record as typeof fetch,
    nextStep: () => {
      step++;
    },
    redact: (text) => redactWith(text, (variable) => `$${variable}`),
    curlLines() {
      const latest = sent.at(-1)?.step;
      const lines = sent
        .filter((entry) => entry.step === latest)
        .map(
          ({ command, answer = "no answer yet" }) => `${redactWith(command, (name) => `'"$${name}"'`)}  # ${answer}`,
        );
      return collapse(lines).slice(-MAX_SHOWN);
    },
  };
}

function commandOf(url: string, { method = "GET", headers, body }: RequestInit, apiKey: string | undefined): string {
  const given = new Headers(headers);
  const caller = given.get("authorization");
  const isStream = given.get("accept") === "text/event-stream";
  return [
    `curl${isStream ? " -N" : ""}${method === "GET" ? "" : ` -X ${method}`} ${quoted(url)}`,
    ...(caller === null ? [] : [`-H "authorization: Bearer ${variableOf(caller, apiKey)}"`]),
    ...(isStream ? ["-H 'accept: text/event-stream'"] : []),
    ...[...given]
      .filter(([name]) => !unshownHeaders.test(name))
      .map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`),
    ...bodyOf(body),
  ].join(" ");
}

function variableOf(authorization: string, apiKey: string | undefined): string {
  const token = authorization.replace(/^Bearer +/i, "");
  if (token === apiKey) return "$SKEIN_API_KEY";
  return token.startsWith("ska_") ? "$AGENT_TOKEN" : "$OTHER_KEY";
}

function bodyOf(body: unknown): string[] {
  if (body === undefined || body === null) return [];
  if (typeof body !== "string") return [`--data-binary @body  # ${(body as Uint8Array).byteLength} bytes`];
  if (body.length > MAX_BODY_CHARS) return [`-d @body.json  # ${body.length} characters: ${body.slice(0, 80)}…`];
  return [`-d ${quoted(body)}`];
}

/** As one word of a shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** One line for what was sent several times in a row. */
function collapse(lines: readonly string[]): string[] {
  const groups: { line: string; times: number }[] = [];
  for (const line of lines) {
    const last = groups.at(-1);
    if (last?.line === line) last.times++;
    else groups.push({ line, times: 1 });
  }
  return groups.map(({ line, times }) => (times === 1 ? line : `${line}, ${times} times`));
}

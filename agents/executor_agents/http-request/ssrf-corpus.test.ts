import { createServer, type Server } from "node:http";
import { createServer as createListener, type Server as Listener } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Json } from "../../../core/json.ts";
import type { Executor } from "../../../sdk/executor.ts";
import { a2aSend } from "../a2a-send/a2a-send.ts";
import { perform } from "../perform.suite.ts";
import { webhookSend } from "../webhook-send.ts";
import { httpRequest } from "./http-request.ts";
import { hostileNames, hostileUrls } from "./ssrf-corpus.suite.ts";
import type { GuardOptions } from "./ssrf-guard.ts";

/** Anything that reaches this listener has got inside. It listens on every address of this machine. */
let canary: Listener;
let port: number;
let connections = 0;
/** Stands for a server on the internet: redirects to where the path says, with the status that the path says. */
let outside: Server;
let outsidePort: number;
let outsideRequests = 0;

beforeAll(async () => {
  canary = createListener((socket) => {
    connections++;
    socket.on("error", () => {}).resume();
    socket.end("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 6\r\n\r\nsecret");
  });
  outside = createServer((request, response) => {
    outsideRequests++;
    const [, status = "", target = ""] = /^\/(30\d)\/([\w-]*)\//.exec(request.url!) ?? [];
    if (status === "") return void response.writeHead(404).end();
    response.writeHead(Number(status), { location: Buffer.from(target, "base64url").toString("latin1") }).end();
  });
  await Promise.all([
    new Promise<void>((resolve) => canary.listen(0, resolve)),
    new Promise<void>((resolve) => outside.listen(0, "127.0.0.1", resolve)),
  ]);
  port = (canary.address() as { port: number }).port;
  outsidePort = (outside.address() as { port: number }).port;
});
beforeEach(() => {
  connections = 0;
  outsideRequests = 0;
});
afterAll(() => {
  canary.close();
  outside.closeAllConnections();
  outside.close();
});

/** Names that are not in the corpus are hostile, too. */
const lookup = async (hostname: string) =>
  hostname === "outside.test" ? ["127.0.0.1"] : [...(hostileNames[hostname] ?? ["127.0.0.1"])];

const SECRET = `whsec_${Buffer.alloc(32).toString("base64")}`;
/** Far more than it takes; on a busy machine hundreds of requests at once take seconds. */
const PATIENCE_MS = 25_000;
type Make = (guard: GuardOptions) => { executor: Executor; inputFor: (url: string) => Json };
const executors: Record<string, Make> = {
  "http.request": (guard) => ({ executor: httpRequest(guard), inputFor: (url) => ({ url, timeout_ms: PATIENCE_MS }) }),
  "webhook.send": (guard) => ({
    executor: webhookSend({ one: [SECRET] }, guard),
    inputFor: (url) => ({ url, secret: "one", body: {}, timeout_ms: PATIENCE_MS }),
  }),
  "a2a.send": (guard) => ({
    executor: a2aSend(guard),
    inputFor: (agent_url) => ({ agent_url, message: "hello", timeout_ms: PATIENCE_MS }),
  }),
};

/** The code of the failure; the output, should there be one. */
const outcomeOf = ({ executor, inputFor }: ReturnType<Make>, url: string): Promise<unknown> =>
  perform(executor, inputFor(url)).catch((error) => error.code);
const REFUSALS = ["HTTP_TARGET_REFUSED", "INPUT_INVALID"];

const STATUSES = [301, 302, 303, 307, 308];

/** Each URL as the target of one status; after as many rounds as there are statuses, of each. */
function redirects(round: number): { status: number; target: string }[] {
  // What a header may hold, and is no path on the redirecting server.
  const targets = hostileUrls(port).filter((url) => /^[\x20-\x7e\xa0-\xff]+$/.test(url) && !/^\/+|^127/.test(url));
  return targets.map((target, i) => ({ status: STATUSES[(i + round) % STATUSES.length]!, target }));
}

it("the corpus has at least 150 URLs, each once", () => {
  const urls = hostileUrls(1);
  expect(urls.length).toBeGreaterThanOrEqual(150);
  expect(new Set(urls).size).toBe(urls.length);
});

it.each(Object.keys(executors))("%s would reach the canary if it were allowed to", async (name) => {
  const subject = executors[name]!({ allow: [`127.0.0.1:${port}`] });
  await outcomeOf(subject, `http://127.0.0.1:${port}/`);
  expect(connections).toBe(1);
});

describe.each(Object.keys(executors))("%s", (name) => {
  it("refuses every URL of the corpus, and none opens a connection", async () => {
    const subject = executors[name]!({ lookup });
    const outcomes = await Promise.all(
      hostileUrls(port).map(async (url) => ({ url, outcome: await outcomeOf(subject, url) })),
    );
    expect(outcomes.filter(({ outcome }) => !REFUSALS.includes(outcome as string))).toEqual([]);
    expect(connections).toBe(0);
  });

  // Only http.request follows redirects at all: with it each URL meets each status.
  const rounds = name === "http.request" ? STATUSES.keys() : [0];
  it.each([...rounds])("follows no redirect to any of them (%i)", async (round) => {
    const subject = executors[name]!({ allow: [`outside.test:${outsidePort}`], lookup });
    const outcomes = await Promise.all(
      redirects(round).map(async ({ status, target }) => {
        const to = Buffer.from(target, "latin1").toString("base64url");
        const url = `http://outside.test:${outsidePort}/${status}/${to}/x.json`;
        return { status, target, outcome: await outcomeOf(subject, url) };
      }),
    );
    const refusals = [...REFUSALS, "HTTP_REDIRECT_INVALID", "WEBHOOK_REDIRECTED", "HTTP_STATUS"];
    expect(outcomes.filter(({ outcome }) => !refusals.includes(outcome as string))).toEqual([]);
    expect(outsideRequests).toBeGreaterThanOrEqual(150);
    expect(connections).toBe(0);
  });

  it("is not led inside by a name that answers differently the second time", async () => {
    let asked = 0;
    const rebinding: GuardOptions = {
      // The first answer is an address that leads nowhere; whoever asks again is sent to the canary.
      lookup: async () => (asked++ === 0 ? ["192.0.2.1"] : ["127.0.0.1"]),
      allow: ["192.0.2.1"],
    };
    const subject = executors[name]!(rebinding);
    const input = { ...(subject.inputFor(`http://rebinding.test:${port}/`) as object), timeout_ms: 300 } as Json;
    await expect(perform(subject.executor, input)).rejects.toThrow();
    expect(asked).toBe(1);
    expect(await outcomeOf(subject, `http://rebinding.test:${port}/`)).toBe("HTTP_TARGET_REFUSED");
    expect(connections).toBe(0);
  });
});

/** What the tests of the REST API stand on: a real server over an in-memory PGlite, and a namespace for each test. */
import { randomUUID } from "node:crypto";
import { Agent as HttpAgent, request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { connect } from "node:net";
import { PGlite } from "@electric-sql/pglite";
import { pino } from "pino";
import { serve } from "../../agents/orchestrator_agent/main.ts";
import { loadConfig } from "../../config.ts";
import type { Json, JsonObject } from "../../core/json.ts";
import type { RegisterAgentBody } from "../../core/protocol/agents.ts";
import type { Problem } from "../../core/protocol/common.ts";
import type { Scope } from "../../core/protocol/keys.ts";
import type { RunBody } from "../../core/protocol/runs.ts";
import type { ClaimAnswer, LeaseBody, ReportAnswerBody } from "../../core/protocol/tasks.ts";
import { poolOver } from "../../store/pglite.ts";
import { storeOver } from "../../store/postgres.ts";
import { type Queryable, sqlOver } from "../../store/sql.ts";
import type { Store } from "../../store/store.ts";
import { conformanceTo, type OpenApi } from "./conformance.ts";

export const adminKey = "admin-key-of-the-tests";
export const nowhere = "0198c0de-0000-7000-8000-000000000000";

export interface Answer<T = unknown> {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  /** The JSON of the body; undefined when it has none. */
  body: T;
}

export interface Call {
  method?: string;
  path: string;
  /** Sent as JSON unless it is a string or bytes. */
  body?: unknown;
  headers?: Record<string, string | string[]>;
  key?: string | undefined;
  signal?: AbortSignal;
}

export interface TestServer {
  url: string;
  store: Store;
  /** The tables themselves. */
  sql: Queryable;
  /** What it logged. */
  log: JsonObject[];
  /** Every answer is compared with the OpenAPI document. */
  call<T = Problem>(call: Call): Promise<Answer<T>>;
  /** How often events were read. */
  readonly eventReads: number;
  newNamespace(): Promise<Namespace>;
  /** Resolves once a claim has looked for work, and waits for it if it may. */
  nextLook(): Promise<void>;
  stop(): Promise<void>;
}

export type Namespace = Awaited<ReturnType<typeof createNamespace>>;
export type TestAgent = Awaited<ReturnType<Namespace["join"]>>;

export interface ServerOptions {
  /** Adds to the configuration. */
  env?: Record<string, string>;
  /** Default true. */
  requireKey?: boolean;
}

/** A server with a database of its own. */
export async function startServer(options: ServerOptions = {}): Promise<TestServer> {
  const database = await PGlite.create("memory://");
  const pool = await poolOver(database);
  return serveOver(
    storeOver(pool, { limits: loadConfig(options.env ?? {}).limits, afterClose: () => database.close() }),
    sqlOver(pool),
    options,
  );
}

/**
 * Another replica over the database of a server, which it leaves running when it stops. `isDeaf`: it is told nothing of what the
 * other commits, as a process of its own without a broker.
 */
export function startReplica(
  { store, sql }: TestServer,
  { isDeaf = false, ...options }: ServerOptions & { isDeaf?: boolean } = {},
): Promise<TestServer> {
  const deaf = () => () => {};
  const replica = { ...store, close: async () => {}, ...(isDeaf && { onMessages: deaf, onChange: deaf }) };
  return serveOver(replica, sql, options);
}

async function serveOver(store: Store, sql: Queryable, options: ServerOptions): Promise<TestServer> {
  const log: JsonObject[] = [];
  const logger = pino({ level: "info" }, { write: (line: string) => log.push(JSON.parse(line)) });
  let looks = 0;
  const { claim } = store.leases;
  let eventReads = 0;
  const { read } = store.events;
  store.events.read = (...request) => {
    eventReads++;
    return read(...request);
  };
  store.leases.claim = (request) => claim(request).finally(() => looks++);
  const config = loadConfig({ PORT: "0", SKEIN_ADMIN_KEY: adminKey, ...options.env });
  const { requireKey = true } = options;
  const served = await serve({ store, transport: undefined, config, logger, requireKey });
  const connections = new HttpAgent({ keepAlive: true });
  const { body: document } = await send<OpenApi>(served.url, connections, { path: "/openapi.json" });
  const deviations = conformanceTo(document);
  const call = async <T>(one: Call) => {
    const answer = await send<T>(served.url, connections, one);
    const method = one.method ?? (one.body === undefined ? "GET" : "POST");
    const found = deviations({ method, path: one.path }, answer.status, answer.body);
    if (found.length > 0)
      throw new Error(`The answer is not what /openapi.json says:\n${found.join("\n")}\n${answer.text}`);
    return answer;
  };
  const server: TestServer = {
    url: served.url,
    store,
    sql,
    log,
    call,
    get eventReads() {
      return eventReads;
    },
    newNamespace: () => createNamespace(server),
    nextLook: async () => {
      for (const before = looks; looks === before; ) await new Promise(setImmediate);
    },
    stop: served.stop,
  };
  return server;
}

/** One request over `node:http`, which unlike `fetch` sends any header it is told to. */
export function send<T>(url: string, agent: HttpAgent | undefined, call: Call): Promise<Answer<T>> {
  const { method = call.body === undefined ? "GET" : "POST", path, body, headers = {}, key, signal } = call;
  const isRaw = typeof body === "string" || body instanceof Uint8Array;
  const payload = body === undefined || isRaw ? body : JSON.stringify(body);
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        hostname,
        port,
        path,
        method,
        headers: {
          ...(payload !== undefined && {
            "content-type": "application/json",
            "content-length": Buffer.byteLength(payload),
          }),
          ...(key !== undefined && { authorization: `Bearer ${key}` }),
          ...headers,
        },
        ...(agent && { agent }),
        ...(signal && { signal }),
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          const isJson = /json/.test(response.headers["content-type"] ?? "");
          resolve({
            status: response.statusCode!,
            headers: response.headers,
            text,
            body: (isJson ? JSON.parse(text) : undefined) as T,
          });
        });
      },
    );
    request.on("error", reject);
    request.end(payload);
  });
}

export interface TaskInit {
  id: string;
  [key: string]: Json;
}

/** A namespace of its own with a key for everything in it. */
async function createNamespace(server: TestServer) {
  const name = `t-${randomUUID()}`;
  const created = await server.call<{ key: string; id: string }>({
    path: "/v1/keys",
    key: adminKey,
    body: { name: "test", namespace: name, scopes: ["admin"] },
  });
  const { key } = created.body;
  const call = <T = Problem>(one: Call) => server.call<T>({ key, ...one });

  async function keyWith(...scopes: Scope[]): Promise<string> {
    return (await call<{ key: string }>({ path: "/v1/keys", body: { name: "limited", scopes } })).body.key;
  }

  /** Submits a workflow of these tasks; their capability is `work` unless they say otherwise. */
  async function submit(
    tasks: TaskInit[],
    options: { headers?: Record<string, string>; definition?: JsonObject } & Record<string, unknown> = {},
  ): Promise<RunBody> {
    const { headers, definition, ...rest } = options;
    const full = {
      name: "flow",
      tasks: tasks.map((task) => ("wait" in task ? task : { capability: "work", ...task })),
      ...definition,
    };
    const answer = await call<RunBody>({
      path: "/v1/runs",
      body: { definition: full, ...rest },
      ...(headers && { headers }),
    });
    if (answer.status !== 202 && answer.status !== 200) throw new Error(`The submit answered ${answer.text}`);
    return answer.body;
  }

  async function join(capabilities: RegisterAgentBody["capabilities"] = ["work"]) {
    const registered = await call<{ id: string; agent_token: string }>({
      path: "/v1/agents",
      body: { name: "tester", capabilities, slots: 10 },
    });
    const { id, agent_token: token } = registered.body;
    const act = <T = Problem>(one: Call) => server.call<T>({ key: token, ...one });
    const claim = async (body: JsonObject = {}): Promise<LeaseBody[]> => {
      const answer = await act<ClaimAnswer>({
        path: "/v1/tasks/claim",
        body: { request_id: randomUUID(), max: 100, ...body },
      });
      if (answer.status !== 200) throw new Error(`The claim answered ${answer.text}`);
      return answer.body.tasks;
    };
    const report = async (reports: object[], more: JsonObject = {}): Promise<ReportAnswerBody> => {
      const body = { request_id: randomUUID(), reports, ...more };
      const answer = await act<ReportAnswerBody>({ path: "/v1/tasks/report", body });
      if (answer.status !== 200) throw new Error(`The report answered ${answer.text}`);
      return answer.body;
    };
    /** Claims and completes whatever is ready, until nothing is. */
    const work = async (outputOf: (lease: LeaseBody) => unknown = () => null): Promise<void> => {
      for (let leases = await claim(); leases.length > 0; leases = await claim()) {
        await report(leases.map((lease) => completion(lease, outputOf(lease))));
      }
    };
    return { id, token, call: act, claim, report, work };
  }

  /** Resolves with the run once it has finished. */
  async function finished(runId: string): Promise<RunBody> {
    for (;;) {
      const { body } = await call<RunBody>({ path: `/v1/runs/${runId}` });
      if (body.finished_at) return body;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  return { name, key, call, keyWith, submit, join, finished };
}

export function proof({ task_id, attempt, lease_token }: LeaseBody) {
  return { task_id, attempt, lease_token };
}

export function completion(lease: LeaseBody, output: unknown = null) {
  return { ...proof(lease), outcome: "completed", output };
}

export function failure(lease: LeaseBody, error: JsonObject = {}) {
  return { ...proof(lease), outcome: "failed", error: { code: "broken", message: "It broke.", ...error } };
}

/** Writes bytes to the server as they are and answers what came back until the connection closed. */
export function sendRaw(
  url: string,
  bytes: string | Uint8Array,
): Promise<{ status: number; body: Problem; text: string }> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    const chunks: Buffer[] = [];
    socket.on("data", (chunk) => chunks.push(chunk));
    // A server that has answered may close while we still write.
    socket.on("error", (error) => (chunks.length > 0 ? undefined : reject(error)));
    socket.on("close", () => {
      const text = Buffer.concat(chunks).toString();
      const [head = "", body = ""] = text.split("\r\n\r\n");
      const isJson = /^content-type: .*json/im.test(head);
      resolve({ status: Number(head.split(" ")[1]), body: isJson ? JSON.parse(body) : undefined, text });
    });
    socket.write(bytes);
  });
}

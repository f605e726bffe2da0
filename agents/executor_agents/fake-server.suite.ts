/**
 * The server's side of the task protocol in memory, for what a real server will not do on demand: losing answers,
 * failing, dawdling. Everything else follows the contract: leases, tokens, repeated requests, hand-off.
 */
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Json } from "../../core/json.ts";
import { registerAgentBody } from "../../core/protocol/agents.ts";
import {
  type ClaimBody,
  claimBody,
  type EmitBody,
  emitBody,
  type HeartbeatBody,
  heartbeatBody,
  type LeaseBody,
  type ReleaseBody,
  type ReportBody,
  type ReportItem,
  releaseBody,
  reportBody,
} from "../../core/protocol/tasks.ts";

export interface FakeTask {
  id: string;
  capability: string;
  input: Json;
  leaseMs: number;
  timeoutMs: number;
  status: "ready" | "running" | "completed" | "failed" | "cancelled";
  attempt: number;
  token: string;
  agentId: string;
  expiresAt: number;
  /** Leases that ran out. */
  lost: number;
  released: number;
  claimedAt: number;
  report: ReportItem | undefined;
  progress: Json | undefined;
  /** Each key once. */
  emitted: Json[];
  /** Maps that it has closed. */
  closed: string[];
  /** Given to whoever wishes for this one: it comes first. */
  instead: FakeTask | undefined;
}

/** What happens to the next `times` requests whose path ends with `path`. */
export interface Fault {
  path: string;
  times: number;
  /** Cuts the connection: before the request is looked at, or after it took effect. */
  cut?: "before" | "after";
  /** Answers with this status, without effect. */
  status?: number;
  code?: string;
  delayMs?: number;
  /** Only requests whose text holds this. */
  containing?: string;
}

export interface FakeAgent {
  id: string;
  token: string;
  capabilities: string[];
  door: string;
  presented: number;
  load: unknown;
  consuming: boolean | undefined;
  left: boolean;
}

export type FakeServer = Awaited<ReturnType<typeof startFakeServer>>;

/** `leaseMs` is both the agents' and, unless it says another, each task's. */
export async function startFakeServer({ leaseMs = 30_000 }: { leaseMs?: number } = {}) {
  const agents = new Map<string, FakeAgent>();
  const tasks = new Map<string, FakeTask>();
  const claims = new Map<string, string[]>();
  const emittedKeys = new Set<string>();
  const faults: Fault[] = [];
  const requests: { path: string; body: never }[] = [];
  const waiting = new Set<() => void>();
  const sockets = new Set<Socket>();
  const state = { queues: {} as Record<string, string> };

  function add(capability: string, input: Json = null, more: Partial<FakeTask> = {}): FakeTask {
    const task: FakeTask = {
      id: randomUUID(),
      capability,
      input,
      leaseMs,
      timeoutMs: 600_000,
      status: "ready",
      attempt: 0,
      token: "",
      agentId: "",
      expiresAt: 0,
      lost: 0,
      released: 0,
      claimedAt: 0,
      report: undefined,
      progress: undefined,
      emitted: [],
      closed: [],
      instead: undefined,
      ...more,
    };
    tasks.set(task.id, task);
    wake();
    return task;
  }

  function wake(): void {
    for (const look of waiting) look();
  }

  function reap(): void {
    for (const task of tasks.values()) {
      if (task.status !== "running" || task.expiresAt > Date.now()) continue;
      task.status = "ready";
      task.lost += 1;
    }
    wake();
  }
  const reaper = setInterval(reap, 20);

  function lease(task: FakeTask, token: string): LeaseBody {
    task.token = token;
    task.expiresAt = Date.now() + (task.leaseMs * 2) / 3;
    return {
      task_id: task.id,
      key: `task-${task.id.slice(0, 8)}`,
      run_id: "00000000-0000-7000-8000-000000000000",
      attempt: task.attempt,
      lease_token: token,
      lease_ms: task.leaseMs,
      timeout_ms: task.timeoutMs,
      capability: task.capability,
      input: task.input,
      idempotency_key: `key-${task.id}`,
      traceparent: null,
    };
  }

  function take(agent: FakeAgent, requestId: string, wish: Pick<ClaimBody, "task_ids" | "capabilities" | "max">) {
    const token = randomUUID();
    const earlier = claims.get(agent.id + requestId);
    if (earlier) {
      const held = earlier.map((id) => tasks.get(id)!).filter((t) => t.status === "running" && t.agentId === agent.id);
      return held.map((task) => lease(task, token));
    }
    const offered = wish.capabilities ?? agent.capabilities;
    const wished = (id: string) => tasks.get(id)?.instead ?? tasks.get(id) ?? [];
    const from = wish.task_ids ? wish.task_ids.flatMap(wished) : [...tasks.values()];
    const taken = from.filter((t) => t.status === "ready" && offered.includes(t.capability)).slice(0, wish.max);
    for (const task of taken) {
      Object.assign(task, { status: "running", attempt: task.attempt + 1, agentId: agent.id, claimedAt: Date.now() });
    }
    if (taken.length > 0)
      claims.set(
        agent.id + requestId,
        Array.from(taken, (task) => task.id),
      );
    return taken.map((task) => lease(task, token));
  }

  async function claim(agent: FakeAgent, body: ClaimBody, response: ServerResponse) {
    const until = Date.now() + (body.wait ?? 0) * 1_000;
    for (;;) {
      const leases = take(agent, body.request_id, body);
      if (leases.length > 0 || Date.now() >= until || response.destroyed) return { tasks: leases };
      await new Promise<void>((resolve) => {
        const look = () => {
          clearTimeout(timer);
          waiting.delete(look);
          response.off("close", look);
          resolve();
        };
        const timer = setTimeout(look, until - Date.now());
        waiting.add(look);
        response.once("close", look);
      });
    }
  }

  function holds(agent: FakeAgent, proof: { task_id: string; attempt: number; lease_token: string }) {
    const task = tasks.get(proof.task_id);
    const isHeld = task?.token === proof.lease_token && task.attempt === proof.attempt && task.agentId === agent.id;
    return isHeld ? task : undefined;
  }

  function heartbeat(agent: FakeAgent, { leases }: HeartbeatBody) {
    return {
      leases: leases.map((proof) => {
        const task = holds(agent, proof);
        const known = { task_id: proof.task_id, attempt: proof.attempt };
        if (task?.status === "cancelled") return { ...known, state: "cancel" };
        if (task?.status !== "running") return { ...known, state: "lost" };
        task.expiresAt = Date.now() + task.leaseMs;
        if (proof.progress !== undefined) task.progress = proof.progress;
        return { ...known, state: "ok" };
      }),
    };
  }

  function report(agent: FakeAgent, body: ReportBody) {
    const reports = body.reports.map((item) => {
      const task = holds(agent, item);
      const known = { task_id: item.task_id, attempt: item.attempt };
      if (!task || task.status === "ready" || task.status === "cancelled") return { ...known, result: "stale" };
      if (task.status !== "running") return { ...known, result: "duplicate" };
      task.status = item.outcome;
      task.report = item;
      return { ...known, result: "accepted" };
    });
    return { reports, ...(body.claim && { tasks: take(agent, body.request_id, body.claim) }) };
  }

  function emit(agent: FakeAgent, { map, items = [], close = false, ...proof }: EmitBody) {
    const task = holds(agent, proof);
    if (task?.status !== "running") throw new Refusal(409, "LEASE_LOST");
    if (task.closed.includes(map)) throw new Refusal(409, "EMIT_REFUSED");
    const fresh = items.filter(({ key }) => !emittedKeys.has(`${map} ${key}`) && emittedKeys.add(`${map} ${key}`));
    task.emitted.push(...fresh.map(({ item }) => item as Json));
    if (close) task.closed.push(map);
    return { added: fresh.length, repeated: items.length - fresh.length };
  }

  function release(agent: FakeAgent, { leases }: ReleaseBody) {
    return {
      leases: leases.map((proof) => {
        const task = holds(agent, proof);
        const released = task?.status === "running";
        if (released) Object.assign(task, { status: "ready", released: task.released + 1, attempt: task.attempt - 1 });
        return { task_id: proof.task_id, attempt: proof.attempt, released };
      }),
    };
  }

  function register(body: unknown) {
    const { capabilities, door } = registerAgentBody.parse(body);
    const names = capabilities.map((capability) => (typeof capability === "string" ? capability : capability.name));
    const agent = { id: randomUUID(), token: randomUUID(), capabilities: names, door };
    agents.set(agent.token, { ...agent, presented: 0, load: undefined, consuming: undefined, left: false });
    return { id: agent.id, agent_token: agent.token, lease_ms: leaseMs, queues: state.queues };
  }

  async function answer(request: IncomingMessage, path: string, text: string, response: ServerResponse) {
    if (request.method === "POST" && path === "/v1/agents") return register(JSON.parse(text));
    const agent = agents.get(request.headers.authorization?.replace("Bearer ", "") ?? "");
    if (!agent) throw new Refusal(401, "UNAUTHENTICATED");
    if (request.method === "DELETE") {
      agent.left = true;
      return undefined;
    }
    const body = JSON.parse(text);
    if (path === "/v1/tasks/claim") return claim(agent, claimBody.parse(body), response);
    if (path === "/v1/tasks/heartbeat") return heartbeat(agent, heartbeatBody.parse(body));
    if (path === "/v1/tasks/report") return report(agent, reportBody.parse(body));
    if (path === "/v1/tasks/emit") return emit(agent, emitBody.parse(body));
    if (path === "/v1/tasks/release") return release(agent, releaseBody.parse(body));
    if (path !== `/v1/agents/${agent.id}/heartbeat`) throw new Refusal(404, "ROUTE_NOT_FOUND");
    agent.presented += 1;
    agent.load = body.load;
    agent.consuming = body.consuming;
    return { queues: state.queues };
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const chunk of request.setEncoding("utf8")) text += chunk;
    const path = request.url ?? "";
    requests.push({ path, body: (text ? JSON.parse(text) : undefined) as never });
    const fault = faults.find((f) => f.times > 0 && path.endsWith(f.path) && text.includes(f.containing ?? ""));
    if (fault) fault.times -= 1;
    if (fault?.delayMs) await new Promise((resolve) => setTimeout(resolve, fault.delayMs));
    if (fault?.cut === "before") return void request.socket.destroy();
    let status = 200;
    let body: unknown;
    try {
      if (fault?.status) throw new Refusal(fault.status, fault.code ?? "DATABASE_UNAVAILABLE");
      body = await answer(request, path, text, response);
      if (body === undefined) status = 204;
    } catch (error) {
      status = error instanceof Refusal ? error.status : 400;
      body = { code: error instanceof Refusal ? error.code : "REQUEST_INVALID", detail: String(error) };
    }
    if (fault?.cut === "after") return void request.socket.destroy();
    response.writeHead(status, { "content-type": "application/json" });
    response.end(body === undefined ? undefined : JSON.stringify(body));
  }

  const http = createServer((request, response) => void serve(request, response).catch(() => request.socket.destroy()));
  http.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  const listen = (port: number) => new Promise<void>((resolve) => http.listen(port, "127.0.0.1", resolve));
  await listen(0);
  const { port } = http.address() as AddressInfo;

  async function close(): Promise<void> {
    const closed = new Promise((resolve) => http.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  }

  return {
    url: `http://127.0.0.1:${port}`,
    agents: () => [...agents.values()],
    tasks: () => [...tasks.values()],
    requests: (path: string) => requests.filter((request) => request.path.endsWith(path)),
    add,
    reap,
    fail: (fault: Omit<Fault, "times"> & { times?: number }) => void faults.push({ times: 1, ...fault }),
    heal: () => faults.splice(0),
    /** Agents are unknown from now on, as after their removal. */
    forgetAgents: () => agents.clear(),
    setQueues: (queues: Record<string, string>) => {
      state.queues = queues;
    },
    /** Nobody can connect until `start`. */
    stop: close,
    start: () => listen(port),
    async close() {
      clearInterval(reaper);
      await close();
    },
  };
}

class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string) {
    super(code);
    this.status = status;
    this.code = code;
  }
}

/** The doors of a lease over HTTP, as an executor of any language would use them. */
import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import type { AgentBody, CapabilityBody } from "../../core/protocol/agents.ts";
import type { TaskDetailBody } from "../../core/protocol/runs.ts";
import type { HeartbeatAnswerBody, LeaseBody, ReleaseAnswer } from "../../core/protocol/tasks.ts";
import { completion, failure, type Namespace, proof, startReplica, startServer, type TestServer } from "./server.ts";

let server: TestServer;
let space: Namespace;

beforeAll(async () => {
  // Small enough that tests need not send megabytes.
  server = await startServer({ env: { SKEIN_MAX_OUTPUT_BYTES: "10000", SKEIN_MAX_REPORT_BYTES: "50000" } });
});
afterAll(() => server.stop());

async function newSpace() {
  space = await server.newNamespace();
  return { space, agent: await space.join() };
}

describe("a claim", () => {
  it("answers the lease with all that its holder needs", async () => {
    const { space, agent } = await newSpace();
    const { id } = await space.submit([{ id: "a", input: { x: 1 }, heartbeat: "12s", timeout: "3m" }]);
    const [lease] = await agent.claim();
    expect(lease).toMatchObject({
      key: "a",
      run_id: id,
      attempt: 1,
      lease_ms: 12_000,
      timeout_ms: 180_000,
      capability: "work",
      input: { x: 1 },
      idempotency_key: lease!.task_id,
    });
    expect(lease!.lease_token.length).toBeGreaterThanOrEqual(16);
    expect(await agent.claim()).toEqual([]);
  });

  it("takes no more than max, the highest priority first, and only what the agent offers", async () => {
    const { space, agent } = await newSpace();
    await space.submit([
      { id: "low" },
      { id: "high", priority: 9 },
      { id: "mid", priority: 5 },
      { id: "other", capability: "else" },
    ]);
    expect((await agent.claim({ max: 2 })).map(({ key }) => key).sort()).toEqual(["high", "mid"]);
    expect((await agent.claim()).map(({ key }) => key)).toEqual(["low"]);
    const { body } = await agent.call({
      path: "/v1/tasks/claim",
      body: { request_id: "r", max: 1, capabilities: ["else"] },
    });
    expect(body).toMatchObject({ code: "REQUEST_INVALID", status: 400 });
  });

  it("repeated under its request_id answers with the same leases under new tokens", async () => {
    const { space, agent } = await newSpace();
    await space.submit([{ id: "a" }, { id: "b" }]);
    const first = await agent.claim({ request_id: "again", max: 1 });
    const second = await agent.claim({ request_id: "again", max: 1 });
    expect(second.map(({ task_id, attempt }) => [task_id, attempt])).toEqual([[first[0]!.task_id, 1]]);
    expect((await agent.report([completion(first[0]!)])).reports[0]!.result).toBe("stale");
    expect((await agent.report([completion(second[0]!)])).reports[0]!.result).toBe("accepted");
  });

  it("takes the tasks it wishes for, of its own namespace only", async () => {
    const { space, agent } = await newSpace();
    const { space: foreign } = await newSpace();
    const ids = async (own: Namespace, runId: string) =>
      (await own.call<{ data: TaskDetailBody[] }>({ path: `/v1/runs/${runId}/tasks` })).body.data.map(({ id }) => id);
    const [, mine] = await ids(space, (await space.submit([{ id: "a" }, { id: "b" }])).id);
    const [theirs] = await ids(foreign, (await foreign.submit([{ id: "c" }])).id);
    expect((await agent.claim({ task_ids: [theirs!, mine!] })).map(({ key }) => key)).toEqual(["b"]);
  });

  it("that waits ends with nothing once its agent is cordoned, or is no more, and the next finds out at once", async () => {
    const { space, agent } = await newSpace();
    const cordon = (cordoned: boolean) =>
      space.call({ method: "PATCH", path: `/v1/agents/${agent.id}`, body: { cordoned } });
    const during = async (act: () => Promise<unknown>) => {
      const looked = server.nextLook();
      const waiting = agent.claim({ wait: 30 });
      await looked;
      await act();
      return waiting;
    };
    // No time passes: only news can end the claim.
    vi.useFakeTimers({ toFake: ["setTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    expect(await during(() => cordon(true))).toEqual([]);
    await space.submit([{ id: "a" }]);
    expect(await agent.claim()).toEqual([]);
    expect(await during(() => cordon(false))).toEqual([]);
    expect((await agent.claim()).map(({ key }) => key)).toEqual(["a"]);
  });

  it("that waits is woken at once by a submit, a report, a release and a resumed run", async () => {
    const { space, agent } = await newSpace();
    const other = await space.join();
    const next = async (act: () => Promise<unknown>): Promise<LeaseBody> => {
      const looked = server.nextLook();
      const waiting = agent.claim({ wait: 30 });
      await looked;
      await act();
      const [lease] = await waiting;
      return lease!;
    };
    // No time passes: only news can wake the claim.
    vi.useFakeTimers({ toFake: ["setTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const a = await next(() => space.submit([{ id: "a" }, { id: "b", needs: ["a"] }]));
    const b = await next(() => agent.report([completion(a)]));
    await agent.report([completion(b)]);
    await space.submit([{ id: "c" }]);
    const [c] = await other.claim();
    const again = await next(() => other.call({ path: "/v1/tasks/release", body: { leases: [proof(c!)] } }));
    expect([again.key, again.attempt]).toEqual(["c", 2]);
    const { id } = await space.submit([{ id: "d" }]);
    await space.call({ method: "POST", path: `/v1/runs/${id}/pause` });
    const d = await next(() => space.call({ method: "POST", path: `/v1/runs/${id}/resume` }));
    expect([d.key, d.attempt]).toEqual(["d", 1]);
  });

  it("that waits in vain answers with nothing", async () => {
    const { agent } = await newSpace();
    expect(await agent.claim({ wait: 0.2 })).toEqual([]);
  });

  it("of a client that has gone gets nothing", async () => {
    const { space, agent } = await newSpace();
    const gone = new AbortController();
    const looked = server.nextLook();
    const waiting = agent.call({
      path: "/v1/tasks/claim",
      body: { request_id: "gone", max: 10, wait: 30 },
      signal: gone.signal,
    });
    await looked;
    gone.abort();
    await expect(waiting).rejects.toThrow();
    for (let n = 0; n < 3; n++) await server.call({ path: "/healthz" });
    const { id } = await space.submit([{ id: "a" }]);
    const [lease] = await agent.claim();
    expect([lease!.run_id, lease!.attempt]).toEqual([id, 1]);
  });

  it("ends at once when the server stops", async () => {
    const own = await startReplica(server);
    const agent = await (await own.newNamespace()).join();
    const looked = own.nextLook();
    const waiting = agent.claim({ wait: 30 });
    await looked;
    await own.stop();
    expect(await waiting).toEqual([]);
  });
});

describe("a heartbeat", () => {
  it("keeps the lease, tells when it is lost and when nobody wants the result any more", async () => {
    const { space, agent } = await newSpace();
    const { id } = await space.submit([{ id: "a" }, { id: "b" }]);
    const [a, b] = await agent.claim();
    const beat = async (leases: object[]) =>
      (await agent.call<HeartbeatAnswerBody>({ path: "/v1/tasks/heartbeat", body: { leases } })).body.leases;
    const answers = await beat([
      { ...proof(a!), progress: { done: 0.5 } },
      { ...proof(b!), lease_token: "forged" },
      { ...proof(b!), attempt: 2 },
    ]);
    expect(answers.map(({ state }) => state)).toEqual(["ok", "lost", "lost"]);
    const task = await space.call<TaskDetailBody>({ path: `/v1/runs/${id}/tasks/a` });
    expect(task.body.progress).toEqual({ done: 0.5 });
    await space.call({ method: "POST", path: `/v1/runs/${id}/cancel` });
    await space.finished(id);
    expect((await beat([proof(a!)])).map(({ state }) => state)).toEqual(["cancel"]);
  });

  it("of the agent says that it is there, and is refused for another agent", async () => {
    const { space, agent } = await newSpace();
    const other = await space.join();
    const beat = (id: string, body?: object) =>
      agent.call<object>({ method: "POST", path: `/v1/agents/${id}/heartbeat`, ...(body && { body }) });
    expect((await beat(agent.id)).body).toEqual({ queues: {}, draining: false, news: false });
    expect((await beat(agent.id, { load: { cpu: 0.5 } })).status).toBe(200);
    expect((await space.call({ path: `/v1/agents/${agent.id}` })).body).toMatchObject({ load: { cpu: 0.5 } });
    expect((await beat(other.id)).body).toMatchObject({ code: "AGENT_NOT_FOUND", status: 404 });
    expect((await beat(agent.id, { wait: 31 })).body).toMatchObject({ code: "REQUEST_INVALID", status: 400 });
  });

  it("of the agent is kept waiting until a lease of its own is cancelled, or it is drained", async () => {
    const { space, agent } = await newSpace();
    const other = await space.join();
    const { id } = await space.submit([{ id: "a" }]);
    await agent.claim();
    const kept = (who: typeof agent) =>
      who.call<object>({ method: "POST", path: `/v1/agents/${who.id}/heartbeat`, body: { wait: 30, load: "kept" } });
    const answers: string[] = [];
    const own = kept(agent).finally(() => answers.push("own"));
    const others = kept(other).finally(() => answers.push("other"));
    for (const { id } of [agent, other]) {
      await expect
        .poll(async () => (await space.call({ path: `/v1/agents/${id}` })).body)
        .toMatchObject({ load: "kept" });
    }
    await space.call({ method: "POST", path: `/v1/runs/${id}/cancel` });
    expect((await own).body).toMatchObject({ news: true });
    expect(answers).toEqual(["own"]);
    await space.call({ method: "PATCH", path: `/v1/agents/${other.id}`, body: { cordoned: true, draining: true } });
    expect((await others).body).toMatchObject({ news: true, draining: false });
  });
});

describe("a report", () => {
  it("is accepted once, then a duplicate; without the lease it is stale", async () => {
    const { space, agent } = await newSpace();
    const { id } = await space.submit([{ id: "a" }, { id: "b" }]);
    const [a, b] = await agent.claim();
    const results = async (...reports: object[]) => (await agent.report(reports)).reports.map(({ result }) => result);
    expect(await results(completion(a!, 1), completion(a!, 2))).toEqual(["accepted", "duplicate"]);
    expect(await results(completion(a!, 1), { ...completion(b!), lease_token: "forged" })).toEqual([
      "duplicate",
      "stale",
    ]);
    expect(await results({ ...completion(b!), attempt: 2 })).toEqual(["stale"]);
    expect(await results(failure(b!, { retry_after_ms: 60_000 }))).toEqual(["accepted"]);
    expect(await results(failure(b!))).toEqual(["duplicate"]);
    const task = await space.call<TaskDetailBody>({ path: `/v1/runs/${id}/tasks/a` });
    expect(task.body.output).toBe(1);
  });

  it("of another agent's lease is stale, whatever it knows of it", async () => {
    const { space, agent } = await newSpace();
    const thief = await space.join();
    const { id } = await space.submit([{ id: "a" }]);
    const [lease] = await agent.claim();
    for (let n = 0; n < 3; n++) {
      expect((await thief.report([completion(lease!, "stolen")])).reports[0]!.result).toBe("stale");
    }
    const { body } = await space.call<{ data: object[] }>({ path: `/v1/runs/${id}/events` });
    expect(body.data.filter((event) => "type" in event && event.type === "task.report_stale")).toMatchObject([
      { key: "a", attempt: 1, agent_id: thief.id },
    ]);
    const beat = await thief.call<HeartbeatAnswerBody>({
      path: "/v1/tasks/heartbeat",
      body: { leases: [proof(lease!)] },
    });
    expect(beat.body.leases[0]!.state).toBe("lost");
    const release = await thief.call<ReleaseAnswer>({ path: "/v1/tasks/release", body: { leases: [proof(lease!)] } });
    expect(release.body.leases[0]!.released).toBe(false);
    const task = await space.call<TaskDetailBody>({ path: `/v1/runs/${id}/tasks/a` });
    expect(task.body).toMatchObject({ status: "running", attempt: 1, output: null, agent_id: agent.id });
  });

  it("brings new work along when it asks", async () => {
    const { space, agent } = await newSpace();
    await space.submit([{ id: "a" }, { id: "b", needs: ["a"] }]);
    const [a] = await agent.claim();
    const answer = await agent.report([completion(a!)], { claim: { max: 5 } });
    expect(answer.reports.map(({ result }) => result)).toEqual(["accepted"]);
    expect(answer.tasks!.map(({ key }) => key)).toEqual(["b"]);
    expect(await agent.report([completion(answer.tasks![0]!)])).not.toHaveProperty("tasks");
  });

  it.each<[string, string, string]>([
    ["U+0000", '"\\u0000"', "/output contains the character U+0000"],
    ["a lone surrogate", '{"a":["\\ud800"]}', "/output/a/0 contains a lone UTF-16 surrogate"],
    ["a number beyond a double", "[1e200000]", "/output/0 is a number beyond the range of a double"],
    ["a number of 250 digits and an exponent", `${"9".repeat(250)}e99`, "/output is a number beyond the range"],
    ["65 levels", "[".repeat(65) + "]".repeat(65), "is nested deeper than 64 levels"],
    ["more bytes than allowed", JSON.stringify("x".repeat(10_000)), "The output has 10,002 bytes"],
  ])("with %s in the output is invalid, fails the attempt for good and spoils no other", async (_, output, message) => {
    const { space, agent } = await newSpace();
    const { id } = await space.submit([{ id: "a" }, { id: "b" }]);
    const [a, b] = await agent.claim();
    const good = JSON.stringify(completion(b!, "good \ud83e\udebf"));
    const bad = JSON.stringify(completion(a!, "BAD")).replace('"BAD"', output);
    const { body } = await agent.call<{ reports: { result: string; message?: string }[] }>({
      path: "/v1/tasks/report",
      body: `{"request_id":"r","reports":[${bad},${good}]}`,
    });
    expect(body.reports).toMatchObject([
      { result: "invalid", message: expect.stringContaining(message) },
      { result: "accepted" },
    ]);
    const run = await space.finished(id);
    expect(run.error).toMatchObject({ code: expect.stringMatching(/^OUTPUT_(UNSTORABLE|TOO_LARGE)$/), task: "a" });
    const other = await space.call<TaskDetailBody>({ path: `/v1/runs/${id}/tasks/b` });
    expect(other.body.output).toBe("good \ud83e\udebf");
  });

  it("keeps an output as it came, 64 levels and escaped pairs included", async () => {
    const { space, agent } = await newSpace();
    const { id } = await space.submit([{ id: "a" }]);
    const [lease] = await agent.claim();
    const output = `${"[".repeat(63)}{"z":1,"a":"\\ud83e\\udebf","big":1e99,"n":-0.1}${"]".repeat(63)}`;
    const text = JSON.stringify(completion(lease!, "HERE")).replace('"HERE"', output);
    const { body } = await agent.call({ path: "/v1/tasks/report", body: `{"request_id":"r","reports":[${text}]}` });
    expect(body).toMatchObject({ reports: [{ result: "accepted" }] });
    const task = await space.call<TaskDetailBody>({ path: `/v1/runs/${id}/tasks/a` });
    expect(JSON.stringify(task.body.output)).toBe(JSON.stringify(JSON.parse(output)));
  });

  it("over its limit is refused with the limit's name", async () => {
    const { agent } = await newSpace();
    const { body } = await agent.call({
      path: "/v1/tasks/report",
      body: { request_id: "r", reports: [], padding: "x".repeat(50_000) },
    });
    expect(body).toMatchObject({ code: "BODY_TOO_LARGE", status: 413 });
    expect(body.detail).toContain("SKEIN_MAX_REPORT_BYTES");
  });
});

describe("a release", () => {
  it("gives the lease back and counts nothing", async () => {
    const { space, agent } = await newSpace();
    const { id } = await space.submit([{ id: "a" }]);
    const [lease] = await agent.claim();
    const release = (leases: object[]) => agent.call<ReleaseAnswer>({ path: "/v1/tasks/release", body: { leases } });
    expect((await release([proof(lease!)])).body.leases[0]!.released).toBe(true);
    expect((await release([proof(lease!)])).body.leases[0]!.released).toBe(false);
    const task = await space.call<TaskDetailBody>({ path: `/v1/runs/${id}/tasks/a` });
    expect(task.body).toMatchObject({ status: "ready", failures: 0, lost_leases: 0 });
  });
});

describe("an agent", () => {
  it("is healthy while its claim path answers, and shows what it last did and what failed", async () => {
    const { space, agent } = await newSpace();
    const read = async () => (await space.call<AgentBody>({ path: `/v1/agents/${agent.id}` })).body;
    const forget = () =>
      server.sql.query(
        "update agent set registered_at = now() - interval '2 minutes', last_claim_at = last_claim_at - interval '2 minutes' where id = $1",
        [agent.id],
      );
    const say = () => agent.call({ path: `/v1/agents/${agent.id}/heartbeat`, body: {} });
    expect(await read()).toMatchObject({ status: "live", healthy: true, last_claim_at: null, error_count: 0 });
    await space.submit([{ id: "a", retry: { max_attempts: 1 } }]);
    const [lease] = await agent.claim();
    await agent.report([failure(lease!)]);
    const { last_claim_at, last_error } = await read();
    expect(last_claim_at).not.toBeNull();
    expect(last_error).toMatchObject({ code: "broken", task_id: lease!.task_id });
    await forget();
    await say();
    expect(await read()).toMatchObject({
      status: "stalled",
      healthy: false,
      running: 0,
      error_count: 1,
      offers: [{ name: "work", version: "1" }],
    });
    // On a replica where it has not asked for work yet.
    const other = await startReplica(server);
    onTestFinished(() => other.stop());
    await other.call({ path: "/v1/tasks/claim", key: agent.token, body: { request_id: "r", max: 1 } });
    expect(await read()).toMatchObject({ status: "live", healthy: true });
    await forget();
    await say();
    const third = await startReplica(server);
    onTestFinished(() => third.stop());
    const body = { request_id: "s", reports: [], claim: { max: 1 } };
    await third.call({ path: "/v1/tasks/report", key: agent.token, body });
    expect(await read()).toMatchObject({ status: "live", healthy: true });
  });

  it("is refused where too many register, and told when to come again", async () => {
    const own = await startServer({ env: { SKEIN_MAX_AGENTS: "2", SKEIN_MAX_REGISTRATIONS_PER_MINUTE: "3" } });
    onTestFinished(() => own.stop());
    const crowded = await own.newNamespace();
    const register = () => crowded.call({ path: "/v1/agents", body: { name: "one", capabilities: ["work"] } });
    const first = await crowded.join();
    await crowded.join();
    const full = await register();
    expect([full.status, full.body.code, full.headers["retry-after"]]).toEqual([429, "RATE_LIMITED", "30"]);
    expect(full.body.detail).toContain("SKEIN_MAX_AGENTS");
    await first.call({ method: "DELETE", path: `/v1/agents/${first.id}` });
    expect((await register()).status).toBe(201);
    const fast = await register();
    expect([fast.status, fast.body.code]).toEqual([429, "RATE_LIMITED"]);
    expect(fast.body.detail).toContain("SKEIN_MAX_REGISTRATIONS_PER_MINUTE");
    expect(Number(fast.headers["retry-after"])).toBeGreaterThan(0);
    await (await own.newNamespace()).join();
  });

  it("is registered, listed with its capabilities, and leaves", async () => {
    const { space, agent } = await newSpace();
    const contract = {
      name: "llm.generate",
      version: "2.1",
      description: "Writes.",
      input_schema: { type: "object", required: ["prompt"] },
      output_schema: { type: "object" },
    };
    const registered = await space.call<{ id: string; lease_ms: number; queues: object }>({
      path: "/v1/agents",
      body: { name: "writer", capabilities: [contract, "work"], labels: { gpu: "yes" }, slots: 3, version: "1" },
    });
    expect([registered.status, registered.headers.location]).toEqual([201, `/v1/agents/${registered.body.id}`]);
    expect(registered.body).toMatchObject({ lease_ms: 30_000, queues: {} });
    const shown = await space.call<object>({ path: registered.headers.location! });
    expect(shown.body).toMatchObject({
      name: "writer",
      kind: "executor",
      door: "poll",
      status: "live",
      capabilities: ["llm.generate", "work"],
      labels: { gpu: "yes" },
      slots: 3,
      running: 0,
    });
    const capabilities = await space.call<{ data: CapabilityBody[] }>({ path: "/v1/capabilities" });
    expect(capabilities.body.data).toMatchObject([
      { ...contract, agents: 1, slots: 3 },
      { name: "work", version: "1", agents: 2, slots: 13 },
    ]);

    const leave = await agent.call({ method: "DELETE", path: `/v1/agents/${agent.id}` });
    expect([leave.status, leave.text]).toEqual([204, ""]);
    const left = await space.call<{ status: string }>({ path: `/v1/agents/${agent.id}` });
    expect(left.body.status).toBe("left");
    const removed = await space.call({ method: "DELETE", path: registered.headers.location! });
    expect(removed.status).toBe(204);
  });
});

it("what is sent half and broken off changes nothing and holds nothing up", async () => {
  const { space, agent } = await newSpace();
  await space.submit([{ id: "a" }]);
  const { hostname, port } = new URL(server.url);
  const broken = httpRequest({
    hostname,
    port,
    path: "/v1/tasks/claim",
    method: "POST",
    headers: { authorization: `Bearer ${agent.token}`, "content-type": "application/json", "content-length": "1000" },
  });
  broken.write('{"request_id":"half","max":10');
  await once(broken, "socket");
  broken.on("error", () => {});
  broken.destroy();
  expect(await agent.claim()).toHaveLength(1);
});

import { randomBytes } from "node:crypto";
import { uuidv7 } from "uuidv7";
import { describe, expect, it } from "vitest";
import type { SkeinError } from "../../core/errors.ts";
import { defaultLimits } from "../../core/limits.ts";
import type { OpenTeam } from "../store.suite.ts";
import type { AgentRegistration, ClaimedTask, Presence } from "../store.ts";
import type { Team } from "./team.ts";

/** An agent that says nothing of itself. */
const silent = { load: null, isConsuming: null };

export function agentCases(open: OpenTeam): void {
  function registration(team: Team, extra: Partial<AgentRegistration> = {}): AgentRegistration {
    return {
      namespace: team.namespace,
      name: "writer",
      kind: "executor",
      door: "queue",
      capabilities: [
        { name: "write", version: "2.0.0", description: "Writes.", inputSchema: { type: "object" } },
        { name: "read" },
      ],
      labels: { zone: "a" },
      card: { description: "Writes what it is told to.", skills: ["writing"] },
      slots: 3,
      version: "1.2.3",
      ...extra,
    };
  }

  async function beat(team: Team, agentId: string, says: Pick<Presence, "load" | "isConsuming">) {
    return (await team.store.agents.heartbeat([{ namespace: team.namespace, agentId, ...says }]))[0];
  }

  async function age(team: Team, agentId: string, seconds: number): Promise<void> {
    await team.sql.query("update agent set last_seen_at = last_seen_at - $2 * interval '1 second' where id = $1", [
      agentId,
      seconds,
    ]);
  }

  it("are registered with what they offer", async () => {
    const team = await open();
    const agent = await team.store.agents.register(registration(team), randomBytes(16));
    expect(agent).toMatchObject({
      namespace: team.namespace,
      name: "writer",
      capabilities: ["write", "read"],
      labels: { zone: "a" },
      card: { description: "Writes what it is told to.", skills: ["writing"] },
      slots: 3,
      version: "1.2.3",
      status: "live",
      running: 0,
      load: null,
      leftAt: null,
    });
    expect(await team.store.agents.find(team.namespace, agent.id)).toEqual(agent);
    expect(await team.store.agents.capabilities(team.namespace)).toEqual([
      { name: "read", version: "1", agents: 1, slots: 3, policy: "push" },
      { name: "work", version: "1", agents: 1, slots: 10, policy: "push" },
      {
        name: "write",
        version: "2.0.0",
        description: "Writes.",
        inputSchema: { type: "object" },
        agents: 1,
        slots: 3,
        policy: "push",
      },
    ]);
  });

  it("offer the versions that they registered, and not those that are gone", async () => {
    const team = await open();
    const enlist = (...versions: string[]) => {
      const capabilities = versions.map((version) => ({ name: "write", version }));
      return team.store.agents.register(registration(team, { capabilities }), randomBytes(16));
    };
    const offers = async () =>
      (await team.store.agents.capabilities(team.namespace))
        .filter(({ name }) => name === "write")
        .map(({ version, agents }) => [version, agents]);
    const old = await enlist("1");
    await enlist("2");
    await enlist("2", "3");
    expect(await offers()).toEqual([
      ["1", 1],
      ["2", 2],
      ["3", 1],
    ]);
    await team.store.agents.leave(team.namespace, old.id);
    expect(await offers()).toEqual([
      ["1", 0],
      ["2", 2],
      ["3", 1],
    ]);
  });

  it("are judged by the output schemas that they registered themselves, of what has one in every version", async () => {
    const team = await open();
    const enlist = async (...capabilities: AgentRegistration["capabilities"]) => {
      const token = randomBytes(16);
      await team.store.agents.register(registration(team, { capabilities }), token);
      return (await team.store.agents.authenticate(token))!.outputSchemas;
    };
    const [text, number] = [{ type: "string" }, { type: "number" }];
    const first = await enlist({ name: "a", outputSchema: text }, { name: "b", outputSchema: number }, { name: "c" });
    const second = await enlist({ name: "a", outputSchema: number }, { name: "b", outputSchema: { type: "number" } });
    const third = await enlist(
      { name: "a", version: "1", outputSchema: text },
      { name: "a", version: "2", outputSchema: number },
      { name: "b", version: "1", outputSchema: text },
      { name: "b", version: "2" },
    );
    const [hashOfText] = first.a!;
    const [hashOfNumber] = second.a!;
    expect([first, second, third]).toEqual([
      { a: [hashOfText], b: [hashOfNumber] },
      { a: [hashOfNumber], b: [hashOfNumber] },
      { a: [hashOfText, hashOfNumber] },
    ]);
    const { outputSchema } = team.store.agents;
    expect(await outputSchema(team.namespace, hashOfText!)).toEqual(text);
    expect(await outputSchema(team.namespace, hashOfNumber!)).toEqual(number);
    expect(await outputSchema("elsewhere", hashOfText!)).toBeUndefined();
  });

  it("are known by their token until they leave", async () => {
    const team = await open();
    const token = randomBytes(16);
    const agent = await team.store.agents.register(registration(team), token);
    expect(await team.store.agents.authenticate(token)).toEqual({
      id: agent.id,
      name: agent.name,
      namespace: team.namespace,
      capabilities: ["write", "read"],
      outputSchemas: {},
      isCordoned: false,
    });
    expect(await team.store.agents.authenticate(randomBytes(16))).toBeUndefined();
    expect(await team.store.agents.leave(team.namespace, agent.id)).toBe(true);
    expect(await team.store.agents.leave(team.namespace, agent.id)).toBe(false);
    expect(await team.store.agents.authenticate(token)).toBeUndefined();
    expect(await beat(team, agent.id, silent)).toBeUndefined();
    expect(await team.store.agents.find(team.namespace, agent.id)).toMatchObject({ status: "left" });
  });

  it("are registered once when the same registration is repeated", async () => {
    const team = await open();
    const token = randomBytes(16);
    const first = await team.store.agents.register(registration(team), token);
    const again = await team.store.agents.register(registration(team), token);
    expect(again.id).toBe(first.id);
  });

  it("are lost after 30 s of silence, and live again with whatever they send", async () => {
    const team = await open();
    const token = randomBytes(16);
    const agent = await team.store.agents.register(registration(team), token);
    await age(team, agent.id, 31);
    expect(await team.store.agents.find(team.namespace, agent.id)).toMatchObject({ status: "lost" });
    expect(await beat(team, agent.id, { ...silent, load: { busy: 1 } })).toEqual({
      isCordoned: false,
      isDraining: false,
    });
    expect(await team.store.agents.find(team.namespace, agent.id)).toMatchObject({ status: "live", load: { busy: 1 } });
    await age(team, agent.id, 31);
    await team.store.agents.authenticate(token);
    expect(await team.store.agents.find(team.namespace, agent.id)).toMatchObject({ status: "live", load: { busy: 1 } });
  });

  /** As if all that was ever heard of its claim path were a minute old. */
  async function forgetClaims(team: Team, agentId: string): Promise<void> {
    await team.sql.query(
      `update agent set registered_at = now() - interval '61 seconds', last_claim_at = last_claim_at - interval '61 seconds',
         consuming_at = consuming_at - interval '61 seconds' where id = $1`,
      [agentId],
    );
  }

  describe("are stalled when they are heard of and yet do not ask for work for a minute", () => {
    const statusOf = async (team: Team, agentId: string) =>
      (await team.store.agents.find(team.namespace, agentId))!.status;

    it.each<["queue" | "poll", boolean | null, "live" | "stalled"]>([
      ["poll", null, "stalled"],
      ["poll", true, "live"],
      ["queue", null, "live"],
      ["queue", true, "live"],
      ["queue", false, "stalled"],
    ])("of the door %s, with consumers said to be alive: %s, are %s", async (door, isConsuming, status) => {
      const team = await open();
      const token = randomBytes(16);
      const { id } = await team.store.agents.register(registration(team, { door }), token);
      const say = () => beat(team, id, { load: null, isConsuming });
      await say();
      expect(await statusOf(team, id)).toBe("live"); // it is new
      await forgetClaims(team, id);
      await say();
      expect(await statusOf(team, id)).toBe(status);
      await team.store.agents.authenticate(token); // says nothing of the claim path
      expect(await statusOf(team, id)).toBe(status);
      await team.store.agents.claimed(id);
      expect(await statusOf(team, id)).toBe("live");
      await say();
      const found = await team.store.agents.find(team.namespace, id);
      expect(found).toMatchObject({ status: "live", lastClaimAt: expect.any(Date) });
    });

    it("but not those without a free slot, nor those that are given nothing", async () => {
      const team = await open();
      await team.sql.query("update agent set slots = 1 where id = $1", [team.agent.id]);
      await team.submit({ a: {} });
      const [held] = await team.claim();
      const cordoned = await team.join();
      await team.store.agents.cordon(team.namespace, cordoned.id, { isCordoned: true, isDraining: false });
      const say = async () => {
        for (const { id } of [team.agent, cordoned]) {
          await forgetClaims(team, id);
          await beat(team, id, { load: null, isConsuming: false });
        }
        return Promise.all([team.agent, cordoned].map(({ id }) => statusOf(team, id)));
      };
      expect(await say()).toEqual(["live", "live"]);
      await team.complete(held!);
      expect(await say()).toEqual(["stalled", "live"]);
    });

    it("and then count for nothing: no offer, no assignment, and in the end tasks are unroutable", async () => {
      const team = await open();
      const { id } = await team.store.agents.register(registration(team), randomBytes(16));
      const runId = await team.submit({ a: { capability: "read", schedule_timeout: "10m" } });
      const offers = async () =>
        (await team.store.agents.capabilities(team.namespace)).find(({ name }) => name === "read")?.agents;
      expect(await offers()).toBe(1);
      await forgetClaims(team, id);
      await beat(team, id, { load: null, isConsuming: false });
      expect(await offers()).toBe(0);
      const pass = async (seconds: number, column: string) => {
        await team.sql.query(`update agent set ${column} = ${column} - $2 * interval '1 second' where id = $1`, [
          id,
          seconds,
        ]);
        await team.age((await team.task(runId, "a")).id, ["available_at"], seconds);
        await team.store.upkeep.expire(1_000);
        return (await team.task(runId, "a")).status;
      };
      // It has not claimed for long, but is known to be stalled only since now.
      expect(await pass(3_600, "last_claim_at")).toBe("ready");
      expect(await pass(601, "stalled_at")).toBe("failed");
    });
  });

  it("show how many of their attempts have failed, and the last of them", async () => {
    const team = await open();
    const other = await team.join();
    await team.submit({ a: {}, b: {}, c: {} });
    const [a, b, c] = await team.claim();
    const failed = (task: ClaimedTask, code: string) => team.failing(task, { code, retryable: false });
    await team.store.leases.report([failed(a!, "first"), team.completion(c!), failed(b!, "second")]);
    await team.store.leases.report([failed(b!, "again")]);
    expect(await team.store.agents.find(team.namespace, team.agent.id)).toMatchObject({
      errorCount: 2,
      lastError: { code: "second", taskId: b!.taskId, at: expect.any(Date) },
    });
    expect(await team.store.agents.find(team.namespace, other.id)).toMatchObject({ errorCount: 0, lastError: null });
  });

  it("are limited in number, of those that are there, and in registrations a minute; others are not held up", async () => {
    const team = await open();
    const enlist = () => team.store.agents.register(registration(team), randomBytes(16));
    const { agents, registrationsPerMinute } = defaultLimits;
    /** Together with the one of the team. */
    const crowd = (count: number, registeredAgo: string, seenAgo: string) =>
      team.sql.query(
        `insert into agent (namespace, id, name, kind, door, capabilities, labels, slots, token_hash, registered_at, last_seen_at)
         select $1, gen_random_uuid(), 'one of many', 'external', 'poll', '{}', '{}', 1, convert_to(gen_random_uuid()::text, 'UTF8'),
           now() - $3::interval, now() - $4::interval
         from generate_series(2, $2)`,
        [team.namespace, count, registeredAgo, seenAgo],
      );
    await crowd(registrationsPerMinute, "50 seconds", "31 seconds");
    const refusal: SkeinError = await enlist().then(
      () => expect.unreachable(),
      (error) => error,
    );
    expect(refusal).toMatchObject({
      code: "RATE_LIMITED",
      message: expect.stringContaining(
        "3,000 registrations per minute and namespace (SKEIN_MAX_REGISTRATIONS_PER_MINUTE",
      ),
    });
    expect(refusal.retryAfterMs).toBeGreaterThan(0);
    expect(refusal.retryAfterMs).toBeLessThanOrEqual(60_000);
    await (await open()).store.agents.register(registration(await open()), randomBytes(16));
    await team.sql.query("update agent set registered_at = now() - interval '1 hour' where namespace = $1", [
      team.namespace,
    ]);
    await enlist(); // the crowd is lost, and old
    await crowd(agents - 1, "1 hour", "0 seconds");
    await expect(enlist()).rejects.toMatchObject({
      code: "RATE_LIMITED",
      message: expect.stringContaining("10,000 agents per namespace (SKEIN_MAX_AGENTS"),
    });
    await team.sql.query("update agent set left_at = now() where namespace = $1", [team.namespace]);
    await enlist();
    await team.sql.query("delete from agent where namespace = $1 and name = 'one of many'", [team.namespace]);
  });

  it("are heard of together, each for itself, twice in one batch or not at all", async () => {
    const team = await open();
    const [stranger, other] = [await open(), await team.join()];
    await team.store.agents.cordon(team.namespace, other.id, { isCordoned: true, isDraining: true });
    const of = (agentId: string, load: number) => ({ namespace: team.namespace, agentId, load, isConsuming: null });
    const live = { isCordoned: false, isDraining: false };
    const beats = [
      of(other.id, 1),
      of(stranger.agent.id, 2),
      of(team.agent.id, 3),
      of(team.agent.id, 3),
      of(uuidv7(), 4),
    ];
    expect(await team.store.agents.heartbeat(beats)).toEqual([
      { isCordoned: true, isDraining: true },
      undefined,
      live,
      live,
      undefined,
    ]);
    const loadOf = async ({ store, namespace }: Team, id: string) => (await store.agents.find(namespace, id))?.load;
    expect(await loadOf(team, other.id)).toBe(1);
    expect(await loadOf(team, team.agent.id)).toBe(3);
    expect(await loadOf(stranger, stranger.agent.id)).toBeNull();
  });

  it("count the tasks they run", async () => {
    const team = await open();
    await team.submit({ a: {}, b: {} });
    const [task] = await team.claim();
    expect(await team.store.agents.find(team.namespace, team.agent.id)).toMatchObject({ running: 2 });
    await team.complete(task!);
    expect(await team.store.agents.find(team.namespace, team.agent.id)).toMatchObject({ running: 1 });
  });

  it("add up to the slots that consume from queues, without those that poll, are lost or have left", async () => {
    const team = await open();
    const { agents } = team.store;
    await agents.register(registration(team), randomBytes(16));
    await agents.register(registration(team, { slots: 4 }), randomBytes(16));
    await agents.register(registration(team, { slots: 8, door: "poll" }), randomBytes(16));
    const [lost, left] = [
      await agents.register(registration(team, { slots: 16 }), randomBytes(16)),
      await agents.register(registration(team, { slots: 32 }), randomBytes(16)),
    ];
    await age(team, lost.id, 31);
    await agents.leave(team.namespace, left.id);
    const slots = (await agents.queueSlots()).filter(
      (row) => row.namespace === team.namespace && row.capability !== "work",
    );
    expect(slots.sort((x, y) => x.capability.localeCompare(y.capability))).toEqual([
      { namespace: team.namespace, capability: "read", slots: 7 },
      { namespace: team.namespace, capability: "write", slots: 7 },
    ]);
    const offers = await agents.capabilities(team.namespace);
    expect(offers).toContainEqual({ name: "read", version: "1", agents: 3, slots: 15, policy: "push" });
  });

  it("are not found under an id that does not exist", async () => {
    const team = await open();
    expect(await team.store.agents.find(team.namespace, uuidv7())).toBeUndefined();
    expect(await beat(team, uuidv7(), silent)).toBeUndefined();
  });
}

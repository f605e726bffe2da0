import { randomBytes } from "node:crypto";
import { uuidv7 } from "uuidv7";
import { expect, it } from "vitest";
import type { OpenTeam } from "../store.suite.ts";
import type { AgentRegistration } from "../store.ts";
import type { Team } from "./team.ts";

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
      slots: 3,
      version: "1.2.3",
      ...extra,
    };
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

  it("are judged by the output schemas that they registered themselves, of what they offer in one version", async () => {
    const team = await open();
    const enlist = async (...capabilities: AgentRegistration["capabilities"]) => {
      const token = randomBytes(16);
      await team.store.agents.register(registration(team, { capabilities }), token);
      return (await team.store.agents.authenticate(token))!.outputSchemas;
    };
    const [text, number] = [{ type: "string" }, { type: "number" }];
    const first = await enlist({ name: "a", outputSchema: text }, { name: "b", outputSchema: number }, { name: "c" });
    const second = await enlist({ name: "a", outputSchema: number }, { name: "b", outputSchema: { type: "number" } });
    const several = await enlist({ name: "a", version: "1", outputSchema: text }, { name: "a", version: "2" });
    expect([Object.keys(first), several, second.a, second.b]).toEqual([["a", "b"], {}, first.b, first.b]);
    const { outputSchema } = team.store.agents;
    expect(await outputSchema(team.namespace, first.a!)).toEqual(text);
    expect(await outputSchema(team.namespace, second.a!)).toEqual(number);
    expect(await outputSchema("elsewhere", first.a!)).toBeUndefined();
  });

  it("are known by their token until they leave", async () => {
    const team = await open();
    const token = randomBytes(16);
    const agent = await team.store.agents.register(registration(team), token);
    expect(await team.store.agents.authenticate(token)).toEqual({
      id: agent.id,
      namespace: team.namespace,
      capabilities: ["write", "read"],
      outputSchemas: {},
      isCordoned: false,
    });
    expect(await team.store.agents.authenticate(randomBytes(16))).toBeUndefined();
    expect(await team.store.agents.leave(team.namespace, agent.id)).toBe(true);
    expect(await team.store.agents.leave(team.namespace, agent.id)).toBe(false);
    expect(await team.store.agents.authenticate(token)).toBeUndefined();
    expect(await team.store.agents.heartbeat(team.namespace, agent.id, null)).toBeUndefined();
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
    expect(await team.store.agents.heartbeat(team.namespace, agent.id, { busy: 1 })).toEqual({
      isCordoned: false,
      isDraining: false,
    });
    expect(await team.store.agents.find(team.namespace, agent.id)).toMatchObject({ status: "live", load: { busy: 1 } });
    await age(team, agent.id, 31);
    await team.store.agents.authenticate(token);
    expect(await team.store.agents.find(team.namespace, agent.id)).toMatchObject({ status: "live", load: { busy: 1 } });
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
    expect(await team.store.agents.heartbeat(team.namespace, uuidv7(), null)).toBeUndefined();
  });
}

import { randomUUID } from "node:crypto";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig } from "../config.ts";
import { defaultLimits } from "../core/limits.ts";
import { startEmbedded } from "../embedded.ts";
import { createAgentClient, createClient } from "../sdk/client.ts";
import { redisUrl, type Services, startServices } from "../test/services.ts";
import { memorySuite } from "./memory.suite.ts";
import { connectRedis } from "./redis.ts";

const limits = defaultLimits;

memorySuite({
  name: "Redis",
  open: async () => {
    const url = await redisUrl();
    const [memory, other] = [await connectRedis(url, { limits }), await connectRedis(url, { limits })];
    return {
      memory,
      other,
      join: async () => randomUUID(),
      beat: (beat) => memory.heard([beat]),
      close: async () => {
        await memory.close();
        await other.close();
      },
    };
  },
});

describe("Redis", () => {
  let services: Services;
  beforeAll(async () => {
    services = await startServices({ redis: true, env: { ...process.env, REDIS_URL: undefined } });
  });
  afterAll(() => services?.stop());

  it("that is not there is an error that names it, but never the password", async () => {
    const connecting = connectRedis("redis://someone:secret-word@127.0.0.1:1", { limits });
    await expect(connecting).rejects.toMatchObject({ code: "MEMORY_UNAVAILABLE" });
    await expect(connecting).rejects.toThrow(/Redis at 127\.0\.0\.1:1: .*ECONNREFUSED.*REDIS_URL/);
    await expect(connecting).rejects.not.toThrow(/secret-word/);
  });

  it("that is set but not there keeps a server from starting", async () => {
    const config = loadConfig({ PORT: "0", REDIS_URL: "redis://127.0.0.1:1" });
    const starting = startEmbedded({ config, logger: pino({ level: "silent" }), inMemory: true });
    await expect(starting).rejects.toMatchObject({ code: "MEMORY_UNAVAILABLE" });
  });

  it("has what may be lost of a running server, and takes nothing else with it", async () => {
    const config = loadConfig({ PORT: "0", REDIS_URL: services.redisUrl });
    const system = await startEmbedded({ config, logger: pino({ level: "silent" }), inMemory: true });
    const client = createClient({ url: system.url });
    const registered = await client.agents.register({ name: "clerk", capabilities: ["none"] });
    const agent = createAgentClient({ url: system.url }, registered);
    const { working, state } = agent.data;
    await state.write("kept");
    const { revision } = await working.write({ n: 1 }, { ifRevision: 0 });
    await working.write({ n: 2 }, { ifRevision: revision });
    await expect(working.write({ n: 3 }, { ifRevision: revision })).rejects.toMatchObject({ code: "STATE_CONFLICT" });
    await agent.present({ cpu: 0.5 });
    expect((await client.agents.get(registered.id)).load).toEqual({ cpu: 0.5 });

    await services.kill("redis");
    await expect.poll(() => working.read().catch(({ code }) => code)).toBe("MEMORY_UNAVAILABLE");
    await expect(client.ready()).rejects.toThrow(/redis/i);
    expect((await state.read()).document).toBe("kept");
    expect((await agent.present({ cpu: 0.7 })).draining).toBe(false);
    expect((await client.agents.get(registered.id)).load).toEqual({ cpu: 0.7 });
    expect((await client.agents.list()).data.map(({ load }) => load)).toContainEqual({ cpu: 0.7 });

    await services.start("redis");
    await expect.poll(() => working.read().catch(({ code }) => code), { timeout: 20_000 }).toBe("STATE_NOT_FOUND");
    expect((await working.write({ n: 1 }, { ifRevision: 0 })).document).toEqual({ n: 1 });
    await system.stop();
  });

  it("that is killed refuses at once, is heard of again by itself, and has lost what it may lose", async () => {
    let losses = 0;
    const onLost = () => {
      losses += 1;
    };
    const memory = await connectRedis(services.redisUrl, { limits, onLost });
    await memory.write("n", "a", { document: 1, ttlMs: 60_000 });
    await services.kill("redis");
    const unavailable = { code: "MEMORY_UNAVAILABLE" };
    await expect.poll(() => memory.ping().catch(({ code }) => code)).toBe("MEMORY_UNAVAILABLE");
    await expect(memory.read("n", "a")).rejects.toMatchObject(unavailable);
    await expect(memory.write("n", "a", { document: 2, ttlMs: 60_000 })).rejects.toMatchObject(unavailable);
    await expect(memory.heard([{ namespace: "n", agentId: "x", load: null }])).rejects.toMatchObject(unavailable);
    await services.start("redis");
    await expect.poll(() => memory.ping().catch(() => "away"), { timeout: 20_000 }).toBeUndefined();
    expect(await memory.read("n", "a")).toBeUndefined();
    expect(await memory.write("n", "a", { document: 3, ttlMs: 60_000 })).toMatchObject({ state: { document: 3 } });
    expect(losses).toBe(1);
    await memory.close();
    await memory.close();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(losses).toBe(1);
  });
});

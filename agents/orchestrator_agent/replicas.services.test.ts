/** Two orchestrators over one PostgreSQL and one RabbitMQ: what one is told, the other's inboxes and watchers hear. */
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../config.ts";
import { createAgentClient, createClient } from "../../sdk/client.ts";
import { openPostgres } from "../../store/postgres.ts";
import type { Store } from "../../store/store.ts";
import { freshDatabase, type Services, startServices } from "../../test/services.ts";
import { connectRabbitMq } from "../../transport/rabbitmq.ts";
import { type Served, serve } from "./main.ts";

const logger = pino({ level: "silent" });
const adminKey = "skk_admin-key-of-the-test";
// A broker of our own: it is killed.
let services: Services;
let databaseUrl: string;
const open: Served[] = [];

beforeAll(async () => {
  services = await startServices({
    postgres: true,
    rabbitmq: true,
    env: { ...process.env, AMQP_URL: undefined, DATABASE_URL: undefined },
  });
  ({ databaseUrl } = await freshDatabase(services.access));
});
afterAll(async () => {
  await Promise.all(open.map((one) => one.stop()));
  await services?.stop();
});

/** `isBlind`: it never finds anything by looking again, only by being told. */
async function replica({ isBlind }: { isBlind: boolean }) {
  const store: Store = await openPostgres(databaseUrl);
  const seen = isBlind ? () => 0 : undefined;
  if (seen) {
    store.agentData.lastNumbers = async (all) => all.map(seen);
    store.sharedMemory.lastRevisions = async (all) => all.map(seen);
    store.agents.lastNumbers = async (all) => all.map(seen);
  }
  const transport = await connectRabbitMq(services.amqpUrl, { log: logger });
  const config = loadConfig({ PORT: "0", SKEIN_ADMIN_KEY: adminKey });
  const served = await serve({ store, transport, config, logger, requireKey: true });
  open.push(served);
  return { transport, url: served.url, client: createClient({ url: served.url, apiKey: adminKey }) };
}

describe("what one orchestrator is told", () => {
  it("another tells who waits there, by the broker, and later without it", async () => {
    const one = await replica({ isBlind: false });
    const blind = await replica({ isBlind: true });
    const seeing = await replica({ isBlind: false });
    const registered = await one.client.agents.register({ name: "reader", capabilities: ["none"] });
    const at = ({ url }: { url: string }) => createAgentClient({ url }, registered).data.inbox;
    let cursor = "0";
    const next = async (from: { url: string }) => {
      const { messages, next_cursor } = await at(from).read({ wait: 30, cursor });
      return { bodies: messages.map(({ body }) => body), next_cursor };
    };
    /** Both have looked and found nothing by then. */
    const settle = () => new Promise((resolve) => setTimeout(resolve, 200));

    const changes = blind.client.memory("s").watch()[Symbol.asyncIterator]();
    const events = blind.client.agents.watch()[Symbol.asyncIterator]();
    expect((await events.next()).value).toBe("start");
    const [change, event] = [changes.next(), events.next()];
    const told = next(blind);
    await settle();
    await one.client.messages.send([{ to: "reader", body: "by the broker" }]);
    expect((await told).bodies).toEqual(["by the broker"]);
    await one.client.memory("s").write("k", 1);
    expect((await change).value).toMatchObject({ key: "k", value: 1 });
    await one.client.agents.register({ name: "newcomer", capabilities: ["none"] });
    expect((await event).value).toMatchObject({ type: "registered", name: "newcomer" });

    await services.kill("rabbitmq");
    await expect.poll(() => one.transport.state, { timeout: 20_000 }).toBe("disconnected");
    cursor = (await told).next_cursor;
    const found = next(seeing);
    await settle();
    await one.client.messages.send([{ to: "reader", body: "without" }]);
    expect((await found).bodies).toEqual(["without"]);
    expect(one.transport.dropped.events).toBeGreaterThan(0);

    await services.start("rabbitmq");
    await expect
      .poll(() => [one.transport.state, blind.transport.state], { timeout: 60_000 })
      .toEqual(["connected", "connected"]);
    cursor = (await found).next_cursor;
    const again = next(blind);
    // A channel may take a moment longer than its connection.
    const repeat = setInterval(() => void one.client.messages.send([{ to: "reader", body: "again" }]), 500);
    expect((await again).bodies[0]).toBe("again");
    clearInterval(repeat);
    const { messages } = await at(one).read();
    expect(messages.slice(0, 3).map(({ body }) => body)).toEqual(["by the broker", "without", "again"]);
    await changes.return?.(undefined);
    await events.return?.(undefined);
  }, 180_000);
});

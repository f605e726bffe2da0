/**
 * Direct messages, durable and told of by the broker, from agents to agents that long-poll: how many a second the system takes,
 * how long each is on its way at a given rate, and what a thousand connected inboxes cost. One orchestrator.
 * `npm run bench:messages [messages a second [seconds]]`.
 */
import { EventEmitter } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { SkeinError } from "../core/errors.ts";
import { type AgentClient, createAgentClient } from "../sdk/client.ts";
import { cpuSeconds, difference, forgetPeaks, peakMegabytes } from "./processes.ts";
import { table } from "./report.ts";
import { percentiles } from "./statistics.ts";
import { build, startDurableServices, startSystem } from "./system.ts";

const rate = Number(process.argv[2] ?? 5_000);
const seconds = Number(process.argv[3] ?? 20);
/** Senders, and as many receivers, one each. */
const PAIRS = 5;
/** Of one request, where as many as possible are sent. */
const LARGE_BATCH = 100;
const MOST_ACKNOWLEDGED = 1_000;
const INBOXES = 1_000;
/** Registrations at a time. */
const TOGETHER = 50;
const WARM_UP_MS = 3_000;
/** For the reader of a full inbox to catch up. */
const FULL_WAIT_MS = 100;
const MAX_P50_MS = 5;
const MAX_MEGABYTES = 300;

EventEmitter.defaultMaxListeners = 0;
build();
const services = await startDurableServices("queue");
const system = await startSystem(services, { mode: "queue", executors: 0, slots: 1, handOff: false });
const orchestrator = system.trees.orchestrator![0]!;
try {
  const most = await flow({ perSecond: undefined });
  const paced = await flow({ perSecond: rate });
  const connected = await connect();
  console.log(
    table([
      ["", "messages/s", "p50 ms", "p95 ms", "p99 ms", "orchestrator", "PostgreSQL", "RabbitMQ", "client", "peak MB"],
      [`as many as it takes, ${LARGE_BATCH} a request`, ...cells(most)],
      [`${rate}/s, ${batchAt(rate)} a request`, ...cells(paced)],
      [`${INBOXES} inboxes wait, 100/s`, ...cells(connected)],
    ]),
  );
  const verdict = (holds: boolean) => (holds ? "yes" : "NO");
  console.log(`\n≥ ${rate} messages/s: ${verdict(most.perSecond >= rate)}`);
  const isOnTime = paced.p50 <= MAX_P50_MS && paced.perSecond >= rate * 0.98;
  console.log(`p50 ≤ ${MAX_P50_MS} ms at ${rate}/s: ${verdict(isOnTime)}`);
  console.log(`${INBOXES} inboxes in < ${MAX_MEGABYTES} MB: ${verdict(connected.megabytes < MAX_MEGABYTES)}`);
} finally {
  await system.stop();
  await services.stop();
}

interface Flow {
  perSecond: number;
  p50: number;
  p95: number;
  p99: number;
  /** Of a core. */
  cpu: Record<string, number>;
  megabytes: number;
}

function cells({ perSecond, p50, p95, p99, cpu, megabytes }: Flow): string[] {
  const shares = ["orchestrator", "postgres", "rabbitmq", "client"].map((role) => `${(cpu[role]! * 100).toFixed(0)} %`);
  return [perSecond.toFixed(0), ...[p50, p95, p99].map((ms) => ms.toFixed(1)), ...shares, megabytes.toFixed(0)];
}

/** A request of each sender every 50 ms or so. */
function batchAt(perSecond: number): number {
  return Math.max(1, Math.round(perSecond / PAIRS / 20));
}

async function join(name: string): Promise<AgentClient> {
  const registered = await system.client.agents.register({ name, capabilities: ["bench.none"], kind: "external" });
  return createAgentClient({ url: system.url }, registered);
}

async function joinAll(names: string[]): Promise<AgentClient[]> {
  const agents: AgentClient[] = [];
  for (let start = 0; start < names.length; start += TOGETHER) {
    agents.push(...(await Promise.all(names.slice(start, start + TOGETHER).map(join))));
  }
  return agents;
}

/** Long-polls until it is stopped, and acknowledges meanwhile; tells how long each message was on its way. */
async function receive(agent: AgentClient, onMessage: (ms: number) => void, signal: AbortSignal): Promise<void> {
  const { inbox } = agent.data;
  let cursor = "0";
  const pending: string[] = [];
  let acknowledging: Promise<unknown> | undefined;
  const acknowledge = async () => {
    while (pending.length > 0) {
      const ids = pending.splice(0, MOST_ACKNOWLEDGED);
      await inbox.acknowledge(ids);
    }
    acknowledging = undefined;
  };
  while (!signal.aborted) {
    const answer = await inbox.read({ wait: 30, cursor }, signal).catch((error) => {
      if (signal.aborted) return undefined;
      throw error;
    });
    if (!answer) break;
    const now = performance.now();
    for (const { body } of answer.messages) onMessage(now - (body as { sentAt: number }).sentAt);
    cursor = answer.next_cursor;
    pending.push(...answer.messages.map(({ id }) => id));
    acknowledging ??= acknowledge();
  }
  await acknowledging;
}

async function flow({ perSecond }: { perSecond: number | undefined }): Promise<Flow> {
  const tag = perSecond === undefined ? "most" : "paced";
  const receivers = await joinAll(Array.from({ length: PAIRS }, (_, n) => `${tag}-to-${n}`));
  const senders = await joinAll(Array.from({ length: PAIRS }, (_, n) => `${tag}-from-${n}`));
  const stop = new AbortController();
  const samples = sampler();
  const listening = receivers.map((agent) => receive(agent, samples.add, stop.signal));
  const size = perSecond === undefined ? LARGE_BATCH : batchAt(perSecond);
  const everyMs = perSecond === undefined ? 0 : (1_000 * PAIRS * size) / perSecond;
  const ending = performance.now() + WARM_UP_MS + seconds * 1_000;
  const sending = senders.map(async (agent, n) => {
    // Not all at the same moment.
    let next = performance.now() + (everyMs * n) / PAIRS;
    while (performance.now() < ending) {
      const waitMs = next - performance.now();
      if (waitMs > 0) await delay(waitMs);
      const sentAt = performance.now();
      const messages = Array.from({ length: size }, (_, i) => ({ to: `${tag}-to-${n}`, body: { sentAt, i } }));
      await agent.send(messages).catch(unlessFull);
      next += everyMs;
    }
  });
  const measured = await measureFor(seconds, samples);
  await Promise.all(sending);
  stop.abort();
  await Promise.all(listening);
  return measured;
}

/** Who sends as many as it takes, can be faster than who reads: then it waits, and sends others. */
async function unlessFull(error: unknown): Promise<void> {
  if (!(error instanceof SkeinError) || error.code !== "INBOX_FULL") throw error;
  await delay(FULL_WAIT_MS);
}

async function connect(): Promise<Flow> {
  const receivers = await joinAll(Array.from({ length: INBOXES }, (_, n) => `inbox-${n}`));
  const sender = await join("sender");
  const stop = new AbortController();
  const samples = sampler();
  const listening = receivers.map((agent) => receive(agent, samples.add, stop.signal));
  const ending = performance.now() + WARM_UP_MS + seconds * 1_000;
  const sending = (async () => {
    for (let n = 0; performance.now() < ending; n++) {
      await agentSend(sender, n);
      await delay(8);
    }
  })();
  const measured = await measureFor(seconds, samples);
  await sending;
  stop.abort();
  await Promise.all(listening);
  return measured;
}

function agentSend(sender: AgentClient, n: number): Promise<unknown> {
  // A prime, so that neighbours do not come after one another.
  const to = `inbox-${(n * 7_919) % INBOXES}`;
  return sender.send([{ to, body: { sentAt: performance.now() } }]);
}

function sampler() {
  let samples: number[] = [];
  return {
    add: (ms: number) => void samples.push(ms),
    take: () => {
      const taken = samples;
      samples = [];
      return taken;
    },
  };
}

async function measureFor(forSeconds: number, samples: ReturnType<typeof sampler>): Promise<Flow> {
  await delay(WARM_UP_MS);
  samples.take();
  forgetPeaks([orchestrator]);
  const before = cpuSeconds(system.trees);
  const startedAt = performance.now();
  await delay(forSeconds * 1_000);
  const took = (performance.now() - startedAt) / 1_000;
  const taken = samples.take();
  const used = difference(before, cpuSeconds(system.trees));
  const cpu = Object.fromEntries(Object.entries(used).map(([role, spent]) => [role, spent / took]));
  return { perSecond: taken.length / took, ...percentiles(taken), cpu, megabytes: peakMegabytes(orchestrator) };
}

/**
 * How long after a cancel was asked for a handler sees its signal: tasks that would take minutes, cancelled one after the
 * other, on an executor that takes them by hints and on one that long-polls. `npm run bench:cancel [how many]`.
 */
import { EventEmitter, once } from "node:events";
import { pino } from "pino";
import { startExecutor } from "../agents/executor_agents/executor.ts";
import { defineExecutor } from "../sdk/executor.ts";
import { connectRabbitMq } from "../transport/rabbitmq.ts";
import { table } from "./report.ts";
import { percentiles } from "./statistics.ts";
import { build, type Mode, startDurableServices, startSystem } from "./system.ts";

const count = Number(process.argv[2] ?? 200);
/** How many handlers wait while one is cancelled: an agent at work, not an idle one. */
const BUSY = 20;
const TARGET_MS = 2_000;

build();
const services = await startDurableServices("queue");
try {
  const rows = [];
  for (const mode of ["queue", "poll"] as const) rows.push([mode, ...(await measure(mode))]);
  console.log(table([["door", "cancels", "p50 ms", "p95 ms", "p99 ms", `p95 ≤ ${TARGET_MS} ms`], ...rows]));
} finally {
  await services.stop();
}

async function measure(mode: Mode): Promise<string[]> {
  const system = await startSystem(services, { mode: "queue", executors: 0, slots: 1, handOff: false });
  const started = new Set<string>();
  const starts = new EventEmitter();
  const stopped = new Map<string, (at: number) => void>();
  const patient = defineExecutor({
    capability: "bench.patient",
    async run({ runId, signal }) {
      started.add(runId);
      starts.emit("start");
      await once(signal, "abort");
      stopped.get(runId)?.(performance.now());
    },
  });
  const log = pino({ level: "warn" });
  const transport =
    mode === "queue" ? await connectRabbitMq(system.amqpUrl!, { name: "bench", publishes: false, log }) : undefined;
  const executor = await startExecutor({
    client: { url: system.url, apiKey: system.apiKey },
    executors: [patient],
    slots: BUSY + 1,
    drainMs: 0,
    logger: log,
    ...(transport && { transport }),
  });
  const begin = async () => {
    const tasks = [{ id: "wait", capability: "bench.patient" }];
    const run = await system.client.runs.submit({ definition: { name: "patient", tasks } });
    while (!started.has(run.id)) await once(starts, "start");
    return run.id;
  };
  const running: string[] = [];
  while (running.length < BUSY) running.push(await begin());
  const samples: number[] = [];
  while (samples.length < count) {
    running.push(await begin());
    const id = running.shift()!;
    const seen = new Promise<number>((resolve) => stopped.set(id, resolve));
    const askedAt = performance.now();
    await system.client.runs.cancel(id);
    samples.push((await seen) - askedAt);
  }
  await executor.stop();
  await transport?.close();
  await system.stop();
  const { p50, p95, p99 } = percentiles(samples);
  return [String(count), p50.toFixed(0), p95.toFixed(0), p99.toFixed(0), p95 <= TARGET_MS ? "yes" : "NO"];
}

/** Prometheus metrics: what was committed, how long requests took, what waits, and the process itself. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { written } from "../core/budget.ts";
import type { CommittedFacts, Fired, Store } from "../store/store.ts";
import type { App } from "./context.ts";

export interface Metrics {
  count(committed: CommittedFacts[]): void;
  countTicks(ticks: Fired["ticks"]): void;
  time(app: App): void;
  text(): Promise<string>;
}

export function createMetrics(store: Store): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const facts = new Counter({
    name: "skein_facts_total",
    help: "Facts committed, by type (task.completed, run.failed, …)",
    labelNames: ["type"],
    registers: [registry],
  });
  const ticks = new Counter({
    name: "skein_schedule_ticks_total",
    help: "Ticks of schedules, by what became of them; missed ones in a row count as one",
    labelNames: ["outcome"],
    registers: [registry],
  });
  const requests = new Histogram({
    name: "skein_http_request_duration_seconds",
    help: "Time to answer, by route and status class",
    labelNames: ["method", "route", "status"],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30],
    registers: [registry],
  });
  new Gauge({
    name: "skein_transaction_retries",
    help: "Transactions that had to be repeated, by cause; more than 0.1 % of all is a defect",
    labelNames: ["cause"],
    registers: [registry],
    collect() {
      for (const [cause, count] of store.retryCounts) this.set({ cause }, count);
    },
  });
  new Gauge({
    name: "skein_slots",
    help: "Slots of live agents that consume from the broker, by capability",
    labelNames: ["namespace", "capability"],
    registers: [registry],
    async collect() {
      this.reset();
      // Without a database there is still everything else to tell.
      const offers = await store.agents.queueSlots().catch(() => []);
      for (const { namespace, capability, slots } of offers) this.set({ namespace, capability }, slots);
    },
  });
  new Gauge({
    name: "skein_dead_letters",
    help: "Open dead letters, by capability; of more than 10,000 only so many are counted",
    labelNames: ["namespace", "capability"],
    registers: [registry],
    async collect() {
      this.reset();
      const counts = await store.deadLetters.count().catch(() => []);
      for (const { namespace, capability, count } of counts) this.set({ namespace, capability }, count);
    },
  });
  let inUse: ReturnType<Store["flowLimits"]["inUse"]> | undefined;
  const lookAtLimits = () => {
    inUse ??= store.flowLimits
      .inUse()
      .catch(() => [])
      .finally(() => {
        inUse = undefined;
      });
    return inUse;
  };
  for (const [name, help, of] of [
    ["skein_limit_concurrency", "How many tasks of a key may run at once, where the namespace says so", "concurrency"],
    ["skein_limit_held", "Running tasks that hold a key that something is set for or that is paused", "holders"],
    ["skein_limit_paused", "1 while nothing may start under a key", "pause"],
  ] as const) {
    new Gauge({
      name,
      help,
      labelNames: ["namespace", "key"],
      registers: [registry],
      async collect() {
        this.reset();
        for (const { namespace, key, [of]: value } of await lookAtLimits()) {
          if (value !== null) this.set({ namespace, key }, typeof value === "number" ? value : 1);
        }
      },
    });
  }
  let tables: ReturnType<Store["storage"]["tables"]> | undefined;
  /** Both gauges of a scrape share one look. */
  const lookAtTables = () => {
    tables ??= store.storage
      .tables()
      .catch(() => [])
      .finally(() => {
        tables = undefined;
      });
    return tables;
  };
  for (const [name, help, of] of [
    ["skein_table_bytes", "Size of a table of the database with its indexes and large values", "bytes"],
    ["skein_table_rows", "Rows of a table, as the database estimates them", "rows"],
  ] as const) {
    new Gauge({
      name,
      help,
      labelNames: ["table"],
      registers: [registry],
      async collect() {
        for (const table of await lookAtTables()) this.set({ table: table.name }, table[of]);
      },
    });
  }
  const spent = new Counter({
    name: "skein_spent_total",
    help: "What reports said was spent, by unit: tokens, cost, calls",
    labelNames: ["namespace", "unit"],
    registers: [registry],
  });
  return {
    count: (committed) => {
      const counts = new Map<string, number>();
      for (const entry of committed) {
        for (const { type } of entry.facts) counts.set(type, (counts.get(type) ?? 0) + 1);
      }
      for (const [type, count] of counts) facts.inc({ type }, count);
      for (const { namespace, spent: amounts } of committed) {
        if (!amounts) continue;
        for (const [unit, amount] of Object.entries(written(amounts))) spent.inc({ namespace, unit }, amount);
      }
    },
    countTicks: (decided) => {
      for (const { outcome } of decided) ticks.inc({ outcome });
    },
    time: (app) => {
      app.addHook("onResponse", async (request, reply) => {
        const route = request.routeOptions.url ?? "none";
        const status = `${Math.floor(reply.statusCode / 100)}xx`;
        requests.observe({ method: request.method, route, status }, reply.elapsedTime / 1000);
      });
    },
    text: () => registry.metrics(),
  };
}

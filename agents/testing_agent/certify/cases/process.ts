/** How the process of an executor ends, by accident and on request. */
import { setTimeout as delay } from "node:timers/promises";
import { equal, isTrue } from "../../expect.ts";
import { type Case, DRAIN_MS, LEASE_MS, outcomesOf } from "../rig.ts";

const ENDLESS_MS = 600_000;
/** Finished well before a drain is over. */
const SHORT_MS = 1_000;
/** To tell the server of its end, on a busy machine. */
const GOODBYE_MS = 15_000;

export const crash: Case = {
  name: "crash",
  title: "When it crashes after an effect, the next attempt has the same idempotency key",
  async play({ begin, start, step, subject, until }) {
    step("let it end the process after its effect");
    const hasEnded = subject.ended();
    const retry = { max_attempts: 2, initial_delay: "10ms", jitter: false };
    const work = await begin([{ id: "crash", capability: "certify.crash" }], { leaseMs: LEASE_MS, retry });
    await work.noted("crash", "effect");
    await until("the process ends", () => (subject.isRunning ? undefined : hasEnded.then(() => true)));
    step("start it again");
    await start();
    await work.finished();
    const task = await work.task("crash");
    equal("the attempts", outcomesOf(task), ["lease_expired", "completed"]);
    const { idempotency_key } = await work.lease("crash");
    const keys = work.notes("crash", "effect").map((note) => note.idempotency_key);
    equal("the idempotency keys of the effects", keys, [idempotency_key, idempotency_key]);
  },
};

export const drain: Case = {
  name: "drain",
  title: "At SIGTERM it finishes what it can, gives the rest back, says goodbye and exits with 0",
  async play({ begin, client, registration, step, subject }) {
    step("fill both slots, one of them for long");
    const work = await begin([
      { id: "short", capability: "certify.sleep", input: { ms: SHORT_MS } },
      { id: "long", capability: "certify.sleep", input: { ms: ENDLESS_MS } },
    ]);
    await work.noted("short", "started");
    await work.noted("long", "started");

    step("send SIGTERM");
    const over = new AbortController();
    const withinMs = DRAIN_MS + GOODBYE_MS;
    const late = delay(withinMs, "late" as const, { signal: over.signal });
    const ended = subject.ended();
    subject.signal("SIGTERM");
    const code = await Promise.race([ended, late]);
    over.abort();
    isTrue(`it ends within ${withinMs} ms`, code !== "late", code);
    equal("its exit code", code, 0);

    step("look at what it leaves behind");
    const [short, long] = await Promise.all([work.task("short"), work.task("long")]);
    isTrue("the short task is finished, or given back", /^(completed|released)$/.test(outcomesOf(short).join()), short);
    equal("what became of the long task's attempt", outcomesOf(long), ["released"]);
    for (const { key, failures, lost_leases } of [short, long]) {
      equal(`what "${key}" has lost`, { failures, lost_leases }, { failures: 0, lost_leases: 0 });
    }
    equal("its status in the registry", (await client.agents.get(registration().id)).status, "left");
  },
};

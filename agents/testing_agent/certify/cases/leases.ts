/** Leases: kept while a task is at work, given up when they are lost or when nobody wants the task any more. */
import { setTimeout as delay } from "node:timers/promises";
import { equal, isTrue } from "../../expect.ts";
import { proofOf } from "../../scenario.ts";
import { Cut, reportsIn } from "../proxy.ts";
import { type Case, LEASE_MS, outcomesOf, type Work, wasPerformedOnce } from "../rig.ts";

/** Much longer than any case: it ends only by being told to. */
const ENDLESS_MS = 600_000;
const TWICE = { max_attempts: 2, initial_delay: "10ms", jitter: false };

export const slowReport: Case = {
  name: "slow-report",
  title: "It keeps the lease until its report is answered, however long that takes",
  async play({ begin, intercept, step }) {
    step("hold a report back for longer than the lease");
    let heldBack = 0;
    intercept(["report"], async (exchange, forward) => {
      if (heldBack === 0 && reportsIn(exchange).length > 0) {
        heldBack += 1;
        await delay(LEASE_MS * 1.2);
        // It may have given up and sent it again.
        exchange.gone.throwIfAborted();
      }
      return forward();
    });
    const work = await begin([{ id: "echo", capability: "certify.echo" }], { leaseMs: LEASE_MS });
    await work.finished();
    equal("how many reports were held back", heldBack, 1);
    wasPerformedOnce("the task", await work.task("echo"));
  },
};

export const staleLease: Case = {
  name: "stale-lease",
  title: "It drops what it does not hold any more, told by a heartbeat or by a report, and goes on",
  async play({ agent, begin, goesOn, intercept, step, tidy, until }) {
    step("take the lease away before the report");
    let isTaken = false;
    const stop = intercept(["report"], async (exchange, forward) => {
      if (!isTaken && reportsIn(exchange).length > 0) {
        isTaken = true;
        await agent().release({
          leases: reportsIn(exchange).map(({ task_id, attempt, lease_token }) => ({ task_id, attempt, lease_token })),
        });
      }
      return forward();
    });
    const short = await begin([{ id: "short", capability: "certify.echo" }]);
    await short.finished();
    stop();
    equal("the attempts", outcomesOf(await short.task("short")), ["released", "completed"]);
    const results = await until("both reports are answered", () => {
      const all = short.reports("short").map(({ item, result }) => [item.attempt, result]);
      return all.length >= 2 && all.every(([, result]) => result !== undefined) ? all : undefined;
    });
    equal("the answers to its reports", results, [
      [1, "stale"],
      [2, "accepted"],
    ]);

    step("take the lease away before a heartbeat");
    const long = await begin([{ id: "long", capability: "certify.sleep", input: { ms: ENDLESS_MS } }], {
      leaseMs: LEASE_MS,
    });
    await long.noted("long", "started");
    await agent().release({ leases: [proofOf(await long.lease("long"))] });
    await until(
      "its handler is stopped",
      () => long.notes("long", "stopped").some(({ attempt }) => attempt === 1) || undefined,
    );
    await tidy(long);
    equal("what it reports of the lost attempt", acceptedOf(long, "long"), []);
    step("perform another task");
    await goesOn();
  },
};

export const cancel: Case = {
  name: "cancel",
  title: "A cancel reaches the handler with the next heartbeat and frees its slot; its neighbour goes on",
  async play({ begin, goesOn, step, tidy }) {
    step("fill both slots");
    const input = { ms: ENDLESS_MS };
    const unwanted = await begin([{ id: "unwanted", capability: "certify.sleep", input }], { leaseMs: LEASE_MS });
    const wanted = await begin([{ id: "wanted", capability: "certify.sleep", input }], { leaseMs: LEASE_MS });
    await unwanted.noted("unwanted", "started");
    await wanted.noted("wanted", "started");

    step("cancel one of the runs");
    await unwanted.cancel();
    step("perform a task in the slot that is free again");
    await goesOn();
    equal("what it reports of the cancelled task", acceptedOf(unwanted, "unwanted"), []);
    const { status, attempt } = await wanted.task("wanted");
    equal("the neighbour", { status, attempt }, { status: "running", attempt: 1 });
    equal("what stopped the neighbour", wanted.notes("wanted", "stopped"), []);
    await tidy(wanted);
  },
};

export const heartbeatGap: Case = {
  name: "heartbeat-gap",
  title: "It keeps its lease when heartbeats are lost for less than a lease",
  async play({ begin, intercept, step }) {
    const input = { ms: LEASE_MS * 1.5 };
    const work = await begin([{ id: "sleep", capability: "certify.sleep", input }], { leaseMs: LEASE_MS });
    step("lose heartbeats for a third of the lease, after the first one");
    const gap = { beats: 0, endsAt: 0, lost: 0 };
    intercept(["heartbeat"], async (exchange, forward) => {
      gap.beats += 1;
      if (gap.beats === 2) gap.endsAt = performance.now() + LEASE_MS / 3 - MARGIN_MS;
      if (gap.beats < 2 || performance.now() > gap.endsAt) return forward();
      gap.lost += 1;
      exchange.gone.throwIfAborted();
      throw new Cut();
    });
    await work.finished();
    wasPerformedOnce("the task", await work.task("sleep"));
    isTrue("heartbeats were lost", gap.lost > 0, gap);
  },
};

/** Whoever beats every third of the lease finds the way open again at the next beat. */
const MARGIN_MS = 100;

export const heartbeatLost: Case = {
  name: "heartbeat-lost",
  title: "It stops its handler when heartbeats are lost for longer than a lease; the next attempt is another one",
  async play({ begin, goesOn, intercept, step, tidy, until }) {
    step("lose all heartbeats until the lease has run out");
    const found = intercept(["heartbeat"], () => Promise.reject(new Cut()));
    const input = { ms: ENDLESS_MS };
    const options = { leaseMs: LEASE_MS, retry: TWICE };
    const work = await begin([{ id: "sleep", capability: "certify.sleep", input }], options);
    await until(
      "the server takes the task back",
      async () => outcomesOf(await work.task("sleep")).includes("lease_expired") || undefined,
    );
    found();
    step("find that the handler has been stopped");
    await until(
      "the handler of the lost attempt is stopped",
      () => work.notes("sleep", "stopped").some(({ attempt }) => attempt === 1) || undefined,
    );
    await work.lease("sleep", 2);
    equal("what it reports of the lost attempt", acceptedOf(work, "sleep"), []);
    await work.noted("sleep", "started", 2);
    await tidy(work);
    step("perform another task");
    await goesOn();
  },
};

/** Outcomes that the server has taken. */
function acceptedOf(work: Work, id: string): unknown[] {
  return work.reports(id).filter(({ result }) => result === "accepted");
}

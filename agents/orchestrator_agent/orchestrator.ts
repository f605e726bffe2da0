/**
 * The orchestrator's loops over a store and a transport. There is no leader: every replica runs the same loops on rows
 * that the others skip, and a commit wakes the loops that have work from it.
 */
import { endsAttempt, endsRun, isTaskFact } from "../../core/event.ts";
import type { CommittedFacts, Store } from "../../store/store.ts";
import type { Logger, Transport } from "../../transport/transport.ts";
import { createAnnouncer, logCommitted } from "./announce.ts";
import { createDispatcher } from "./dispatch.ts";
import { inTurn, type Loop, startLoop } from "./loop.ts";
import { createReaper } from "./reaper.ts";
import { createReconciler } from "./reconcile.ts";
import { createReplanner, type Replan } from "./replan.ts";
import { createRouter } from "./route.ts";
import { createScheduler, type SchedulerOptions } from "./schedules.ts";

export interface OrchestratorOptions {
  store: Store;
  /** Undefined: executors claim by long-poll alone. */
  transport: Transport | undefined;
  /** Plans a run anew, within so long. */
  replan: { perform: Replan; roundMs: number };
  /** Ticks of schedules, once they are decided; for the metrics. */
  countTicks?: SchedulerOptions["count"];
  logger: Logger;
}

export interface Orchestrator {
  /** Agents have come or gone: dispatch to what they offer. */
  agentsChanged(): void;
  /** Rounds have all their bids: award their tasks. */
  bidsDecided(): void;
  /** A schedule has come, or goes on. */
  schedulesChanged(): void;
  /** A limit was changed, or a pause has ended. */
  limitsChanged(): void;
  /** Idempotent; resolves when every loop has finished the piece in hand. */
  stop(): Promise<void>;
}

/** How often each loop looks when nothing wakes it: what was missed in a crash, on another replica, or by time alone. */
const everyMs = {
  dispatch: 500,
  route: 500,
  upkeep: 1_000,
  finish: 60_000,
  replan: 60_000,
  sweep: 5_000,
  schedules: 5_000,
  reap: 1_000,
  place: 1_000,
  expire: 1_000,
  unanswered: 1_000,
  presence: 1_000,
  shared: 1_000,
  reconcile: 2_500,
  prune: 600_000,
  retention: 60_000,
};

/** Rows moved in one transaction of a cascade or an ending. */
const UPKEEP_BATCH = 1_000;
const EXPIRE_BATCH = 500;
const PLACE_BATCH = 500;
/** Each in a transaction of its own. */
const CONVERSATIONS_PER_TICK = 50;
const UNANSWERED_BATCH = 200;
const PRESENCE_BATCH = 500;
/** Runs looked at in one transaction when deciding whether they have finished. */
const FINISH_BATCH = 100;
/** Tasks whose runs move to history in one transaction, and runs that are filed anew when a policy has changed. */
const MOVED_TASKS = 1_000;
const REFILED_RUNS = 200;

export async function startOrchestrator({
  store,
  transport,
  replan,
  countTicks,
  logger,
}: OrchestratorOptions): Promise<Orchestrator> {
  const { upkeep, conversations } = store;
  const announcer = transport && createAnnouncer((events) => transport.publishEvents(events));
  const maybeFinished = new Set<string>();

  const loop = (name: keyof typeof everyMs, work: () => Promise<boolean>): Loop =>
    startLoop({ name, everyMs: everyMs[name], work, logger });

  const { leases, agents } = store;
  const router = createRouter({ leases, transport, logger });
  const route = loop("route", router.route);
  const dispatcher =
    transport &&
    createDispatcher({
      leases,
      agents,
      transport,
      logger,
      wakeRouter: route.wake,
      wake: () => dispatch?.wake(),
    });
  const dispatch: Loop | undefined = dispatcher && loop("dispatch", dispatcher.dispatch);
  const move = loop("upkeep", () =>
    inTurn(
      () => upkeep.endRuns(UPKEEP_BATCH),
      () => upkeep.cascade(UPKEEP_BATCH),
      () => upkeep.tendBudgets(UPKEEP_BATCH),
      () => conversations.tick(CONVERSATIONS_PER_TICK),
    ),
  );
  const finish = loop("finish", async () => {
    const batch = [...maybeFinished].slice(0, FINISH_BATCH);
    if (batch.length === 0) return false;
    for (const runId of batch) maybeFinished.delete(runId);
    await upkeep.finishRuns(batch);
    return maybeFinished.size > 0;
  });
  const replanner = createReplanner({
    replans: store.replans,
    replan: replan.perform,
    roundMs: replan.roundMs,
    logger,
    wake: () => replans.wake(),
  });
  const replans = loop("replan", replanner.look);
  const scheduler = createScheduler({
    schedules: store.schedules,
    logger,
    wake: () => schedules.wake(),
    ...(countTicks && { count: countTicks }),
  });
  const schedules = loop("schedules", scheduler.fire);
  const background = [
    loop("sweep", replanner.sweep),
    // Runs that a crash left between their last task and their end.
    loop("sweep", async () => {
      await upkeep.finishRuns();
      return false;
    }),
    loop("reap", createReaper(upkeep)),
    loop("place", async () => (await upkeep.placeReturned(PLACE_BATCH)) >= PLACE_BATCH),
    loop("expire", async () => (await upkeep.expire(EXPIRE_BATCH)) >= EXPIRE_BATCH),
    loop("unanswered", async () => (await upkeep.tellUnanswered(UNANSWERED_BATCH)) >= UNANSWERED_BATCH),
    loop("presence", async () => (await agents.watchPresence(PRESENCE_BATCH)) > 0),
    loop("shared", async () => (await store.sharedMemory.expire(EXPIRE_BATCH)) > 0),
    loop("prune", async () => {
      await upkeep.prune();
      return false;
    }),
    loop("retention", async () => {
      const { history } = store;
      const moved = await history.move(MOVED_TASKS);
      const filed = await history.refile(REFILED_RUNS);
      if (moved + filed > 0) return true;
      await history.forget();
      return false;
    }),
    ...(transport
      ? [loop("reconcile", createReconciler({ upkeep, transport, logger, wake: () => dispatch?.wake() }))]
      : []),
  ];

  /** The dispatcher wakes the router when it sees work for it: most tasks are not for one agent. */
  function handOut(): void {
    (dispatch ?? route).wake();
  }

  let lookingForSlot: NodeJS.Timeout | undefined;
  function afterAttempt(): void {
    if (dispatcher?.isBlocked()) dispatch?.wake();
    const pauseMs = lookingForSlot ? undefined : router.pauseMs();
    // Longer pauses end when the loop looks anyway.
    if (pauseMs === undefined || pauseMs >= everyMs.route) return;
    lookingForSlot = setTimeout(() => {
      lookingForSlot = undefined;
      route.wake();
    }, pauseMs).unref();
  }

  function afterClaim(): void {
    if (dispatcher?.isFull()) dispatch?.wake();
  }

  function afterCommit(committed: CommittedFacts[]): void {
    logCommitted(logger, committed);
    const dispatched = committed.flatMap((run) => run.dispatched ?? []);
    if (dispatched.length > 0) dispatcher?.publish(dispatched);
    const published = new Set(dispatched.map(({ taskId }) => taskId));
    announcer?.announce(committed);
    for (const { runId, facts, mayBeFinished, needsUpkeep, wakesInMs, hasUnpublished } of committed) {
      if (hasUnpublished) dispatch?.wake();
      if (mayBeFinished) {
        maybeFinished.add(runId);
        finish.wake();
      }
      if (needsUpkeep) move.wake();
      // Longer waits end when the loop looks anyway.
      if (wakesInMs !== undefined && wakesInMs < everyMs.upkeep) setTimeout(move.wake, wakesInMs).unref();
      for (const fact of facts) {
        if (fact.type === "task.announced") setTimeout(route.wake, fact.window_ms).unref();
        // Longer delays end when the loops look anyway.
        if (mayNeedPlan.has(fact.type)) {
          replanner.suspect(runId);
          replans.wake();
        }
        const delayMs = "delay_ms" in fact ? (fact.delay_ms ?? 0) : 0;
        if (delayMs > 0 && delayMs < everyMs.dispatch) setTimeout(handOut, delayMs).unref();
        else if (fact.type === "task.claimed") afterClaim();
        else if (makesReady.has(fact.type) && !(isTaskFact(fact) && published.has(fact.task_id))) handOut();
        if (endsAttempt(fact.type)) afterAttempt();
        if (endsRun(fact.type)) scheduler.runEnded();
      }
    }
  }

  const unsubscribe = store.onCommit(afterCommit);
  const deadLetters = await transport?.consumeDeadLetters((hint, reason) => {
    logger.warn(
      { task_id: hint.taskId, run_id: hint.runId, reason },
      "a hint came back dead; its task is dispatched again",
    );
    void store.leases.undispatch([{ taskId: hint.taskId }]).catch(() => {});
  });
  const offState = transport?.onState((state) => {
    logger.warn({ state }, `broker ${state}`);
    if (state === "connected") dispatch?.wake();
  });

  let stopping: Promise<void> | undefined;
  async function stop(): Promise<void> {
    offState?.();
    await deadLetters?.cancel();
    dispatcher?.forgetWindows();
    await Promise.all([dispatch, route, move, finish, replans, schedules, ...background].map((one) => one?.stop()));
    scheduler.stop();
    await replanner.stop();
    unsubscribe();
    announcer?.close();
  }

  return {
    agentsChanged: () => {
      dispatcher?.forgetWindows();
      dispatch?.wake();
      route.wake();
    },
    bidsDecided: route.wake,
    schedulesChanged: schedules.wake,
    limitsChanged: () => {
      dispatch?.wake();
      route.wake();
      move.wake();
    },
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
  };
}

const mayNeedPlan = new Set(["task.failed", "run.resumed"]);
const makesReady = new Set(["task.ready", "task.retrying", "task.released", "run.resumed", "run.budget_freed"]);

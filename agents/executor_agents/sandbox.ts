/**
 * Threads for work that may never return: someone's code, someone's expression. The thread is the only thing blocked,
 * and it is killed when the time is up, the memory is full or the attempt is cancelled. The script side of the protocol
 * is `sandbox-thread.js`.
 */

import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { NonRetryableError, TaskError, type TaskLogger } from "../../sdk/executor.ts";
import { createTurns, deferred } from "./turns.ts";

export interface Sandbox {
  /** The JSON text the script answered with. Waits its turn: time limits mean little when threads share a core. */
  run(job: SandboxJob): Promise<string>;
}

export interface SandboxJob {
  /** Given to the script; must survive structured clone. */
  data: unknown;
  /** Milliseconds from the moment the thread takes the job until it is killed. */
  killAfterMs: number;
  signal: AbortSignal;
  /** Where lines the script logs go. Default: nowhere. */
  log?: TaskLogger;
}

type Outcome = { type: "answer"; json: string } | { type: "failure"; code: string; message: string };

/** What a script posts, in this order: `started`, any number of `log`, one outcome. */
type ThreadMessage = { type: "started" } | { type: "log"; level: keyof TaskLogger; line: string } | Outcome;

/** More threads than cores only make each other miss their time limit; eight bound the memory of a large machine. */
const MAX_THREADS = Math.min(availableParallelism(), 8);
/** Loading the script takes some 50 ms; a machine that needs longer than this is in no state to run it. */
const STARTUP_LIMIT_MS = 10_000;
/** A thread's stack: 64 times what QuickJS is allowed (quickjs.js); 30 times is what it was seen to need. */
const STACK_MB = 32;
/** For the texts going in and out; what a job itself allocates lives in WebAssembly memory, under its own limit. */
const HEAP_MB = 128;

/**
 * Threads of one script, started when needed and reused as long as they answer. `run` throws SANDBOX_TIMEOUT and
 * SANDBOX_CRASHED (retryable), SANDBOX_MEMORY and the script's own failures (not), and the signal's reason when aborted.
 */
export function createSandbox(script: URL): Sandbox {
  const idle = new Set<Worker>();
  const turns = createTurns(MAX_THREADS);

  /** Nothing of the parent's environment and flags: a thread that is broken out of should find no secrets there. */
  function start(): Worker {
    const resourceLimits = { maxOldGenerationSizeMb: HEAP_MB, stackSizeMb: STACK_MB };
    const worker = new Worker(script, { env: {}, execArgv: [], resourceLimits });
    worker.on("error", () => {}); // An idle thread that dies is simply gone; a busy one has its own listener.
    worker.on("exit", () => idle.delete(worker));
    return worker;
  }

  async function perform(job: SandboxJob): Promise<Outcome> {
    job.signal.throwIfAborted(); // It may have been, between getting the turn and being here.
    const [worker = start()] = idle;
    idle.delete(worker);
    worker.ref();
    try {
      const outcome = await outcomeOf(worker, job);
      worker.unref();
      idle.add(worker);
      return outcome;
    } catch (error) {
      await worker.terminate();
      throw error;
    }
  }

  async function run(job: SandboxJob): Promise<string> {
    await turns.take(job.signal);
    const outcome = await perform(job).finally(turns.giveBack);
    if (outcome.type === "answer") return outcome.json;
    throw scriptFailure(outcome.code, outcome.message);
  }
  return { run };
}

function outcomeOf(worker: Worker, { data, killAfterMs, signal, log }: SandboxJob): Promise<Outcome> {
  const { promise, resolve, reject } = deferred<Outcome>();
  const giveUp = (waitedMs: number) => reject(timeout(waitedMs));
  let timer = setTimeout(giveUp, STARTUP_LIMIT_MS, STARTUP_LIMIT_MS);

  const onAbort = () => reject(signal.reason);
  const onError = (error: Error & { code?: string }) => reject(crash(error));
  const onExit = () =>
    reject(new TaskError("The sandbox's thread ended without an answer", { code: "SANDBOX_CRASHED" }));
  const onMessage = (message: ThreadMessage) => {
    if (message.type === "started") {
      clearTimeout(timer);
      timer = setTimeout(giveUp, killAfterMs, killAfterMs);
    } else if (message.type === "log") {
      log?.[message.level](message.line);
    } else {
      resolve(message);
    }
  };
  signal.addEventListener("abort", onAbort, { once: true });
  worker.on("message", onMessage).on("error", onError).on("exit", onExit);
  worker.postMessage(data);
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
    worker.off("message", onMessage).off("error", onError).off("exit", onExit);
  });
}

function timeout(limitMs: number): TaskError {
  return new TaskError(`The sandbox was stopped after ${limitMs} ms`, { code: "SANDBOX_TIMEOUT" });
}

function crash(cause: Error & { code?: string }): TaskError {
  if (cause.code === "ERR_WORKER_OUT_OF_MEMORY") {
    return new NonRetryableError("The sandbox ran out of memory", { code: "SANDBOX_MEMORY", cause });
  }
  return new TaskError(`The sandbox crashed: ${cause.message}`, { code: "SANDBOX_CRASHED", cause });
}

/** Time depends on how busy the machine is, so it may be tried again; all else would only happen again. */
function scriptFailure(code: string, message: string): TaskError {
  return code === "SANDBOX_TIMEOUT" ? new TaskError(message, { code }) : new NonRetryableError(message, { code });
}

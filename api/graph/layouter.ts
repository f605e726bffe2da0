import { Worker } from "node:worker_threads";
import { SkeinError } from "../../core/errors.ts";
import { tooLarge } from "./collapse.ts";

/** How long one layout may take (contract.md §2). */
const LAYOUT_TIMEOUT_MS = 5_000;
/** Layouts waiting behind the one at work: with the usual 50 ms each, about two seconds. */
const MAX_WAITING = 32;

interface Job {
  dot: string;
  resolve: (plain: string) => void;
  reject: (reason: unknown) => void;
}

/**
 * Lays out graphs with Graphviz in one worker thread, one after the other. The worker starts with the first layout, is
 * reused, and does not keep the process alive. A layout that takes too long or is aborted takes its worker with it
 * (WebAssembly cannot be interrupted otherwise); the next one starts a new worker.
 */
export class Layouter {
  readonly #timeoutMs: number;
  readonly #maxWaiting: number;
  readonly #waiting: Job[] = [];
  #worker: Worker | undefined;
  #current: Job | undefined;
  #deadline: NodeJS.Timeout | undefined;

  constructor(options: { timeoutMs?: number; maxWaiting?: number } = {}) {
    this.#timeoutMs = options.timeoutMs ?? LAYOUT_TIMEOUT_MS;
    this.#maxWaiting = options.maxWaiting ?? MAX_WAITING;
  }

  /**
   * The layout of a DOT graph in Graphviz's `plain` format. Throws GRAPH_TOO_LARGE after 5 s (or `timeoutMs`) of work,
   * RATE_LIMITED when 32 (or `maxWaiting`) others wait, and the signal's reason when it is aborted first.
   */
  async layout(dot: string, signal?: AbortSignal): Promise<string> {
    signal?.throwIfAborted();
    if (this.#waiting.length >= this.#maxWaiting) {
      throw new SkeinError(
        "RATE_LIMITED",
        `${this.#maxWaiting} pictures are waiting to be drawn. Retry in a few seconds, or ask for format=json.`,
      );
    }
    let abort = () => {};
    const settled = new Promise<string>((resolve, reject) => {
      const job: Job = { dot, resolve, reject };
      abort = () => this.#abandon(job, signal?.reason);
      this.#waiting.push(job);
    });
    signal?.addEventListener("abort", abort, { once: true });
    this.#next();
    return settled.finally(() => signal?.removeEventListener("abort", abort));
  }

  #next(): void {
    if (this.#current) return;
    const job = this.#waiting.shift();
    if (!job) return;
    this.#current = job;
    this.#deadline = setTimeout(() => {
      const seconds = this.#timeoutMs / 1000;
      this.#abandon(job, tooLarge(`The layout of this graph takes longer than the ${seconds} s it may`));
    }, this.#timeoutMs);
    this.#worker ??= this.#startWorker();
    this.#worker.postMessage(job.dot);
  }

  #startWorker(): Worker {
    // No `execArgv`: the worker is plain JavaScript and needs none of the loaders its parent may run under.
    const worker = new Worker(new URL("./layout.worker.js", import.meta.url), { execArgv: [] });
    worker.on("message", (answer: { plain: string } | { error: string }) => {
      if (worker !== this.#worker) return;
      if ("plain" in answer) this.#settle((job) => job.resolve(answer.plain));
      // After an error Graphviz has unloaded itself (or run out of memory), so this worker draws no more.
      else this.#discardWorker(tooLarge("Graphviz gave up on this graph", new Error(answer.error)));
    });
    worker.on("error", (error: NodeJS.ErrnoException) => {
      if (worker !== this.#worker) return;
      const isMemory = error.code === "ERR_WORKER_OUT_OF_MEMORY";
      this.#discardWorker(
        isMemory
          ? tooLarge("The layout of this graph takes more memory than it may", error)
          : new SkeinError("INTERNAL", `The layout worker died: ${error.message}`, { cause: error }),
      );
    });
    // After the listeners: adding one for messages makes a worker keep the process alive again.
    worker.unref();
    return worker;
  }

  #abandon(job: Job, reason: unknown): void {
    const place = this.#waiting.indexOf(job);
    if (place >= 0) {
      this.#waiting.splice(place, 1);
      job.reject(reason);
    } else if (job === this.#current) {
      this.#discardWorker(reason);
    }
  }

  #discardWorker(reason: unknown): void {
    void this.#worker?.terminate();
    this.#worker = undefined;
    this.#settle((job) => job.reject(reason));
  }

  #settle(tell: (job: Job) => void): void {
    clearTimeout(this.#deadline);
    if (this.#current) tell(this.#current);
    this.#current = undefined;
    this.#next();
  }
}

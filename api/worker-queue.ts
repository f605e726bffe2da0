import { Worker } from "node:worker_threads";
import type { SkeinError } from "../core/errors.ts";

export interface WorkerQueueOptions {
  /** Plain JavaScript: a worker does not inherit the loader that lets its parent import TypeScript. */
  file: URL;
  workerData?: unknown;
  /** Of one piece of work. */
  timeoutMs: number;
  /** Pieces that may wait behind the one in hand. */
  maxWaiting: number;
  /** What is thrown when something goes wrong. */
  errors: {
    busy(maxWaiting: number): SkeinError;
    tooLong(seconds: number): SkeinError;
    /** The worker ran out of memory, or threw. */
    died(error: NodeJS.ErrnoException): SkeinError;
  };
}

interface Job<Request, Answer> {
  request: Request;
  resolve: (answer: Answer) => void;
  reject: (reason: unknown) => void;
}

/** What a worker answers that can do no more. */
export interface Broken {
  broken: string;
}

/**
 * Work that would stop every request if it were done here, in one worker thread, piece by piece. The worker starts with the
 * first piece, is reused, and does not keep the process alive. A piece that takes too long or is aborted takes its worker with
 * it (nothing else interrupts it); the next one starts a new worker.
 */
export class WorkerQueue<Request, Answer extends object> {
  readonly #options: WorkerQueueOptions;
  readonly #waiting: Job<Request, Answer>[] = [];
  #worker: Worker | undefined;
  #current: Job<Request, Answer> | undefined;
  #deadline: NodeJS.Timeout | undefined;

  constructor(options: WorkerQueueOptions) {
    this.#options = options;
  }

  /** Throws what `errors` say, and the signal's reason when it is aborted first. */
  async perform(request: Request, signal?: AbortSignal): Promise<Answer> {
    signal?.throwIfAborted();
    const { maxWaiting, errors } = this.#options;
    if (this.#waiting.length >= maxWaiting) throw errors.busy(maxWaiting);
    let abort = () => {};
    const settled = new Promise<Answer>((resolve, reject) => {
      const job: Job<Request, Answer> = { request, resolve, reject };
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
    const { timeoutMs, errors } = this.#options;
    this.#current = job;
    this.#deadline = setTimeout(() => this.#abandon(job, errors.tooLong(timeoutMs / 1000)), timeoutMs);
    this.#worker ??= this.#startWorker();
    this.#worker.postMessage(job.request);
  }

  #startWorker(): Worker {
    const { file, workerData, errors } = this.#options;
    // No `execArgv`: the worker needs none of the loaders that its parent may run under.
    const worker = new Worker(file, { execArgv: [], workerData });
    worker.on("message", (answer: Answer | Broken) => {
      if (worker !== this.#worker) return;
      if ("broken" in answer) this.#discardWorker(errors.died(new Error(answer.broken)));
      else this.#settle((job) => job.resolve(answer));
    });
    worker.on("error", (error: NodeJS.ErrnoException) => {
      if (worker === this.#worker) this.#discardWorker(errors.died(error));
    });
    // After the listeners: adding one for messages makes a worker keep the process alive again.
    worker.unref();
    return worker;
  }

  #abandon(job: Job<Request, Answer>, reason: unknown): void {
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

  #settle(tell: (job: Job<Request, Answer>) => void): void {
    clearTimeout(this.#deadline);
    if (this.#current) tell(this.#current);
    this.#current = undefined;
    this.#next();
  }
}

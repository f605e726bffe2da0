import { SkeinError } from "../../core/errors.ts";
import { WorkerQueue } from "../worker-queue.ts";
import { tooLarge } from "./collapse.ts";

/** How long one layout may take (contract.md §2). */
const LAYOUT_TIMEOUT_MS = 5_000;
/** Layouts waiting behind the one at work: with the usual 50 ms each, about two seconds. */
const MAX_WAITING = 32;

/** Lays out graphs with Graphviz on a thread of its own: a layout is seconds of WebAssembly that cannot be interrupted. */
export class Layouter {
  readonly #queue: WorkerQueue<string, { plain: string }>;

  constructor({ timeoutMs = LAYOUT_TIMEOUT_MS, maxWaiting = MAX_WAITING } = {}) {
    this.#queue = new WorkerQueue({
      file: new URL("./layout.worker.js", import.meta.url),
      timeoutMs,
      maxWaiting,
      errors: {
        busy: (most) =>
          new SkeinError(
            "RATE_LIMITED",
            `${most} pictures are waiting to be drawn. Retry in a few seconds, or ask for format=json.`,
          ),
        tooLong: (seconds) => tooLarge(`The layout of this graph takes longer than the ${seconds} s it may`),
        died: (error) => tooLarge("Graphviz gave up on this graph, or needed more memory than it may", error),
      },
    });
  }

  /**
   * The layout of a DOT graph in Graphviz's `plain` format. Throws GRAPH_TOO_LARGE after 5 s (or `timeoutMs`) of work,
   * RATE_LIMITED when 32 (or `maxWaiting`) others wait, and the signal's reason when it is aborted first.
   */
  async layout(dot: string, signal?: AbortSignal): Promise<string> {
    return (await this.#queue.perform(dot, signal)).plain;
  }
}

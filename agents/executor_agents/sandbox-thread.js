// @ts-check
/**
 * The thread's side of `sandbox.ts`. Plain JavaScript, because a thread is started from a file as it lies on disk: the
 * same one works from TypeScript sources and from the compiled package.
 */

import { parentPort } from "node:worker_threads";

/** A failure the user is meant to see, with the code it gets. Anything else that is thrown crashes the thread. */
export class ScriptFailure extends Error {
  /**
   * @param {string} code
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/**
 * Answers each job with what `perform` returns, a JSON text.
 * @param {(data: any, log: (level: "debug" | "info" | "warn" | "error", line: string) => void) => string | Promise<string>} perform
 */
export function serve(perform) {
  const port = parentPort;
  if (!port) throw new Error("This script runs as a worker thread");
  port.on("message", async (data) => {
    port.postMessage({ type: "started" });
    try {
      const json = await perform(data, (level, line) => port.postMessage({ type: "log", level, line }));
      port.postMessage({ type: "answer", json });
    } catch (error) {
      if (!(error instanceof ScriptFailure)) throw error;
      port.postMessage({ type: "failure", code: error.code, message: error.message });
    }
  });
}

// @ts-check
// One large definition on a thread of its own: checking 100,000 tasks takes seconds, in which nothing else would be
// answered. Plain JavaScript, because a worker does not inherit the loader that lets its parent import TypeScript.
import { parentPort, workerData } from "node:worker_threads";

if (workerData.isSource) (await import("tsx/esm/api")).register();
const { perform } = await import("./work.ts");

try {
  parentPort?.postMessage({ texts: perform(workerData.job) });
} catch (error) {
  const { code, message, issues } = /** @type {import("../../core/errors.ts").SkeinError} */ (error);
  // Anything without a code is a defect, which the parent hears of as such.
  if (typeof code !== "string") throw error;
  parentPort?.postMessage({ refusal: { code, message, issues } });
}

// @ts-check
// The planner that searches, on a thread of its own: it may take a second in which nothing else would be answered. Plain
// JavaScript, because a worker does not inherit the loader that lets its parent import TypeScript.
import { parentPort, workerData } from "node:worker_threads";

if (workerData.isSource) (await import("tsx/esm/api")).register();
const { capabilityPlanner } = await import("../core/planner/capability-planner.ts");

parentPort?.on("message", ({ goal, capabilities }) => {
  try {
    parentPort?.postMessage(capabilityPlanner.plan(goal, capabilities));
  } catch (error) {
    parentPort?.postMessage({ broken: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
});

// @ts-check
// Graphviz on a thread of its own: a layout is seconds of uninterruptible WebAssembly, which would stop every request.
// Plain JavaScript, because a worker does not inherit the loader (tsx, vitest) that lets its parent import TypeScript.
import { parentPort } from "node:worker_threads";
import { Graphviz } from "@hpcc-js/wasm-graphviz";

const graphviz = await Graphviz.load();

parentPort?.on("message", (/** @type {string} */ dot) => {
  try {
    parentPort?.postMessage({ plain: graphviz.layout(dot, "plain", "dot") });
  } catch (error) {
    // Graphviz has unloaded itself by then, or run out of memory.
    parentPort?.postMessage({ broken: error instanceof Error ? error.message : String(error) });
  }
});

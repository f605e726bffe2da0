// @ts-check
/** QuickJS compiled to WebAssembly: a JavaScript engine with a memory limit, a stack limit, a deadline, and no outside. */

import variant from "@jitl/quickjs-singlefile-mjs-release-sync";
import { newQuickJSWASMModuleFromVariant, newVariant } from "quickjs-emscripten-core";
import { ScriptFailure } from "./sandbox-thread.js";

/** @typedef {import("quickjs-emscripten-core").QuickJSHandle} Handle */

/**
 * QuickJS's own limit. Each of its frames also takes up to 30 times as much native stack: a thread of `STACK_MB` in
 * sandbox.ts has room for it, and runaway recursion ends here as an ordinary error instead of breaking the instance.
 */
const MAX_STACK_BYTES = 512 * 1024;
/** WebAssembly's unit. The engine is built to start with 256 of them, and with 32,768 at most. */
const PAGE_BYTES = 64 * 1024;
const INITIAL_PAGES = 256;
/** What the engine itself takes of the memory, generously. */
const ENGINE_BYTES = 8 * 1024 * 1024;
/** Describing an out-of-memory error takes some memory. */
const RESERVE_BYTES = 1024 * 1024;
const MAX_MESSAGE_CHARS = 1_000;
/** Where user code is evaluated, so that its line numbers can be told from ours. */
export const USER_FILE = "code.js";

/**
 * A new instance (8 ms), with its own memory. An unreferenced one is simply collected, with all its handles.
 *
 * The limit is WebAssembly's own. QuickJS's `setMemoryLimit` is none: built for WebAssembly it cannot see the size of what
 * it has allocated, and under a limit of 8 MiB two thousand strings of 500 kB were seen to take 2 GB.
 * @param {number} memoryBytes more than 16 MiB, which the engine starts with
 */
export async function startQuickjs(memoryBytes) {
  const { WebAssembly } = /** @type {any} */ (globalThis); // not among the types for Node
  const wasmMemory = new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum: Math.ceil(memoryBytes / PAGE_BYTES) });
  const quickjs = await newQuickJSWASMModuleFromVariant(newVariant(variant, { wasmMemory }));
  const runtime = quickjs.newRuntime();
  runtime.setMaxStackSize(MAX_STACK_BYTES);
  const context = runtime.newContext();
  const reserve = context.newArrayBuffer(new ArrayBuffer(RESERVE_BYTES));

  let limitMs = Number.POSITIVE_INFINITY;
  let startedAt = 0;
  const isLate = () => performance.now() - startedAt > limitMs;
  /** The time limit of all that runs from now on. @param {number} timeoutMs */
  const startClock = (timeoutMs) => {
    limitMs = timeoutMs;
    startedAt = performance.now();
  };
  const outOfMemory = () =>
    new ScriptFailure("SANDBOX_MEMORY", `The sandbox's memory of ${memoryBytes / 1024 / 1024} MiB is too small`);
  /** Emscripten gives up growing when less than a twentieth is left. */
  const isFull = () => wasmMemory.buffer.byteLength > 0.9 * memoryBytes;
  /**
   * To ask after each failure: QuickJS reports an interruption like any other error, and where even the error finds no
   * memory, it throws something without a message.
   * @param {unknown} message
   */
  const throwIfLimited = (message) => {
    if (isLate()) throw new ScriptFailure("SANDBOX_TIMEOUT", `The sandbox was stopped after ${limitMs} ms`);
    if (message === "out of memory" || (message === undefined && isFull())) throw outOfMemory();
  };
  runtime.setInterruptHandler(() => isLate());

  /**
   * The value, or a throw of what went wrong under this code.
   * @param {{ value: Handle, error?: undefined } | { error: Handle }} result
   */
  const unwrap = (result, code = "CODE_FAILED") => {
    if (!result.error) return result.value;
    if (reserve.alive) reserve.dispose();
    const thrown = context.dump(result.error); // which may run user code again: a getter, a proxy
    throwIfLimited(thrown?.message);
    throw failureOf(thrown, code);
  };

  /** What a promise settles to now: nothing can settle it later, there is no I/O and no timer. @param {Handle} promise */
  const settle = (promise) => {
    const jobs = runtime.executePendingJobs();
    if (jobs.error) unwrap({ error: jobs.error });
    const state = context.getPromiseState(promise);
    if (state.type === "fulfilled") return state.value;
    if (state.type === "rejected") return unwrap({ error: state.error });
    throwIfLimited("interrupted");
    throw new ScriptFailure(
      "CODE_UNSETTLED",
      "The code awaits a promise that never settles: there is no I/O and no timer",
    );
  };

  /** Text in. The library does not notice when there is no room for it, and writes to address 0. @param {string} text */
  const toHandle = (text) => {
    if (2 * Buffer.byteLength(text) + ENGINE_BYTES > memoryBytes) throw outOfMemory();
    return context.newString(text);
  };
  /** Text out. Where there is no room for the copy it comes shortened. @param {Handle} handle */
  const toText = (handle) => {
    const text = context.getString(handle);
    const length = context.getProp(handle, "length").consume((number) => context.getNumber(number));
    if (text.length !== length) throw outOfMemory();
    return text;
  };

  return { context, startClock, throwIfLimited, unwrap, settle, toHandle, toText };
}

/**
 * @param {unknown} thrown what QuickJS dumped: `{ name, message, stack }` for an Error, else the thrown value
 * @param {string} code
 */
function failureOf(thrown, code) {
  if (typeof thrown !== "object" || thrown === null || !("message" in thrown)) {
    return new ScriptFailure(code, `The code threw ${String(JSON.stringify(thrown)).slice(0, MAX_MESSAGE_CHARS)}`);
  }
  const { name, message, stack } = /** @type {{ name?: unknown, message: unknown, stack?: unknown }} */ (thrown);
  const text = `${String(name ?? "Error")}: ${String(message)}`.slice(0, MAX_MESSAGE_CHARS);
  const line = new RegExp(`${USER_FILE}:(\\d+)`).exec(String(stack))?.[1];
  return new ScriptFailure(code, line ? `${text} (line ${line})` : text);
}

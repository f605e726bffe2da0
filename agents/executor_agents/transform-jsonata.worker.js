// @ts-check
/**
 * The thread of transform-jsonata.ts: JSONata inside QuickJS, because JSONata itself has no bound on memory: `$pad("", 5e8)`
 * exhausts the heap of a plain thread, and with it the whole process dies, whatever the thread's resource limits.
 */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Scope } from "quickjs-emscripten-core";
import { startQuickjs } from "./quickjs.js";
import { ScriptFailure, serve } from "./sandbox-thread.js";

/**
 * @typedef {object} Job
 * @property {string} expression
 * @property {string} data JSON text
 * @property {{ stack: number, sequence: number }} guards JSONata's own, they give the clearer errors
 * @property {number} timeoutMs
 * @property {number} memoryBytes
 * @property {number} maxAnswerChars
 */

const JSONATA_SOURCE = readFileSync(createRequire(import.meta.url).resolve("jsonata/jsonata.min.js"), "utf8");
/** Memory that WebAssembly has once grown is not given back: after data of this many characters the instance is dropped. */
const LARGE_DATA_CHARS = 1024 * 1024;
const MAX_MESSAGE_CHARS = 500;

/** Answers "=" and the result as JSON, or "!" and the error as JSON. Freezing: one instance serves many tasks. */
const EVALUATE = `(() => {
  for (const { prototype } of [Object, Function, String, Number, Boolean, RegExp, Date, Promise]) Object.freeze(prototype);
  return async (expression, data, guards) => {
    try {
      const result = await jsonata(expression, JSON.parse(guards)).evaluate(JSON.parse(data));
      return "=" + (JSON.stringify(result) ?? "null");
    } catch (error) {
      return "!" + JSON.stringify({ code: error?.code, message: error?.message, position: error?.position });
    }
  };
})()`;

/** @type {ReturnType<typeof startJsonata> | undefined} Reused between jobs: loading JSONata takes 30 ms. */
let warm;

serve(async (/** @type {Job} */ job) => {
  warm ??= startJsonata(job.memoryBytes);
  const instance = await warm;
  warm = undefined; // Kept only after a job that ended in order.
  const outcome = evaluate(instance, job);
  const failure = outcome.startsWith("!") ? JSON.parse(outcome.slice(1)) : undefined;
  if (failure) instance.throwIfLimited(failure.message);
  if (job.data.length < LARGE_DATA_CHARS) warm = Promise.resolve(instance);

  if (failure) throw failureOf(failure);
  if (outcome.length - 1 <= job.maxAnswerChars) return outcome.slice(1);
  const sizes = `${outcome.length - 1} characters of JSON, the limit is ${job.maxAnswerChars}`;
  throw new ScriptFailure("TRANSFORM_LIMIT", `The result is ${sizes}`);
});

/** @param {number} memoryBytes */
async function startJsonata(memoryBytes) {
  const quickjs = await startQuickjs(memoryBytes);
  const { context, unwrap } = quickjs;
  // JSONata takes base64 from `window` or from Node's Buffer.
  const window = context.newObject();
  for (const convert of [btoa, atob]) {
    const convertInside = (/** @type {any} */ text) => context.newString(convert(context.getString(text)));
    context.setProp(window, convert.name, context.newFunction(convert.name, convertInside));
  }
  context.setProp(context.global, "window", window);
  unwrap(context.evalCode(`${JSONATA_SOURCE};globalThis.jsonata = window.jsonata`));
  return { ...quickjs, evaluate: unwrap(context.evalCode(EVALUATE)) };
}

/**
 * @param {Awaited<ReturnType<typeof startJsonata>>} instance
 * @param {Job} job
 */
function evaluate({ context, startClock, unwrap, settle, toHandle, toText, evaluate }, job) {
  startClock(job.timeoutMs);
  return Scope.withScope((scope) => {
    const args = [job.expression, job.data, JSON.stringify(job.guards)].map((text) => scope.manage(toHandle(text)));
    const promise = scope.manage(unwrap(context.callFunction(evaluate, context.undefined, ...args)));
    return toText(scope.manage(settle(promise)));
  });
}

/**
 * JSONata's codes: S… is syntax; D1011 recursion, D2014 and D2015 sequence length; T… types, D… the rest. What QuickJS
 * threw, such as a stack overflow, has none.
 * @param {{ code?: string, message?: string, position?: number }} error
 */
function failureOf({ code = "error", message = "failed", position }) {
  const where = position === undefined ? "" : ` at character ${position}`;
  const text = `${String(message).slice(0, MAX_MESSAGE_CHARS)} (JSONata ${code}${where})`;
  if (["D1011", "D2014", "D2015"].includes(code)) return new ScriptFailure("TRANSFORM_LIMIT", text);
  return new ScriptFailure(String(code).startsWith("S") ? "TRANSFORM_SYNTAX" : "TRANSFORM_FAILED", text);
}

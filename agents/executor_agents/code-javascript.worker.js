// @ts-check
/** The thread of code-javascript.ts: one function body per job, each in a QuickJS of its own. */

import { startQuickjs, USER_FILE } from "./quickjs.js";
import { ScriptFailure, serve } from "./sandbox-thread.js";

/**
 * @typedef {object} Job
 * @property {string} code
 * @property {string} input JSON text
 * @property {number} timeoutMs
 * @property {number} memoryBytes
 * @property {number} maxAnswerChars
 * @property {number} maxLogLines
 * @property {number} maxLogChars of one line
 */

/** Runs before the user's code and keeps the originals of what it uses: `{ parse, stringify }`, and a global console. */
const PRELUDE = `((emit, maxChars) => {
  const { parse, stringify } = JSON;
  const toText = String;
  const cut = ((slice) => (text) => slice(text, 0, maxChars))(Function.prototype.call.bind(String.prototype.slice));
  const show = (value) => {
    try {
      return cut(typeof value === "object" ? stringify(value) : toText(value));
    } catch {
      return "[cannot be shown]";
    }
  };
  const print = (level) => (...values) => {
    let line = "";
    for (let i = 0; i < values.length && line.length < maxChars; i++) line += (i ? " " : "") + show(values[i]);
    emit(level, cut(line));
  };
  const info = print("info");
  globalThis.console = { log: info, info, debug: print("debug"), warn: print("warn"), error: print("error") };
  return { parse, stringify };
})`;

serve(async (/** @type {Job} */ job, log) => {
  const { context, startClock, unwrap, settle, toHandle, toText } = await startQuickjs(job.memoryBytes);
  startClock(job.timeoutMs);

  let lineCount = 0;
  const emit = context.newFunction("emit", (level, line) => {
    lineCount++;
    if (lineCount <= job.maxLogLines) log(/** @type {"info"} */ (context.getString(level)), context.getString(line));
    else if (lineCount === job.maxLogLines + 1)
      log("warn", `Console lines after the first ${job.maxLogLines} are dropped`);
  });
  const prelude = unwrap(context.evalCode(PRELUDE));
  const json = unwrap(context.callFunction(prelude, context.undefined, emit, context.newNumber(job.maxLogChars)));
  const input = unwrap(context.callMethod(json, "parse", [toHandle(job.input)]));

  // The code starts on the first line, so the line numbers of errors are the user's own.
  const script = `(async (input) => {${job.code}\n})`;
  const main = unwrap(context.evalCode(script, USER_FILE, { strict: true }), "CODE_SYNTAX");
  const output = settle(unwrap(context.callFunction(main, context.undefined, input)));

  const text = unwrap(context.callMethod(json, "stringify", [output]));
  if (context.typeof(text) !== "string") return "null"; // undefined, a function or a symbol
  const length = context.getNumber(context.getProp(text, "length"));
  if (length <= job.maxAnswerChars) return toText(text);
  const sizes = `${length} characters of JSON, the limit is ${job.maxAnswerChars}`;
  throw new ScriptFailure("CODE_OUTPUT_TOO_LARGE", `The result is ${sizes}`);
});

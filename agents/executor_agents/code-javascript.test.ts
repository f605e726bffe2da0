import { setMaxListeners } from "node:events";
import { describe, expect, it } from "vitest";
import type { Json } from "../../core/json.ts";
import { codeJavascript } from "./code-javascript.ts";
import { collectLog, perform } from "./perform.suite.ts";

const run = (code: string, more: Record<string, Json> = {}, rest = {}) =>
  perform(codeJavascript, { code, ...more }, rest);

describe("code.javascript", () => {
  it.each<[string, Json, Json]>([
    ["return input.a + 1", { a: 1 }, 2],
    ["return input", null, null],
    ["const { items } = input; return items.map((x) => x * 2)", { items: [1, 2] }, [2, 4]],
    ["return await Promise.all([1, Promise.resolve(2)])", null, [1, 2]],
    ["const later = async () => 5;\nreturn { x: await later() } // a comment at the end", null, { x: 5 }],
    ["1 + 1", null, null],
    ["return () => 1", null, null],
    ["return { at: new Date(0), gone: undefined }", null, { at: "1970-01-01T00:00:00.000Z" }],
    ["return input.length", "é".repeat(100_000), 100_000],
    ["Promise.reject(new Error('nobody waits for it')); return 1", null, 1],
    ["JSON.stringify = () => '[[['; JSON.parse = null; return { a: 1 }", null, { a: 1 }],
  ])("%j returns its result", async (code, input, output) => {
    expect(await run(code, { input })).toEqual(output);
  });

  it("sends console lines to the attempt's log", async () => {
    const { log, lines } = collectLog();
    await run(
      "console.log('a', 1, { b: [2] }, null, undefined, 3n); console.warn('careful'); console.error('bad')",
      {},
      { log },
    );
    expect(lines).toEqual(['info a 1 {"b":[2]} null undefined 3', "warn careful", "error bad"]);
  });

  it("bounds the number and the length of console lines, whatever the code did to its built-ins", async () => {
    const { log, lines } = collectLog();
    await run(
      "String.prototype.slice = function () { return this }; for (;;) console.log('x'.repeat(10000))",
      { timeout_ms: 200 },
      { log },
    ).catch(() => {});
    expect(lines).toHaveLength(101);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(2_010);
    expect(lines.at(-1)).toContain("after the first 100 are dropped");
  });

  it.each([
    ["throw new TypeError('no good')", "CODE_FAILED", "TypeError: no good (line 1)"],
    ["let a = 1;\n\nthrow new Error('third')", "CODE_FAILED", "Error: third (line 3)"],
    ["await Promise.reject(new RangeError('later'))", "CODE_FAILED", "RangeError: later"],
    ["throw 'only text'", "CODE_FAILED", 'The code threw "only text"'],
    ["throw null", "CODE_FAILED", "The code threw null"],
    ["null.x", "CODE_FAILED", "TypeError: cannot read property 'x' of null (line 1)"],
    ["undeclared = 1", "CODE_FAILED", "'undeclared' is not defined"],
    ["return 10n", "CODE_FAILED", "BigInt"],
    ["const a = {}; a.a = a; return a", "CODE_FAILED", "circular"],
    ["let ok = 1;\nlet a = ;", "CODE_SYNTAX", "(line 2)"],
    ["return {", "CODE_SYNTAX", "SyntaxError"],
    ["import fs from 'fs'", "CODE_SYNTAX", "SyntaxError"],
    ["await new Promise(() => {})", "CODE_UNSETTLED", "never settles"],
    ["(function f() { f() })()", "CODE_FAILED", "stack overflow"],
    ["eval('('.repeat(100_000))", "CODE_FAILED", "stack overflow"],
    ["[1, 2].sort(function again() { [1, 2].sort(again) })", "CODE_FAILED", "stack overflow"],
  ])("%j fails for good and says why", async (code, errorCode, hint) => {
    await expect(run(code)).rejects.toMatchObject({
      name: "NonRetryableError",
      code: errorCode,
      message: expect.stringContaining(hint),
    });
  });

  it.each([
    "const all = []; for (;;) all.push({ a: [1] })",
    "new ArrayBuffer(1e9)",
    "return new Array(1e8).fill(0)",
    "return [...Array(1e9).keys()]",
    "const all = []; for (let i = 0; ; i++) all.push(new Array(1000).fill(i))",
    "const all = []; for (let i = 0; ; i++) all.push(('x' + i).repeat(100_000))",
    "const all = []; for (let i = 0; ; i++) all.push(new Uint8Array(1000 + i))",
    "let all = {}; for (let i = 0; ; i++) all['key' + i] = i",
    "const all = new Map(); for (let i = 0; ; i++) all.set(i, {})",
    "let all = null; for (;;) all = { all }",
    "let all = () => 1; for (;;) all = all.bind(null)",
    "let all = []; for (;;) all.push(Promise.resolve())",
    "'x'.repeat(5e6).split('').map((x) => [x])",
  ])("%j ends when the memory is full", async (code) => {
    await expect(run(code, { timeout_ms: 30_000, memory_mb: 24 })).rejects.toMatchObject({ code: "SANDBOX_MEMORY" });
  });

  it("a result longer than an output may be is refused", async () => {
    const failure = expect(run("return 'x'.repeat(9_000_000)", { memory_mb: 128, timeout_ms: 30_000 })).rejects;
    await failure.toMatchObject({
      code: "CODE_OUTPUT_TOO_LARGE",
      message: expect.stringContaining("9000002 characters"),
    });
  });

  it.each(["a", "é", "漢"])("an input of %s that does not fit into the memory is refused", async (character) => {
    const more = { input: character.repeat(8_000_000), timeout_ms: 30_000 };
    await expect(run("return input.length", { ...more, memory_mb: 24 })).rejects.toMatchObject({
      code: "SANDBOX_MEMORY",
    });
    expect(await run("return input.length", { ...more, memory_mb: 128 })).toBe(8_000_000);
  });

  it("lets the code use the memory it was given", async () => {
    const code =
      "const parts = []; while (parts.length < 40) parts.push(new ArrayBuffer(1024 * 1024)); return parts.length";
    await expect(run(code)).rejects.toMatchObject({ code: "SANDBOX_MEMORY" });
    expect(await run(code, { memory_mb: 64 })).toBe(40);
  });

  it.each([
    "for (;;);",
    "for (;;) await 0",
    "try { for (;;); } catch { for (;;); } finally { for (;;); }",
    "for (;;) { try { await (async () => { for (;;); })() } catch {} }",
    "/(a+)+$/.test('a'.repeat(60) + 'b')",
    "return { toJSON() { for (;;); } }",
    "throw { get message() { for (;;); } }",
    "throw new Proxy({}, { get() { for (;;); } })",
    // Within one built-in call QuickJS does not look at the clock: the thread is killed.
    "const s = 'ab'.repeat(1e6); for (;;) s.indexOf('ba'.repeat(1e5) + 'c')",
    "let deep = []; for (let i = 0; i < 1e5; i++) deep = [deep]; for (;;) { try { JSON.stringify(deep) } catch {} }",
  ])("%j is stopped at its time limit, and may be retried", async (code) => {
    await expect(run(code, { timeout_ms: 100 })).rejects.toMatchObject({ name: "TaskError", code: "SANDBOX_TIMEOUT" });
  });

  it("ends at once when the attempt is aborted, also while it waits for a turn", async () => {
    const abort = new AbortController();
    setMaxListeners(0, abort.signal); // one attempt has one signal; here twenty share it
    const attempts = Array.from({ length: 20 }, () =>
      run("for (;;);", { timeout_ms: 30_000 }, { signal: abort.signal }),
    );
    const { log, lines } = collectLog();
    attempts.push(run("console.log('busy'); for (;;);", { timeout_ms: 30_000 }, { signal: abort.signal, log }));
    abort.abort(new Error("lease lost"));
    for (const outcome of await Promise.allSettled(attempts)) {
      expect(outcome).toMatchObject({ status: "rejected", reason: { message: "lease lost" } });
    }
    expect(lines).toEqual([]);
    expect(await run("return 'the next one runs'")).toBe("the next one runs");
  });

  it("an abort kills code that is already running", async () => {
    const abort = new AbortController();
    const { log, lines } = collectLog();
    const running = run("console.log('busy'); for (;;);", { timeout_ms: 30_000 }, { signal: abort.signal, log });
    const failure = expect(running).rejects.toThrow("cancelled");
    await expect.poll(() => lines).toEqual(["info busy"]);
    abort.abort(new Error("cancelled"));
    await failure;
  });

  it.each([
    ["process.exit(1)", "CODE_FAILED"],
    ["globalThis.process?.kill(0); quit()", "CODE_FAILED"],
    ["for (;;);", "SANDBOX_TIMEOUT"],
    ["Array.prototype.push = () => { for (;;); }; for (;;) [].push(1)", "SANDBOX_TIMEOUT"],
    ["let all = ['x']; for (;;) all = [...all, ...all]", "SANDBOX_MEMORY"],
    ["let all = 'x'; for (;;) all += all", "CODE_FAILED"],
    ["return new Proxy({}, { ownKeys: () => { throw new Proxy({}, {}) } })", "CODE_FAILED"],
    ["throw { toString() { throw this }, get message() { throw this } }", "CODE_FAILED"],
    ["(function f() { try { f() } finally { f() } })()", "SANDBOX_TIMEOUT"],
    ["await new Promise(() => { (function again() { Promise.resolve().then(again) })() })", "SANDBOX_TIMEOUT"],
    ["await new Promise(() => {})", "CODE_UNSETTLED"],
  ])("%j ends the attempt, not the executor", async (code, errorCode) => {
    const exits: unknown[] = [];
    const onExit = (exitCode: number) => exits.push(exitCode);
    process.once("exit", onExit);
    const limits = { timeout_ms: errorCode === "SANDBOX_TIMEOUT" ? 300 : 30_000 };
    await expect(run(code, limits)).rejects.toMatchObject({ code: errorCode });
    process.off("exit", onExit);
    expect(exits).toEqual([]);
    expect(await run("return 'alive'")).toBe("alive");
  });

  it("nothing of one call is left for the next", async () => {
    await run("globalThis.left = 1; Object.prototype.left = 2; Array.prototype.map = null");
    expect(await run("return [typeof left, typeof ({}).left, typeof [].map]")).toEqual([
      "undefined",
      "undefined",
      "function",
    ]);
  });

  it("many calls at once each get their own answer", async () => {
    const answers = await Promise.all(Array.from({ length: 30 }, (_, i) => run("return input * 2", { input: i })));
    expect(answers).toEqual(Array.from({ length: 30 }, (_, i) => 2 * i));
  });

  it.each([
    [{ code: "" }],
    [{ code: "x".repeat(300_000) }],
    [{ code: "1", timeout_ms: 30_001 }],
    [{ code: "1", memory_mb: 129 }],
    [{ code: "1", memory_mb: 23 }],
    [{ code: "1", timeout: 5 }],
  ])("refuses %j", (input) => {
    expect(() => codeJavascript.parseInput(input)).toThrow(expect.objectContaining({ code: "INPUT_INVALID" }));
  });
});

describe("the way out", () => {
  const outside =
    "process require module exports fetch XMLHttpRequest WebSocket setTimeout setInterval setImmediate queueMicrotask postMessage " +
    "Worker WebAssembly Buffer global window self Deno Bun std os print emit scriptArgs performance navigator document " +
    "importScripts structuredClone __filename __dirname";

  it.each(outside.split(" "))("has no %s", async (name) => {
    expect(await run(`return typeof ${name}`)).toBe("undefined");
  });

  it.each([
    "return constructor.constructor('return process')()",
    "return this.constructor.constructor('return process')()",
    "return (() => {}).constructor('return process.env')()",
    "return (async () => {}).constructor('return process.env')()",
    "return (function* () {}).constructor('return process')().next().value",
    "return console.log.constructor('return process')()",
    "return Function('return require')()('fs')",
    "return new Function('return globalThis.process.env')()",
    "return eval('process')",
    "return (0, eval)('require')('fs').readFileSync('/etc/passwd', 'utf8')",
    "return Reflect.construct(Function, ['return process'])()",
    "return await import('fs')",
    "return await import('/etc/passwd')",
    "return await import('node:child_process')",
    "return await import('data:text/javascript,export default 1')",
    "try { null.x } catch (error) { return error.constructor.constructor('return process')() }",
    "try { (function f() { f() })() } catch (error) { return error.constructor.constructor('return process')() }",
    "Error.prepareStackTrace = (_, frames) => frames; return new Error().stack[0].getThis().process.pid",
    "return arguments.callee.caller.constructor('return process')()",
    "return new Proxy(console.log, {}).constructor('return process')()",
    "return Promise.resolve().then.constructor('return process')()",
    "}); globalThis.process.exit(1); (async () => {",
    "return Symbol.for('nodejs.util.inspect.custom') in process",
    "return input.constructor.constructor('return process')()",
    "return Object.getPrototypeOf(async function () {}).constructor('return process.mainModule')()",
  ])("%j does not find it", async (code) => {
    await expect(run(code, { input: {} })).rejects.toMatchObject({ code: expect.stringMatching(/^CODE_/) });
  });

  it("does not lead through the result either", async () => {
    const polluting = `return JSON.parse('{"__proto__": {"polluted": true}, "constructor": {"prototype": {"polluted": true}}}')`;
    await expect(run(polluting)).rejects.toMatchObject({ code: "OUTPUT_UNSTORABLE" });
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });
});

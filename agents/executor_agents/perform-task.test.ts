import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { defineExecutor, type ExecutorContext, NonRetryableError, RetryAfterError } from "../../sdk/executor.ts";
import { performTask } from "./perform-task.ts";

afterEach(() => {
  vi.useRealTimers();
});

/** An executor of any JSON whose handler this is. */
const does = (run: (context: ExecutorContext) => unknown) => defineExecutor({ capability: "test.any", run });

/** Runs until its signal aborts, and throws its reason. */
const holding = does(({ signal }) => delay(600_000, undefined, { signal }).catch(() => signal.throwIfAborted()));

describe("performTask", () => {
  it("answers with the checked output, the log, the notes, and what was added to the run", async () => {
    const crawl = defineExecutor({
      capability: "test.crawl",
      input: z.strictObject({ url: z.string(), depth: z.int().default(2) }),
      output: z.strictObject({ found: z.int() }),
      async run({ input, log, progress, emit, spawn, key, attempt }) {
        log.info("crawling", { depth: input.depth });
        progress("half way");
        progress({ percent: 90 });
        expect(await emit("pages", [{ item: input.url, key: "a" }, { item: 2 }])).toEqual({ added: 2, repeated: 0 });
        expect(await emit("pages", [{ item: "again", key: "a" }], { close: true })).toEqual({ added: 0, repeated: 1 });
        spawn([{ id: "index", capability: "core.echo", input: `{{ tasks.${key}.output.found }}` }]);
        return { found: attempt };
      },
    });
    expect(await performTask(crawl, { url: "u" }, { attempt: 3, key: "crawl" })).toEqual({
      outcome: "completed",
      artifacts: {},
      asked: [],
      topics: [],
      output: { found: 3 },
      hasReturned: true,
      logs: [{ at: expect.any(String), level: "info", message: "crawling", fields: { depth: 2 } }],
      progress: ["half way", { percent: 90 }],
      usage: {},
      emitted: { pages: { items: [{ item: "u", key: "a" }, { item: 2 }], isClosed: true } },
      spawned: [{ id: "index", capability: "core.echo", input: "{{ tasks.crawl.output.found }}" }],
      remembered: [],
      sent: [],
      acknowledged: [],
    });
  });

  it("answers with the state, and what was remembered and sent", async () => {
    const tally = does(async ({ input, state, memory, send }) => {
      const before = (await state.get<{ n: number }>()) ?? { n: 0 };
      const { data } = await memory.list({ type: "seen", search: "GEESE" });
      state.set({ n: before.n + 1 });
      memory.add("seen", input as string);
      send("clerk", before.n, { type: "count" });
      return data.map(({ content }) => content);
    });
    const memory = ["grey geese", "a duck", "white geese"].map((content) => ({ type: "seen", content }));
    expect(await performTask(tally, "a swan", { state: { n: 4 }, memory })).toMatchObject({
      output: ["white geese", "grey geese"],
      state: { n: 5 },
      remembered: [{ type: "seen", content: "a swan" }],
      sent: [{ to: "clerk", body: 4, type: "count" }],
    });
    const first = await performTask(tally, "a swan");
    expect([first.state, first.output]).toEqual([{ n: 1 }, []]);
  });

  it("has an inbox, of which a success acknowledges messages, and a failure none", async () => {
    const reader = does(async ({ input, inbox }) => {
      const [first] = await inbox.read({ limit: 1 });
      inbox.acknowledge([first!.id, first!.id]);
      if (input === "fail") throw new Error("no");
      return [first!.from.name, (await inbox.read()).map(({ body }) => body)];
    });
    const inbox = [{ id: "m1", from: { kind: "agent", name: "boss" } as const, body: 1 }, { body: 2 }];
    expect(await performTask(reader, null, { inbox })).toMatchObject({
      output: ["boss", [1, 2]],
      acknowledged: ["m1"],
    });
    expect(await performTask(reader, "fail", { inbox })).toMatchObject({ outcome: "failed", acknowledged: [] });
  });

  it("asks, is replied to as the test says, and subscribes", async () => {
    const asker = does(async ({ ask, inbox, send }) => {
      await inbox.subscribe("geese");
      await inbox.subscribe("ducks");
      await inbox.unsubscribe("ducks");
      send({ topic: "geese" }, 1, { expectsReply: "1h" });
      const { from, body } = await ask("clerk", { n: 1 }, { type: "ask" });
      return [from.name, body, (await ask({ topic: "geese" }, 2, { within: "1s" })).body];
    });
    expect(await performTask(asker, null, { replies: ["one", "two"] })).toMatchObject({
      output: ["test", "one", "two"],
      asked: [
        { to: "clerk", body: { n: 1 } },
        { to: { topic: "geese" }, body: 2 },
      ],
      topics: ["geese"],
      sent: [{ to: { topic: "geese" }, body: 1, expects_reply: "1h" }],
    });
    expect(await performTask(asker, null, { replies: ["one"] })).toMatchObject({
      outcome: "failed",
      error: { code: "NO_REPLY" },
      retryable: true,
      sent: [],
    });
  });

  it("keeps what was updated, and drops what was set, remembered and sent, when the handler fails", async () => {
    const failing = does(async ({ state, memory, send }) => {
      await state.update<number>((n = 0) => n + 1);
      await state.update<number>((n = 0) => n + 1);
      memory.add("seen", 1);
      send("clerk", 1);
      throw new Error("no");
    });
    const performed = await performTask(failing, null, { state: 40 });
    expect(performed).toMatchObject({ outcome: "failed", state: 42, remembered: [], sent: [] });
    const setting = does(({ state }) => {
      state.set(1);
      throw new Error("no");
    });
    expect((await performTask(setting, null, { state: 40 })).state).toBe(40);
    const deleting = does(({ state }) => state.delete());
    expect((await performTask(deleting, null, { state: 40 })).state).toBeUndefined();
    const large = does(({ state }) => state.update(() => "x".repeat(200_000)));
    expect(await performTask(large, null)).toMatchObject({ error: { code: "AGENT_DATA_TOO_LARGE" }, retryable: false });
  });

  it.each<[string, (context: ExecutorContext) => unknown, object]>([
    [
      "an error",
      () => {
        throw new Error("boom");
      },
      { error: { code: "HANDLER_FAILED", message: "boom" }, retryable: true },
    ],
    [
      "a final error",
      () => {
        throw new NonRetryableError("no", { code: "NO" });
      },
      { error: { code: "NO", message: "no", retryable: false }, retryable: false },
    ],
    [
      "a time to wait",
      () => {
        throw new RetryAfterError("busy", 1_500);
      },
      { error: { retry_after_ms: 1_500 }, retryable: true },
    ],
    ["an output that is not JSON", () => 1n, { error: { code: "OUTPUT_INVALID" }, retryable: false }],
    ["spawned tasks that are none", ({ spawn }) => spawn([{ id: "a b" }]), { error: { code: "spawn_invalid" } }],
    [
      "spawned tasks that need another",
      ({ spawn }) => spawn([{ id: "a", capability: "c", needs: ["nobody"] }]),
      { error: { code: "spawn_invalid", message: expect.stringContaining("nobody") }, retryable: false },
    ],
  ])("tells a failure by %s as it would be reported", async (_, run, report) => {
    const result = await performTask(does(run), null);
    expect(result).toMatchObject({ outcome: "failed", spawned: [], ...report });
    expect(result).not.toHaveProperty("output");
  });

  it("keeps what was thrown, with its stack, and the log up to it", async () => {
    const cause = new Error("boom");
    const result = await performTask(
      does(({ log, spawn }) => {
        log.warn("soon");
        spawn([{ id: "a", capability: "core.echo" }]);
        throw cause;
      }),
      null,
    );
    expect(result.thrown).toBe(cause);
    expect(result.spawned).toEqual([]);
    expect(result.logs).toMatchObject([
      { message: "soon" },
      { level: "warn", message: "the attempt failed, so what it spawned is dropped: 1 task(s)" },
    ]);
  });

  it("fails for good an input that breaks the contract, before the handler runs", async () => {
    const run = vi.fn();
    const strict = defineExecutor({ capability: "test.strict", input: z.strictObject({ n: z.int() }), run });
    expect(await performTask(strict, { n: "1" })).toMatchObject({
      outcome: "failed",
      error: { code: "INPUT_INVALID", message: expect.stringContaining("/n") },
      retryable: false,
    });
    expect(run).not.toHaveBeenCalled();
  });

  it("stops at its timeout with the signal aborted, and may be tried again", async () => {
    expect(await performTask(holding, null, { timeoutMs: 20 })).toMatchObject({
      outcome: "failed",
      error: { code: "timeout", message: "The handler did not return within 20 ms" },
      retryable: true,
      hasReturned: true,
      thrown: { code: "timeout" },
    });
  });

  it("is stopped from outside, and then reports nothing", async () => {
    const abort = new AbortController();
    const performing = performTask(holding, null, { signal: abort.signal });
    const reason = new Error("cancelled by a person");
    abort.abort(reason);
    expect(await performing).toMatchObject({ outcome: "stopped", hasReturned: true, thrown: reason });
    expect(await performTask(holding, null, { signal: abort.signal })).toMatchObject({ outcome: "stopped" });
  });

  it("does not wait for ever for a handler that does not heed its signal", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const deaf = does(() => new Promise(() => {}));
    const performing = performTask(deaf, null, { timeoutMs: 10 });
    await vi.advanceTimersByTimeAsync(10 + 5_000);
    expect(await performing).toMatchObject({ outcome: "failed", error: { code: "timeout" }, hasReturned: false });
  });

  it("refuses items for a closed map, for good", async () => {
    const emits = does(({ input, emit }) => emit(input as string, [{ item: 1 }], { close: true }));
    const refused = { code: "emit_refused", message: expect.stringContaining('"full" is closed') };
    expect(await performTask(emits, "full", { closedMaps: ["full"] })).toMatchObject({
      outcome: "failed",
      error: refused,
      retryable: false,
      emitted: {},
    });
    const twice = does(async ({ emit }) => {
      await emit("once", [], { close: true });
      await emit("once", [{ item: 1 }]);
    });
    expect(await performTask(twice, null)).toMatchObject({ outcome: "failed", error: { code: "emit_refused" } });
  });
});
